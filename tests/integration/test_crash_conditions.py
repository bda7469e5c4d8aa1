# SPDX-License-Identifier: Apache-2.0
"""Crashes in circumstances that leave less to be known, and none that may change how the process dies. REQUIRED says what
the report has to have all the same."""

import os
import shutil
import signal
import unittest
from pathlib import Path

import crash_rows
import crash_runs
import servers
from harness import AGENT, APPS, BARE, LIBRARY, ShimTest, Traffic, preload_environment
from processes import Process, cpu_seconds, wait_until

TIMEOUT_MS = 300  # for which a dying process waits for an agent that does not answer
NOBODY, ANNE = 65534, 61236
FULL_AFTER_S = 0.5  # of a server's work: far more requests than its ring holds

# What a report has when nothing stands in the way ...
WHOLE = ("signal.name", "signal.cause", "title", "process.executable", "process.argv", "threads.0.registers",
         "threads.0.frames.2.function", "threads.0.frames.0.build_id", "modules.0.path")
# ... when only what the process itself wrote is left of it ...
WRITTEN = ("signal.name", "signal.cause", "title", "threads.0.registers", "threads.0.frames.0.address")
# ... and when there is nothing but its wait status.
ENDED = ("exit.signal", "title", "process.pid")

# condition -> fields of its report, or None: there is none
REQUIRED = {
    "no agent": None,
    "agent dead": None,
    "worker dead": WRITTEN,
    "agent stopped": WRITTEN,
    "ring full": WRITTEN,
    "no descriptors": WHOLE,
    "every descriptor closed": WHOLE,
    "chroot": WHOLE,
    "setuid": WHOLE,
    "other user": None,  # has no agent: this one is another user's
    "undumpable": WHOLE,
    "undumpable, ordinary user": (*WRITTEN, "threads.0.frames.2.function"),
    "seccomp": ENDED if crash_rows.STATUS_IS_TOLD else None,
    "first process": WHOLE,
}


def field(report, path):
    """A value by its dotted path; None when it isn't there."""
    for key in path.split("."):
        if isinstance(report, list):
            report = report[int(key)] if int(key) < len(report) else None
        else:
            report = report.get(key) if report else None
    return report


