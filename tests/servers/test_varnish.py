# SPDX-License-Identifier: Apache-2.0
"""Varnish: from its cache, by itself, and straight from the server behind it."""

import subprocess
import unittest

import server_matrix
import servers
from processes import wait_until
from server import Server


class Varnish(Server):
    """A manager and the child that does the work."""

    programs = ("varnishd", "varnishadm", "varnishlog", "gcc")
    unlogged = "-ReqHeader,-RespHeader,-BereqHeader,-BerespHeader,-ObjHeader,-Timestamp"  # so that the log holds all requests
    targets = {**Server.targets, "chunked": "/chunks/10000000"}  # it refuses chunks with extensions
    chunk_tries = 50
    left_before = ("answered", "client_closed")  # in one write, or a second one fails: as the body comes from behind

    def start(self):
        vcl = self.fill_in("varnish/matrix.vcl", BEHIND=self.backend())
        self.work_folder = self.folder / "work"
        self.run(servers.varnish(self.work_folder, self.port, vcl, "-p", f"vsl_mask={self.unlogged}"))
        wait_until(lambda: "running" in self._admin("status"), what="Varnish's child runs")
        self.loads = 0

    def _ask(self, program, *arguments):
        return subprocess.run([program, "-n", self.work_folder, *arguments], capture_output=True, text=True,
                              env=self.test.spanshim.base_env(), timeout=60, check=True).stdout

    def _admin(self, *command):
        return self._ask("varnishadm", *command)

    def logged(self):
        """What is in its log in shared memory, until a new child begins a new one. (The counter MAIN.client_req is a few
        above the log's requests under load.)"""
        return self._ask("varnishlog", "-d", "-g", "raw", "-i", "ReqStart").count("ReqStart")

    def reload(self):
        """Another configuration for the same process."""
        self.loads += 1
        self._admin("vcl.load", f"again{self.loads}", str(self.folder / "matrix.vcl"))
        self._admin("vcl.use", f"again{self.loads}")

    def kill_worker(self):
        self.kill_one()
        wait_until(lambda: "running" in self._admin("status"), what="Varnish's child runs again")


class VarnishTest(server_matrix.ServerTest):
    server_class = Varnish


if __name__ == "__main__":
    unittest.main(verbosity=2)
