# SPDX-License-Identifier: Apache-2.0
"""A stand-in for X-Ray's daemon: UDP for segment documents, TCP of the same port for sampling; strict about what it gets,
and able to misbehave.

    daemon = XrayDaemon()
    daemon.address                     # what AWS_XRAY_DAEMON_ADDRESS is set to
    daemon.wait_for(segments=2)        # until so many have come; .wait_for(subsegments=500) counts embedded ones and lone ones
    daemon.segments()                  # the segments, each once, in the order they came
    daemon.tree(trace_id)              # the roots of a trace, as Nodes with .children
    daemon.violations                  # what a sender must not do; tests assert that there are none
    daemon.rules, daemon.targets       # what it answers when it is asked for sampling rules and targets
    daemon.statistics                  # the statistics that came, each with the "time" of its call
    daemon.settle()                    # until all datagrams are read that were sent so far
    daemon.set_mode("slow", delay=2)   # how calls by TCP are answered from now on
    daemon.pause(), daemon.resume()    # it reads no datagram, and reads again
    daemon.stop(), daemon.start()      # it is gone, and back: with nothing that it had not read"""

import json
import re
import socket
import threading
import time

from http_sink import HttpSink
from processes import PATIENCE_S
from xray_schema import is_lone, read_document

DATAGRAM_MAX = 65507
MARK = b"all before this is read: "  # a datagram that settle() sends, with a number
STATUSES = {"ok": 200, "slow": 200, "400": 400, "403": 403, "429": 429, "500": 500, "503": 503}
STATISTICS_MAX = 25  # a call
STATISTICS_FIELDS = {"RuleName", "ClientID", "Timestamp", "RequestCount", "SampledCount", "BorrowCount"}
CLOCK_S = 3600  # times are off by so much at most
# The rule that each account has, for what no other one fits.
DEFAULT_RULE = {"RuleName": "Default", "RuleARN": "arn:aws:xray:eu-west-1:123456789012:sampling-rule/Default", "Priority": 10000,
                "FixedRate": 0.05, "ReservoirSize": 1, "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*",
                "URLPath": "*", "ResourceARN": "*", "Version": 1, "Attributes": {}}


def header_problem(line):
    """What is wrong with a datagram's first line; None: nothing. The daemon reads it as JSON, with keys in any case."""
    try:
        header = {name.lower(): value for name, value in json.loads(line).items()}
    except (ValueError, AttributeError):
        return f"header {line[:100]!r} is no JSON object"
    if str(header.get("format")).lower() != "json" or header.get("version") is True or header.get("version") != 1:
        return f"header {line[:100]!r} is not of JSON, version 1"
    return None


def read_datagram(data):
    """One datagram: (document or None, problems)."""
    line, end, body = data.partition(b"\n")
    if not end:
        return None, [f"no line end in {data[:100]!r}"]
    problem = header_problem(line)
    if problem:
        return None, [problem]
    return read_document(body)


class Node:
    """A segment or subsegment in its trace; `document` is its object."""

    def __init__(self, document, top, parent_id):
        self.document = document
        self.trace_id = top["trace_id"]
        self.is_segment = document is top and not is_lone(top)
        self.is_lone = is_lone(top) and document is top
        self.id = document["id"]
        self.name = document["name"]
        self.parent_id = parent_id
        self.children = []

    def __repr__(self):
        return f"{'segment' if self.is_segment else 'subsegment'} {self.name}"

    def shape(self):
        """It and what is below, as lists of names: ["shop", ["localhost", ["stock"]]]."""
        return [self.name, *[child.shape() for child in self.children]]


def nodes_of(document):
    """All nodes of a document, itself first."""
    found = []

    def add(one, parent_id):
        found.append(Node(one, document, parent_id))
        for child in one.get("subsegments", []):
            add(child, one["id"])

    add(document, document.get("parent_id"))
    return found


