# SPDX-License-Identifier: Apache-2.0
"""Perl: Starman, which forks its workers beforehand, and HTTP::Daemon, with a process for each connection."""

import signal
import unittest

import server_matrix
import servers
from processes import wait_until
from server import Server


class Starman(Server):
    """As many workers as clients: each serves one connection until that ends."""

    programs = ("starman",)
    count = server_matrix.CROWD + 4
    logs_given_up = None
    left_before = ("client_closed",)  # the head is taken, the body no more

    def start(self):
        self.run(["starman", "--listen", f"127.0.0.1:{self.port}", "--workers", self.count, "--keepalive-timeout", 20, "--read-timeout", 20,
                  "--access-log", self.access_log, servers.SCRIPTS / "perl" / "app.psgi"])
        wait_until(lambda: len(self.workers()) == self.count, what="starman's workers")

    def reload(self):
        self.reload_by(signal.SIGHUP)

    def kill_worker(self):
        self.kill_one()


class HttpDaemon(Server):
    """A process for each connection."""

    programs = ("/usr/share/perl5/HTTP/Daemon.pm",)
    says_close = False
    left_before = ("client_closed",)  # the head is taken, the body no more

    def start(self):
        self.run(["perl", servers.SCRIPTS / "perl" / "http_daemon.pl", self.port])
        self.log_by_output(b"GET /")


class StarmanTest(server_matrix.ServerTest):
    server_class = Starman


class HttpDaemonTest(server_matrix.ServerTest):
    server_class = HttpDaemon


if __name__ == "__main__":
    unittest.main(verbosity=2)
