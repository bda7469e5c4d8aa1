# SPDX-License-Identifier: Apache-2.0
"""From a crash to what is known of it: the local report with the request in flight, the span that ends as an error with
the exception, whoever of the agent's processes dies meanwhile."""

import contextlib
import json
import os
import secrets
import signal
import time
import unittest

import processes
from crash_rows import STATUS_IS_TOLD
from harness import APPS, LAUNCHER, PATIENCE_S, PYTHON, STATUS_ERROR, ShimTest
from http_client import Connection, request_bytes
from processes import task_texts, wait_until

STATUS_IS_AWAITED_NS = 1_000_000_000  # by the agent: its parent may be slower


class CrashTest(ShimTest):
    """A server that crashes when it is asked to."""

    def start(self, **settings):
        server = self.run_program([APPS / "crash_server"], env=self.spanshim.env(OTEL_SERVICE_NAME="shop", **settings))
        return server, server.announced_port()

    @property
    def folder(self):
        return self.spanshim.state / "spanshim" / "crashes"

    def reports(self, count=1):
        """The local reports, when there are so many that are complete: then the log names them."""

        def look():
            found = [json.loads(path.read_text()) for path in sorted(self.folder.glob("*.json"))]
            log = self.spanshim.log()
            is_complete = all(f"spanshim crashes {report['uuid']}" in log for report in found)
            return found if len(found) >= count and is_complete else None

        found = wait_until(look, what=f"{count} reports; agent's log:\n{self.spanshim.log()}")
        self.assertEqual(count, len(found), found)
        return found

    def ask(self, port, path, fields=()):
        """Send a request that gets no answer; the connection, kept open."""
        connection = Connection(port)
        self.addCleanup(connection.close)
        connection.send(request_bytes("GET", path, fields=fields, host=connection.host))
        return connection

    def crash(self, path="/null", **settings):
        """A server that is asked for something, then for its crash: its process, its port, the trace of the crash."""
        server, port = self.start(**settings)
        with Connection(port) as connection:
            self.assertEqual(200, connection.request("GET", "/before?a=1").status)
            self.assertEqual(b"", connection.socket.recv(1))  # now its request has ended: another thread crashes
        trace = secrets.token_hex(16)
        self.ask(port, path, [("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01")])
        server.popen.wait(PATIENCE_S)
        return server, port, trace


