# SPDX-License-Identifier: Apache-2.0
"""A server that has nothing to do, bare and shimmed: no thread, no descriptor, no wake-up more; and an agent that sleeps
when nothing comes."""

import re
import time
import unittest

import servers
from harness import BARE, ShimTest, Traffic
from processes import children, context_switches, cpu_nanoseconds, descriptors, thread_ids, thread_states, wait_until

QUIET = 2.0


def shape(kind):
    """A descriptor's kind: numbers of sockets and pipes differ from run to run."""
    return re.sub(r"\d+", "N", kind)


class IdleTest(ShimTest):
    """Servers at rest after some requests."""

    agent_settings = {}

    def _at_rest(self, start, env):
        """A server's last process, at rest after some requests."""
        process, port = start(self, env=env)
        traffic = Traffic(port)
        for _ in range(20):
            traffic.once("GET", "/size/10")
        pid = (children(process.pid) or [process.pid])[-1]
        wait_until(lambda: self._settled(pid), what="connections are closed and threads have ended")
        return pid

    @staticmethod
    def _settled(pid):
        """Are all its threads asleep, and are they and the descriptors the same a moment later?"""
        before = IdleTest._state(pid)
        time.sleep(0.3)
        return before == IdleTest._state(pid) and set(before[0].values()) == {"S"}

    @staticmethod
    def _state(pid):
        """Each thread's state, and the descriptors."""
        return thread_states(pid), descriptors(pid)

    def _wakes_no_more(self, pids):
        """How often they wake in QUIET seconds: the second no more often than the first? A program may have reasons of its
        own to wake now and then; what the shim adds to it would come each time."""
        before = [context_switches(pid) for pid in pids]
        time.sleep(QUIET)  # the measure itself
        bare, shimmed = [context_switches(pid) - count for pid, count in zip(pids, before)]
        return shimmed <= bare + 1

    def _compare(self, start):
        """Both at once: how often they wake, and what they have."""
        pids = [self._at_rest(start, self.spanshim.env(preload=preload)) for preload in (False, True)]
        wait_until(lambda: self._wakes_no_more(pids), what="no wake-ups more")
        self.assertEqual(*[len(thread_ids(pid)) for pid in pids], "threads")
        self.assertEqual(*[{number: shape(kind) for number, kind in descriptors(pid).items()} for pid in pids], "descriptors")

    def test_httpd_by_poll(self):
        self._compare(servers.httpd)

    def test_httpd_by_threads(self):
        self._compare(lambda test, env: servers.httpd(test, "--threads", env=env))

    def test_nginx(self):
        self._compare(servers.nginx)

    def test_http_handler(self):
        self._compare(servers.http_handler)

    def test_node(self):
        self._compare(servers.node)

    @unittest.skipIf(BARE, "bare run")
    def test_agent_sleeps(self):
        _, port = servers.httpd(self)
        traffic = Traffic(port)
        for _ in range(20):
            traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)
        pids = [self.spanshim.agent.pid, self.spanshim.worker_pid]

        def quiet():
            """No wake-up of keeper or worker in a while, and next to no work: it may need a moment to fall asleep."""
            before = sum(map(context_switches, pids)), sum(map(cpu_nanoseconds, pids))
            time.sleep(QUIET)
            return sum(map(context_switches, pids)) - before[0] <= 2 and sum(map(cpu_nanoseconds, pids)) - before[1] < 2_000_000

        wait_until(quiet, what="the agent sleeps")
        # Asleep is not deaf.
        traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)


if __name__ == "__main__":
    unittest.main(verbosity=2)
