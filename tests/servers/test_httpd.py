# SPDX-License-Identifier: Apache-2.0
"""Our C server in its three shapes."""

import unittest

import server_matrix
import servers
from server import Server


class Httpd(Server):
    """A poll loop: one request at a time."""

    shape = "--poll"

    def start(self):
        self.process, self.port = servers.httpd(self.test, self.shape)


class HttpdThreads(Httpd):
    """A thread for each connection."""

    shape = "--threads"


class HttpdFork(Httpd):
    """A process for each connection."""

    shape = "--fork"


class PollTest(server_matrix.ServerTest):
    server_class = Httpd


class ThreadsTest(server_matrix.ServerTest):
    server_class = HttpdThreads


class ForkTest(server_matrix.ServerTest):
    server_class = HttpdFork


if __name__ == "__main__":
    unittest.main(verbosity=2)
