# SPDX-License-Identifier: Apache-2.0
"""The way to a client's request: looking the name up, connecting, and what is told of connections that could not be made."""

import subprocess
import threading
import unittest
from http.server import BaseHTTPRequestHandler, HTTPServer

import servers
from harness import BUILD, PYTHON, STATUS_ERROR, ShimTest, Traffic, duration, preload_environment
from processes import PATIENCE_S, free_port, listens, wait_until

SPAN_KIND_CLIENT = 3
CALLER = servers.SCRIPTS / "caller.py"
WAYS = ("blocking", "waiting", "twice", "elsewhere")
LOOKED_UP_LATE_S = 0.2


class Callee(BaseHTTPRequestHandler):
    """Answers."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        """With nothing."""
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Silence."""


class ConnectTest(ShimTest):
    """A server that calls another one, which is not traced."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.callee = HTTPServer(("127.0.0.1", free_port()), Callee)  # nobody else's when it is closed
        self.callee_port = self.callee.server_port
        self.thread = threading.Thread(target=self.callee.serve_forever)
        self.thread.start()
        self.addCleanup(self._end_callee)

    def _end_callee(self):
        if self.callee:
            self.callee.shutdown()
            self.thread.join()
            self.callee.server_close()
            self.callee = None

    def _start_caller(self, preload=None):
        port = free_port()
        env = self.spanshim.env()
        if preload:
            env["LD_PRELOAD"] = f"{preload_environment()['LD_PRELOAD']}:{preload}"
        self.run_program([PYTHON, CALLER, port], env)
        wait_until(lambda: listens(port), what="the caller listens")
        return Traffic(port)

    def _call(self, caller, how, expected, host="127.0.0.1", port=None, count=1):
        response = caller.once("GET", f"/{how}/{host}/{port or self.callee_port}?{count}")
        self.assertEqual(expected, response.body.decode())

    def _client_spans(self):
        self.assertTrue(self.spanshim.flush())
        self.assertEqual([], self.sink.violations)
        return sorted((span for span in self.sink.spans if span["kind"] == SPAN_KIND_CLIENT),
                      key=lambda span: span["start_time_unix_nano"])

    def test_first_request_tells_the_way(self):
        caller = self._start_caller(BUILD / "tests" / "liblate_names.so")
        for how in WAYS:
            with self.subTest(how):
                self.sink.spans.clear()
                self._call(caller, how, "204 204", host="localhost", count=2)
                first, second = (span["attributes"] for span in self._client_spans())
                self.assertGreaterEqual(first["spanshim.dns.duration"], LOOKED_UP_LATE_S)
                self.assertLess(first["spanshim.dns.duration"], PATIENCE_S)
                self.assertGreater(first["spanshim.connect.duration"], 0)
                self.assertLess(first["spanshim.connect.duration"], PATIENCE_S)
                self.assertGreater(first["spanshim.request.time_to_last_byte"], 0)
                self.assertLessEqual(first["spanshim.request.time_to_last_byte"],
                                     first["spanshim.response.time_to_first_byte"])
                self.assertNotIn("spanshim.dns.duration", second)
                self.assertNotIn("spanshim.connect.duration", second)

    def test_an_address_is_not_looked_up(self):
        caller = self._start_caller()
        self._call(caller, "blocking", "204")
        attributes = self._client_spans()[0]["attributes"]
        self.assertNotIn("spanshim.dns.duration", attributes)
        self.assertIn("spanshim.connect.duration", attributes)

    def test_the_resolver_makes_no_spans(self):
        caller = self._start_caller()
        self._call(caller, "blocking", "204", host="localhost")
        self.assertEqual(["GET"], [span["name"] for span in self._client_spans()])

    def _check_refused(self, span, parent):
        self.assertEqual("connect", span["name"])
        self.assertEqual((parent["trace_id"], parent["span_id"]), (span["trace_id"], span["parent_span_id"]))
        self.assertEqual(STATUS_ERROR, span["status"]["code"])
        self.assertLess(duration(span), duration(parent))
        self.assertEqual({"error.type": "connection_refused", "server.address": "127.0.0.1",
                          "server.port": self.callee_port, "network.peer.address": "127.0.0.1",
                          "network.peer.port": self.callee_port}, span["attributes"])

    def test_refused_where_http_was_spoken(self):
        caller = self._start_caller()
        self._call(caller, "blocking", "204")
        self._end_callee()
        for how in WAYS:
            with self.subTest(how):
                self.spans(1)
                self.sink.spans.clear()
                self._call(caller, how, "ECONNREFUSED")
                parent, = self.spans(1)
                span, = self._client_spans()
                self._check_refused(span, parent)

    def test_refused_elsewhere(self):
        """Nobody knows what was to be said there."""
        caller = self._start_caller()
        self._end_callee()
        for how in WAYS:
            self._call(caller, how, "ECONNREFUSED")
        self.assertEqual(len(WAYS), len(self.spans(len(WAYS))))
        self.assertEqual([], self._client_spans())

    def test_refused_for_no_request(self):
        argv = [PYTHON, CALLER, "blocking", "127.0.0.1", str(self.callee_port)]
        with subprocess.Popen(argv, env=self.spanshim.env(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as caller:
            for expected in (b"204\n", b"ECONNREFUSED\n"):
                caller.stdin.write(b"\n")
                self.assertEqual(expected, caller.stdout.readline())
                self._end_callee()
            caller.stdin.close()
            self.assertEqual(0, caller.wait(timeout=60))
        self.assertEqual(["GET"], [span["name"] for span in self._client_spans()])


if __name__ == "__main__":
    unittest.main(verbosity=2)
