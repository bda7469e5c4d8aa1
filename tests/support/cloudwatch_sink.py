# SPDX-License-Identifier: Apache-2.0
"""A stand-in for CloudWatch Logs, which checks each signature and holds every limit that AWS does.

    logs = CloudWatchSink()            # **logs.env("the/group")
    logs.wait_for(3)                   # events: dicts with group, stream, timestamp, message, put
    logs.groups, logs.retention        # what was made
    logs.violations                    # what a sender must not do; tests assert that there are none
    logs.set_mode("ThrottlingException")
    logs.denied = {"CreateLogGroup"}   # operations that the credentials may not use"""

import json
import re
import time
from email.utils import formatdate

import aws_signature
from aws_sink import KEY, REGION
from http_sink import HttpSink
from processes import PATIENCE_S

VERSION = "Logs_20140328."
EVENT_EXTRA = 26
BATCH_BYTES_MAX = 1048576
BATCH_EVENTS_MAX = 10000
DAY_MS = 24 * 3600 * 1000
NEW_MS, OLD_MS = 2 * 3600 * 1000, 14 * DAY_MS
RETENTIONS = (1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)
ERRORS = {"ThrottlingException": 400, "ServiceUnavailableException": 503, "AccessDeniedException": 400,
          "LimitExceededException": 400, "UnrecognizedClientException": 400, "ExpiredTokenException": 403,
          "RequestTimeoutException": 400, "OperationAbortedException": 400, "DataAlreadyAcceptedException": 400}
PAGES = {"302": 302, "404": 404, "407": 407, "408": 408}  # what another server says in its place


class Refused(Exception):
    """What the call is answered with: the name of the error."""

    def __init__(self, code, message, status=400):
        super().__init__(message)
        self.code, self.status = code, status


