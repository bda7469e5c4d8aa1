// SPDX-License-Identifier: Apache-2.0
// Starts curl for each request, as the path's first part says, and answers with what it printed: `node node.js PORT`
'use strict';
const { exec, execFile, execFileSync } = require('child_process');
const http = require('http');

http.createServer((request, response) => {
    const argv = ['-s', process.env.BEHIND + request.url];
    const answer = (error, output) => response.end(error ? String(error) : output);
    const ways = {
        file: () => execFile('curl', argv, answer),
        env: () => execFile('curl', argv, { env: { ...process.env, MORE: '1' } }, answer),
        shell: () => exec(`curl ${argv.join(' ')}`, answer),
        sync: () => answer(null, execFileSync('curl', argv)),
    };
    const way = ways[request.url.split('/')[1]];
    if (way)
        way();
    else
        response.end('ready');
}).listen(Number(process.argv[2]), '127.0.0.1');
