# SPDX-License-Identifier: Apache-2.0
"""HAProxy as master with a worker, in HTTP mode and in TCP mode, splicing wherever it can."""

import signal
import unittest

import server_matrix
from harness import Traffic
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
    splice = "splice-auto"  # it decides by how the bytes flow


class HaproxySplicing(HaproxyTcp):
    """Every byte moves inside the kernel from the first answer on."""

    splice = "splice-response"


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
        self.assertEqual([], self.spans())
        dropped = self.spanshim.status()["totals"]["dropped"]
        self.assertEqual(6, dropped["bad_framing"] + dropped["blind"], "each request, from the client and to the server")


if __name__ == "__main__":
    unittest.main(verbosity=2)
