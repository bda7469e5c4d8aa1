# SPDX-License-Identifier: Apache-2.0
"""The stand-in for X-Ray's daemon: its schema takes what the SDK really sends, and each broken document, datagram and call is
found out."""

import copy
import json
import socket
import time
import unittest
import urllib.error
import urllib.request

from harness import SOURCE
from processes import wait_until
from xray_daemon import XrayDaemon, read_datagram
from xray_schema import problems_of, read_document

SAMPLES = SOURCE / "tests" / "data" / "xray"
HEADER = b'{"format":"json","version":1}\n'
SEGMENT = {
    "name": "shop", "id": "53995c3f42cd8ad8", "trace_id": "1-5759e988-bd862e3fe1be46a994272793", "start_time": 1.5, "end_time": 2.5,
    "parent_id": "00f067aa0ba902b7", "user": "u-7", "origin": "AWS::ECS::Container", "service": {"version": "1.2"},
    "http": {"request": {"method": "GET", "url": "http://shop/", "client_ip": "203.0.113.9", "x_forwarded_for": True},
             "response": {"status": 500, "content_length": 10}},
    "fault": True,
    "cause": {"working_directory": "/srv", "exceptions": [
        {"id": "574b8ee60978eaf9", "message": "no", "type": "Error", "remote": False, "truncated": 1,
         "stack": [{"path": "app.c", "line": 7, "label": "main"}]}]},
    "annotations": {"tier": "gold", "count": 3, "is_new": True},
    "metadata": {"default": {"http.route": "/"}},
    "aws": {"xray": {"sdk": "spanshim", "sampling_rule_name": "r"}, "cloudwatch_logs": [{"log_group": "g"}],
            "ec2": {"instance_id": "i-1"}, "ecs": {"container": "c", "task_family": "f"}},
    "links": [{"trace_id": "1-5759e988-bd862e3fe1be46a994272793", "id": "53995c3f42cd8ad9"}],
    "subsegments": [{"name": "stock", "id": "c69d123797acfb41", "start_time": 1.6, "end_time": 1.7, "namespace": "remote",
                     "http": {"request": {"method": "GET", "url": "http://stock/", "traced": True}, "response": {"status": 200}}}],
}
LONE = {"name": "stock", "id": "c69d123797acfb41", "trace_id": "1-5759e988-bd862e3fe1be46a994272793", "type": "subsegment",
        "parent_id": "53995c3f42cd8ad8", "start_time": 1.6, "end_time": 1.7, "namespace": "remote"}
ABSENT = object()

