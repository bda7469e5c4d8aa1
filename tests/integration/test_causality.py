# SPDX-License-Identifier: Apache-2.0
"""Whose request caused an outgoing one: each program of causality_programs.py, one request at a time and 64 at once, with no
trace header of the client's. bench/causality measures the same for longer."""

import unittest

from causality import Stage
from causality_programs import GEVENT, GEVENT_WORKER, NODE, PROGRAMS, gunicorn, node, row, script
from harness import ShimTest

ALONE, CROWD = 40, 320  # requests, one at a time and 64 at once


class CausalityTest(ShimTest):
    """A test for each program."""

    def _on_stage(self, program):
        self.needs_spans()
        self.needs_programs(*program.needs)
        return Stage(self, program)

    def _check(self, program):
        stage = self._on_stage(program)
        for clients, requests in ((1, ALONE), (64, CROWD)):
            count = stage.measure(clients, requests)
            print(f"{program.name}, {clients} at once: {count}", flush=True)
            self.assertIsNone(program.judge(clients, count), f"{program.name}, {clients} at once: {count}")
        self.assertEqual([], stage.strange())
        self.assertEqual([], self.sink.violations)

    def test_own_requests_of_a_loop(self):
        """What a timer, or another greenlet, asks for right after a request was read is not that one's."""
        for program in (row("Node, agent", node, "agent", needs=NODE, settings={"OWN_MS": 3}),
                        row("Node, fetch", node, "fetch", needs=NODE, settings={"OWN_MS": 3}),
                        row("gevent", gunicorn, *GEVENT_WORKER, needs=GEVENT, settings={"OWN_MS": 3})):
            stage = self._on_stage(program)
            count = stage.measure(16, CROWD)
            own, wrong = stage.count_own()
            print(f"{program.name}: {count}; of its own: {own}, with a parent: {wrong}", flush=True)
            self.assertEqual((CROWD, 0), (count.right, wrong))
            self.assertGreater(own, 5)

    def _check_own(self, name, clients, requests):
        stage = self._on_stage(row(name, script, name))
        stage.measure(1, ALONE)
        count = stage.measure(clients, requests)
        own, wrong = stage.count_own()
        print(f"{count}; of its own: {own}, with a parent: {wrong}", flush=True)
        self.assertEqual((0, 0), (count.wrong, wrong))
        self.assertGreater(own, ALONE // 2)

    def test_own_requests_of_who_hands_requests_over(self):
        """A thread that reads requests and answers none: what it asks for itself is theirs only until that has been seen."""
        self._check_own("hand_over.py", 16, CROWD)

    def test_own_requests_of_who_watches(self):
        """Nor is it that of one which asks the kernel about connections, and answers on none."""
        self._check_own("watcher.py", 1, ALONE)

    def test_header_passed_on(self):
        """A proxy that passes the client's trace header on says itself whose request it is."""
        for name in ("nginx, new connections", "HAProxy", "Apache"):
            with self.subTest(name):
                stage = self._on_stage(PROGRAMS[name])
                count = stage.measure(64, CROWD, "--traced")
                self.assertEqual((count.total, CROWD), (count.right, count.total), f"{name}: {count}")


def add_tests():
    """Each row is a test."""
    for program in filter(lambda program: program.is_tested, PROGRAMS.values()):
        name = "test_" + "".join(letter if letter.isalnum() else "_" for letter in program.name.lower())
        setattr(CausalityTest, name, lambda self, program=program: self._check(program))


add_tests()

if __name__ == "__main__":
    unittest.main(verbosity=2)