class XrayDaemon(HttpSink):
    """The daemon. Options of modes: delay (slow, s), body (any status: its bytes). receive_buffer: that of its UDP socket, in
    bytes; page: sampling rules in one answer, at most."""

    modes = (*STATUSES, "garbage", "hang", "close", "refuse")

    def __init__(self, port=0, mode="ok", receive_buffer=None, page=None, **options):
        self.rules = []  # SamplingRule objects; DEFAULT_RULE is answered too, where they have no Default
        self.targets = {}  # by the rule's name: what its target says (FixedRate, ReservoirQuota, ...)
        self.last_rule_modification = 0
        self.unprocessed_statistics = []
        self.statistics = []
        self.page = page
        self.datagram_count = 0
        self._mark_sent = self._mark_read = 0
        self.largest = 0  # document, bytes
        self._receive_buffer = receive_buffer
        self._documents = {}  # by id, in the order they came; one that is complete takes the place of one in progress
        self._owners = {}  # id of any node -> id of the document that it is in
        self._is_reading = threading.Event()
        self._is_reading.set()
        self._datagrams = None
        super().__init__(port, mode, **options)
        self._receive()

    # What came

    @property
    def address(self):
        """What AWS_XRAY_DAEMON_ADDRESS is set to."""
        return f"127.0.0.1:{self.port}"

    @property
    def violations(self):
        """What was wrong with what came."""
        with self._lock:
            return list(self._violations)

    @property
    def documents(self):
        """The documents, each id once: as it came last."""
        with self._lock:
            return list(self._documents.values())

    def segments(self, **fields):
        """The segments, in progress or not, of those whose fields are these: segments(name="shop")."""
        return [document for document in self.documents if not is_lone(document)
                and all(document.get(name) == value for name, value in fields.items())]

    def nodes(self):
        """All segments and subsegments, embedded or lone."""
        return [node for document in self.documents for node in nodes_of(document)]

    def subsegments(self):
        """The subsegments as Nodes, embedded or lone."""
        return [node for node in self.nodes() if not node.is_segment]

    def tree(self, trace_id):
        """The roots of a trace: what has no parent, or one that didn't come. Everything is in the order of its start."""
        nodes = sorted((node for node in self.nodes() if node.trace_id == trace_id), key=lambda node: node.document["start_time"])
        by_id = {node.id: node for node in nodes}
        for node in nodes:
            if node.parent_id in by_id:
                by_id[node.parent_id].children.append(node)
        return [node for node in nodes if node.parent_id not in by_id]

    def wait_until(self, condition, what, timeout=PATIENCE_S):
        """Until the condition, which is asked again after whatever comes, answers something true: that."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while not (result := condition()):
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{what() if callable(what) else what}: not within {timeout} s; "
                                         f"violations: {self._violations}")
                self._changed.wait(left)
            return result

    def wait_for(self, segments=0, subsegments=0, timeout=PATIENCE_S):
        """Until at least so many complete segments and subsegments have come."""

        def counts():
            complete = [node for node in self.nodes() if "end_time" in node.document]
            have = sum(node.is_segment for node in complete)
            return have, len(complete) - have

        def have_come():
            have = counts()
            return have[0] >= segments and have[1] >= subsegments

        self.wait_until(have_come, lambda: "{} of {} segments and {} of {} subsegments".format(
            counts()[0], segments, counts()[1], subsegments), timeout)

    def wait_for_calls(self, path, count, timeout=PATIENCE_S):
        """Until it was called so often by TCP on this path; the calls."""

        def calls():
            return [call for call in self.requests if call["path"] == path]

        self.wait_until(lambda: len(calls()) >= count, f"{count} calls of {path}", timeout)
        return calls()

    def settle(self):
        """Until all datagrams are read that were sent so far. What finds no room in the socket's buffer is sent again."""
        deadline = time.monotonic() + PATIENCE_S
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender, self._lock:
            self._mark_sent += 1
            wanted = self._mark_sent
            while self._mark_read < wanted:
                if time.monotonic() > deadline:
                    raise AssertionError(f"what was sent is not read in {PATIENCE_S} s")
                sender.sendto(MARK + b"%d" % wanted, ("127.0.0.1", self.port))
                self._changed.wait(1)

    def clear(self):
        """Forget what came."""
        with self._lock:
            self._documents.clear()
            self._owners.clear()
            self._violations.clear()
            self.statistics.clear()
            self.requests.clear()

    # How it behaves

    def pause(self):
        """Read no datagram: the socket's buffer fills."""
        self._is_reading.clear()

    def resume(self):
        """Read them again."""
        self._is_reading.set()

    def stop(self):
        """Be gone: nobody has either port, and what was not read is lost."""
        self.set_mode("refuse")
        self._stop_receiving()

    def start(self):
        """Be back."""
        self.set_mode("ok")
        self._receive()

    def close(self):
        """Stop for good."""
        self._stop_receiving()
        super().close()

    # Datagrams

    def _receive(self):
        receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if self._receive_buffer:
            receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
        receiver.bind(("127.0.0.1", self.port))
        self._datagrams = receiver
        self._reader = threading.Thread(target=self._read_datagrams, args=(receiver,), daemon=True)
        self._reader.start()

    def _stop_receiving(self):
        receiver, self._datagrams = self._datagrams, None
        if receiver is None:
            return
        try:
            # Wakes the thread in recv(), as for a listener.
            receiver.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it is not connected, which doesn't matter
        self._is_reading.set()
        self._reader.join()
        receiver.close()

    def _read_datagrams(self, receiver):
        while True:
            self._is_reading.wait()
            data = receiver.recv(DATAGRAM_MAX + 1)
            if self._datagrams is not receiver:
                return
            self._take(data)

    def _take(self, data):
        if data.startswith(MARK):
            with self._lock:
                self._mark_read = int(data[len(MARK):])
                self._changed.notify_all()
            return
        document, problems = read_datagram(data)
        with self._lock:
            self.datagram_count += 1
            self.largest = max(self.largest, len(data.partition(b"\n")[2]))
            for problem in problems:
                self._note(f"{problem}; in {data[:3000]!r}")
            if not problems:
                self._take_document(document)
            self._changed.notify_all()

    def _take_document(self, document):
        before = self._documents.get(document["id"])
        if before and "end_time" in before:
            if document != before:
                self._note(f"{document['id']} came again and is another one: {document}")
            return
        self._documents[document["id"]] = document
        for node in nodes_of(document):
            if self._owners.setdefault(node.id, document["id"]) != document["id"]:
                self._note(f"{node.id} is in two documents")
            for moment in ("start_time", "end_time"):
                if abs(node.document.get(moment, time.time()) - time.time()) > CLOCK_S:
                    self._note(f"{moment} {node.document[moment]} of {node.id} is far away")

    # Calls

    def _check_head(self, method, path, headers):
        if method != "POST" or path not in ("/GetSamplingRules", "/SamplingTargets"):
            self._note(f"{method} {path}")
        if "authorization" in headers:
            self._note(f"{path} is signed: the daemon does that")
        if headers.get("content-type") != "application/json":
            self._note(f"content type {headers.get('content-type')!r}")

    def _answer(self, connection, mode, options, path, headers, body):
        call = {"path": path, "headers": headers, "time": time.monotonic(), "body": self._read_call(path, body)}
        if mode == "slow":
            self._sleep(options.get("delay", 2), mode)
        with self._lock:
            self.requests.append(call)
            answer = self._answer_of(path, call) if STATUSES.get(mode) == 200 else {"message": "because the test says so"}
            self._changed.notify_all()
        if mode == "hang":
            self._sleep(3600, mode)
        if mode == "garbage":
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28\r\n" * 8)
        if mode not in STATUSES:
            return False
        data = options.get("body", json.dumps(answer).encode())
        connection.sendall(b"HTTP/1.1 %d Some Reason\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
                           % (STATUSES[mode], len(data)) + data)
        return True

    def _read_call(self, path, body):
        """A call's JSON object; {} when it can't be read."""
        try:
            call = json.loads(body)
        except ValueError as error:
            self._note(f"{path}: no JSON: {error}")
            return {}
        if not isinstance(call, dict):
            self._note(f"{path}: no object: {call}")
            return {}
        self._check_call(path, call)
        return call

    def _answer_of(self, path, call):
        if path == "/GetSamplingRules":
            return self._rules_from(int(call["body"].get("NextToken") or 0))
        documents = call["body"].get("SamplingStatisticsDocuments", [])
        self.statistics += [{**document, "time": call["time"]} for document in documents]
        return {"SamplingTargetDocuments": [{"RuleName": document.get("RuleName"), **self.targets[document.get("RuleName")]}
                                            for document in documents if document.get("RuleName") in self.targets],
                "LastRuleModification": self.last_rule_modification,
                "UnprocessedStatistics": self.unprocessed_statistics}

    def _rules_from(self, first):
        rules = list(self.rules)
        if "Default" not in [rule["RuleName"] for rule in rules]:
            rules.append(DEFAULT_RULE)
        end = first + (self.page or len(rules))
        records = [{"SamplingRule": rule, "CreatedAt": 0.0, "ModifiedAt": 1.6e9} for rule in rules[first:end]]
        return {"SamplingRuleRecords": records, "NextToken": str(end) if end < len(rules) else None}

    def _check_call(self, path, call):
        if path == "/GetSamplingRules":
            if set(call) - {"NextToken"}:
                self._note(f"{path}: {call}")
            return
        documents = call.get("SamplingStatisticsDocuments")
        if set(call) != {"SamplingStatisticsDocuments"} or not isinstance(documents, list) or not documents:
            self._note(f"{path}: {call}")
            return
        if len(documents) > STATISTICS_MAX:
            self._note(f"{path}: {len(documents)} documents")
        for document in documents:
            self._check_statistics(document)

    def _check_statistics(self, document):
        if set(document) != STATISTICS_FIELDS:
            self._note(f"statistics of {sorted(document)}")
            return
        counts = [document[name] for name in ("RequestCount", "SampledCount", "BorrowCount")]
        if not all(type(count) is int and count >= 0 for count in counts) or not counts[0] >= counts[1] >= counts[2]:
            self._note(f"counts of {document}: requests, of which sampled, of which borrowed")
        if not counts[0]:
            self._note(f"statistics of a rule that nothing matched: {document}")
        if not re.fullmatch("[0-9a-f]{24}", str(document["ClientID"])):
            self._note(f"ClientID of {document}")
        if type(document["Timestamp"]) not in (int, float) or abs(document["Timestamp"] - time.time()) > CLOCK_S:
            self._note(f"Timestamp of {document}")
        if document["RuleName"] not in [rule.get("RuleName") for rule in (*self.rules, DEFAULT_RULE)]:
            self._note(f"statistics of an unknown rule: {document}")
