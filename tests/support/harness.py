# SPDX-License-Identifier: Apache-2.0
"""What the integration tests share: a private agent and OTLP receiver, servers started bare or under the shim, traffic
that notes what it did, and the comparison of that with the spans that came.

SPANSHIM_BUILD names the build folder; SPANSHIM_TEST_AGENT puts a sanitized agent in place of its own. With SPANSHIM_TEST_BARE=1 nothing is preloaded and no span is expected: a check of
the tests themselves."""

import collections
import contextlib
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
import unittest
from pathlib import Path

import processes
from http_client import Connection
from otlp_sink import OtlpSink
from processes import PATIENCE_S, Process, wait_until

SOURCE = Path(__file__).resolve().parents[2]
BUILD = Path(os.environ["SPANSHIM_BUILD"])
APPS = BUILD / "test-apps"
LIBRARY = BUILD / "bin" / "libspanshim.so"
AGENT = Path(os.environ.get("SPANSHIM_TEST_AGENT", BUILD / "bin" / "spanshim-agent"))
LAUNCHER = BUILD / "bin" / "spanshim"
BARE = os.environ.get("SPANSHIM_TEST_BARE") == "1"
FULL = os.environ.get("SPANSHIM_TEST_FULL") == "1"
PYTHON = "/usr/bin/python3"


def is_sanitized(library=LIBRARY):
    """Is this shim under AddressSanitizer? Its runtime then reads what programs pass to libc, before the kernel judges."""
    return b"__asan_init" in library.read_bytes()


def preload_environment(library=LIBRARY):
    """The variables that put a shim into a program; a sanitized one needs its runtime in front of it."""
    if not is_sanitized(library):
        return {"LD_PRELOAD": str(library)}
    runtime = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout
    return {"LD_PRELOAD": f"{os.path.realpath(runtime.strip())}:{library}",
            "ASAN_OPTIONS": "detect_leaks=0"}  # the program's leaks are its own


# Attributes whose value a client can't know.
UNFORESEEN = ("spanshim.response.time_to_first_byte", "spanshim.dns.duration", "spanshim.connect.duration",
              "spanshim.tls.duration", "spanshim.request.time_to_last_byte")
SPAN_KIND_SERVER, SPAN_KIND_CLIENT = 2, 3
STATUS_UNSET, STATUS_ERROR = 0, 2


def base_environment(directory):
    """An environment with nothing in it that belongs to the user who runs the tests."""
    env = {name: value for name, value in os.environ.items()
           if not name.startswith(("OTEL_", "SPANSHIM_", "HONEYCOMB_", "ROLLBAR_", "AWS_", "LD_", "XDG_", "PYTHON", "NODE_",
                                   "RUST_", "TRACEPARENT", "TRACESTATE", "BAGGAGE"))
           and not name.lower().endswith("_proxy")}
    env.update(HOME=str(directory), PATH="/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL="C.UTF-8", PYTHONDONTWRITEBYTECODE="1",
               SPANSHIM_SYSTEM_ENV="none")
    return env


