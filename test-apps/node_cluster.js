// SPDX-License-Identifier: Apache-2.0
// node_server.js in a cluster of two: a worker that dies is replaced; SIGHUP replaces all, each when its connections have
// ended with the answers that they wait for.
'use strict';

const cluster = require('cluster');

if (cluster.isPrimary) {
    cluster.on('exit', () => cluster.fork());
    process.on('SIGHUP', () => Object.values(cluster.workers).forEach((worker) => worker.send('go')));
    cluster.fork();
    cluster.fork();
} else {
    const server = require('./node_server.js');
    process.on('message', () => {
        server.prependListener('request', (request, response) => { response.shouldKeepAlive = false; });
        cluster.worker.disconnect(); // which closes idle connections only
    });
}
