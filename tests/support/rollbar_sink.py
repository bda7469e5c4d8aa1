# SPDX-License-Identifier: Apache-2.0
"""A stand-in for Rollbar's POST /api/1/item/: strict about what it gets, and able to misbehave.

    sink = RollbarSink()
    sink.items                         # the `data` of each item that was accepted, once by uuid
    sink.violations                    # what a notifier must not send; tests assert that there are none
    sink.requests                      # dicts: path, headers, length, status, uuid, time
    sink.set_mode("429", remaining_s=2)

A new uuid is taken once: one that comes again is answered as taken, and left out."""

import json
import re
import time

from http_sink import HttpSink
from processes import PATIENCE_S

TOKEN = "0123456789abcdef0123456789abcdef"
STATUSES = {"ok": 200, "slow": 200, "err": 200, "html": 200, "empty": 200, "400": 400, "401": 401, "403": 403, "404": 404, "413": 413,
            "422": 422, "429": 429, "500": 500, "502": 502, "503": 503}
LEVELS = ("critical", "error", "warning", "info", "debug")
PLATFORMS = ("browser", "android", "ios", "flash", "client", "heroku", "google-app-engine", "linux", "windows")
# Characters at most.
LIMITS = {"environment": 255, "code_version": 40, "context": 255, "title": 255, "uuid": 36, "fingerprint": 40}
ITEM_MAX = 512 << 10
PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


