# SPDX-License-Identifier: Apache-2.0
"""Node's cluster: connections accepted by the first process and passed on, and accepted by the workers themselves."""

import signal
import unittest

import server_matrix
import servers
from processes import wait_until
from server import Server


class NodeCluster(Server):
    """Two workers that get their connections from the first process in turn."""

    programs = ("node",)
    policy = "rr"
    left_before = ("client_closed",)

    def start(self):
        self.run(["node", servers.SCRIPTS / "node_cluster.js", self.port],
                 env=self.test.spanshim.env(NODE_CLUSTER_SCHED_POLICY=self.policy))
        self.wait_for_workers(2)

    def wait_for_workers(self, count):
        """Until so many have listened since the start."""
        wait_until(lambda: self.process.out.count(b"port") >= count, what="node's workers")

    def reload(self):
        """A worker that is told to go while it starts never ends: the next reload has to find two that listen."""
        before = self.process.out.count(b"port")
        self.process.send_when_caught(signal.SIGHUP)
        self.wait_for_workers(before + 2)

    def kill_worker(self):
        self.kill_one()


class NodeClusterShared(NodeCluster):
    """Two workers that listen on one socket."""

    policy = "none"


class NodeClusterTest(server_matrix.ServerTest):
    server_class = NodeCluster


class NodeClusterSharedTest(server_matrix.ServerTest):
    server_class = NodeClusterShared


if __name__ == "__main__":
    unittest.main(verbosity=2)