class ReportTest(CrashTest):
    """One crash."""

    def test_names_the_request_and_the_place(self):
        server, port, trace = self.crash()
        waited_ns = time.time_ns()
        self.assertEqual(-signal.SIGSEGV, server.popen.returncode)
        report, = self.reports()
        self.assertEqual((1, "crash", "critical"), (report["version"], report["kind"], report["level"]))
        self.assertEqual("SIGSEGV", report["signal"]["name"])
        self.assertIn("write_to_null", report["title"])
        frames = report["threads"][0]["frames"]
        self.assertEqual(["write_to_null", "handle_request", "serve"], [frame["function"] for frame in frames[:3]])
        self.assertEqual("shop", report["service"]["name"])
        request = report["request"]
        self.assertEqual(("GET", f"http://localhost:{port}/null", trace, True),
                         (request["method"], request["url"], request["trace_id"], request["certain"]))
        self.assertEqual([trace], [one["trace_id"] for one in report["open_requests"]])
        before, = report["recent_requests"]
        self.assertEqual(("GET", "/before", 200), (before["method"], before["url"], before["status"]))
        if STATUS_IS_TOLD and waited_ns - report["time_unix_ns"] < STATUS_IS_AWAITED_NS:
            self.assertEqual(signal.SIGSEGV, report["exit"]["signal"])
        self.assertEqual(server.pid, report["process"]["pid"])
        self.assertLess(abs(report["time_unix_ns"] / 1e9 - time.time()), PATIENCE_S)

    def test_ends_the_span_with_the_exception(self):
        _, _, trace = self.crash()
        span, = [one for one in self.spans(2) if one["trace_id"] == trace]
        self.assertEqual(STATUS_ERROR, span["status"]["code"])
        self.assertEqual("SIGSEGV", span["attributes"]["error.type"])
        event, = span["events"]
        self.assertEqual("exception", event["name"])
        self.assertEqual("SIGSEGV", event["attributes"]["exception.type"])
        self.assertIn("null pointer", event["attributes"]["exception.message"])
        self.assertIn("write_to_null", event["attributes"]["exception.stacktrace"])

    def test_tells_other_open_requests(self):
        server, port = self.start()
        self.ask(port, "/hold")
        self.wait_for_requests(1)
        self.ask(port, "/divide")
        self.assertEqual(-signal.SIGFPE, server.popen.wait(PATIENCE_S))
        report, = self.reports()
        self.assertEqual("/divide", report["request"]["path"])
        self.assertEqual({"/hold", "/divide"}, {one["path"] for one in report["open_requests"]})
        spans = self.spans(2)
        self.assertEqual(["SIGFPE"] * 2, [span["attributes"]["error.type"] for span in spans])
        self.assertEqual([1], [len(span["events"]) for span in spans if span["attributes"]["url.path"] == "/divide"])
        self.assertEqual([0], [len(span["events"]) for span in spans if span["attributes"]["url.path"] == "/hold"])

    def test_is_kept_for_its_user_alone(self):
        self.crash("/abort")
        self.reports()
        path, = self.folder.iterdir()
        self.assertEqual((0o700, 0o600), (self.folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777))
        self.assertNotIn("XDG_STATE_HOME", path.read_text())

    def test_stands_in_the_tree_when_the_prompt_returns(self):
        env = dict(self.spanshim.env(preload=False, OTEL_TRACES_EXPORTER=None, OTEL_EXPORTER_OTLP_ENDPOINT=None))
        server = self.run_program([LAUNCHER, "run", "--", APPS / "crash_server"], env=env)
        self.ask(server.announced_port(), "/null")
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        self.assertIn("SIGSEGV", server.err.decode())

    def test_counts_in_the_status(self):
        self.crash()
        self.reports()
        crashes = wait_until(lambda: self.spanshim.status()["totals"]["crashes"], what="the counts")
        self.assertEqual((1, 0, 0), (crashes["read"], crashes["not_read"], crashes["deaths"]))
        self.assertGreater(crashes["held_max_ns"], 0)
        self.assertIn("crashes", self.spanshim.command("status").stdout)

    def test_disk_that_can_not_be_written(self):
        self.folder.parent.mkdir(parents=True)
        self.folder.write_text("in the way")
        _, _, trace = self.crash()
        self.assertIn(trace, [span["trace_id"] for span in self.spans(2)])
        self.assertEqual(1, self.spanshim.log().count("can't be kept on this machine"))

    def test_several_at_once(self):
        servers = [self.start() for _ in range(8)]
        for server, port in servers:
            self.ask(port, "/null", [("X-Server", str(server.pid))])
        for server, _ in servers:
            self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        found = self.reports(8)
        self.assertEqual({server.pid for server, _ in servers}, {report["process"]["pid"] for report in found})
        self.assertEqual({"write_to_null"}, {report["threads"][0]["frames"][0]["function"] for report in found})