class RollbarSink(HttpSink):
    """The receiver. Options of modes: delay (slow, s), remaining_s and reset (429: what the headers say), limit (413: the
    bytes above which an item is too large; others are taken), message (any refusal: its words). lost: the item is taken,
    but the answer does not come."""

    modes = (*STATUSES, "garbage", "hang", "close", "refuse", "lost")

    def __init__(self, port=0, mode="ok", token=TOKEN, **options):
        self.token = token
        self.path = "/api/1/item/"  # a proxy is asked for the whole URL
        self.items = []
        super().__init__(port, mode, **options)

    @property
    def violations(self):
        """What was wrong with what came."""
        return self._violations

    @property
    def endpoint(self):
        """What ROLLBAR_ENDPOINT is set to."""
        return f"{self.url}/api/1/item/"

    def wait_for(self, count, timeout=PATIENCE_S):
        """Until at least `count` items were accepted."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while len(self.items) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(self.items)} of {count} items came in {timeout} s")
                self._changed.wait(left)
            return list(self.items)

    def _check_head(self, method, path, headers):
        if method != "POST" or path != self.path:
            self._note(f"{method} {path}")
        if headers.get("content-type") != "application/json":
            self._note(f"content type {headers.get('content-type')!r}")
        if "content-encoding" in headers:
            self._note(f"content encoding {headers['content-encoding']!r}")
        if not re.fullmatch("[0-9a-f]{32}", headers.get("x-rollbar-access-token", "")):
            self._note(f"token {headers.get('x-rollbar-access-token')!r}")

    def _answer(self, connection, mode, options, path, headers, body):
        if mode == "slow":
            self._sleep(options.get("delay", 2), mode)
        if mode == "hang":
            self._sleep(3600, mode)
        status = self._status(mode, options, headers, body)
        data = self._read(body)
        with self._lock:
            self.requests.append({"path": path, "headers": headers, "length": len(body), "status": status,
                                  "uuid": data.get("uuid"), "time": time.monotonic()})
            if mode == "lost" or status == 200 and mode not in ("err", "html", "empty"):
                self._accept_item(data)
            self._changed.notify_all()
        if mode == "lost":
            self._sleep(3600, mode)
        if mode == "garbage":
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28\r\n" * 8)
        if not status:
            return False
        connection.sendall(self._response(mode, status, options, data))
        return True

    def _status(self, mode, options, headers, body):
        if mode in STATUSES and headers.get("x-rollbar-access-token") != self.token:
            return 403
        if mode == "413" and len(body) <= options.get("limit", 0):
            return 200
        return STATUSES.get(mode, 0)

    def _accept_item(self, data):
        if data.get("uuid") not in [item.get("uuid") for item in self.items]:
            self.items.append(data)

    @staticmethod
    def _response(mode, status, options, data):
        media_type = "application/json"
        if status == 200 and mode != "err":
            body = json.dumps({"err": 0, "result": {"id": None, "uuid": data.get("uuid")}}).encode()
        else:
            body = json.dumps({"err": 1, "message": options.get("message", "because the test says so")}).encode()
        if mode in ("html", "502"):
            media_type, body = "text/html", PAGE
        if mode == "empty":
            body = b""
        lines = [f"HTTP/1.1 {status} Some Reason", f"Content-Type: {media_type}", f"Content-Length: {len(body)}"]
        if "remaining_s" in options:
            lines += [f"x-rate-limit-remaining-seconds: {options['remaining_s']}", "X-Rate-Limit-Remaining: 0"]
        if "reset" in options:
            lines.append(f"X-Rate-Limit-Reset: {options['reset']}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _read(self, body):
        """The item's data; {} when it can't be read."""
        try:
            item = json.loads(body.decode("utf-8"))
        except ValueError as error:
            self._note(f"no JSON in UTF-8: {error}")
            return {}
        if len(body) > ITEM_MAX:
            self._note(f"{len(body)} bytes")
        if not isinstance(item, dict) or set(item) != {"data"} or not isinstance(item["data"], dict):
            self._note("no object of data alone")
            return {}
        self._check_data(item["data"])
        return item["data"]

    def _check(self, is_good, text):
        if not is_good:
            self._note(text)

    def _check_data(self, data):
        self._check(isinstance(data.get("environment"), str) and data["environment"], "no environment")
        self._check(data.get("level") in LEVELS, f"level {data.get('level')!r}")
        self._check(isinstance(data.get("timestamp"), int) and abs(data["timestamp"] - time.time()) < 3600 * 24,
                    f"timestamp {data.get('timestamp')!r}")
        self._check(data.get("platform") in PLATFORMS, f"platform {data.get('platform')!r}")
        self._check(UUID4.fullmatch(data.get("uuid", "")), f"uuid {data.get('uuid')!r}")
        for name, limit in LIMITS.items():
            self._check(len(data.get(name, "")) <= limit, f"{name} is too long")
        person = data.get("person")
        self._check(person is None or 0 < len(person.get("id", "")) <= 40, f"person {person!r}")
        self._check({"name", "version"} <= set(data.get("notifier", {})), "no notifier")
        self._check("\0" not in json.dumps(data, ensure_ascii=False), "NUL in a text")
        self._check_body(data.get("body"))
        for event in data.get("body", {}).get("telemetry", []):
            self._check_event(event)

    def _check_body(self, body):
        kinds = {"trace", "trace_chain", "message", "crash_report"} & set(body or {})
        self._check(len(kinds) == 1, f"body of {sorted(body or {})}")
        if "message" in kinds:
            self._check(isinstance(body["message"].get("body"), str) and body["message"]["body"], "message without body")
        if "trace_chain" in kinds:
            self._check(isinstance(body["trace_chain"], list) and body["trace_chain"], "empty trace_chain")
        for trace in body.get("trace_chain", [body["trace"]] if "trace" in kinds else []):
            self._check(trace.get("exception", {}).get("class"), "exception without class")
            self._check(isinstance(trace.get("frames"), list) and trace["frames"], "no frames")
            for frame in trace.get("frames", []):
                self._check_frame(frame)

    def _check_frame(self, frame):
        self._check(frame.get("filename"), f"frame without filename: {frame}")
        for name in ("filename", "method"):
            self._check(not re.search(r"\b0x[0-9a-f]{3,}", frame.get(name, "")), f"address in {name}: {frame}")
        for name in ("lineno", "colno"):
            self._check(name not in frame or isinstance(frame[name], int) and frame[name] > 0, f"{name}: {frame}")

    def _check_event(self, event):
        self._check({"level", "type", "source", "timestamp_ms", "body"} <= set(event), f"event {event}")
        self._check(event.get("level") in LEVELS and event.get("source") in ("client", "server"), f"event {event}")
        if event.get("type") == "network":
            self._check({"method", "url"} <= set(event.get("body", {})), f"network event {event}")
