// SPDX-License-Identifier: Apache-2.0
// Node's clients: node.js LIBRARY STEP... (steps as in python.py). LIBRARY: http (a connection for each request), agent
// (http with its keep-alive agent), fetch.
'use strict';

const crypto = require('crypto');
const http = require('http');

const PATIENCE_MS = 20000;

function throughHttp(agent) {
  return (method, url, body, timeout) => new Promise((resolve, reject) => {
    const headers = body ? { 'Content-Length': body.length } : {};
    const request = http.request(url, { method, agent, headers, signal: AbortSignal.timeout(timeout) });
    request.on('response', (response) => {
      const parts = [];
      response.on('data', (part) => parts.push(part));
      response.on('end', () => resolve([response.statusCode, Buffer.concat(parts)]));
      response.on('error', reject);
    });
    request.on('error', reject);
    request.end(body);
  });
}

async function throughFetch(method, url, body, timeout) {
  const response = await fetch(url, { method, body, signal: AbortSignal.timeout(timeout) });
  return [response.status, Buffer.from(await response.arrayBuffer())];
}

const libraries = {
  http: throughHttp(new http.Agent({ keepAlive: false })),
  agent: throughHttp(new http.Agent({ keepAlive: true })),
  fetch: throughFetch,
};

function parse(step) {
  const [, verb, size, url] = step.match(/^([a-z]+):?(\d*) (.*)$/);
  const body = size ? Buffer.alloc(Number(size), 'b') : undefined;
  return [verb === 'timeout' ? 'GET' : verb.toUpperCase(), url, body, verb === 'timeout' ? 3000 : PATIENCE_MS];
}

async function main([library, ...steps]) {
  for (const step of steps) {
    try {
      const [status, data] = await libraries[library](...parse(step));
      console.log(status, data.length, crypto.createHash('sha256').update(data).digest('hex').slice(0, 16));
    } catch (error) {
      console.log(error.name, error.code || (error.cause && error.cause.code) || '');
    }
  }
  process.exit();
}

main(process.argv.slice(2));
