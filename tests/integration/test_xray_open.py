# SPDX-License-Identifier: Apache-2.0
"""Requests that take long are told to X-Ray while they are open, once, and once more when they have ended."""

import os
import signal
import unittest

import servers
from harness import BARE, ShimTest, Traffic
from http_client import request_bytes
from processes import wait_until
from xray_daemon import XrayDaemon

TRACE = "1-5759e988-bd862e3fe1be46a994272793"
FIELDS = [("X-Amzn-Trace-Id", f"Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=1")]


@unittest.skipIf(BARE, "bare run")
class InProgressTest(ShimTest):
    """SPANSHIM_XRAY_IN_PROGRESS"""

    def setUp(self):
        super().setUp()
        self.daemon = XrayDaemon()
        self.addCleanup(self.daemon.close)

    def serve(self, in_progress_ms=100, **settings):
        """A server that sends to X-Ray and by OTLP; its process and what makes requests to it."""
        env = self.spanshim.env(AWS_XRAY_DAEMON_ADDRESS=self.daemon.address, SPANSHIM_XRAY_IN_PROGRESS=in_progress_ms,
                                OTEL_SERVICE_NAME="shop", OTEL_BSP_SCHEDULE_DELAY=50, **settings)
        process, port = servers.httpd(self, env=env)
        return process, Traffic(port)

    def begin(self, connection, fields=FIELDS):
        """Send a request but for the end of its body; that."""
        data = request_bytes("POST", "/upload", b"0123456789", fields)
        connection.send(data[:-1])
        return data[-1:]

    def wait_in_progress(self):
        """The document that says so."""
        self.daemon.wait_until(lambda: [one for one in self.daemon.documents if one.get("in_progress")], "a segment in progress")
        document, = self.daemon.documents
        self.assertNotIn("end_time", document)
        return document

    def finish(self, connection, rest):
        """The end of the body: the answer, and the complete segment."""
        connection.send(rest)
        connection.read_response("POST")
        self.daemon.wait_for(segments=1)
        self.assertTrue(self.spanshim.flush())
        self.daemon.settle()
        document, = self.daemon.documents
        return document

    def test_told_once_and_completed(self):
        _, traffic = self.serve()
        with traffic.connect() as connection:
            rest = self.begin(connection)
            first = self.wait_in_progress()
            self.assertEqual([], self.sink.spans, "what is open is X-Ray's alone")
            document = self.finish(connection, rest)
        self.assertEqual((TRACE, "shop", "53995c3f42cd8ad8"), (first["trace_id"], first["name"], first["parent_id"]))
        for field in ("id", "trace_id", "name", "start_time", "parent_id"):
            self.assertEqual(first[field], document[field], field)
        self.assertFalse(document.get("in_progress"))
        self.assertEqual(2, self.daemon.datagram_count)
        self.assertEqual(1, len(self.spans(1)))
        self.assertEqual([], self.daemon.violations)

    def test_not_told_unless_it_is_asked_for(self):
        _, traffic = self.serve(in_progress_ms=None)
        with traffic.connect() as slow, traffic.connect() as other:
            rest = self.begin(slow)
            for _ in range(3):  # it stays open while others are told of
                traffic.request(other, "GET", "/", fields=FIELDS)
                self.assertTrue(self.spanshim.flush())
            self.daemon.wait_for(segments=3)
            slow.send(rest)
            slow.read_response("POST")
            self.daemon.wait_for(segments=4)
        self.assertEqual(4, self.daemon.datagram_count)

    def test_sampled_out_is_not_told(self):
        _, traffic = self.serve()
        with traffic.connect() as unsampled, traffic.connect() as sampled:
            self.begin(unsampled, [("X-Amzn-Trace-Id", f"Root={TRACE};Sampled=0")])
            self.wait_for_requests(1)
            rest = self.begin(sampled)
            self.wait_in_progress()
            self.finish(sampled, rest)
        self.assertEqual(2, self.daemon.datagram_count)

    def test_killed_while_it_is_in_progress(self):
        process, traffic = self.serve()
        with traffic.connect() as connection:
            self.begin(connection)
            first = self.wait_in_progress()
            process.popen.send_signal(signal.SIGKILL)
            self.daemon.wait_for(segments=1)
        document, = self.daemon.documents
        self.assertEqual((first["id"], True), (document["id"], document["fault"]))
        self.assertEqual(2, self.daemon.datagram_count)

    def test_told_once_across_a_restart_of_the_worker(self):
        process, traffic = self.serve()
        with traffic.connect() as connection, traffic.connect() as other:
            rest = self.begin(connection)
            first = self.wait_in_progress()
            self.assertTrue(self.spanshim.flush())  # the worker knows that it has come
            worker = self.spanshim.worker_pid
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: self.spanshim.worker_pid != worker, what="a new worker")
            wait_until(lambda: self.spanshim.knows(process.pid), what="it knows the server")
            late = self.begin(other, [("X-Amzn-Trace-Id", f"Root={TRACE[:-1]}4;Sampled=1")])
            told = lambda: [one for one in self.daemon.documents if one.get("in_progress")]
            self.daemon.wait_until(lambda: len(told()) == 2, "the other request in progress")
            for peer, end in ((connection, rest), (other, late)):
                peer.send(end)
                peer.read_response("POST")
            self.daemon.wait_for(segments=2)
        self.assertIn(first["id"], [document["id"] for document in self.daemon.documents])
        self.assertEqual(4, self.daemon.datagram_count)


if __name__ == "__main__":
    unittest.main()
