# SPDX-License-Identifier: Apache-2.0
"""A script on Python's http.server, a thread for each connection."""

import unittest

import server_matrix
import servers
from server import Server


class HttpServer(Server):
    """With handlers of its own."""

    left_before = ("client_closed",)  # head and body are written apart, and the second write fails

    def start(self):
        self.process, self.port = servers.http_handler(self.test)


class HttpServerTest(server_matrix.ServerTest):
    server_class = HttpServer


if __name__ == "__main__":
    unittest.main(verbosity=2)
