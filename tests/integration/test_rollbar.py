# SPDX-License-Identifier: Apache-2.0
"""Messages to Rollbar (`spanshim report`), and what becomes of them by each answer of a stand-in: taken once in the end,
held, dropped and counted, trimmed; the token is nowhere but in the header."""

import collections
import json
import os
import secrets
import shutil
import signal
import subprocess
import unittest
from pathlib import Path

import servers
from harness import APPS, LAUNCHER, PATIENCE_S, ShimTest, Traffic
from http_client import request_bytes
from processes import wait_until
from rollbar_sink import TOKEN, RollbarSink


class RollbarTest(ShimTest):
    """A stand-in beside the agent."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.rollbar = RollbarSink()
        self.addCleanup(self.rollbar.close)

    def report(self, *arguments, launcher=LAUNCHER, **settings):
        """Run `spanshim report`."""
        env = self.spanshim.base_env()
        env.update(ROLLBAR_ACCESS_TOKEN=TOKEN, ROLLBAR_ENDPOINT=self.rollbar.endpoint, OTEL_SERVICE_NAME="shop")
        for name, value in settings.items():
            env[name] = str(value)
        return subprocess.run([str(launcher), "report", *arguments], env=env, cwd=self.directory, capture_output=True,
                              text=True, timeout=2 * PATIENCE_S, check=False)

    def sent(self, *arguments, **settings):
        """Send a message that arrives: the item's data."""
        result = self.report(*arguments, **settings)
        self.assertEqual((0, ""), (result.returncode, result.stderr))
        items = self.rollbar.wait_for(1)
        self.assertEqual([result.stdout.strip()], [item["uuid"] for item in items])
        self.assertEqual([], self.rollbar.violations)
        return items[0]

    def destination(self):
        """What the status says of the destination rollbar; {}: there is none yet."""
        for destinations in self.spanshim.status()["destinations"]:
            for exporter in destinations["exporters"]:
                if exporter["name"] == "rollbar":
                    return exporter
        return {}

    def log_lines(self, text):
        """The agent's lines about the destination that have this in them."""
        return [line for line in self.spanshim.log().splitlines() if "rollbar: " in line and text in line]


class MessageTest(RollbarTest):
    """What an item says, and what the command says."""

    def test_item(self):
        item = self.sent("--level", "warning", "Hello World!")
        self.assertEqual({"message": {"body": "Hello World!"}}, item["body"])
        self.assertEqual(("warning", "production", "linux", "shop"),
                         (item["level"], item["environment"], item["platform"], item["framework"]))
        self.assertEqual(str(self.directory), item["server"]["root"])
        self.assertEqual(os.uname().nodename, item["server"]["host"])
        self.assertNotIn("title", item)
        self.assertNotIn("fingerprint", item)

    def test_settings(self):
        attributes = "deployment.environment.name=staging,service.version=1.2"
        item = self.sent("-l", "debug", "--title", "A title", "text", OTEL_RESOURCE_ATTRIBUTES=attributes)
        self.assertEqual(("staging", "1.2", "A title", "debug"),
                         (item["environment"], item["code_version"], item["title"], item["level"]))

    def test_settings_of_rollbar_win(self):
        attributes = "deployment.environment.name=staging,service.version=1.2"
        item = self.sent("text", OTEL_RESOURCE_ATTRIBUTES=attributes, ROLLBAR_ENVIRONMENT="qa", ROLLBAR_CODE_VERSION="2",
                         ROLLBAR_ROOT="/src", ROLLBAR_ENDPOINT=self.rollbar.url)
        self.assertEqual(("qa", "2", "/src", "info"),
                         (item["environment"], item["code_version"], item["server"]["root"], item["level"]))

    def test_env_file(self):
        (self.directory / "settings").write_text(f"ROLLBAR_ENVIRONMENT=filed\nROLLBAR_ACCESS_TOKEN={'f' * 32}\n")
        item = self.sent("--env-file", "settings", "text")
        self.assertEqual("filed", item["environment"])

    def test_secrets_are_left_out(self):
        item = self.sent("login of https://u:pw@h/?token=abc failed: password=hunter2")
        self.assertEqual("login of https://REDACTED:REDACTED@h/?token=REDACTED failed: password=REDACTED",
                         item["body"]["message"]["body"])

    def test_text_that_is_no_text(self):
        env = dict(self.spanshim.base_env(), ROLLBAR_ACCESS_TOKEN=TOKEN, ROLLBAR_ENDPOINT=self.rollbar.endpoint)
        subprocess.run([str(LAUNCHER).encode(), b"report", b"a\xff\n\x01\"b"], env=env, check=True, capture_output=True)
        item, = self.rollbar.wait_for(1)
        self.assertEqual("a\ufffd\n\x01\"b", item["body"]["message"]["body"])
        self.assertEqual([], self.rollbar.violations)

    def test_no_token(self):
        result = self.report("text", ROLLBAR_ACCESS_TOKEN="")
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        self.assertIn("set ROLLBAR_ACCESS_TOKEN", result.stderr)
        self.assertIn("OTEL_SDK_DISABLED", self.report("text", OTEL_SDK_DISABLED="true").stderr)

    def test_proxy(self):
        self.rollbar.path = "http://rollbar.example/api/1/item/"
        self.sent("text", ROLLBAR_ENDPOINT="http://rollbar.example/api/1", HTTP_PROXY=self.rollbar.url)

    def test_unknown_host(self):
        result = self.report("text", ROLLBAR_ENDPOINT="http://rollbar.invalid")
        self.assertEqual(0, result.returncode)
        self.assertRegex(result.stderr, "not sent yet: .*no answer from http://rollbar.invalid/api/1/item/: ")

    def test_wrong_usage(self):
        for arguments in ((), ("",), ("one", "two"), ("--level", "high", "text"), ("--nonsense", "text")):
            result = self.report(*arguments)
            self.assertEqual((2, ""), (result.returncode, result.stdout), arguments)
            self.assertTrue(result.stderr, arguments)
        self.assertEqual(1, self.report("x" * 40000).returncode)
        self.assertEqual([], self.rollbar.requests)

    def test_agent_is_started(self):
        self.spanshim.stop()
        self.sent("text")
        self.assertEqual(0, self.spanshim.command("stop").returncode)

    def test_no_agent(self):
        self.spanshim.stop()
        launcher = shutil.copy(LAUNCHER, self.directory / "spanshim")  # and no agent beside it
        result = self.report("text", launcher=launcher)
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        self.assertIn("spanshim-agent is not beside spanshim", result.stderr)
        self.assertIn("not sent: no agent can be reached", result.stderr)


