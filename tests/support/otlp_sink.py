#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""An OTLP/HTTP receiver for tests, of protobuf and JSON: strict about what it gets, and able to misbehave in every way
that a real one does.

    sink = OtlpSink()                  # listens on sink.port
    sink.wait_for(3)                   # until 3 spans have come
    sink.spans                         # dicts: name, trace_id, attributes, resource, scope, ...; may be cleared
    sink.wait_for_logs(3); sink.logs   # log records likewise, which come to a path that ends in /v1/logs
    sink.violations                    # what a sender must not do; tests assert that there are none
    sink.requests                      # what came over HTTP: dicts with path, headers, length, status, time
    sink.set_mode("429", retry_after=2)

As a program: otlp_sink.py [--port N] [--mode MODE] [--out FILE] writes each span as a line of JSON."""

import argparse
import gzip
import json
import sys
import threading
import time

import otlp_json
import otlp_wire
from http_sink import HttpSink
from otlp_wire import WireError
from processes import PATIENCE_S

# mode: status of the answer; the others are special.
STATUSES = {"ok": 200, "partial": 200, "slow": 200, "429": 429, "503": 503, "502": 502, "504": 504, "500": 500,
            "400": 400, "401": 401, "404": 404, "413": 413, "415": 415, "302": 302}
MODES = (*STATUSES, "garbage", "hang", "close", "refuse")
READERS = {"application/x-protobuf": otlp_wire.spans_of, "application/json": otlp_json.spans_of}
LOG_READERS = {"application/x-protobuf": otlp_wire.logs_of, "application/json": otlp_json.logs_of}


def varint(number):
    """A number as protobuf writes it."""
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def partial_success(rejected, message):
    """An ExportTraceServiceResponse."""
    inner = b"\x08" + varint(rejected) if rejected else b""
    if message:
        inner += b"\x12" + varint(len(message.encode())) + message.encode()
    return b"\x0a" + varint(len(inner)) + inner


def rpc_status(message):
    """A google.rpc.Status."""
    return b"\x12" + varint(len(message.encode())) + message.encode()


def is_of_logs(path):
    """Do log records go there, or spans?"""
    return path.split("?")[0].endswith("/v1/logs")


def answer_body(media_type, is_logs, is_accepted, rejected, message):
    """An answer in the encoding of the request."""
    if media_type != "application/json":
        return partial_success(rejected, message) if is_accepted else rpc_status(message)
    if not is_accepted:
        return json.dumps({"message": message}).encode()
    key = "rejectedLogRecords" if is_logs else "rejectedSpans"
    return json.dumps({"partialSuccess": {key: str(rejected), "errorMessage": message}}).encode()


class OtlpSink(HttpSink):
    """The receiver. Options of modes: delay (slow, s), retry_after (any refusal: text, s, or what gives them when it
    answers), rejected and message (partial)."""

    modes = MODES

    def __init__(self, port=0, mode="ok", tls=None, is_proxy=False, **options):
        self._is_proxy = is_proxy  # requests name their host: a stand-in for a proxy and what is behind it
        self._bodies = []
        self._body_count = 0  # that have come
        self._reading = threading.RLock()  # taken before _lock: a body that comes meanwhile is answered in time
        self._spans = []
        self._logs = []
        super().__init__(port, mode, tls, **options)

    @property
    def spans(self):
        """All spans so far. Bodies are read only now: a receiver that reads while load runs would disturb it."""
        self._read_bodies()
        return self._spans

    @property
    def logs(self):
        """All log records so far."""
        self._read_bodies()
        return self._logs

    @property
    def violations(self):
        """All violations so far."""
        self._read_bodies()
        return self._violations

    def wait_for(self, count, timeout=PATIENCE_S):
        """Until at least `count` spans have come; AssertionError when the time is over."""
        return self._wait_for("spans", count, timeout)

    def wait_for_logs(self, count, timeout=PATIENCE_S):
        """Likewise for log records."""
        return self._wait_for("logs", count, timeout)

    def _wait_for(self, what, count, timeout):
        deadline = time.monotonic() + timeout
        while True:
            body_count = self._body_count
            items = getattr(self, what)
            if len(items) >= count:
                return items
            left = deadline - time.monotonic()
            if left <= 0:
                raise AssertionError(f"{len(items)} of {count} {what} came in {timeout} s")
            with self._lock:
                if self._body_count == body_count:
                    self._changed.wait(left)

    def clear(self):
        """Forget spans, requests and violations."""
        with self._reading, self._lock:
            self._read_bodies()
            self._spans.clear()
            self._logs.clear()
            self._violations.clear()
            self.requests.clear()

    def _check_head(self, method, path, headers):
        if method != "POST":
            self._note(f"method {method}")
        if headers.get("content-type") not in READERS:
            self._note(f"content type {headers.get('content-type')!r}")
        if headers.get("content-encoding", "gzip") != "gzip":
            self._note(f"content encoding {headers['content-encoding']!r}")
        if "OTel-OTLP-Exporter-" not in headers.get("user-agent", ""):
            self._note(f"user agent {headers.get('user-agent')!r}")
        if not path.startswith("http://" if self._is_proxy else "/"):
            self._note(f"path {path!r}")

    def _answer(self, connection, mode, options, path, headers, body):
        status = STATUSES.get(mode, 0)
        if mode == "slow":
            self._sleep(options.get("delay", 2), mode)
        if mode == "hang":
            self._sleep(3600, mode)
        with self._lock:
            if status == 200:
                self._bodies.append((path, body, headers.get("content-type"), headers.get("content-encoding"),
                                     options.get("rejected", 1) if mode == "partial" else 0))
                self._body_count += 1
            self.requests.append({"path": path, "headers": headers, "length": len(body), "status": status,
                                  "time": time.monotonic()})
            self._changed.notify_all()
        if mode == "garbage":
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28\r\n" * 8)
        if not status:
            return False
        connection.sendall(self._response(path, mode, status, options, headers.get("content-type")))
        return True

    @staticmethod
    def _response(path, mode, status, options, media_type):
        message = options.get("message", "" if mode in ("ok", "slow") else "because the test says so")
        rejected = options.get("rejected", 1) if mode == "partial" else 0
        body = answer_body(media_type, is_of_logs(path), status == 200, rejected, message)
        lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
        if "retry_after" in options:
            retry_after = options["retry_after"]
            lines.append(f"Retry-After: {retry_after() if callable(retry_after) else retry_after}")
        if status == 302:
            lines.append(f"Location: {options.get('location', 'http://127.0.0.1:1/v1/traces')}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _read_bodies(self):
        """Those that have come by now: under load there would be no end of those that come meanwhile."""
        with self._reading:
            with self._lock:
                bodies, self._bodies = self._bodies, []
            for body in bodies:
                self._read_body(*body)

    def _read_body(self, path, body, media_type, encoding, rejected):
        readers, items = (LOG_READERS, self._logs) if is_of_logs(path) else (READERS, self._spans)
        read = readers.get(media_type, otlp_wire.spans_of)
        try:
            new = read(gzip.decompress(body) if encoding == "gzip" else body, self._note)
        except (WireError, OSError, EOFError) as error:
            self._note(f"unreadable body: {error}")
            return
        items.extend(new[:len(new) - rejected] if rejected else new)


def main():
    """The program."""
    parser = argparse.ArgumentParser(description="An OTLP/HTTP receiver that writes each span as a line of JSON.")
    parser.add_argument("--port", type=int, default=4318)
    parser.add_argument("--mode", choices=MODES, default="ok")
    parser.add_argument("--out", type=argparse.FileType("a"), default=sys.stdout)
    arguments = parser.parse_args()
    sink = OtlpSink(arguments.port, arguments.mode)
    print(f"listening on {sink.url}", file=sys.stderr, flush=True)
    written = violations = 0
    try:
        while True:
            for span in sink.wait_for(written + 1, timeout=1 << 20)[written:]:
                print(json.dumps(span), file=arguments.out, flush=True)
                written += 1
            for text in sink.violations[violations:]:
                print(f"violation: {text}", file=sys.stderr, flush=True)
                violations += 1
    except KeyboardInterrupt:
        sink.close()


if __name__ == "__main__":
    main()
