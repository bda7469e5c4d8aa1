# SPDX-License-Identifier: Apache-2.0
"""A line for each request among the logs: complete whatever the samplers decide, with its trace and a severity by its status."""

import json
import re
import signal
import time
import unittest
import zoneinfo
from datetime import datetime

import servers
from cloudwatch_sink import CloudWatchSink
from harness import BARE, ShimTest, Traffic
from http_client import request_bytes
from processes import wait_until

TRACE = "0af7651916cd43dd8448eb211c80319c"
LINE = re.compile(r"\[(?P<time>20\d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d)\] (?P<rest>.*)")
ZONE = "Asia/Kolkata"  # no whole hour


@unittest.skipIf(BARE, "bare run")
class RequestLinesTest(ShimTest):
    """A server whose logs go to CloudWatch Logs."""

    def setUp(self):
        super().setUp()
        self.logs = CloudWatchSink()
        self.addCleanup(self.logs.close)

    def environment(self, **settings):
        """Of a program whose logs go there."""
        return self.spanshim.env(**{**self.logs.env("/shop"), "SPANSHIM_LOGS": "none", "OTEL_BLRP_SCHEDULE_DELAY": 50, "TZ": ZONE, **settings})

    def serve(self, **settings):
        """A server; what makes requests to it."""
        return Traffic(servers.gunicorn(self, workers=1, env=self.environment(**settings))[1])

    def events(self, count):
        """The lines of requests, once there are so many and no more."""
        wait_until(lambda: len(self._lines()) >= count, what=f"{count} lines of requests")
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(count, len(self._lines()), self.logs.events)
        self.assertEqual([], self.logs.violations)
        return self._lines()

    def _lines(self):
        """Without the event of a killed process, which there is where the kernel tells of it."""
        messages = [json.loads(event["message"]) for event in self.logs.events]
        return [message for message in messages if message["iostream"] != "crash"]

    def test_are_there_by_default(self):
        traffic = self.serve()
        before = time.time()
        for target in ("/size/12?a=b", "/status/404", "/status/500"):
            traffic.once("GET", target)
        events = self.events(3)
        rests = [LINE.fullmatch(event["message"])["rest"] for event in events]
        self.assertEqual(["127.0.0.1 GET http /size/12?a=b 200 OK", "127.0.0.1 GET http /status/404? 404 Not Found",
                          "127.0.0.1 GET http /status/500? 500 Internal Server Error"], rests)
        self.assertEqual(["INFO", "WARNING", "ERROR"], [event["level"] for event in events])
        self.assertEqual({"request"}, {event["iostream"] for event in events})
        ids = [(span["trace_id"], span["span_id"]) for span in self.spans(3)]
        self.assertEqual(ids, [(event["trace_id"], event["span_id"]) for event in events])
        spelled = {datetime.fromtimestamp(at, zoneinfo.ZoneInfo(ZONE)).strftime("%Y-%b-%d %H:%M") for at in (before, time.time())}
        self.assertLessEqual({LINE.fullmatch(event["message"])["time"] for event in events}, spelled)

    def test_whatever_the_samplers_decide(self):
        traffic = self.serve(OTEL_TRACES_SAMPLER="always_off", SPANSHIM_REQUEST_LINES="json")
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/size/1", fields=[("traceparent", f"00-{TRACE}-b7ad6b7169203331-00")])
        event, = self.events(1)
        line = json.loads(event["message"])
        self.assertEqual((TRACE, TRACE, False, "/size/1"), (event["trace_id"], line["trace_id"], line["sampled"], line["path"]))
        self.assertEqual([], self.spans())

    def test_without_any_destination_of_traces(self):
        traffic = self.serve(OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT=None, SPANSHIM_REQUEST_LINES="combined")
        traffic.once("GET", "/size/3")
        event, = self.events(1)
        self.assertRegex(event["message"], r'127\.0\.0\.1 - - \[.* \+0530\] "GET /size/3 HTTP/1\.1" 200 3 "-" ".*"')

    def test_open_when_the_program_is_killed(self):
        process, port = servers.gunicorn(self, "gthread", workers=1, env=self.environment())
        with Traffic(port).connect() as connection:
            connection.send(request_bytes("GET", "/delay/600000"))
            self.wait_for_requests(1)
            for pid in servers.children(process.pid):
                servers.os.kill(pid, signal.SIGKILL)
            event, = self.events(1)
        self.assertRegex(event["message"], r" GET http /delay/600000\? - process_exited")
        self.assertEqual("ERROR", event["level"])

    def test_agent_is_killed_meanwhile(self):
        """Each is there, and none twice: what the worker had taken is in the journal, which outlives it."""
        traffic = self.serve()
        self.logs.set_mode("ServiceUnavailableException")
        targets = [f"/size/{n}" for n in range(20)]
        for n, target in enumerate(targets):
            traffic.once("GET", target)
            if n == 9:
                worker = self.spanshim.worker_pid
                servers.os.kill(worker, signal.SIGKILL)
                wait_until(lambda: self.spanshim.worker_pid not in (None, worker), what="another worker")
        self.logs.set_mode("ok")
        self.assertEqual(targets, [re.search(r"http (\S+)\?", event["message"])[1] for event in self.events(len(targets))])

    def test_are_not_there_when_switched_off(self):
        traffic = self.serve(SPANSHIM_REQUEST_LINES="off")
        traffic.once("GET", "/size/1")
        self.spans(1)
        self.assertTrue(self.spanshim.flush())
        self.assertEqual([], self.logs.events)


if __name__ == "__main__":
    unittest.main(verbosity=2)