class DeliveryTest(RollbarTest):
    """Each answer of Rollbar's."""

    def kept(self, mode, reason, **options):
        """Send a message that is not taken now: its uuid."""
        self.rollbar.set_mode(mode, **options)
        result = self.report("text")
        self.assertEqual(0, result.returncode, result.stderr)
        self.assertRegex(result.stderr, f"not sent yet: .*{reason}")
        self.assertEqual([], self.rollbar.items)
        return result.stdout.strip()

    def arrives(self, uuid):
        """Rollbar is well again: the item is taken, once, by the uuid that it had from the first."""
        self.rollbar.set_mode("ok")
        items = self.rollbar.wait_for(1)
        self.assertTrue(self.spanshim.flush())
        self.assertEqual([uuid], [item["uuid"] for item in items])
        self.assertEqual({uuid}, {request["uuid"] for request in self.rollbar.requests})
        self.assertEqual(1, len([request for request in self.rollbar.requests if request["status"] == 200]))
        self.assertEqual([], self.rollbar.violations)
        self.assertEqual((1, 0), (self.destination()["exported"], sum(self.destination()["dropped"].values())))

    def test_their_own_problems(self):
        for mode in ("500", "502", "503"):
            with self.subTest(mode):
                self.rollbar.items.clear()
                self.rollbar.requests.clear()
                uuid = self.kept(mode, f"{mode}: .* has a problem of its own")
                self.rollbar.set_mode("ok")
                self.assertEqual(uuid, self.rollbar.wait_for(1)[0]["uuid"])

    def test_nobody_there(self):
        self.arrives(self.kept("refuse", "no answer from"))

    def test_closed_without_answer(self):
        self.arrives(self.kept("close", "no answer from"))

    def test_garbage(self):
        self.arrives(self.kept("garbage", "no answer from"))

    def test_no_answer(self):
        uuid = self.kept("hang", "did not answer in time")
        self.rollbar.set_mode("refuse")  # ends what hangs
        self.arrives(uuid)

    def test_slow(self):
        self.rollbar.set_mode("slow", delay=1)
        self.sent("text")

    def test_answer_of_somebody_else(self):
        """A page of a proxy is no "taken"."""
        for mode in ("html", "empty"):
            with self.subTest(mode):
                self.rollbar.items.clear()
                uuid = self.kept(mode, "does not answer as Rollbar does")
                self.rollbar.set_mode("ok")
                self.assertEqual(uuid, self.rollbar.wait_for(1)[0]["uuid"])

    def test_too_many(self):
        uuid = self.kept("429", "429: Rollbar's limit of items is reached; the next attempt is in 2 s", remaining_s=2)
        self.arrives(uuid)
        times = [request["time"] for request in self.rollbar.requests]
        self.assertGreaterEqual(min(later - earlier for earlier, later in zip(times, times[1:])), 1.9)

    def test_too_many_until(self):
        self.kept("429", "the next attempt is in 300 s", reset=4102444800)
        self.assertEqual("retrying", self.destination()["state"])

    def test_wrong_token(self):
        """It is said once, and nothing is sent until the hold is over; a person's new attempt is made at once."""
        self.rollbar.token = "f" * 32
        first = self.kept("ok", "403: the token is not accepted: ROLLBAR_ACCESS_TOKEN")
        self.assertEqual("retrying", self.destination()["state"])
        self.assertEqual(1, len(self.rollbar.requests))
        second = self.kept("401", "the token is not accepted")
        self.assertEqual(1, len(self.log_lines("403: the token")))
        self.rollbar.token = TOKEN
        self.rollbar.set_mode("ok")
        self.assertTrue(self.spanshim.flush())
        self.assertEqual([first, second], [item["uuid"] for item in self.rollbar.items])

    def test_wrong_place(self):
        self.kept("404", "404: nothing takes items at http://127.0.0.1:[0-9]*/api/1/item/: check ROLLBAR_ENDPOINT")
        self.assertEqual("retrying", self.destination()["state"])

    def test_refused_for_good(self):
        for count, (mode, reason) in enumerate((("400", "400: Rollbar refused the item: no good"),
                                                ("422", "422: Rollbar refused the item: no good"),
                                                ("err", "Rollbar refused the item: no good")), 1):
            with self.subTest(mode):
                self.rollbar.set_mode(mode, message="no\ngood")
                result = self.report("text")
                self.assertEqual((1, ""), (result.returncode, result.stdout))
                self.assertIn(reason, result.stderr)
                self.assertEqual(count, self.destination()["dropped"]["refused"])
        self.assertEqual(3, len(self.rollbar.requests))
        self.rollbar.set_mode("ok")
        self.sent("another")

    def test_too_large(self):
        self.rollbar.set_mode("413", limit=15000)
        item = self.sent("x" * 20000)
        self.assertEqual("x" * 1024, item["body"]["message"]["body"])
        self.assertEqual({"truncation": ["frames", "strings_1024"]}, item["notifier"]["diagnostic"])
        self.assertEqual([413, 200], [request["status"] for request in self.rollbar.requests])

    def test_too_large_even_then(self):
        self.rollbar.set_mode("413", limit=700)
        item = self.sent("--title", "A title", "x" * 20000)
        self.assertRegex(item["body"]["message"]["body"],
                         f"The report {item['uuid']} of .* was too large to be taken: A title")
        self.assertEqual([413, 413, 200], [request["status"] for request in self.rollbar.requests])
        self.assertTrue(self.log_lines("413: a report was too large"))

    def test_too_large_whatever_it_is(self):
        self.rollbar.set_mode("413", limit=10)
        self.assertEqual(1, self.report("text").returncode)
        self.assertEqual(1, self.destination()["dropped"]["refused"])

    def test_limits(self):
        for text in ("job 1 failed", "job 2 failed"):
            self.assertEqual(0, self.report(text, SPANSHIM_ROLLBAR_REPEATS=2).returncode)
        result = self.report("job 3 failed", SPANSHIM_ROLLBAR_REPEATS=2)
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        self.assertIn("SPANSHIM_ROLLBAR_REPEATS", result.stderr)
        self.assertEqual(0, self.report("another", SPANSHIM_ROLLBAR_REPEATS=2).returncode)
        self.assertEqual(3, len(self.rollbar.wait_for(3)))

    def test_limits_while_nobody_is_there(self):
        """What is beyond the limit is lost: the command says so, though others wait."""
        self.kept("refuse", "no answer from")
        self.assertEqual(0, self.report("job 1 failed", SPANSHIM_ROLLBAR_REPEATS=1).returncode)
        result = self.report("job 2 failed", SPANSHIM_ROLLBAR_REPEATS=1)
        self.assertEqual((1, ""), (result.returncode, result.stdout))
        self.assertIn("SPANSHIM_ROLLBAR_REPEATS", result.stderr)


