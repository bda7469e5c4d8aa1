# SPDX-License-Identifier: Apache-2.0
"""Crashes in circumstances that leave less to be known, and none that may change how the process dies."""

import os
import shutil
import signal
import unittest
from pathlib import Path

import crash_runs
from harness import APPS, LIBRARY, ShimTest, preload_environment
from processes import wait_until

TIMEOUT_MS = 300  # for which a dying process waits for an agent that doesn't answer
NOBODY = 65534


class ConditionTest(ShimTest):
    """Each runs bare and shimmed, and ends alike."""

    def both(self, condition, fault="null_write", wrap=(), between=None, library=LIBRARY, **options):
        """Run under this condition, bare and shimmed. `between` happens to the shimmed run, before its crash."""
        argv = [*wrap, str(APPS / "crasher"), fault, condition]
        env = self.spanshim.env(preload=False, SPANSHIM_CRASH="always", SPANSHIM_CRASH_TIMEOUT=TIMEOUT_MS)
        with crash_runs.settled_layout(cores=False):
            bare = self._run("bare", argv, env, between and (lambda pid: None), **options)
            preload = preload_environment(library)
            if wrap:  # which isn't to be looked at itself
                argv[len(wrap):len(wrap)] = ["/usr/bin/env", *(f"{name}={value}" for name, value in preload.items())]
                preload = {}
            shimmed = self._run("shimmed", argv, dict(env, **preload), between, **options)
        self.assertEqual((bare.end, bare.out, bare.err), (shimmed.end, shimmed.out, shimmed.err))
        return shimmed

    def _run(self, name, argv, env, between, **options):
        number = len(list(self.directory.glob(f"{name}.*")))
        return crash_runs.run(argv, self.directory / f"{name}.{number}", env, between=between, **options)

    def _end_agent(self, _pid):
        for pid in (self.spanshim.agent.pid, self.spanshim.worker_pid):
            os.kill(pid, signal.SIGKILL)

    def _stop_agent(self, _pid):
        for pid in (self.spanshim.agent.pid, self.spanshim.worker_pid):
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(self._continue, pid)

    def _continue(self, pid):
        try:
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            pass

    def test_no_agent(self):
        place = self.directory / "alone"
        place.mkdir()
        library = Path(shutil.copy(LIBRARY, place))  # no agent beside it that it could start
        self.spanshim.stop()
        wait_until(lambda: not (self.spanshim.runtime / "agent.sock").exists(), what="the agent's end")
        self.both("main", library=library)

    def test_agent_dead(self):
        self.both("told", between=self._end_agent)

    def test_agent_stopped(self):
        self.both("told", between=self._stop_agent)

    def test_no_free_descriptors(self):
        self.both("no_descriptors")

    def test_every_descriptor_closed(self):
        self.both("closed")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_chroot(self):
        self.both("chroot")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_setuid_after_start(self):
        self.both("setuid")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_other_user(self):
        self.directory.chmod(0o755)
        self.both("main", user=NOBODY, group=NOBODY, extra_groups=[])

    def test_undumpable(self):
        self.both("undumpable")

    def test_seccomp(self):
        self.both("allow_list")
        self.both("allow_list", fault="divide")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_first_process(self):
        wrap = ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        for fault in ("null_write", "divide", "call_abort", "int3", "send_raise", "send_kill", "send_sigqueue", "none"):
            with self.subTest(fault):
                self.both("main", fault=fault, wrap=wrap)

    def test_yama(self):
        scope = Path("/proc/sys/kernel/yama/ptrace_scope")
        if not scope.exists():
            self.skipTest("this kernel has no Yama")
        self.both("main")


if __name__ == "__main__":
    unittest.main(verbosity=2)
