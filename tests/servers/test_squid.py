# SPDX-License-Identifier: Apache-2.0
"""Squid in front of a server, and in front of its users, who ask in absolute form."""

import os
import shutil
import signal
import unittest

import server_matrix
import servers
from harness import Traffic
from processes import wait_until
from server import Server


class SquidReverse(Server):
    """One process. Root's Squid would otherwise start another one as somebody else, see WorkerOfRootTest."""

    programs = ("squid",)
    template = "squid/reverse.conf"
    targets = {**Server.targets, "chunked": "/chunks/10000000"}
    options = ("-N",)
    left_before = ("client_closed",)

    def start(self):
        self.behind = self.backend()
        is_root = os.getuid() == 0
        common = servers.fill_in("squid/common.conf", self.folder / "common.conf", DIR=self.folder,
                                 USER="cache_effective_user proxy" if is_root else "").read_text()
        config = self.fill_in(self.template, BEHIND=self.behind, COMMON=common)
        if is_root:
            shutil.chown(self.folder, "proxy")
        self.run(["/usr/sbin/squid", *self.options, "--foreground", "-d1", "-n", f"test{self.port}", "-f", config])

    def reload(self):
        """It reads its configuration again, in the same process."""
        before = self._starts()
        self.process.send_when_caught(signal.SIGHUP)
        wait_until(lambda: self._starts() > before, what="Squid listens again")

    def logged(self):
        """Connections that ended without a request are logged too."""
        return self.access_log.read_bytes().count(b" GET ")

    def _starts(self):
        return (self.folder / "cache.log").read_text().count("HTTP Socket connections at")


class SquidMaster(SquidReverse):
    """A master with a worker."""

    options = ()


class SquidForward(SquidReverse):
    """The URL names the server behind; Host does, too."""

    template = "squid/forward.conf"


class ReverseTest(server_matrix.ServerTest):
    server_class = SquidReverse


class ForwardTest(server_matrix.ShimTest):
    """A request for http://host/path has the span of a request for /path at that host."""

    def test_absolute_form(self):
        server = SquidForward(self)
        server.start()
        traffic = Traffic(server.port)
        with traffic.connect() as connection:
            for target, status in (("/size/1000", 200), ("/size/100000?page=2", 200), ("/status/404", 404)):
                response = connection.request("GET", f"http://127.0.0.1:{server.behind}{target}")
                self.assertEqual(status, response.status)
                traffic.note(connection, "GET", target, response, host=f"127.0.0.1:{server.behind}")
        self.check_spans(traffic.exchanges)


@unittest.skipIf(os.getuid() != 0, "only root's Squid changes the user before it starts its worker")
class WorkerOfRootTest(server_matrix.ShimTest):
    """A limit: Squid's master becomes another user and then starts the worker, which the dynamic linker takes for a
    set-user-ID program: no preload. It serves as without us."""

    def test_untraced(self):
        server = SquidMaster(self)
        server.start()
        traffic = Traffic(server.port)
        self.assertEqual(200, traffic.once("GET", "/size/1000").status)
        self.assertEqual([], self.spans())


if __name__ == "__main__":
    unittest.main(verbosity=2)