class CrashTest(RollbarTest):
    """Items of crashes."""

    def setUp(self):
        super().setUp()
        self.spanshim.settings.update(ROLLBAR_ACCESS_TOKEN=TOKEN, ROLLBAR_ENDPOINT=self.rollbar.endpoint,
                                      SPANSHIM_CRASH_TIMEOUT="60000")  # however late the agent gets to it

    def crash(self, *argv, **settings):
        """Run a program to its end by a signal."""
        env = self.spanshim.env(SPANSHIM_CRASH="always", OTEL_TRACES_EXPORTER="none", **settings)
        self.assertLess(self.run_program(argv, env=env).wait(), 0)

    def test_request_that_was_served(self):
        server, port = servers.httpd(self, "--threads", env=self.spanshim.env(
            SPANSHIM_USER_HEADER="x-user", SPANSHIM_REQUEST_HEADERS="x-*", SPANSHIM_ROUTES="/delay/{ms}",
            SPANSHIM_CLIENT_IP="anonymize", OTEL_SERVICE_NAME="shop"))
        traffic = Traffic(port)
        for count, target in enumerate(("/size/1?password=x", "/status/404"), 1):
            traffic.once("GET", target)
            self.spans(count)  # it has ended, before the next one and before the crash
        trace = secrets.token_hex(16)
        with traffic.connect() as connection:
            fields = [("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01"), ("X-User", "u-7"), ("X-Id", "5")]
            connection.send(request_bytes("POST", "/delay/30000?token=abc&a=1", fields=fields, host=connection.host))
            self.wait_for_requests(3)
            os.kill(server.pid, signal.SIGSEGV)
            server.wait()
        item, = self.rollbar.wait_for(1)
        self.assertEqual([], self.rollbar.violations)
        self.check_request(item, port)
        self.assertEqual(trace, item["custom"]["trace_id"])
        span, = [span for span in self.spans(3) if span["trace_id"] == trace]
        self.assertEqual(span["span_id"], item["custom"]["span_id"])
        self.check_rest(item, server.pid)

    def check_request(self, item, port):
        request = item["request"]
        self.assertEqual(("POST", f"http://localhost:{port}/delay/30000?token=REDACTED&a=1", "127.0.0.0"),
                         (request["method"], request["url"], request["user_ip"]))
        self.assertEqual({"x-user": "u-7", "x-id": "5"}, request["headers"])
        self.assertEqual("POST /delay/{ms}", item["context"])
        self.assertEqual({"id": "u-7"}, item["person"])

    def check_rest(self, item, pid):
        self.assertEqual(("critical", "SIGSEGV", "httpd", "c"),
                         (item["level"], item["body"]["trace"]["exception"]["class"], item["framework"], item["language"]))
        self.assertEqual((pid, str(self.directory)), (item["server"]["pid"], item["server"]["root"]))
        self.assertNotIn("argv", item["server"])
        events = [(event["level"], event["body"]["method"], event["body"]["url"], event["body"].get("status_code"))
                  for event in item["body"]["telemetry"]]
        self.assertEqual([("info", "GET", "/size/1", 200), ("error", "GET", "/status/404", 404)],
                         [(level, method, url[url.index("/", 8):] if "://" in url else url, status)
                          for level, method, url, status in events])
        self.assertIn("modules", item["custom"])
        self.assertIn("rip", item["custom"]["registers"])

    def test_frames_end_where_it_crashed(self):
        self.crash(APPS / "crasher", "null_write", SPANSHIM_COMMAND_ARGS="true")
        item, = self.rollbar.wait_for(1)
        frames = item["body"]["trace"]["frames"]
        self.assertEqual("null_write", frames[-1]["method"])
        self.assertTrue(frames[-1]["filename"].endswith("/test-apps/crash/faults.c"), frames[-1])
        self.assertNotIn("..", frames[-1]["filename"])
        self.assertIn("main", [frame["method"] for frame in frames[:-1]])
        self.assertIn("null_write", item["title"])
        self.assertEqual([str(APPS / "crasher"), "null_write"], item["server"]["argv"])
        self.assertEqual([], self.rollbar.violations)

    def test_crash_loop(self):
        """The same crash has one fingerprint wherever the program was loaded, and is sent five times a minute."""
        for _ in range(7):
            self.crash(APPS / "crasher", "null_read")
        self.crash(APPS / "crasher", "null_write")
        items = self.rollbar.wait_for(6)
        wait_until(lambda: self.spanshim.log().count(" died: ") == 8, what="eight reports")
        self.assertTrue(self.spanshim.flush())
        self.assertEqual([5, 1], sorted(collections.Counter(item["fingerprint"] for item in self.rollbar.items).values(),
                                        reverse=True))
        self.assertEqual(2, self.destination()["dropped"]["limited"])
        self.assertEqual(6, len({item["custom"]["registers"]["rip"] for item in items}))
        self.assertEqual([], self.rollbar.violations)

    def test_own_grouping_can_be_turned_off(self):
        self.crash(APPS / "crasher", "null_read", SPANSHIM_ROLLBAR_FINGERPRINT="false")
        item, = self.rollbar.wait_for(1)
        self.assertNotIn("fingerprint", item)

    def test_languages(self):
        self.needs_programs(APPS / "crasher_rust")
        self.crash(APPS / "crasher_cxx", "out_of_range")
        self.crash(APPS / "crasher_rust", "panic", SPANSHIM_TRACEBACKS="false")  # what it prints would be an item, too
        self.assertEqual({"c++", "rust"}, {item["language"] for item in self.rollbar.wait_for(2)})
        self.assertEqual([], self.rollbar.violations)

    def test_traces_are_not_affected(self):
        """With a token alone, what is started by the launcher shows its traces as without."""
        env = self.spanshim.base_env()
        env.update(ROLLBAR_ACCESS_TOKEN=TOKEN, ROLLBAR_ENDPOINT=self.rollbar.endpoint)
        for extra in ({}, {"SPANSHIM_EXPORTERS": "rollbar"}):
            env.update(extra)
            server = self.run_program([LAUNCHER, "run", "--", APPS / "httpd"], env=env)
            Traffic(server.announced_port()).once("GET", "/size/1")
            server.terminate()
            wait_until(lambda: b"GET" in server.err and b"/size/1" in server.err, what="the tree on the terminal")
        self.assertEqual([], self.rollbar.requests)