class Spanshim:
    """A private agent: runtime folder, state and receiver of its own."""

    def __init__(self, directory, endpoint):
        self.settings = {}  # of all programs
        self.directory = Path(directory)
        self.runtime = self.directory / "run"
        self.state = self.directory / "state"
        self.log_path = self.directory / "agent.log"
        self.runtime.mkdir(mode=0o700)
        self.endpoint = endpoint
        self.agent = None

    def base_env(self):
        """The environment that finds this agent, without a preload."""
        env = base_environment(self.directory)
        env.update(SPANSHIM_RUNTIME_DIR=str(self.runtime), XDG_STATE_HOME=str(self.state))
        return env

    def env(self, preload=True, **settings):
        """The environment of a program to be traced; settings may be None to be left out."""
        env = self.base_env()
        patience_ms = str(PATIENCE_S * 1000)  # an agent that stood still for a moment still reads a crash and delivers
        env.update(OTEL_EXPORTER_OTLP_ENDPOINT=self.endpoint, OTEL_TRACES_EXPORTER="otlp", SPANSHIM_CRASH_TIMEOUT=patience_ms,
                   SPANSHIM_INIT_TIMEOUT=patience_ms)
        env.update(self.settings)
        if preload and not BARE:
            env.update(preload_environment())
        for name, value in settings.items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = str(value)
        return env

    def start_agent(self, **settings):
        """Start the agent in the foreground and wait until it takes connections."""
        if BARE:
            return
        env = self.base_env()
        env.update({name: str(value) for name, value in settings.items()})
        self.agent = Process([str(AGENT), "--stay", "--log", str(self.log_path)], self.directory, env, name="agent")
        wait_until(lambda: "listens at" in self.log(), what="the agent")

    @property
    def worker_pid(self):
        """The agent's worker: the keeper's only child."""
        return wait_until(lambda: processes.children(self.agent.pid), what="the agent's worker")[-1]

    @contextlib.contextmanager
    def held(self):
        """The agent's worker stands still meanwhile: what programs write, it then finds at once, however slow they were."""
        worker = self.worker_pid
        os.kill(worker, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(worker, signal.SIGCONT)

    def command(self, *arguments, timeout=2 * PATIENCE_S):
        """Run the launcher's command line; its completed process."""
        return subprocess.run([str(LAUNCHER), *arguments], env=self.base_env(), capture_output=True, text=True,
                              timeout=timeout, check=False)

    def flush(self, timeout=2 * PATIENCE_S):
        """Return when everything handed over so far is exported or has failed: whether it was exported."""
        return BARE or self.command("flush", timeout=timeout).returncode == 0

    def status(self):
        """What `spanshim status --json` says."""
        return json.loads(self.command("status", "--json").stdout)

    def knows(self, pid):
        """Has the agent taken this process's ring?"""
        return pid in (process["pid"] for process in self.status()["processes"])

    def crashes(self):
        """The reports that the agent has kept on this machine, the oldest first."""
        paths = sorted(self.state.rglob("crashes/*.json"), key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in paths]

    def log(self):
        """The agent's log so far."""
        return self.log_path.read_text() if self.log_path.exists() else ""

    def kill(self):
        """End keeper and worker at once, before they can do anything. When it returns the worker is gone too, which has the
        spool: a child of the test's by then."""
        worker = self.worker_pid
        self.agent.kill()
        os.waitpid(worker, 0)

    def stop(self):
        """End the agent as a service manager does."""
        if self.agent and self.agent.popen.poll() is None:
            self.agent.terminate()


class Exchange:
    """One request that a test made, and what its span must say."""

    def __init__(self, method, target, status, **facts):
        self.method = method
        self.target = target
        self.status = status
        self.port = facts["port"]
        self.client_port = facts["client_port"]
        self.host = facts.get("host", f"localhost:{self.port}")
        self.version = facts.get("version", "1.1")
        self.request_body = facts.get("request_body", 0)
        self.response_body = facts.get("response_body", 0)
        self.at_least = facts.get("at_least", 0.0)
        self.client = facts.get("client", "127.0.0.1")
        self.error = facts.get("error")
        self.user_agent = facts.get("user_agent")

    def attributes(self):
        """The span's attributes, all of them but UNFORESEEN."""
        path, mark, query = self.target.partition("?")
        host, _, port = self.host.partition(":")
        expected = {
            "http.request.method": self.method,
            "url.path": path,
            "url.scheme": "http",
            "server.address": host,
            "client.address": self.client,
            "network.peer.address": self.client,
            "network.protocol.version": self.version,
            "http.request.body.size": self.request_body,
        }
        if port:
            expected["server.port"] = int(port)
        if self.client_port:
            expected["network.peer.port"] = self.client_port
        if mark:
            expected["url.query"] = query
        if self.status:
            expected["http.response.status_code"] = self.status
            expected["http.response.body.size"] = self.response_body
        if self.user_agent:
            expected["user_agent.original"] = self.user_agent
        error = self.error or (str(self.status) if self.status and self.status >= 500 else None)
        if error:
            expected["error.type"] = error
        return expected


class Traffic:
    """Makes requests and remembers them as exchanges."""

    def __init__(self, port):
        self.port = port
        self.exchanges = []

    def connect(self, **options):
        """A new connection to the server."""
        return Connection(self.port, **options)

    def note(self, connection, method, target, response, **facts):
        """Remember an exchange that the caller made itself."""
        facts.setdefault("port", self.port)
        facts.setdefault("client_port", connection.local_port)
        facts.setdefault("response_body", len(response.body))
        self.exchanges.append(Exchange(method, target, response.status, **facts))
        return response

    def request(self, connection, method, target, body=None, fields=(), version="HTTP/1.1", **facts):
        """One request on this connection, answered."""
        response = connection.request(method, target, body, fields, version)
        size = sum(map(len, body)) if isinstance(body, list) else len(body or b"")
        return self.note(connection, method, target, response, request_body=size, version=version[-3:], **facts)

    def once(self, method, target, body=None, **facts):
        """One request on a connection of its own."""
        with self.connect() as connection:
            return self.request(connection, method, target, body, **facts)


def in_parallel(traffic, clients, work):
    """Run `work` for several clients at once; their exchanges are joined."""
    parts = [Traffic(traffic.port) for _ in range(clients)]
    errors = []

    def run(part):
        try:
            work(part)
        except Exception as error:  # pylint: disable=broad-exception-caught
            errors.append(error)

    threads = [threading.Thread(target=run, args=(part,)) for part in parts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    for part in parts:
        traffic.exchanges += part.exchanges


def comparable(attributes):
    """Attributes as a key: what can be foreseen, in order."""
    return tuple(sorted((name, value) for name, value in attributes.items() if name not in UNFORESEEN))


class ShimTest(unittest.TestCase):
    """A test with a folder, a receiver and an agent of its own; everything it started is gone when it ends."""

    agent_settings = {}

    def setUp(self):
        processes.adopt_orphans()
        self.started = []
        self.directory = Path(tempfile.mkdtemp(prefix="spanshim-test."))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o755)
        self.sink = OtlpSink()
        self.addCleanup(self.sink.close)
        self.spanshim = Spanshim(self.directory, f"http://127.0.0.1:{self.sink.port}")
        self.addCleanup(self._end_processes)
        self.spanshim.start_agent(**self.agent_settings)

    def _end_processes(self):
        for process in reversed(self.started):
            process.kill()
        self.spanshim.stop()
        processes.end_orphans()

    def run_program(self, argv, env=None, **options):
        """Start a program that is ended with the test."""
        process = Process([str(argument) for argument in argv], self.directory, env or self.spanshim.env(), **options)
        self.started.append(process)
        return process

    def needs_programs(self, *programs):
        """Skip a test whose programs (names, or paths of any file) aren't installed; SPANSHIM_TEST_NO_SKIP=1 makes that a
        failure."""
        missing = [name for name in programs
                   if not os.path.exists(name) and not shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")]
        if missing and os.environ.get("SPANSHIM_TEST_NO_SKIP") != "1":
            self.skipTest(f"not installed: {', '.join(missing)} (scripts/setup installs it)")
        self.assertEqual([], missing, "not installed")

    def needs_spans(self):
        """Skip a test of which nothing is left without the shim."""
        if BARE:
            self.skipTest("bare run")

    def is_meant(self, span):
        """Is the test about this span? A subclass leaves out what other processes of a server add."""
        return bool(span)

    def spans(self, count=None, kind=SPAN_KIND_SERVER):
        """The spans of this kind that have arrived. Where a count is given, they have time to come: the client may have its
        answer before the server's next instruction, which records it."""
        deadline = time.monotonic() + PATIENCE_S
        while not BARE:
            self.assertTrue(self.spanshim.flush(), f"flush failed; agent's log:\n{self.spanshim.log()}")
            spans = [span for span in self.sink.spans if span["kind"] == kind and self.is_meant(span)]
            if count is None or len(spans) >= count or time.monotonic() > deadline:
                break
        self.assertEqual([], self.sink.violations)
        return [] if BARE else spans

    def reports(self, count):
        """The crash reports, once there are so many, and those that came too many with them."""
        deadline = time.monotonic() + PATIENCE_S
        while not BARE:
            self.assertTrue(self.spanshim.flush(), f"flush failed; agent's log:\n{self.spanshim.log()}")
            reports = self.spanshim.crashes()
            if len(reports) >= count or time.monotonic() > deadline:
                return reports
            time.sleep(0.05)
        return []

    def wait_for_requests(self, count):
        """Until servers under the shim have begun so many requests, answered or not: by then they stand in the ring, whatever
        happens to the server."""
        wait_until(lambda: self.spanshim.status()["totals"]["counts"]["requests"] >= count, what=f"{count} requests")

    def check_spans(self, exchanges, spans=None):
        """The spans are exactly those of the exchanges: one each, with exactly these attributes."""
        if BARE:
            return []
        spans = self.spans(len(exchanges)) if spans is None else spans
        expected = collections.Counter(comparable(exchange.attributes()) for exchange in exchanges)
        actual = collections.Counter(comparable(span["attributes"]) for span in spans)
        if expected != actual:
            self.fail(self._difference(expected, actual, len(exchanges), len(spans)))
        for span in spans:
            self.check_form(span)
        self._check_durations(exchanges, spans)
        self.assertEqual(len(spans), len({span["span_id"] for span in spans}), "span ids repeat")
        return spans

    def _difference(self, expected, actual, expected_count, actual_count):
        lines = [f"{expected_count} requests made, {actual_count} spans came"]
        for title, keys in (("missing", expected - actual), ("not expected", actual - expected)):
            for key, count in list(keys.items())[:5]:
                lines.append(f"{title} ({count} x): {dict(key)}")
        if not BARE:
            lines.append("agent's log:\n" + self.spanshim.log()[-2000:])
        return "\n".join(lines)

    def check_form(self, span):
        """What holds for each server span, whatever the request."""
        attributes = span["attributes"]
        method = attributes["http.request.method"]
        route = attributes.get("http.route")
        name = "HTTP" if method == "_OTHER" else method
        self.assertEqual(f"{name} {route}" if route else name, span["name"])
        self.assertEqual("spanshim.http", span["scope"]["name"])
        self.assertGreater(span["end_time_unix_nano"], span["start_time_unix_nano"])
        self.assertEqual(STATUS_ERROR if "error.type" in attributes else STATUS_UNSET, span["status"]["code"])

    def _check_durations(self, exchanges, spans):
        left = list(spans)
        for exchange in sorted(exchanges, key=lambda one: -one.at_least):
            if not exchange.at_least:
                break
            key = comparable(exchange.attributes())
            found = next(span for span in left if comparable(span["attributes"]) == key)
            left.remove(found)
            seconds = duration(found)
            self.assertGreaterEqual(seconds, exchange.at_least, f"{exchange.target} took {seconds} s by its span")
            self.assertLess(seconds, exchange.at_least + PATIENCE_S, f"{exchange.target} took {seconds} s by its span")


def duration(span):
    """A span's length in seconds."""
    return (span["end_time_unix_nano"] - span["start_time_unix_nano"]) / 1e9


def dropped_spans(status):
    """All spans that a status counts as dropped, whatever the cause."""
    total = sum(status["totals"]["dropped"].values())
    for destinations in status["destinations"]:
        total += sum(sum(exporter["dropped"].values()) for exporter in destinations["exporters"])
    return total