# What is set, by its place in the document ("0" is an array's first) -> what the complaint begins with; "": the same place.
BROKEN_SEGMENTS = [
    ("name", ABSENT, ""), ("name", "", ""), ("name", "x" * 201, ""), ("name", "a|b", ""), ("name", "a\\b", ""), ("name", "a\nb", ""),
    ("name", 7, ""),
    ("id", ABSENT, ""), ("id", "53995C3F42CD8AD8", ""), ("id", "53995c3f42cd8ad", ""), ("id", 53995, ""),
    ("trace_id", ABSENT, ""), ("trace_id", "5759e988bd862e3fe1be46a994272793", ""),
    ("trace_id", "2-5759e988-bd862e3fe1be46a994272793", ""), ("trace_id", "1-5759e988-bd862e3fe1be46a99427279", ""),
    ("parent_id", "", ""), ("parent_id", "53995c3f42cd8ad8", ""), ("parent_id", None, ""),
    ("start_time", ABSENT, ""), ("start_time", "1.5", ""), ("start_time", True, ""), ("start_time", -1, ""),
    ("end_time", ABSENT, ""), ("end_time", 1.4, ""), ("end_time", None, ""), ("in_progress", True, "end_time"), ("in_progress", "no", ""),
    ("type", "segment", ""), ("namespace", "remote", ""), ("colour", "red", ""),
    ("precursor_ids", ["c69d123797acfb41"], ""), ("sql", {"url": "x"}, ""), ("inferred", True, ""),
    ("user", "x" * 251, ""), ("origin", "AWS::Moon", ""), ("service", {}, ""), ("service.colour", "red", ""), ("service.version", 1, ""),
    ("resource_arn", 1, ""),
    ("http.request.url", "x" * 251, ""), ("http.request.user_agent", "x" * 251, ""), ("http.request.traced", True, ""),
    ("http.request.x_forwarded_for", "203.0.113.9", ""), ("http.request.body", "x", ""), ("http.request.method", "", ""),
    ("http.response.status", "500", ""), ("http.response.status", 200.5, ""), ("http.response.content_length", -1, ""),
    ("http.response.content_length", True, ""), ("http.client", {}, ""),
    ("error", 1, ""), ("throttle", "true", ""), ("fault", None, ""),
    ("cause", "nohex", ""), ("cause", [], ""), ("cause.exceptions.0.id", ABSENT, ""), ("cause.exceptions.0.id", "574b", ""),
    ("cause.exceptions.0.colour", "red", ""), ("cause.exceptions.0.stack.0.line", "7", ""),
    ("cause.exceptions.0.stack.0.column", 7, ""), ("cause.exceptions.0.cause", {}, ""), ("cause.exceptions", {}, ""),
    ("annotations", {}, ""), ("annotations", {"a.b": 1}, ""), ("annotations", {"a" * 501: 1}, ""), ("annotations.tier", "x" * 1001, ""),
    ("annotations.tier", ["gold"], ""), ("annotations.tier", None, ""), ("annotations", {f"a{n}": n for n in range(51)}, ""),
    ("metadata", [], ""), ("metadata.default", "x", ""), ("metadata", {"AWS.mine": {}}, ""),
    ("aws.xray.sdk", 1, ""), ("aws.xray.colour", "red", ""), ("aws.operation", "PutItem", ""), ("aws.cloudwatch_logs", {}, ""),
    ("aws.cloudwatch_logs.0.group", "g", ""), ("aws.ec2.colour", "red", ""), ("aws.ecs.container", 1, ""),
    ("aws.xray.sampling_rule_name", "x" * 33, ""),
    ("links.0.id", ABSENT, ""), ("links.0.trace_id", "x", ""), ("links.0.attributes", {"aws.xray.reserved.reference_type": "peer"}, ""),
    ("subsegments", [], ""), ("subsegments.0.id", "53995c3f42cd8ad8", ""), ("subsegments.0.name", "x" * 201, ""),
    ("subsegments.0.parent_id", "c69d123797acfb42", ""), ("subsegments.0.trace_id", "1-5759e988-bd862e3fe1be46a994272794", ""),
    ("subsegments.0.end_time", ABSENT, ""), ("subsegments.0.end_time", 1.5, ""), ("subsegments.0.namespace", "far", ""),
    ("subsegments.0.user", "u", ""), ("subsegments.0.origin", "AWS::ECS::Container", ""), ("subsegments.0.type", "segment", ""),
    ("subsegments.0.service", {"version": "1"}, ""), ("subsegments.0.http.request.x_forwarded_for", True, ""),
]
BROKEN_SUBSEGMENTS = [
    ("trace_id", ABSENT, ""), ("parent_id", ABSENT, ""), ("name", ABSENT, ""), ("end_time", ABSENT, ""),
    ("user", "u", ""), ("precursor_ids", ["x"], ""), ("aws.retries", "2", ""), ("sql.preparation", "prepared", ""),
]
BROKEN_DATAGRAMS = {
    "no line end": HEADER.strip(),
    "no header": b"\n{}",
    "another format": b'{"format":"xml","version":1}\n{}',
    "another version": b'{"format":"json","version":2}\n{}',
    "a version in quotes": b'{"format":"json","version":"1"}\n{}',
    "a header that is no object": b"[1]\n{}",
    "nothing behind the header": HEADER,
    "two documents": HEADER + json.dumps(LONE).encode() + b"\n" + json.dumps(LONE).encode(),
    "an array": HEADER + json.dumps([LONE]).encode(),
    "half a document": HEADER + json.dumps(LONE).encode()[:-1],
    "no UTF-8": HEADER + json.dumps(LONE).encode().replace(b"stock", b"st\xffck"),
    "half a surrogate pair": HEADER + json.dumps(LONE).encode().replace(b"stock", b"st\\ud800ck"),
    "a key that comes twice": HEADER + json.dumps(LONE).encode().replace(b'{"name"', b'{"name": "x", "name"'),
    "a time that is no number": HEADER + json.dumps(LONE).encode().replace(b"1.7", b"NaN"),
    "a time without end": HEADER + json.dumps(LONE).encode().replace(b"1.7", b"Infinity"),
}


