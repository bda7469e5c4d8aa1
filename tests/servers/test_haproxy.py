# SPDX-License-Identifier: Apache-2.0
"""HAProxy as master with a worker, in HTTP mode and in TCP mode, with and without splicing; and sending again what a server
did not answer."""

import signal
import unittest

import server_matrix
from client_matrix import TRACEPARENT, refusing_socket
from exact_server import ExactServer
from harness import SPAN_KIND_CLIENT, Traffic, in_parallel
from processes import wait_until
from server import Server


class HaproxyHttp(Server):
    """It understands what it passes on."""

    programs = ("haproxy",)
    template = "haproxy/http.cfg"
    splice = None  # in HTTP mode heads are read always, whatever is spliced
    logs_all = False  # a thread that finds another one writing its line tries a few times, then drops its own

    def start(self):
        config = self.fill_in(self.template, SPLICE=self.splice, BEHIND=self.backend())
        self.run(["/usr/sbin/haproxy", "-W", "-f", config])
        wait_until(self.workers, what="HAProxy's worker")

    def reload(self):
        self.reload_by(signal.SIGUSR2)

    def logged(self):
        """Connections that ended without a request are logged too."""
        return self.process.out.count(b"answer ") - self.process.out.count(b"<BADREQ>")


class HaproxyTcp(HaproxyHttp):
    """It carries bytes. They are HTTP on the side that it accepted, so each request there has its span."""

    template = "haproxy/tcp.cfg"
    splice = "no option splice-auto"  # which would decide by how the bytes flow, and so by how busy the machine is


class HaproxySplicing(HaproxyTcp):
    """Every byte moves inside the kernel from the first answer on."""

    splice = "option splice-response"


class HaproxyRetrying(HaproxyHttp):
    """It sends again what was not answered. `fails` is the port of a server that fails, `works` of one that doesn't."""

    template = "haproxy/retries.cfg"

    def __init__(self, test, fails, works):
        super().__init__(test)
        self.ports = {"FAILS": fails, "WORKS": works}

    def start(self):
        self.run(["/usr/sbin/haproxy", "-f", self.fill_in(self.template, **self.ports)])


class Leaving(ExactServer):
    """It reads each request and leaves without an answer."""

    def answer(self, connection, request, words):
        return self._drop(connection, request)


class Resetting(ExactServer):
    """It reads each request and resets the connection."""

    def answer(self, connection, request, words):
        connection.reset()
        return self._drop(connection, request)


class HttpTest(server_matrix.ServerTest):
    server_class = HaproxyHttp


class TcpTest(server_matrix.ServerTest):
    server_class = HaproxyTcp


class SplicingTest(server_matrix.ShimTest):
    """A limit: heads that go by splice aren't seen. There is no span, rather than a wrong one, and it is counted."""

    def test_unseen_heads(self):
        self.needs_spans()
        server = HaproxySplicing(self)
        server.start()
        traffic = Traffic(server.port)
        for _ in range(3):
            traffic.once("GET", "/size/1000")
        wait_until(lambda: self._unseen() == 6, what="each request is counted, from the client and to the server")
        self.assertEqual([], self.spans())

    def _unseen(self):
        """Requests that are counted as not followed."""
        dropped = self.spanshim.status()["totals"]["dropped"]
        return dropped["bad_framing"] + dropped["blind"]


class RetriesTest(server_matrix.ShimTest):
    """Each time that a request goes out has its span, and nothing else has."""

    def setUp(self):
        self.needs_programs("haproxy")
        super().setUp()
        self.needs_spans()
        self.works = self.closed_with_test(ExactServer())

    def closed_with_test(self, one):
        """That, which is closed at the test's end."""
        self.addCleanup(one.close)
        return one

    @staticmethod
    def _ask(traffic):
        with traffic.connect() as connection:
            for number in range(10):
                traffic.request(connection, "GET", f"/size/{number}")

    def _check(self, port, failing, errors):
        """Requests of several clients by way of a server that fails at this port: what it and the other one read are the
        client spans, by their ids."""
        server = HaproxyRetrying(self, port, self.works.port)
        server.start()
        traffic = Traffic(server.port)
        in_parallel(traffic, 8, self._ask)
        self.assertEqual({200}, {exchange.status for exchange in traffic.exchanges})
        self.assertEqual(80, len(self.works.requests))
        read = [*self.works.requests, *(failing.requests if failing else [])]
        ids = [TRACEPARENT.findall(request.head)[0][1].decode() for request in read]
        spans = self.spans(len(ids), SPAN_KIND_CLIENT)
        self.assertEqual(sorted(ids), sorted(span["span_id"] for span in spans))
        failed = [span["attributes"]["error.type"] for span in spans if "error.type" in span["attributes"]]
        self.assertEqual((len(ids) - 80, errors), (len(failed), set(failed)))

    def test_no_answer(self):
        failing = self.closed_with_test(Leaving())
        self._check(failing.port, failing, {"no_response"})

    def test_reset(self):
        failing = self.closed_with_test(Resetting())
        self._check(failing.port, failing, {"connection_reset"})

    def test_refused(self):
        """What was refused was not sent."""
        refusing = self.closed_with_test(refusing_socket())
        self._check(refusing.getsockname()[1], None, set())


if __name__ == "__main__":
    unittest.main(verbosity=2)
