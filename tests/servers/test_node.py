# SPDX-License-Identifier: Apache-2.0
"""Node's http module, in one process."""

import unittest

import server_matrix
import servers
from server import Server


class Node(Server):
    """Everything in one event loop."""

    programs = ("node",)
    left_before = ("client_closed",)

    def start(self):
        self.process, self.port = servers.node(self.test)


class NodeTest(server_matrix.ServerTest):
    server_class = Node


if __name__ == "__main__":
    unittest.main(verbosity=2)
