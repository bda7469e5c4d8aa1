// SPDX-License-Identifier: Apache-2.0
// A server on Node's http module that answers what another answers: `pass_on.js PORT [SOCKETS]`. Connections to it are
// kept, SOCKETS at most (requests queue for them); of the request it passes on the target, no header field. Prints its port.
'use strict';

const http = require('http');

const [port, sockets] = process.argv.slice(2).map(Number);
const agent = new http.Agent({ keepAlive: true, maxSockets: sockets || Infinity });

const server = http.createServer((request, response) => {
    const outgoing = http.request({ host: '127.0.0.1', port, path: request.url, agent }, (answer) => {
        response.writeHead(answer.statusCode, { 'Content-Length': answer.headers['content-length'] });
        answer.pipe(response);
    });
    outgoing.on('error', (error) => {
        response.statusCode = 502;
        response.end(`${error}\n`);
    });
    outgoing.end();
});
server.keepAliveTimeout = 60000; // ms: no connection is closed while it is used
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