class RestartTest(RollbarTest):
    """The agent is killed while items wait: each is taken once in the end, by the uuid that it had from the first."""

    def restart_agent(self):
        self.spanshim.kill()
        self.spanshim.log_path.unlink()
        self.spanshim.start_agent()

    def check_taken_once(self, *uuids):
        self.rollbar.wait_for(len(uuids))
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(list(uuids), [item["uuid"] for item in self.rollbar.items])
        self.assertEqual([], self.rollbar.violations)

    def test_nobody_there(self):
        self.rollbar.set_mode("refuse")
        first, second = (self.report(text).stdout.strip() for text in ("one", "two"))
        self.restart_agent()
        self.rollbar.set_mode("ok")
        third = self.report("three").stdout.strip()
        self.check_taken_once(first, second, third)

    def test_answer_is_lost(self):
        self.rollbar.set_mode("lost")
        first = self.report("one").stdout.strip()
        self.assertEqual([first], [item["uuid"] for item in self.rollbar.items])
        self.restart_agent()
        self.rollbar.set_mode("ok")
        second = self.report("two").stdout.strip()
        self.check_taken_once(first, second)
        self.assertEqual([first, second], [request["uuid"] for request in self.rollbar.requests if request["status"] == 200])

    def test_crash(self):
        """What a program leaves is sent when it is started again."""
        for mode in ("refuse", "500", "429"):
            with self.subTest(mode):
                self.rollbar.items.clear()
                self.rollbar.set_mode(mode)
                settings = {"ROLLBAR_ACCESS_TOKEN": TOKEN, "ROLLBAR_ENDPOINT": self.rollbar.endpoint,
                            "SPANSHIM_CRASH": "always", "OTEL_TRACES_EXPORTER": "none"}
                self.run_program([APPS / "crasher", "null_read"], env=self.spanshim.env(**settings)).wait()
                wait_until(lambda: " died: " in self.spanshim.log(), what="the report")
                uuid = self.spanshim.log().rsplit("spanshim crashes ", 1)[1].split()[0]
                self.restart_agent()
                self.rollbar.set_mode("ok")
                self.run_program([APPS / "crasher", "none"], env=self.spanshim.env(**settings)).wait()
                self.check_taken_once(uuid)


class SecretTest(RollbarTest):
    """The token is in the header alone."""

    def command_lines(self):
        lines = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                lines.append(path.read_bytes())
            except OSError:
                continue  # it has ended
        return b"\n".join(lines)

    def test_token(self):
        output = ""
        for mode in ("403", "422", "500", "refuse"):
            self.rollbar.set_mode(mode, message=f"the token {TOKEN} is no good")
            result = self.report("text")
            output += result.stdout + result.stderr
        self.assertNotIn(TOKEN.encode(), self.command_lines())
        output += json.dumps(self.spanshim.status()) + self.spanshim.command("log").stdout
        self.spanshim.kill()  # what it has written stays as it is
        self.assertNotIn(TOKEN, output)
        for path in self.directory.rglob("*"):
            if path.is_file():
                self.assertNotIn(TOKEN.encode(), path.read_bytes(), path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