class ConditionTest(ShimTest):
    """Each runs bare and shimmed, and ends alike."""

    def both(self, condition, fault="null_write", wrap=(), between=None, library=LIBRARY, **options):
        """Run under this condition, bare and shimmed. `between` happens to the shimmed run, before its crash."""
        argv = [*wrap, str(APPS / "crasher"), *["-w"][:bool(between)], fault, condition]
        env = self.spanshim.env(preload=False, SPANSHIM_CRASH="always", SPANSHIM_COMMAND_ARGS="true")
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

    def check_reports(self, condition, count=1):
        """The fields are there, in so many reports."""
        if REQUIRED[condition] is None or BARE:
            self.assertEqual([], self.spanshim.crashes())
            return
        self._check_fields(condition, self.reports(count), count)

    def _check_fields(self, condition, reports, count=1):
        wanted = REQUIRED[condition]
        self.assertEqual(count, len(reports), [report["title"] for report in reports])
        for report in reports:
            self.assertEqual([], [path for path in wanted if not field(report, path)], report)

    def expect_no_answer(self):
        """The dying process waits for its agent in vain."""
        self.spanshim.settings["SPANSHIM_CRASH_TIMEOUT"] = str(TIMEOUT_MS)

    def _await_agent(self, pid):
        wait_until(lambda: self.spanshim.knows(pid), what="the agent knows it")

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

    def _continue_agent(self):
        for pid in (self.spanshim.agent.pid, self.spanshim.worker_pid):
            self._continue(pid)

    def test_no_agent(self):
        place = self.directory / "alone"
        place.mkdir()
        library = Path(shutil.copy(LIBRARY, place))  # no agent beside it that it could start
        self.spanshim.stop()
        wait_until(lambda: not (self.spanshim.runtime / "agent.sock").exists(), what="the agent's end")
        self.both("main", library=library)
        self.check_reports("no agent")

    def test_agent_dead(self):
        self.expect_no_answer()
        self.both("main", between=self._end_agent)
        self.check_reports("agent dead")

    def test_worker_dead(self):
        self.expect_no_answer()
        self.both("main", between=lambda _pid: os.kill(self.spanshim.worker_pid, signal.SIGKILL))
        self.check_reports("worker dead")

    def test_agent_stopped(self):
        self.expect_no_answer()
        self.both("main", between=self._stop_agent)
        self._continue_agent()
        self.check_reports("agent stopped")

    def test_ring_full(self):
        self.needs_spans()
        server, port = servers.httpd(self, env=self.spanshim.env(SPANSHIM_CRASH_TIMEOUT=TIMEOUT_MS))
        traffic = Traffic(port)
        traffic.once("GET", "/size/1")
        self.spans(1)
        self._stop_agent(None)
        load = servers.Load(self, port, 4, 60_000)
        wait_until(lambda: cpu_seconds(server.pid) > FULL_AFTER_S, what="thousands of requests")
        os.kill(server.pid, signal.SIGSEGV)
        load.finish()
        self.assertEqual(-signal.SIGSEGV, server.wait())
        self._continue_agent()
        self.check_reports("ring full")
        self.assertGreater(self.spanshim.status()["totals"]["dropped"]["ring_full"], 0)

    def test_no_free_descriptors(self):
        self.both("no_descriptors")
        self.check_reports("no descriptors")

    def test_every_descriptor_closed(self):
        self.both("closed")
        self.check_reports("every descriptor closed")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_chroot(self):
        self.both("chroot")
        self.check_reports("chroot")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_setuid_after_start(self):
        self.both("setuid")
        self.check_reports("setuid")

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_other_user(self):
        self.directory.chmod(0o755)
        self.both("main", user=NOBODY, group=NOBODY, extra_groups=[])
        self.check_reports("other user")

    def test_undumpable(self):
        self.both("undumpable")
        self.check_reports("undumpable")

    def test_seccomp(self):
        for fault in ("null_write", "divide"):
            self.both("allow_list", fault=fault, between=self._await_agent)
        self.check_reports("seccomp", 2)

    @unittest.skipIf(os.geteuid(), "only root may")
    def test_first_process(self):
        wrap = ["/usr/bin/unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
        for fault in ("send_raise", "send_kill", "send_sigqueue", "none"):  # sent signals don't kill it
            with self.subTest(fault):
                self.assertEqual("status 0", self.both("main", fault=fault, wrap=wrap).end)
        faults = ("null_write", "divide", "call_abort")
        for fault in faults:
            with self.subTest(fault):
                self.both("main", fault=fault, wrap=wrap)
        self.check_reports("first process", len(faults))

    @unittest.skipIf(os.geteuid(), "only root can become another user")
    def test_undumpable_for_an_ordinary_user(self):
        self.needs_spans()
        self.spanshim.stop()
        user = {"user": ANNE, "group": ANNE, "extra_groups": []}
        for path in (self.directory, *self.directory.rglob("*")):
            os.chown(path, ANNE, ANNE)
        log = self.directory / "anne.log"
        self.spanshim.agent = Process([str(AGENT), "--stay", "--log", str(log)], self.directory, self.spanshim.base_env(),
                                      name="anne", **user)
        wait_until(lambda: log.exists() and "listens at" in log.read_text(), what="the agent")
        self.both("undumpable", **user)
        self._check_fields("undumpable, ordinary user", wait_until(self.spanshim.crashes, what="the report"))

    def test_yama(self):
        scope = Path("/proc/sys/kernel/yama/ptrace_scope")
        if not scope.exists():
            self.skipTest("this kernel has no Yama")
        self.both("main")


if __name__ == "__main__":
    unittest.main(verbosity=2)
