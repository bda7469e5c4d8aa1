# SPDX-License-Identifier: Apache-2.0
"""Faults that a program handles are its own business: it works as it does bare, and there is nothing to report."""

import subprocess
import unittest

import servers
from harness import APPS, PYTHON, ShimTest, Traffic, in_parallel
from processes import free_port

CRASH_APPS = servers.SCRIPTS / "crash"


class SilentTest(ShimTest):
    """Programs that fault all the time and go on."""

    def _both(self, *argv):
        """Run bare and shimmed: what it printed, which is the same. Nothing was reported."""
        bare, shimmed = (subprocess.run([str(argument) for argument in argv], capture_output=True, timeout=300, check=True,
                                        cwd=self.directory, env=self.spanshim.env(preload=preload, SPANSHIM_CRASH="always"))
                         for preload in (False, True))
        self.assertEqual(bare.stdout, shimmed.stdout)
        self.assertEqual([], self.reports(0))
        return shimmed.stdout

    def test_jumps_out_of_handlers(self):
        self.assertEqual(b"200000 faults were handled\n", self._both(APPS / "crasher_handled", "jump", 200_000))

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
        self.assertEqual([], self.reports(0))

    def test_java_serves(self):
        self.needs_programs("java", "javac")
        port = free_port()
        process = self.run_program(["java", servers.SCRIPTS / "java" / "BlockingServer.java", port], name="java")
        process.wait_listening(port)
        traffic = Traffic(port)
        in_parallel(traffic, 4, lambda part: [part.once("GET", "/size/100") for _ in range(100)])
        self.check_spans(traffic.exchanges)
        self.assertEqual([], self.reports(0))


class FaulthandlerTest(ShimTest):
    """Python's own handler writes its stacks and raises the signal again: that is a crash, and one."""

    FAULT = "import ctypes\ndef fault():\n    ctypes.string_at(0)\nfault()\n"

    def test_faulthandler(self):
        self.needs_spans()
        argv = [PYTHON, "-X", "faulthandler", "-c", self.FAULT]
        bare, shimmed = (subprocess.run(argv, capture_output=True, timeout=60, check=False, cwd=self.directory,
                                        env=self.spanshim.env(preload=preload, SPANSHIM_CRASH="always"))
                         for preload in (False, True))
        self.assertEqual((bare.returncode, bare.stdout), (shimmed.returncode, shimmed.stdout))
        self.assertIn(b"Fatal Python error: Segmentation fault", shimmed.stderr)
        report, = self.reports(1)
        self.assertRegex(report["title"], r"^SIGSEGV in \S+: read of 0x0 \(null pointer\)$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
