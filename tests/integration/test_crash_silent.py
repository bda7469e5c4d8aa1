# SPDX-License-Identifier: Apache-2.0
"""Faults that a program handles are its own business: it works as it does bare, and there is nothing to report."""

import subprocess
import unittest

import servers
from harness import APPS, ShimTest, Traffic

CRASH_APPS = servers.SCRIPTS / "crash"


class SilentTest(ShimTest):
    """Programs that fault all the time and go on."""

    def _both(self, *argv):
        """Run bare and shimmed: what it printed, which is the same."""
        bare, shimmed = (subprocess.run([str(argument) for argument in argv], capture_output=True, timeout=60, check=True,
                                        cwd=self.directory, env=self.spanshim.env(preload=preload, SPANSHIM_CRASH="always"))
                         for preload in (False, True))
        self.assertEqual(bare.stdout, shimmed.stdout)
        return shimmed.stdout

    def test_jumps_out_of_handlers(self):
        self.assertEqual(b"1000000 faults were handled\n", self._both(APPS / "crasher_handled", "jump", 1_000_000))

    def test_mended_pages(self):
        self.assertEqual(b"100000 faults were handled\n", self._both(APPS / "crasher_handled", "mend", 100_000))

    def test_java(self):
        self.needs_programs("java", "javac")
        output = self._both("java", "-XX:-OmitStackTraceInFastThrow", CRASH_APPS / "NullChecks.java")
        self.assertEqual(b"16000 null pointers\n", output)

    def test_node(self):
        self.needs_programs("node")
        self.assertEqual(b"50000 faults\n", self._both("node", CRASH_APPS / "wasm.js"))

    def test_node_serves(self):
        """With the capture that comes with the first socket."""
        self.needs_programs("node")
        _, port = servers.node(self)
        traffic = Traffic(port)
        for _ in range(100):
            traffic.once("GET", "/size/100")
        self.check_spans(traffic.exchanges)


if __name__ == "__main__":
    unittest.main(verbosity=2)
