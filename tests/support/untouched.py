# SPDX-License-Identifier: Apache-2.0
"""A daemon that speaks something else than HTTP: bare and under the shim it does and shows the same, and there is nothing
to tell about it."""

import re

import system_calls
from harness import ShimTest
from processes import descriptors, wait_until


class UntouchedTest(ShimTest):
    """What such daemons have in common."""

    programs = ()

    def setUp(self):
        self.needs_programs(*self.programs)
        super().setUp()

    def both(self, run):
        """Call `run` with the environment of a bare program, then of a traced one: both results must be equal."""
        bare = run(self.spanshim.env(preload=False))
        self.assertEqual(bare, run(self.spanshim.env()))
        return bare

    def same_calls(self, run, timed, on=""):
        """The same for strace's lines: the calls that mention `on` are equal by number, all others by name, but for a look at
        standard input when a process ends. `timed` are calls that depend on how long things take."""
        bare = run(self.spanshim.env(preload=False))
        shimmed = run(self.spanshim.env())
        counts = system_calls.count(bare, timed, on)
        self.assertGreater(sum(counts.values()), 20)
        self.assertEqual(counts, system_calls.count(shimmed, timed, on))
        self.assertLessEqual(set(system_calls.count(shimmed)) - set(system_calls.count(bare)), {"getsockopt", *timed})

    def check_nothing_told(self):
        """The shim was there, and saw no request and lost nothing."""
        self.assertEqual([], self.spans())
        self.needs_spans()
        status = self.spanshim.status()
        self.assertGreater(status["totals"]["counts"]["connections"], 0, "the shim saw no connection: was it loaded?")
        self.assertEqual(0, status["totals"]["counts"]["requests"])
        self.assertEqual({}, {name: count for name, count in status["totals"]["dropped"].items() if count})


def open_sockets(pid):
    """How many sockets it has open."""
    return sum(what.startswith("socket:") for what in descriptors(pid).values())


def idle_descriptors(pid, sockets):
    """The open descriptors' numbers once the clients have gone and only so many sockets are left, each with what it is but
    for the numbers that differ from run to run."""
    wait_until(lambda: open_sockets(pid) <= sockets, what="the daemon closes its connections")
    return {number: re.sub(r"\d+", "N", what) for number, what in descriptors(pid).items()}
