// SPDX-License-Identifier: Apache-2.0
// A server on Node's http module with the paths of httpd.c; prints its port, which may be its argument.
'use strict';

const http = require('http');

const routes = {
    size: (request, response, count) => {
        response.setHeader('Content-Length', count);
        response.end(request.method === 'HEAD' ? undefined : 'x'.repeat(count));
    },
    delay: (request, response, ms) => {
        setTimeout(() => response.end('late\n'), ms + 1); // timers may fire up to 1 ms early
    },
    echo: (request, response) => {
        let length = 0;
        request.on('data', (part) => { length += part.length; });
        request.on('end', () => response.end(`${length}\n`));
    },
    status: (request, response, status) => {
        response.statusCode = status;
        response.end(status === 204 || status === 304 ? undefined : 'status\n');
    },
    chunked: (request, response, count) => {
        const size = Math.max(1000, count / 100);
        for (let left = count; left > 0; left -= size)
            response.write('x'.repeat(Math.min(size, left)));
        response.end();
    },
};

const server = http.createServer((request, response) => {
    const [, what, number] = request.url.split('?')[0].split('/');
    const route = routes[what];
    if (route) {
        route(request, response, Number(number));
    } else {
        response.statusCode = 404;
        response.end('no such path\n');
    }
});
server.keepAliveTimeout = 60000; // ms: no connection is closed while it is used
server.listen(Number(process.argv[2] || 0), '127.0.0.1', () => console.log(`port ${server.address().port}`));
module.exports = server;
