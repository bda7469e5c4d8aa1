// SPDX-License-Identifier: Apache-2.0
// WebAssembly that reads past its memory: V8 lets the processor find out, and turns the fault into an exception.
'use strict';

const bytes = Buffer.from([
    0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00, // magic, version
    0x01, 0x06, 0x01, 0x60, 0x01, 0x7f, 0x01, 0x7f, // a type: (i32) -> i32
    0x03, 0x02, 0x01, 0x00, // a function of it
    0x05, 0x03, 0x01, 0x00, 0x01, // a memory of one page
    0x07, 0x08, 0x01, 0x04, 0x72, 0x65, 0x61, 0x64, 0x00, 0x00, // exported as "read"
    0x0a, 0x09, 0x01, 0x07, 0x00, 0x20, 0x00, 0x28, 0x02, 0x00, 0x0b, // i32.load of its argument
]);
const { read } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;

let caught = 0;
for (let i = 0; i < 100000; i++) {
    try {
        read(i % 2 ? 0 : 0x7fffff00);
    } catch (error) {
        caught += error instanceof WebAssembly.RuntimeError;
    }
}
console.log(`${caught} faults`);
