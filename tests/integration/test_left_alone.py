# SPDX-License-Identifier: Apache-2.0
"""Requests that a program makes, and of which spanshim keeps its hands: by SPANSHIM_CLIENT, SPANSHIM_IGNORE_HOSTS, and
because they are the program's own telemetry."""

import http.server
import threading
import unittest

from harness import PYTHON, ShimTest

# Each argument is a URL that is posted to, all in one process.
PROGRAM = """
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
for url in sys.argv[1:]:
    print(len(opener.open(url, b"x").read()), flush=True)
"""


class Handler(http.server.BaseHTTPRequestHandler):
    """Notes what comes: the target, and whether a trace header is there."""

    def do_POST(self):  # pylint: disable=invalid-name
        self.server.sent.append((self.path, "traceparent" in self.headers))
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


class LeftAloneTest(ShimTest):
    def setUp(self):
        self.needs_spans()
        super().setUp()
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.sent = []
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)

    def urls(self, *targets, host="127.0.0.1"):
        return [f"http://{host}:{self.server.server_port}{target}" for target in targets]

    def post(self, *urls, **settings):
        """What came to the server: each target, and whether a trace header of ours was there."""
        program = self.run_program([PYTHON, "-c", PROGRAM, *urls], self.spanshim.env(**settings))
        self.assertEqual(0, program.wait(), program.out)
        return self.server.sent

    def recorded(self):
        """The URLs of the client spans, without the server's name."""
        self.assertTrue(self.spanshim.flush())
        self.assertEqual([], self.sink.violations)
        return ["/" + span["attributes"]["url.full"].split("/", 3)[3] for span in self.sink.spans]

    def counts(self):
        counts = self.spanshim.status()["totals"]["counts"]
        return {name: counts[name] for name in ("client_requests", "injected", "ignored")}

    def test_by_default_all_are_traced(self):
        self.assertEqual([("/1", True), ("/2", True)], self.post(*self.urls("/1", "/2")))
        self.assertEqual(["/1", "/2"], self.recorded())
        self.assertEqual({"client_requests": 2, "injected": 2, "ignored": 0}, self.counts())

    def test_spans_only(self):
        self.assertEqual([("/1", False)], self.post(*self.urls("/1"), SPANSHIM_CLIENT="spans"))
        self.assertEqual(["/1"], self.recorded())
        self.assertEqual({"client_requests": 1, "injected": 0, "ignored": 0}, self.counts())

    def test_off(self):
        self.assertEqual([("/1", False)], self.post(*self.urls("/1"), SPANSHIM_CLIENT="off"))
        self.assertEqual([], self.recorded())

    def test_hosts_by_name_and_by_address(self):
        sent = self.post(*self.urls("/1", host="localhost"), *self.urls("/2"), SPANSHIM_IGNORE_HOSTS="LOCAL*")
        self.assertEqual([("/1", False), ("/2", True)], sent)
        self.assertEqual(["/2"], self.recorded())
        self.assertEqual({"client_requests": 2, "injected": 1, "ignored": 1}, self.counts())
        sent = self.post(*self.urls("/3", host="localhost"), SPANSHIM_IGNORE_HOSTS="127.*,::1")
        self.assertEqual(("/3", False), sent[-1])

    def test_the_programs_own_telemetry(self):
        logs = self.urls("/logs")[0]
        sent = self.post(*self.urls("/logs", "/logs/deeper", "/a"), OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=logs)
        self.assertEqual([("/logs", False), ("/logs/deeper", False), ("/a", True)], sent)
        self.assertEqual(["/a"], self.recorded())


if __name__ == "__main__":
    unittest.main(verbosity=2)