class CloudWatchSink(HttpSink):
    """CloudWatch Logs, of one region. Options of modes: after (the mode is ok for so many calls)."""

    modes = ("ok", *ERRORS, *PAGES, "hang", "close", "refuse")

    def __init__(self, port=0, mode="ok", **options):
        self.region = REGION
        self.keys = {KEY[0]: KEY[1:]}
        self.event_max = 262144  # with the 26 bytes; AWS's pages before 2025
        self.ahead_s = 0
        self.denied = set()
        self.groups = {}  # name -> set of streams
        self.retention = {}
        self.events = []
        self.put_count = 0
        super().__init__(port, mode, **options)

    @property
    def violations(self):
        """What was wrong with what came."""
        return self._violations

    def env(self, group, key=KEY, **settings):
        """The settings that make a program's logs come here."""
        env = {"SPANSHIM_CLOUDWATCH_LOG_GROUP": group, "AWS_REGION": self.region, "AWS_ENDPOINT_URL_CLOUDWATCH_LOGS": self.url}
        if key:
            env.update(AWS_ACCESS_KEY_ID=key[0], AWS_SECRET_ACCESS_KEY=key[1])
        if key and key[2]:
            env.update(AWS_SESSION_TOKEN=key[2])
        return {**env, **settings}

    def wait_for(self, count, timeout=PATIENCE_S):
        """Until at least `count` events were taken."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while len(self.events) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(self.events)} of {count} events came in {timeout} s; {self.requests[-3:]}")
                self._changed.wait(left)
            return list(self.events)

    def calls(self):
        """What was called and how it was answered, in order: ("PutLogEvents", 200), ("PutLogEvents", "ThrottlingException")."""
        with self._lock:
            return [(request["operation"], request["code"] or request["status"]) for request in self.requests]

    def _check_head(self, method, path, headers):
        if (method, path) != ("POST", "/") or headers.get("content-type") != "application/x-amz-json-1.1":
            self._note(f"{method} {path} {headers.get('content-type')}")

    def _answer(self, connection, mode, options, path, headers, body):
        operation = headers.get("x-amz-target", "").removeprefix(VERSION)
        with self._lock:
            if len(self.requests) < options.get("after", 0):
                mode = "ok"
        if mode == "hang":
            self._sleep(3600, mode)
        with self._lock:
            status, code, answer = self._judge(mode, operation, headers, body)
            self.requests.append({"operation": operation, "headers": headers, "length": len(body), "status": status, "code": code,
                                  "time": time.monotonic()})
            self._changed.notify_all()
        if mode in ("hang", "close"):
            return False
        if mode in PAGES:
            connection.sendall(f"HTTP/1.1 {PAGES[mode]} Some Reason\r\nLocation: {self.url}/away\r\nContent-Length: 6\r\n\r\n<html>".encode())
            return True
        connection.sendall(self._response(status, code, answer))
        return True

    def _response(self, status, code, answer):
        body = json.dumps({"__type": f"com.amazonaws.logs#{code}", **answer} if code else answer).encode()
        lines = [f"HTTP/1.1 {status} Some Reason", f"Date: {formatdate(time.time() + self.ahead_s, usegmt=True)}",
                 "Content-Type: application/x-amz-json-1.1", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _judge(self, mode, operation, headers, body):
        """status, name of the error, answer."""
        try:
            aws_signature.check("POST", "/", headers, body, self.keys, self.region, self.ahead_s, service="logs")
            if mode in ERRORS:
                raise Refused(mode, "because the test says so", ERRORS[mode])
            if mode != "ok":
                return 0, None, {}
            if operation in self.denied:
                raise Refused("AccessDeniedException", f"User: shop is not authorized to perform: logs:{operation}")
            take = {"PutLogEvents": self._put, "CreateLogGroup": self._create_group, "CreateLogStream": self._create_stream,
                    "PutRetentionPolicy": self._put_retention}.get(operation)
            if not take:
                self._note(f"operation {operation!r}")
                raise Refused("UnknownOperationException", operation)
            return 200, None, take(json.loads(body))
        except (Refused, aws_signature.Refused) as refused:
            return refused.status, refused.code, {"message": str(refused)}

    def _create_group(self, call):
        name = call["logGroupName"]
        if not re.fullmatch(r"(?!aws/)[A-Za-z0-9._/#-]{1,512}", name):
            self._note(f"log group {name!r}")
            raise Refused("InvalidParameterException", "1 validation error detected")
        if name in self.groups:
            raise Refused("ResourceAlreadyExistsException", "The specified log group already exists")
        self.groups[name] = set()
        return {}

    def _create_stream(self, call):
        group, name = call["logGroupName"], call["logStreamName"]
        if not re.fullmatch(r"[^:*]{1,512}", name):
            self._note(f"log stream {name!r}")
            raise Refused("InvalidParameterException", "1 validation error detected")
        if group not in self.groups:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        if name in self.groups[group]:
            raise Refused("ResourceAlreadyExistsException", "The specified log stream already exists")
        self.groups[group].add(name)
        return {}

    def _put_retention(self, call):
        if call["retentionInDays"] not in RETENTIONS:
            self._note(f"retention {call['retentionInDays']!r}")
            raise Refused("InvalidParameterException", "1 validation error detected")
        self.retention[call["logGroupName"]] = call["retentionInDays"]
        return {}

    def _put(self, call):
        group, stream, events = call["logGroupName"], call["logStreamName"], call["logEvents"]
        if group not in self.groups:
            raise Refused("ResourceNotFoundException", "The specified log group does not exist.")
        if stream not in self.groups[group]:
            raise Refused("ResourceNotFoundException", "The specified log stream does not exist.")
        self._check_limits(events)
        now = (time.time() + self.ahead_s) * 1000
        good = [event for event in events if now - OLD_MS <= event["timestamp"] <= now + NEW_MS]
        self.events += [{"group": group, "stream": stream, "put": self.put_count, **event} for event in good]
        self.put_count += 1
        old = sum(event["timestamp"] < now - OLD_MS for event in events)
        new = sum(event["timestamp"] > now + NEW_MS for event in events)
        info = {"tooOldLogEventEndIndex": old} if old else {}
        if new:
            info["tooNewLogEventStartIndex"] = len(events) - new
        return {"rejectedLogEventsInfo": info} if info else {}

    def _check_limits(self, events):
        """As AWS does: a call that breaks one is refused as a whole."""
        sizes = [len(event["message"].encode()) + EVENT_EXTRA for event in events]
        times = [event["timestamp"] for event in events]
        problem = None
        if not 1 <= len(events) <= BATCH_EVENTS_MAX:
            problem = f"{len(events)} events"
        elif not all(set(event) == {"timestamp", "message"} and event["message"] for event in events):
            problem = "1 validation error detected"
        elif sum(sizes) > BATCH_BYTES_MAX:
            problem = f"Upload too large: {sum(sizes)} bytes exceeds limit of {BATCH_BYTES_MAX}"
        elif max(sizes) > self.event_max:
            problem = f"Log event too large: {max(sizes)} bytes exceeds limit of {self.event_max}"
        elif times != sorted(times):
            problem = "Log events in a single PutLogEvents request must be in chronological order."
        elif times[-1] - times[0] > DAY_MS:
            problem = "The batch of log events in a single PutLogEvents request cannot span more than 24 hours."
        if problem:
            self._note(problem)
            raise Refused("InvalidParameterException", problem)
