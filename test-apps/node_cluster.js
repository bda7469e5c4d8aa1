// SPDX-License-Identifier: Apache-2.0
// node_server.js in a cluster of two: a worker that dies is replaced; SIGHUP replaces all, each as soon as it is idle.
'use strict';

const cluster = require('cluster');

if (cluster.isPrimary) {
    cluster.on('exit', () => cluster.fork());
    process.on('SIGHUP', () => Object.values(cluster.workers).forEach((worker) => worker.disconnect()));
    cluster.fork();
    cluster.fork();
} else {
    require('./node_server.js');
}