class AgentDiesTest(CrashTest):
    """The crash must be told once, whoever dies."""

    def test_worker_is_killed_before(self):
        server, port = self.start()
        self.wait_for_processes(1)
        os.kill(self.spanshim.worker_pid, signal.SIGSTOP)
        self.ask(port, "/null")
        wait_until(lambda: self.is_waiting(server.pid), what="the crash")
        os.kill(self.spanshim.worker_pid, signal.SIGKILL)
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        report, = self.reports()
        self.assertEqual("SIGSEGV", report["signal"]["name"])
        self.assertEqual("/null", report["request"]["path"])

    def test_worker_is_killed_after(self):
        server, port = self.start()
        self.wait_for_processes(1)
        self.ask(port, "/null")
        server.popen.wait(PATIENCE_S)
        os.kill(self.spanshim.worker_pid, signal.SIGKILL)
        report, = self.reports()
        self.assertEqual("/null", report["request"]["path"])

    def test_helper_is_killed(self):
        server, port = self.start()
        self.wait_for_processes(1)
        helper, = processes.children(self.spanshim.worker_pid)
        os.kill(helper, signal.SIGKILL)
        self.ask(port, "/null")
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        report, = self.reports()
        self.assertEqual("/null", report["request"]["path"])
        wait_until(lambda: processes.children(self.spanshim.worker_pid), what="a new helper")

    def test_helper_is_killed_while_a_process_waits(self):
        """The next worker's helper reads it."""
        server, port = self.start(SPANSHIM_CRASH_TIMEOUT="20000")
        self.wait_for_processes(1)
        helper, = processes.children(self.spanshim.worker_pid)
        os.kill(helper, signal.SIGSTOP)
        self.ask(port, "/null")
        wait_until(lambda: self.is_waiting(server.pid), what="the crash")
        os.kill(helper, signal.SIGKILL)
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        report, = self.reports()
        self.assertEqual("/null", report["request"]["path"])
        self.assertEqual("write_to_null", report["threads"][0]["frames"][0]["function"])

    def test_reader_is_stopped(self):
        server, port = self.start(SPANSHIM_CRASH_TIMEOUT="2000")
        self.wait_for_processes(1)
        helper, = processes.children(self.spanshim.worker_pid)
        self.ask(port, "/null")
        wait_until(lambda: processes.children(helper) or list(self.folder.glob("*.json")), what="the reader",
                   interval=0.001)
        for reader in processes.children(helper):  # none when we were too late
            with contextlib.suppress(ProcessLookupError):
                os.kill(reader, signal.SIGSTOP)
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        self.reports()

    def test_agent_stands_still_when_the_program_starts(self):
        """It has not yet taken the ring, and is waited for all the same."""
        server, port = self.start()
        self.wait_for_processes(1)
        for pid in (self.spanshim.agent.pid, self.spanshim.worker_pid):
            os.kill(pid, signal.SIGSTOP)
            self.addCleanup(os.kill, pid, signal.SIGCONT)
        late, port = self.start()
        self.ask(port, "/null")
        wait_until(lambda: processes.age_s(late.pid) > 3, what="the crashed process's age")
        for pid in (self.spanshim.agent.pid, self.spanshim.worker_pid):
            os.kill(pid, signal.SIGCONT)
        self.assertEqual(-signal.SIGSEGV, late.popen.wait(PATIENCE_S))
        report, = self.reports()
        self.assertEqual("/null", report["request"]["path"])
        self.assertEqual("write_to_null", report["threads"][0]["frames"][0]["function"])
        self.assertIsNone(server.popen.poll())

    def test_agent_is_gone(self):
        server, port = self.start(SPANSHIM_CRASH_TIMEOUT="300")
        self.wait_for_processes(1)
        self.spanshim.kill()
        self.ask(port, "/null")
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))

    def wait_for_processes(self, count):
        """Until the agent knows so many processes."""
        wait_until(lambda: len(self.spanshim.status()["processes"]) >= count, what=f"{count} processes")

    def is_waiting(self, pid):
        """Does a thread wait for the agent, in the kernel's futex?"""
        return "202" in [text.split()[0] for text in task_texts(pid, "syscall")]


