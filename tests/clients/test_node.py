# SPDX-License-Identifier: Apache-2.0
"""Node's clients: its http module, with and without kept connections, and fetch."""

import shutil
import unittest

import client_matrix
from client import CLIENTS, Script


class Node(Script):
    """One of the libraries that test-apps/clients/node.js knows."""

    programs = ("node",)
    library = None

    def interpreter(self):
        return [shutil.which("node"), CLIENTS / "node.js", self.library]


class Http(Node):
    library = "http"


class HttpAgent(Node):
    library = "agent"


class Fetch(Node):
    """It has several connections, and takes one that is free just then."""

    library = "fetch"
    is_crowd = True


class HttpTest(client_matrix.ClientTest):
    client_class = Http


class HttpAgentTest(client_matrix.ClientTest):
    client_class = HttpAgent


class FetchTest(client_matrix.ClientTest):
    client_class = Fetch


if __name__ == "__main__":
    unittest.main(verbosity=2)
