# SPDX-License-Identifier: Apache-2.0
"""busybox httpd, which is linked statically, so nothing can be loaded into it: the launcher warns in one line, the program
runs as without it, and there is nothing else."""

import unittest

import servers
from harness import LAUNCHER, ShimTest
from http_client import Connection
from processes import descriptors, free_port, wait_until


class BusyboxTest(ShimTest):
    """The server through `spanshim run`."""

    def _serve(self, *launcher):
        root, port = servers.static_files(self.directory), free_port()
        process = self.run_program([*launcher, "/usr/bin/busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", root],
                                   env=self.spanshim.env(preload=False))
        process.wait_listening(port)
        with Connection(port) as connection:
            answer = connection.request("GET", "/1k", fields=[("Connection", "close")])
        return process, answer

    def test_one_line_and_nothing_else(self):
        self.needs_programs("/usr/bin/busybox")
        bare, expected = self._serve()
        process, answer = self._serve(LAUNCHER, "run", "--")
        self.assertEqual((200, b"x" * 1000), (answer.status, answer.body))
        self.assertEqual(expected.body, answer.body)
        # A client may have its answer, from a child, before the server has closed the connection.
        wait_until(lambda: list(descriptors(bare.pid)) == list(descriptors(process.pid)),
                   what=lambda: f"the same descriptors: {descriptors(bare.pid)}, {descriptors(process.pid)}")
        self.assertEqual(-15, process.terminate())
        self.assertEqual(b"", process.out)
        self.assertRegex(process.err, rb"\Aspanshim: [^\n]*static[^\n]*\n\Z")
        self.needs_spans()
        self.assertEqual([], self.spans())
        self.assertEqual(0, self.spanshim.status()["totals"]["counts"]["connections"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
