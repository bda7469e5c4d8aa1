// SPDX-License-Identifier: Apache-2.0
// Asks the server behind it for the path it is asked for: `node node.js PORT HOW`, HOW being agent (kept connections), queue
// (four of them), few (four, none kept), none (a connection each), fetch, timer (after a timer), lookup (after the name is looked up).
'use strict';
const http = require('http');

const [port, how] = process.argv.slice(2);
const behind = { host: how === 'lookup' ? 'localhost' : '127.0.0.1', port: Number(process.env.BEHIND), family: 4 };
const agents = {
    agent: new http.Agent({ keepAlive: true }),
    queue: new http.Agent({ keepAlive: true, maxSockets: 4 }),
    few: new http.Agent({ maxSockets: 4 }),
};

function ask(request, response) {
    const agent = agents[how] || false;
    http.get({ ...behind, path: request.url, agent }, (answer) => answer.pipe(response));
}

async function fetched(request, response) {
    const answer = await fetch(`http://${behind.host}:${behind.port}${request.url}`);
    response.end(await answer.text());
}

http.createServer((request, response) => {
    if (how === 'fetch')
        fetched(request, response);
    else if (how === 'timer')
        setTimeout(ask, 3, request, response);
    else
        ask(request, response);
}).listen(Number(port), '127.0.0.1');
