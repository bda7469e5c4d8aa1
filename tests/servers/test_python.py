# SPDX-License-Identifier: Apache-2.0
"""Python's other servers: CherryPy with threads, aiohttp with one event loop."""

import unittest

import server_matrix
import servers
from harness import PYTHON
from server import Server


class CherryPy(Server):
    """Ten threads."""

    programs = ("/usr/lib/python3/dist-packages/cherrypy",)
    says_close = False  # it keeps ten connections at most, and closes the others
    left_before = ("client_closed",)

    def start(self):
        self.run([PYTHON, servers.SCRIPTS / "cherrypy_app.py", self.port])
        self.log_by_output(b'"GET /')


class Aiohttp(Server):
    """One thread."""

    programs = ("/usr/lib/python3/dist-packages/aiohttp",)
    logs_given_up = None  # it ends the handler of a client that has left, if that still waits
    left_before = ("client_closed",)

    def start(self):
        self.run([PYTHON, servers.SCRIPTS / "aiohttp_app.py", self.port])
        self.log_by_output(b"GET /")


class CherryPyTest(server_matrix.ServerTest):
    server_class = CherryPy


class AiohttpTest(server_matrix.ServerTest):
    server_class = Aiohttp


if __name__ == "__main__":
    unittest.main(verbosity=2)