class DeathTest(CrashTest):
    """Deaths without a handler."""

    def test_kill_is_told(self):
        server, port = self.start()
        self.ask(port, "/hold")
        self.wait_for_requests(1)
        server.popen.send_signal(signal.SIGKILL)
        server.popen.wait(PATIENCE_S)
        span, = self.spans(1)
        self.assertEqual(STATUS_ERROR, span["status"]["code"])
        if not STATUS_IS_TOLD:
            self.skipTest("this kernel doesn't tell how processes ended (6.15 does)")
        report, = self.reports()
        self.assertEqual(("death", "SIGKILL"), (report["kind"], report["signal"]["name"]))
        self.assertEqual(["/hold"], [one["path"] for one in report["open_requests"]])

    def test_what_a_service_manager_kills_in_the_end_is_not(self):
        program = ("import os, signal, socket, time\ns = socket.create_server(('127.0.0.1', 0))\n"
                   "if os.fork() == 0:\n    socket.create_connection(s.getsockname())\n    print('port 1', os.getpid(), flush=True)\n"
                   "time.sleep(600)")
        main = self.run_program([PYTHON, "-c", program])
        main.announced_port()
        child = int(main.out.split()[2])
        wait_until(lambda: len(self.spanshim.status()["processes"]) >= 2, what="both processes")
        main.popen.terminate()
        main.popen.wait(PATIENCE_S)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)  # ours, as an orphan
        self.crash()
        report, = self.reports()
        self.assertEqual("crash", report["kind"])

    def test_who_changed_its_user_dies_once(self):
        if os.geteuid() != 0:
            self.skipTest("only root can change its user")
        for number in (signal.SIGKILL, signal.SIGSEGV):
            program = ("import os, socket; s = socket.create_server(('127.0.0.1', 0)); os.setuid(65534); "
                       f"socket.create_connection(s.getsockname()); os.kill(os.getpid(), {int(number)})")
            dead = self.run_program([PYTHON, "-c", program])
            self.assertEqual(-number, dead.popen.wait(PATIENCE_S))
        server, _, _ = self.crash()
        count = 3 if STATUS_IS_TOLD else 2  # or nobody tells of SIGKILL
        found = self.reports(count)
        self.assertEqual(count, len({report["process"]["pid"] for report in found}))
        self.assertIn(server.pid, {report["process"]["pid"] for report in found})

    def test_becoming_another_program_is_no_death(self):
        program = ("import os, socket; s = socket.create_server(('127.0.0.1', 0)); "
                   f"os.execv({str(APPS / 'crash_server')!r}, ['crash_server'])")
        server = self.run_program([PYTHON, "-c", program])
        self.ask(server.announced_port(), "/null")
        self.assertEqual(-signal.SIGSEGV, server.popen.wait(PATIENCE_S))
        report, = self.reports()
        self.assertEqual("crash", report["kind"])

    def test_ordinary_ends_are_not(self):
        for count, number in enumerate((signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGPIPE), 1):
            server, port = self.start()
            self.ask(port, "/hold")
            self.wait_for_requests(count)
            server.popen.send_signal(number)
            server.popen.wait(PATIENCE_S)
        self.assertEqual(4, len(self.spans(4)))
        self.crash()
        report, = self.reports()  # which came after those
        self.assertEqual("crash", report["kind"])


class CommandTest(CrashTest):
    """`spanshim crashes`."""

    def test_lists_and_shows(self):
        empty = self.spanshim.command("crashes")
        self.assertEqual((0, ""), (empty.returncode, empty.stdout))
        self.assertIn("no crash was reported", empty.stderr)
        _, _, trace = self.crash()
        report, = self.reports()
        listed = self.spanshim.command("crashes").stdout
        for text in ("shop", report["title"], report["uuid"]):
            self.assertIn(text, listed)
        for name in ("last", report["uuid"], report["uuid"][:8]):
            shown = self.spanshim.command("crashes", name)
            self.assertEqual(0, shown.returncode, shown.stderr)
            for text in (report["title"], trace, "/null", "write_to_null", "rip", "GET /before"):
                self.assertIn(text, shown.stdout)
            self.assertNotIn("\033", shown.stdout)
        self.assertEqual(report, json.loads(self.spanshim.command("crashes", "--json", "last").stdout))
        self.assertEqual([report], [json.loads(line) for line in
                                    self.spanshim.command("crashes", "--json").stdout.splitlines()])

    def test_errors(self):
        for arguments, status in ((["no-such"], 1), (["last"], 1), (["--wrong"], 2), (["a", "b"], 2)):
            failed = self.spanshim.command("crashes", *arguments)
            self.assertEqual((status, ""), (failed.returncode, failed.stdout))
            self.assertTrue(failed.stderr.startswith("spanshim: "), failed.stderr)
        self.folder.mkdir(parents=True)
        (self.folder / f"{'0' * 36}.json").write_text("{")
        failed = self.spanshim.command("crashes")
        self.assertEqual(1, failed.returncode)
        self.assertIn("is no report", failed.stderr)

    def test_odd_files(self):
        self.folder.mkdir(parents=True)
        (self.folder / "link.json").symlink_to("/dev/zero")
        (self.folder / "folder.json").mkdir()
        os.mkfifo(self.folder / "fifo.json")
        with open(self.folder / "long.json", "wb") as file:
            file.truncate(1 << 40)
        failed = self.spanshim.command("crashes")
        self.assertEqual((1, ""), (failed.returncode, failed.stdout))
        self.assertEqual(2, failed.stderr.count("no file"), failed.stderr)
        self.assertIn("long.json: File too large", failed.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
