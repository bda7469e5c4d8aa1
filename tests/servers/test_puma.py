# SPDX-License-Identifier: Apache-2.0
"""Puma: threads in one process, and a cluster of processes."""

import signal
import unittest

import server_matrix
import servers
from processes import wait_until
from server import Server


class Puma(Server):
    """One process with threads."""

    programs = ("puma",)
    logs_given_up = None  # a request whose client has left may be dropped without a line
    left_before = ("answered", "no_response")  # it asks for the connection's state before it begins with a request
    options = ()

    def start(self):
        self.run(["puma", "--bind", f"tcp://127.0.0.1:{self.port}", "--threads", "8:8", "--log-requests", *self.options,
                  servers.SCRIPTS / "ruby" / "config.ru"])
        self.log_by_output(b'"GET /')


class PumaCluster(Puma):
    """Two workers; a phased restart replaces one after the other."""

    options = ("--workers", "2")

    def start(self):
        super().start()
        wait_until(lambda: self.process.out.count(b"booted in") == 2, what="puma's workers")

    def reload(self):
        self.reload_by(signal.SIGUSR1)

    def kill_worker(self):
        self.kill_one()


class PumaTest(server_matrix.ServerTest):
    server_class = Puma


class PumaClusterTest(server_matrix.ServerTest):
    server_class = PumaCluster


if __name__ == "__main__":
    unittest.main(verbosity=2)
