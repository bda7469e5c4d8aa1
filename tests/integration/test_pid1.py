# SPDX-License-Identifier: Apache-2.0
"""Programs as the first process of a PID namespace, as containers start them: nothing is lost when they end, however they
end, and wait(-1) answers as it does bare."""

import os
import signal
import subprocess
import unittest

from harness import APPS, BARE, LAUNCHER, ShimTest, Traffic
from processes import children, status_field, wait_until

UNSHARE = ["/usr/bin/unshare", "--fork", "--pid", "--mount-proc", "--kill-child"]


def can_unshare():
    """May we make PID namespaces?"""
    return subprocess.run([*UNSHARE, "/bin/true"], capture_output=True, check=False).returncode == 0


@unittest.skipUnless(can_unshare(), "PID namespaces need privileges")
class FirstProcessTest(ShimTest):
    """first_process under the shim alone, with the agent outside of its namespace."""

    launcher = []

    def _start(self, env=None):
        process = self.run_program([*UNSHARE, *self.launcher, APPS / "first_process"],
                                   env=env or self.spanshim.env(), name="first")
        return process, Traffic(self._port(process))

    def _port(self, process):
        def look():
            lines = process.out.decode().splitlines()
            found = [line for line in lines if line.startswith("port ")]
            return int(found[0].split()[1]) if found else None

        return wait_until(look, what="the program announces its port")

    def _program_pid(self, process):
        """The program's number out here."""
        below = [process.pid]
        for pid in below:
            if os.readlink(f"/proc/{pid}/exe") == str(APPS / "first_process"):
                return pid
            below += children(pid)
        raise AssertionError("the program is not there")

    def _resting_pid(self, process):
        """The same, once it waits for the next request: a client has its answer before the server's next instruction."""
        pid = self._program_pid(process)
        wait_until(lambda: status_field(pid, "State").startswith("S"), what="the program is done with the last request")
        return pid

    def _traffic(self, traffic, last=None):
        with traffic.connect() as connection:
            for _ in range(50):
                traffic.request(connection, "GET", "/size/100")
        if last:
            traffic.once("GET", last)

    def test_wait_for_any_answers_as_bare(self):
        outputs = []
        for env in (self.spanshim.env(preload=False), self.spanshim.env()):
            process, traffic = self._start(env)
            traffic.once("GET", "/exit/0")
            self.assertEqual(0, process.wait())
            outputs.append([line for line in process.out.splitlines() if not line.startswith(b"port")])
        self.assertEqual(b"reaped 3, statuses' sum 36, then errno 10", outputs[0][0])
        self.assertEqual(*outputs)

    def test_preload_alone_starts_no_agent(self):
        """A first process would be its agent's parent, and its wait(-1) would see it."""
        if self.launcher:
            self.skipTest("the launcher is the first process")
        self.spanshim.stop()
        process, traffic = self._start()
        traffic.once("GET", "/size/1")
        self.assertEqual([], children(self._program_pid(process)))
        traffic.once("GET", "/exit/0")
        self.assertEqual(0, process.wait())
        self.assertIn(b"reaped 3, statuses' sum 36, then errno 10", process.out)
        self.assertEqual([], self.sink.spans)

    def test_exit_right_after_the_last_answer(self):
        process, traffic = self._start()
        self._traffic(traffic, "/exit/7")
        self.assertEqual(7, process.wait())
        self.check_spans(traffic.exchanges)

    def test_terminated(self):
        process, traffic = self._start()
        self._traffic(traffic)
        os.kill(self._resting_pid(process), signal.SIGTERM)
        self.assertEqual(15, process.wait())
        self.check_spans(traffic.exchanges)

    def test_crash(self):
        process, traffic = self._start()
        self._traffic(traffic)
        # The kernel shields a namespace's first process from its own signals, but not from those sent from outside.
        os.kill(self._resting_pid(process), signal.SIGKILL)
        process.wait()
        self.check_spans(traffic.exchanges)


class InitTest(FirstProcessTest):
    """The same with the launcher as the first process: it stays as a small init and ends as the program did."""

    launcher = [str(LAUNCHER), "run", "--init", "--"]

    def setUp(self):
        if BARE:
            self.skipTest("bare run")
        super().setUp()

    def test_wait_for_any_answers_as_bare(self):
        process, traffic = self._start(self.spanshim.env(preload=False))
        traffic.once("GET", "/exit/0")
        self.assertEqual(0, process.wait())
        # The grandchild went to the init, as it would to a container's.
        self.assertIn(b"reaped 2, statuses' sum 23, then errno 10", process.out)
        self.check_spans(traffic.exchanges)

    def test_fault(self):
        process, traffic = self._start()
        self._traffic(traffic, f"/kill/{signal.SIGSEGV:d}")
        self.assertIn(process.wait(), (-signal.SIGSEGV, 128 + signal.SIGSEGV))
        self.check_spans(traffic.exchanges)

    def test_agent_of_its_own(self):
        """Without an agent outside: the launcher starts one inside, and waits for it before it goes."""
        self.spanshim.stop()
        process, traffic = self._start(self.spanshim.env(preload=False))
        self._traffic(traffic, "/exit/3")
        self.assertEqual(3, process.wait())
        self.sink.wait_for(len(traffic.exchanges))
        self.check_spans(traffic.exchanges, self.sink.spans)


if __name__ == "__main__":
    unittest.main(verbosity=2)
