// SPDX-License-Identifier: Apache-2.0
// Asks the server behind it for the path it is asked for: `node node.js PORT [HOW [BEFORE [TIMES]]]`.
// HOW: agent (kept connections), queue (four of them), few (four, none kept), none (a connection each), fetch, timer (after a
// timer), lookup (after the name is looked up). BEFORE: what is asked of a database first: redis-own (over a connection of the
// request's own), redis-pool (as many as there are requests at once), redis-shared (one for all); postgres-pool,
// postgres-rows (large answers), postgres-shared; nothing. TIMES: how often it asks, all at once. With OWN_MS set it asks for
// /own/N every so many ms.
'use strict';
const http = require('http');

const [port, how = 'agent', before = 'nothing', times = '1'] = process.argv.slice(2);
const behind = { host: how === 'lookup' ? 'localhost' : '127.0.0.1', port: Number(process.env.BEHIND), family: 4 };
const agents = {
    agent: new http.Agent({ keepAlive: true }),
    queue: new http.Agent({ keepAlive: true, maxSockets: 4 }),
    few: new http.Agent({ maxSockets: 4 }),
};
const database = { host: '127.0.0.1', port: Number(process.env.DATABASE) };

function redis() {
    const Redis = require('ioredis');
    return new Redis({ ...database, enableReadyCheck: false });
}

// A pool that never lets a request wait: it grows.
const free = [];

async function redisFromPool() {
    const connection = free.pop() || redis();
    await connection.get('name');
    free.push(connection);
}

async function redisOfItsOwn() {
    const connection = redis();
    await connection.get('name');
    connection.disconnect();
}

function redisOfAll() {
    const connection = redis();
    return () => connection.get('name');
}

// An answer that comes in several reads.
const manyRows = "SELECT repeat('x', 1000) FROM generate_series(1, 400)";

function postgres(kind, query = 'SELECT 1') {
    const { Client, Pool } = require('pg');
    const options = { ...database, user: 'test', database: 'postgres' };
    if (kind === 'pool') {
        const pool = new Pool({ ...options, max: 64 });
        return () => pool.query(query);
    }
    const client = new Client(options);
    client.connect();
    return () => client.query('SELECT 1');
}

const databases = {
    'redis-own': () => redisOfItsOwn,
    'redis-pool': () => redisFromPool,
    'redis-shared': redisOfAll,
    'postgres-pool': () => postgres('pool'),
    'postgres-rows': () => postgres('pool', manyRows),
    'postgres-shared': () => postgres('shared'),
};

function askByHttp(path) {
    return new Promise((resolve, reject) => {
        http.get({ ...behind, path, agent: agents[how] || false }, (answer) => {
            let text = '';
            answer.on('data', (data) => (text += data));
            answer.on('end', () => resolve(text));
        }).on('error', reject);
    });
}

async function askByFetch(path) {
    const answer = await fetch(`http://${behind.host}:${behind.port}${path}`);
    return answer.text();
}

const ask = how === 'fetch' ? askByFetch : askByHttp;

function askAtOnce(path) {
    return Promise.all(Array.from({ length: Number(times) }, () => ask(path)));
}

async function answer(request, response) {
    response.end((await askAtOnce(request.url))[0]);
}

function handler() {
    if (how === 'timer')
        return (request, response) => setTimeout(answer, 3, request, response);
    if (!(before in databases))
        return answer;
    const query = databases[before]();
    return async (request, response) => {
        await query();
        await answer(request, response);
    };
}

let own = 0;
if (process.env.OWN_MS)
    setInterval(() => ask(`/own/${own++}`).catch(() => {}), Number(process.env.OWN_MS));

http.createServer(handler()).listen(Number(port), '127.0.0.1');