def changed(document, place, value):
    """The document with another value at this place."""
    document = copy.deepcopy(document)
    *way, last = place.split(".")
    at = document
    for name in way:
        at = at[int(name)] if isinstance(at, list) else at.setdefault(name, {})
    if value is ABSENT:
        del at[last]
    else:
        at[last] = value
    return document


class SchemaTest(unittest.TestCase):
    """Documents alone."""

    def test_what_the_sdk_sends(self):
        samples = sorted(SAMPLES.glob("*.datagram"))
        self.assertEqual(3, len(samples))
        for path in samples:
            document, problems = read_datagram(path.read_bytes())
            self.assertEqual([], problems, path.name)
            self.assertIn("trace_id", document)

    def test_whole_documents(self):
        for document in (SEGMENT, LONE, changed(SEGMENT, "in_progress", False),
                         changed(changed(SEGMENT, "in_progress", True), "end_time", ABSENT),
                         changed(SEGMENT, "name", "é日本 ٣_.:/%&#=+-@"), changed(SEGMENT, "name", "x" * 200),
                         changed(SEGMENT, "cause", "574b8ee60978eaf9")):
            self.assertEqual([], problems_of(document))

    def _check_broken(self, document, rows):
        for place, value, complaint in rows:
            with self.subTest(place=place, value=value):
                problems = problems_of(changed(document, place, value))
                where = complaint or "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in place.split("."))[1:]
                self.assertEqual(1, len(problems), problems)
                self.assertTrue(problems[0].startswith(where), problems)

    def test_broken_segments(self):
        self._check_broken(SEGMENT, BROKEN_SEGMENTS)

    def test_broken_subsegments(self):
        self._check_broken({**LONE, "aws": {"region": "eu-west-1"}, "sql": {"url": "x"}}, BROKEN_SUBSEGMENTS)

    def test_too_long(self):
        self.assertEqual((None, ["document: 65537 bytes"]), read_document(b"x" * 65537))

    def test_broken_datagrams(self):
        for name, data in BROKEN_DATAGRAMS.items():
            with self.subTest(name):
                self.assertEqual(1, len(read_datagram(data)[1]))

    def test_headers_that_the_daemon_takes(self):
        for header in (b'{"format": "json", "version": 1}', b'{"version":1,"FORMAT":"JSON","more":2}\r'):
            self.assertEqual((LONE, []), read_datagram(header + b"\n" + json.dumps(LONE).encode()))


