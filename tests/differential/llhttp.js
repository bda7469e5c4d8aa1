// SPDX-License-Identifier: Apache-2.0
// What llhttp, Node's parser, makes of each stream of a folder, as JSON: one line a stream. Usage: node llhttp.js FOLDER
'use strict'

const fs = require('node:fs')
const path = require('node:path')

const REQUEST = 1
const RESPONSE = 2
const OK = 0
const PAUSED_UPGRADE = 22

// Where struct llhttp_t of a 32-bit machine has its flags, which no function returns, and the status behind them, by which
// headEnd() sees that this is still so; and what some of them mean.
const FLAGS_OFFSET = 50
const F_CHUNKED = 0x8
const F_CONTENT_LENGTH = 0x20
const F_TRANSFER_ENCODING = 0x200

let run // the stream that is being parsed

function start() {
  const message = { start: [], framing: 'none', body: 0, keep: false, upgrade: false, complete: false }
  run.messages.push(message)
  run.url = []
  return 0
}

function framing(parser, status, skipped) {
  const view = new DataView(llhttp.memory.buffer)
  const flags = view.getUint16(parser + FLAGS_OFFSET, true)
  if (view.getUint16(parser + FLAGS_OFFSET + 2, true) !== status) throw new Error('llhttp_t has another layout')
  if (run.type === RESPONSE && (skipped || status < 200 || status === 204 || status === 304)) return 'none'
  if (flags & F_CHUNKED) return 'chunked'
  if (run.type === RESPONSE && llhttp.llhttp_message_needs_eof(parser)) return 'close'
  return flags & F_CONTENT_LENGTH && !(flags & F_TRANSFER_ENCODING) ? 'counted' : 'none'
}

// Returns what tells llhttp how to go on: 1: no body, 2: no HTTP any more.
function headEnd(parser, status, upgrade, keep) {
  const message = run.messages.at(-1)
  const version = `${llhttp.llhttp_get_http_major(parser)}.${llhttp.llhttp_get_http_minor(parser)}`
  const method = run.answered[0] ?? 'GET'
  const isTunnel = run.type === RESPONSE && method === 'CONNECT' && status >= 200 && status < 300
  const isHead = run.type === RESPONSE && method === 'HEAD'
  if (run.type === REQUEST) {
    const name = text(llhttp.llhttp_method_name(llhttp.llhttp_get_method(parser)))
    message.start = [name, Buffer.concat(run.url).toString('latin1'), version]
  } else {
    message.start = [version, String(status)]
    message.upgrade = isTunnel || upgrade !== 0
    if (status >= 200 || message.upgrade) run.answered.shift()
  }
  message.framing = framing(parser, status, isHead || isTunnel)
  message.keep = keep !== 0 && !message.upgrade
  run.heads++
  return isTunnel ? 2 : isHead ? 1 : 0
}

const hooks = {
  wasm_on_message_begin: start,
  wasm_on_url: (parser, at, length) => {
    run.url.push(Buffer.from(new Uint8Array(llhttp.memory.buffer, at, length)))
    return 0
  },
  wasm_on_status: () => 0,
  wasm_on_header_field: () => 0,
  wasm_on_header_value: () => 0,
  wasm_on_headers_complete: headEnd,
  wasm_on_body: (parser, at, length) => {
    run.messages.at(-1).body += length
    return 0
  },
  wasm_on_message_complete: () => {
    run.messages.at(-1).complete = true
    return 0
  }
}

const module_ = new WebAssembly.Module(require('undici/lib/llhttp/llhttp-wasm.js'))
const llhttp = new WebAssembly.Instance(module_, { env: hooks }).exports
llhttp._initialize()

function text(at) {
  const bytes = Buffer.from(llhttp.memory.buffer)
  return bytes.toString('latin1', at, bytes.indexOf(0, at))
}

// A request that asks for an upgrade pauses llhttp; here nobody grants it on the request's side.
function execute(parser, at, length) {
  let error = llhttp.llhttp_execute(parser, at, length)
  while (error === PAUSED_UPGRADE && run.type === REQUEST) {
    const end = at + length
    at = llhttp.llhttp_get_error_pos(parser)
    length = end - at
    if (length === 0) break
    llhttp.llhttp_resume_after_upgrade(parser)
    error = llhttp.llhttp_execute(parser, at, length)
  }
  return error
}

function ending(parser, error) {
  if (error === PAUSED_UPGRADE) return 'ok'
  if (error !== OK) return 'error'
  return llhttp.llhttp_finish(parser) === OK ? 'ok' : 'cut'
}

// methods: of the requests that responses answer.
function parse(type, bytes, methods) {
  const parser = llhttp.llhttp_alloc(type)
  const at = llhttp.malloc(bytes.length + 1)
  run = { type, messages: [], answered: [...methods], heads: 0, url: [] }
  new Uint8Array(llhttp.memory.buffer).set(bytes, at)
  const end = ending(parser, bytes.length > 0 ? execute(parser, at, bytes.length) : OK)
  llhttp.free(at)
  llhttp.llhttp_free(parser)
  return { messages: run.messages.slice(0, run.heads), end }
}

function methodsOf(file) {
  const requests = file.replace(/response$/, 'request')
  return fs.existsSync(requests) ? parse(REQUEST, fs.readFileSync(requests), []).messages.map((m) => m.start[0]) : []
}

const folder = process.argv[2]
const lines = fs.readdirSync(folder).sort().map((name) => {
  const file = path.join(folder, name)
  const isRequest = name.endsWith('.request')
  const result = parse(isRequest ? REQUEST : RESPONSE, fs.readFileSync(file), isRequest ? [] : methodsOf(file))
  return `${JSON.stringify(name)}: ${JSON.stringify(result)}`
})
process.stdout.write(`{\n${lines.join(',\n')}\n}\n`)
