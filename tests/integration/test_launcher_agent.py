# SPDX-License-Identifier: Apache-2.0
"""The launcher and its agent: when one is started and how, what it is told and asked, what its log shows."""

import json
import os
import subprocess
import sys
import time
import unittest

from launcher import LIBRARY, LauncherTest
from processes import PATIENCE_S, wait_until


class AgentTest(LauncherTest):
    def test_nothing_to_export_starts_no_agent(self):
        self.run_program("true")
        self.run_program("true", OTEL_TRACES_EXPORTER=None, OTEL_SDK_DISABLED="true")
        self.assertFalse(self.runtime.exists())

    def test_agent_is_started_once_and_clean(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        os.set_inheritable(write, True)
        self.env.update(OTEL_TRACES_EXPORTER="otlp", HONEYCOMB_API_KEY="secret", LD_PRELOAD="libm.so.6",
                        OTEL_EXPORTER_OTLP_HEADERS="key=secret", HOME="/home/x")
        for _ in range(2):
            result = subprocess.run(self.argv("run", "--", "true"), env=self.env, close_fds=False, timeout=PATIENCE_S, check=False)
            self.assertEqual(result.returncode, 0)
        started = json.loads((self.runtime / "started").read_text())
        self.assertEqual(started["environment"]["HOME"], "/home/x")
        self.assertEqual(started["environment"]["SPANSHIM_RUNTIME_DIR"], str(self.runtime))
        self.assertNotIn("secret", json.dumps(started["environment"]))
        self.assertNotIn("LD_PRELOAD", started["environment"])
        self.assertEqual(started["descriptors"], ["0", "1", "2", "3"])  # 3: the listing itself
        self.assertEqual(self.messages(), [])

    def test_program_has_no_child_it_did_not_make(self):
        program = "import os\ntry: print(os.wait())\nexcept ChildProcessError: print('none')"
        result = self.run_program("/usr/bin/python3", "-c", program, OTEL_TRACES_EXPORTER="otlp")
        self.assertEqual(result.stdout, "none\n")

    def test_agent_that_refuses_costs_one_line(self):
        times = []
        for _ in range(3):
            started = time.monotonic()
            result = self.run_program("sh", "-c", "exit 4", OTEL_TRACES_EXPORTER="otlp", LOGNAME="refused")
            times.append(time.monotonic() - started)
            self.assertEqual(result.returncode, 4)
            self.assertEqual(len(result.stderr.splitlines()), 1)
            self.assertIn("refused for a test", result.stderr)
        self.assertLess(min(times), 1.5, "it is not waited for until the launcher's own limit, 10 s")

    def test_agent_that_takes_its_time_is_waited_for(self):
        """As on a busy machine."""
        result = self.run_program("sh", "-c", "exit 4", OTEL_TRACES_EXPORTER="otlp", LOGNAME="slow")
        self.assertEqual((4, ""), (result.returncode, result.stderr))

    def test_agent_that_is_missing_costs_one_line(self):
        (self.bin / "spanshim-agent").unlink()
        result = self.run_program("sh", "-c", "exit 4", OTEL_TRACES_EXPORTER="otlp")
        self.assertEqual(result.returncode, 4)
        self.assertEqual(len(result.stderr.splitlines()), 1)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_socket_of_another_user_is_not_used(self):
        self.runtime.mkdir(mode=0o777)
        os.chmod(self.runtime, 0o777)
        os.chmod(self.folder, 0o755)
        os.chmod(self.bin, 0o755)
        path = self.runtime / "agent.sock"
        squatter = subprocess.Popen(
            ["/usr/bin/python3", "-c", "import socket, sys\ns = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
             "s.bind(sys.argv[1])\ns.listen()\nprint(flush=True)\nsys.stdin.read()", path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, preexec_fn=lambda: os.setresuid(65534, 65534, 65534))
        squatter.stdout.readline()
        os.chmod(path, 0o777)
        result = self.run_program("sh", "-c", "exit 4", OTEL_TRACES_EXPORTER="otlp")
        status = self.run_command("status")
        squatter.communicate(timeout=PATIENCE_S)
        self.assertEqual(result.returncode, 4)
        self.assertIn("another user", result.stderr)
        self.assertEqual(len(result.stderr.splitlines()), 1)
        self.assertEqual(status.returncode, 1)
        self.assertIn("another user", status.stderr)

    def test_console_is_the_default_and_lends_standard_error(self):
        self.plan(console={"print": "a tree\n"})
        result = self.run_program("sh", "-c", "echo out; echo $SPANSHIM_EXPORTERS $SPANSHIM_SESSION", OTEL_TRACES_EXPORTER=None)
        out, (exporters, session) = result.stdout.splitlines()[0], result.stdout.splitlines()[1].split()
        self.assertEqual((out, exporters, result.stderr), ("out", "console", "a tree\n"))
        self.assertRegex(session, "^[0-9a-f]{32}$")
        barrier, console = sorted(self.messages(), key=lambda message: message["type"])  # they are told on two connections
        self.assertEqual((True, "barrier"), (barrier["ok"], barrier["type"]))
        self.assertEqual((True, "console", 1), (console["ok"], console["type"], console["descriptors"]))
        self.assertEqual(console["text"], ["eSPANSHIM_SESSION=" + session])

    def test_each_console_is_a_session_of_its_own(self):
        sessions = [self.run_program("printenv", "SPANSHIM_SESSION", OTEL_TRACES_EXPORTER="console",
                                     SPANSHIM_SESSION="of a launcher further out").stdout for _ in range(2)]
        self.assertNotEqual(*sessions)
        self.assertNotIn("further", "".join(sessions))

    def test_command_substitution_returns_at_once(self):
        def run():
            """How long it took."""
            started = time.monotonic()
            result = self.run_program("true", OTEL_TRACES_EXPORTER=None)
            self.assertEqual((result.returncode, result.stdout, result.stderr), (0, "", ""))
            return time.monotonic() - started

        run()  # with the agent's start
        wait_until(lambda: run() < 0.3, what="one that returns at once: on a busy machine others take longer")

    def test_a_console_that_does_not_end_can_be_interrupted(self):
        self.plan(console={"delay": 3600})
        self.env["OTEL_TRACES_EXPORTER"] = "console"
        process = self.start("run", "--", "sh", "-c", "echo; exit 3")
        process.stdout.readline()
        wait_until((self.runtime / "console-waits").exists, what="the program's end, and the wait's begin")
        process.terminate()
        self.assertEqual(process.wait(timeout=PATIENCE_S), 3)

    def test_console_to_a_file_keeps_the_pid(self):
        result = self.run_program("sh", "-c", "echo $PPID", OTEL_TRACES_EXPORTER=None,
                                  SPANSHIM_CONSOLE=str(self.folder / "traces"))
        self.assertEqual(result.stdout, f"{os.getpid()}\n")
        self.assertEqual(self.messages(), [])

    def test_init_waits_for_delivery(self):
        self.plan(flush={"delay": 0.2})
        started = time.monotonic()
        result = self.run_command("run", "--init", "--", "sh", "-c", "exit 5", OTEL_TRACES_EXPORTER="otlp")
        self.assertGreaterEqual(time.monotonic() - started, 0.2)
        self.assertEqual(result.returncode, 5)
        self.assertEqual([message["type"] for message in self.messages()], ["flush"])

    def test_init_says_what_was_not_delivered(self):
        self.plan(flush={"answer": {"result": "failed", "exported": 0, "failed": 1, "errors": ["otlp: nothing listens"]}})
        result = self.run_command("run", "--init", "--", "sh", "-c", "exit 5", OTEL_TRACES_EXPORTER="otlp")
        self.assertEqual(result.returncode, 5)
        self.assertIn("nothing listens", result.stderr)

    def test_init_gives_up_after_its_timeout(self):
        self.plan(flush={"delay": 30})
        result = self.run_command("run", "--init", "--", "sh", "-c", "exit 5", OTEL_TRACES_EXPORTER="otlp",
                                  SPANSHIM_INIT_TIMEOUT="100")
        self.assertEqual(result.returncode, 5)
        self.assertIn("SPANSHIM_INIT_TIMEOUT", result.stderr)

    def test_flush_answers_by_its_status(self):
        self.assertEqual(self.run_command("flush").returncode, 0)  # nobody is there
        self.run_program("true", OTEL_TRACES_EXPORTER="otlp")
        self.plan(flush={"answer": {"result": "ok", "exported": 3, "failed": 0, "errors": []}})
        self.assertEqual(self.run_command("flush").returncode, 0)
        self.plan(flush={"answer": {"result": "failed", "exported": 3, "failed": 2, "errors": ["otlp: connection refused"]}})
        result = self.run_command("flush")
        self.assertEqual(result.returncode, 1)
        self.assertIn("3 exported, 2 not", result.stderr)
        self.assertIn("connection refused", result.stderr)
        self.plan(flush={"delay": 30})
        self.assertEqual(self.run_command("flush", "--timeout", "0").returncode, 1)

    def test_an_empty_key_is_one_clear_line(self):
        result = self.run_program("true", OTEL_TRACES_EXPORTER="otlp", HONEYCOMB_API_KEY="")
        self.assertEqual((result.returncode, result.stderr.count("\n")), (0, 1))
        self.assertIn("HONEYCOMB_API_KEY is empty: set it to a key", result.stderr)

    def test_status_is_a_table_without_control_characters(self):
        exporter = {"name": "otlp", "target": "http://c:4318/v1/traces", "state": "retrying", "queued": 7, "spooled": 5,
                    "oldest_s": 7300, "exported": 12, "retries": 2, "dropped": {"queue_full": 0, "rejected": 3}, "failing": True,
                    "last_error": "401: the header x-honeycomb-team is empty"}
        answer = {"agent": {"pid": 1, "version": "0.1.0", "uptime_s": 3720, "rss_bytes": 8000000},
                  "processes": [{"pid": 4711, "service": "sh\u001b[31mop\u00e9", "since": "2026-01-01T00:00:00Z",
                                 "executable": "/usr/sbin/nginx"}],
                  "totals": {"counts": {"requests": 20, "taken": 15}, "dropped": {"ring_full": 5, "no_slot": 0}},
                  "destinations": [{"programs": 1, "exporters": [exporter]}],
                  "spool": {"folder": "/s", "dropped": 4, "problem": "the disk is\u001b[31m full",
                            "waiting": [{"name": "otlp", "target": "http://d", "queued": 9, "bytes": 999, "oldest_s": 130}]}}
        self.run_program("true", OTEL_TRACES_EXPORTER="otlp")
        self.plan(status={"answer": answer})
        result = self.run_command("status")
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        self.assertNotIn("\x1b", result.stdout)
        lines = [" ".join(line.split()) for line in result.stdout.splitlines()]
        self.assertIn("4711 sh?[31mop\u00e9 2026-01-01T00:00:00Z /usr/sbin/nginx", lines)
        self.assertIn("otlp http://c:4318/v1/traces retrying 7 5 2 h 12 2 3 rejected", lines)
        self.assertIn("otlp http://d 9 999 2 min", lines)
        self.assertIn("4 dropped: no program with their settings came in time", lines)
        self.assertIn("the disk is?[31m full", lines)
        self.assertIn("otlp fails: 401: the header x-honeycomb-team is empty", lines)
        self.assertTrue(any(line.startswith("5 ring_full the ring was full") for line in lines), result.stdout)
        self.assertFalse(any("no_slot" in line for line in lines))
        self.assertEqual(json.loads(self.run_command("status", "--json").stdout), answer)

    def test_stop_ends_the_agent(self):
        self.run_program("true", OTEL_TRACES_EXPORTER="otlp")
        self.assertEqual(self.run_command("stop").returncode, 0)
        self.assertEqual(self.run_command("status").returncode, 1)


class LogTest(LauncherTest):
    def setUp(self):
        super().setUp()
        self.log = self.folder / "state" / "spanshim" / "agent.log"
        self.log.parent.mkdir(parents=True)
        self.env["XDG_STATE_HOME"] = str(self.folder / "state")

    def test_log_shows_the_last_lines(self):
        self.log.write_text("".join(f"line {n}\n" for n in range(2000)))
        self.assertEqual(self.run_command("log", "-n", "2").stdout, "line 1998\nline 1999\n")
        self.assertEqual(len(self.run_command("log").stdout.splitlines()), 50)
        self.assertEqual(len(self.run_command("log", "-n", "0").stdout.splitlines()), 2000)
        self.assertEqual(len(self.run_command("log", "-n", "9999").stdout.splitlines()), 2000)

    def test_log_that_is_not_there_is_no_error(self):
        result = self.run_command("log")
        self.assertEqual(result.returncode, 0)
        self.assertIn("no agent has written a log", result.stderr)

    def test_log_is_followed_across_a_rotation(self):
        self.log.write_text("one\n")
        process = self.start("log", "-f")
        self.assertEqual(process.stdout.readline(), "one\n")
        with open(self.log, "a", encoding="utf-8") as log:
            log.write("two\n")
        self.assertEqual(process.stdout.readline(), "two\n")
        self.log.rename(self.log.with_suffix(".log.1"))
        self.log.write_text("three\n")
        self.assertEqual(process.stdout.readline(), "three\n")


if __name__ == "__main__":
    if not LIBRARY.exists():
        sys.exit(f"{LIBRARY} is not built")
    unittest.main()