class DaemonTest(unittest.TestCase):
    """The stand-in as its senders meet it."""

    def setUp(self):
        self.daemon = XrayDaemon()
        self.addCleanup(self.daemon.close)
        self.sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(self.sender.close)
        self.sender.connect(("127.0.0.1", self.daemon.port))

    def send(self, document, **changes):
        self.sender.send(HEADER + json.dumps({**document, **changes}).encode())

    def wait_for_datagrams(self, count):
        wait_until(lambda: self.daemon.datagram_count >= count, what=f"{count} datagrams")

    def call(self, path, body):
        request = urllib.request.Request(self.daemon.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request) as answer:
            return json.load(answer)

    def test_keeps_what_came(self):
        now = {"start_time": self._now(), "end_time": self._now() + 1}
        self.send({**LONE, **now}, id="c69d123797acfb42")
        self.send({**SEGMENT, "subsegments": [{**SEGMENT["subsegments"][0], **now}], **now})
        self.daemon.wait_for(segments=1, subsegments=2)
        self.assertEqual([], self.daemon.violations)
        self.assertEqual(["shop"], [one["name"] for one in self.daemon.segments()])
        root, = self.daemon.tree(SEGMENT["trace_id"])
        self.assertEqual(["shop", ["stock"], ["stock"]], root.shape())

    @staticmethod
    def _now():
        return time.time()

    def test_progress(self):
        """What is in progress is replaced once; a document that comes again must be the same."""
        start, document = self._now(), {name: SEGMENT[name] for name in ("name", "id", "trace_id")}
        self.send(document, start_time=start, in_progress=True)
        for end in (start + 1, start + 1, start + 2):
            self.send(document, start_time=start, end_time=end)
        self.wait_for_datagrams(4)
        self.assertEqual([start + 1], [one["end_time"] for one in self.daemon.segments()])
        self.assertEqual(1, len(self.daemon.violations), self.daemon.violations)

    def test_an_id_in_two_documents(self):
        now = {"start_time": self._now(), "end_time": self._now() + 1}
        self.send({**LONE, **now})
        self.send({**SEGMENT, "subsegments": [{**SEGMENT["subsegments"][0], **now}], **now})
        self.wait_for_datagrams(2)
        self.assertEqual(["c69d123797acfb41 is in two documents"], self.daemon.violations)

    def test_times_that_are_far_away(self):
        self.send(LONE)
        self.wait_for_datagrams(1)
        self.assertEqual(2, len(self.daemon.violations))

    def test_broken_datagram(self):
        self.sender.send(b"hello")
        self.wait_for_datagrams(1)
        self.assertEqual(1, len(self.daemon.violations))
        self.assertEqual([], self.daemon.documents)

    def test_gone_and_back(self):
        self.daemon.stop()
        with self.assertRaises(ConnectionRefusedError):
            for _ in range(2):  # the first is told of by the second
                self.send(LONE)
        with self.assertRaises(urllib.error.URLError):
            self.call("/GetSamplingRules", {})
        self.daemon.start()
        self.send(LONE, start_time=self._now(), end_time=self._now() + 1)
        self.daemon.settle()
        self.assertEqual(1, len(self.daemon.subsegments()))
        self.call("/GetSamplingRules", {})

    def test_reads_slowly(self):
        self.daemon.pause()
        for number in range(5):
            self.send(LONE, id=f"{number:016x}", start_time=self._now(), end_time=self._now() + 1)
        self.daemon.resume()
        self.daemon.wait_for(subsegments=5)

    def test_rules_by_pages(self):
        self.daemon.rules = [{"RuleName": "a"}, {"RuleName": "b"}]
        self.daemon.page = 2
        first = self.call("/GetSamplingRules", {})
        second = self.call("/GetSamplingRules", {"NextToken": first["NextToken"]})
        self.assertEqual(["a", "b", "Default"], [one["SamplingRule"]["RuleName"] for page in (first, second)
                                                 for one in page["SamplingRuleRecords"]])
        self.assertIsNone(second["NextToken"])
        self.assertEqual([], self.daemon.violations)

    def test_targets(self):
        self.daemon.targets["Default"] = {"FixedRate": 0.1, "ReservoirQuota": 3}
        document = {"RuleName": "Default", "ClientID": "0" * 24, "Timestamp": self._now(), "RequestCount": 3, "SampledCount": 2,
                    "BorrowCount": 1}
        answer = self.call("/SamplingTargets", {"SamplingStatisticsDocuments": [document]})
        self.assertEqual([{"RuleName": "Default", "FixedRate": 0.1, "ReservoirQuota": 3}], answer["SamplingTargetDocuments"])
        self.assertEqual([], self.daemon.violations)
        self.assertEqual([3], [one["RequestCount"] for one in self.daemon.statistics])
        for name, value in (("RuleName", "x"), ("ClientID", "0" * 23), ("Timestamp", 0), ("SampledCount", 4), ("BorrowCount", 3),
                            ("RequestCount", "3"), ("RequestCount", True), ("colour", "red")):
            with self.subTest(name):
                self.daemon.clear()
                self.call("/SamplingTargets", {"SamplingStatisticsDocuments": [{**document, name: value}]})
                self.assertEqual(1, len(self.daemon.violations), self.daemon.violations)

    def test_misbehaves(self):
        for mode, status in (("429", 429), ("503", 503), ("403", 403)):
            self.daemon.set_mode(mode)
            with self.assertRaises(urllib.error.HTTPError) as raised:
                self.call("/GetSamplingRules", {})
            self.assertEqual(status, raised.exception.code)
            raised.exception.close()
        self.daemon.set_mode("garbage")
        with self.assertRaises(Exception):
            self.call("/GetSamplingRules", {})
        self.daemon.set_mode("ok", body=b"{")
        with self.assertRaises(ValueError):
            self.call("/GetSamplingRules", {})


if __name__ == "__main__":
    unittest.main(verbosity=2)
