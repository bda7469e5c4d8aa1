// SPDX-License-Identifier: Apache-2.0
// A server that prints what its handler throws, and goes on.
'use strict';

const http = require('http');

class PriceError extends Error {
    constructor(message, options) {
        super(message, options);
        this.name = 'PriceError';
    }
}

function load(key) {
    return { a: { text: '1' } }[key].text;
}

function price(key) {
    try {
        return load(key);
    } catch (cause) {
        throw new PriceError(`no price of ${key}`, { cause });
    }
}

const server = http.createServer((request, response) => {
    try {
        response.end(price(request.url.split('/')[2]));
    } catch (error) {
        console.error(error);
        response.statusCode = 500;
        response.end('sorry\n');
    }
});
server.listen(0, '127.0.0.1', () => console.log(`port ${server.address().port}`));
