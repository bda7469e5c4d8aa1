# SPDX-License-Identifier: Apache-2.0
"""The environment carries context: programs that are started for a request are given it, and what a process was started
with is its own requests' parent."""

import concurrent.futures
import re
import unittest
from pathlib import Path

import servers
from exact_server import ExactServer
from harness import APPS, PYTHON, SPAN_KIND_CLIENT, ShimTest
from http_client import Connection
from processes import free_port, listens, wait_until

CHILDREN = servers.SCRIPTS / "children"
EXECS = ("execve", "execv", "execvp", "execvpe", "execl", "execle", "execlp", "fexecve", "execveat")
SPAWNS = ("posix_spawn", "posix_spawnp")
BY_SHELL = ("system", "system-jump", "popen")  # the second is left by siglongjmp()
PASSES_ENVIRON = {"execv", "execvp", "execl", "execlp"}
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
CALLER = {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "vendor=1,other=2", "baggage": "user=7,plan=gold;p=1"}
START = {"TRACEPARENT": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "TRACESTATE": "start=1",
         "BAGGAGE": "from=start"}
NAMES = ("TRACEPARENT", "TRACESTATE", "BAGGAGE")


def variables(text):
    """The lines of `env`, those of the context apart; names of shells' own making left out."""
    lines = [line for line in text.decode().split("\n")[:-1] if not line.startswith(("_=", "PWD=", "OLDPWD=", "SHLVL="))]
    context = {line.partition("=")[0]: line.partition("=")[2] for line in lines if line.startswith(tuple(f"{n}=" for n in NAMES))}
    return [line for line in lines if not line.startswith(tuple(f"{n}=" for n in NAMES))], context


def resident_kib(pid):
    """How much memory the process has touched. (VmRSS may be wrong by some for each processor.)"""
    return int(re.search(r"Rss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text())[1])


class EnvironmentTest(ShimTest):
    """What the tests share."""

    def start(self, *arguments, preload=True, **settings):
        """Start start_ways; the port it listens on."""
        process = self.program = self.run_program([APPS / "start_ways", *arguments], env=self.spanshim.env(preload=preload, **settings))
        return process.announced_port()

    @staticmethod
    def ask(port, path, fields=CALLER):
        """What the started program printed."""
        with Connection(port) as connection:
            response = connection.request("GET", path, fields=tuple(fields.items()))
        assert response.status == 200, response
        return response.body

    def span_of(self, path):
        """The server's span of this path."""
        return wait_until(lambda: [span for span in self.spans(1) if span["attributes"]["url.path"] == path],
                          what=f"the span of {path}")[0]

    def check_context(self, context, path, **others):
        """It names this request."""
        span = self.span_of(path)
        context = {**context, "TRACEPARENT": context.get("TRACEPARENT", "")[:-3]}  # without the flags
        self.assertEqual({"TRACEPARENT": f"00-{span['trace_id']}-{span['span_id']}", **others}, context)


class GivenTest(EnvironmentTest):
    """What a started program is given."""

    def setUp(self):
        super().setUp()
        self.needs_spans()

    def test_each_way(self):
        """The request's context, and nothing else is changed."""
        ways = [f"{kind}-{way}" for kind in ("fork", "vfork") for way in EXECS] + [*SPAWNS, *BY_SHELL]
        bare, port = self.start(preload=False), self.start()
        for way in ways:
            with self.subTest(way=way):
                path = f"/{way}/environ"
                expected, none = variables(self.ask(bare, path))
                found, context = variables(self.ask(port, path))
                self.assertEqual({}, none)
                self.assertEqual(expected, [line for line in found if not line.startswith(("LD_PRELOAD=", "ASAN_"))])
                self.check_context(context, path, TRACESTATE=CALLER["tracestate"], BAGGAGE=CALLER["baggage"])

    def test_threads(self):
        """Each thread's child is its own request's; popen() and system() are left alone where other threads may change
        the environment."""
        port = self.start("threads")
        ways = [f"{way}/{n}" for n in range(8) for way in ("fork-execve", "vfork-execvp", "posix_spawn")]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda way: self.ask(port, f"/{way}", {}), ways))
        for way, answer in zip(ways, answers):
            self.check_context(variables(answer)[1], f"/{way}")
        for way in BY_SHELL:
            self.assertEqual({}, variables(self.ask(port, f"/{way}/environ"))[1])

    def test_callers_environments(self):
        """Who takes us out of LD_PRELOAD, or names a trace itself, has the last word."""
        port = self.start()
        for way in ("fork-execve", "vfork-execle", "vfork-fexecve", "posix_spawn"):
            for name in ("without", "none", *(() if way.endswith("fexecve") else ("null",))):  # which fexecve() refuses
                self.assertEqual({}, variables(self.ask(port, f"/{way}/{name}"))[1], (way, name))
            self.assertEqual({"TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-01"}, variables(self.ask(port, f"/{way}/own"))[1])
            path = f"/{way}/custom"
            self.check_context(variables(self.ask(port, path))[1], path, TRACESTATE=CALLER["tracestate"], BAGGAGE="mine=1")
            path = f"/{way}/odd"
            found, context = variables(self.ask(port, path))
            self.assertEqual(["no equals sign", "=", "", "A=1", "A=2"], [line for line in found if "LD_PRELOAD" not in line])
            self.check_context(context, path, TRACESTATE=CALLER["tracestate"], BAGGAGE=CALLER["baggage"])

    def test_too_many_variables(self):
        port = self.start()
        found, context = variables(self.ask(port, "/vfork-execve/many"))
        self.assertEqual((6000, {}), (len(found), context))
        self.assertEqual(2, self.spanshim.status()["totals"]["withheld"]["environment"])  # it tries twice

    def test_memory_of_vfork_children(self):
        """It is their parent's, which takes back what they had."""
        port = self.start()
        for count in (20, 200):
            before = resident_kib(self.program.pid)
            for _ in range(count):
                self.ask(port, "/vfork-execve/environ")
        self.assertLess(resident_kib(self.program.pid) - before, 1000)

    def test_settings(self):
        """Switched off; no W3C among the propagators."""
        for settings in ({"SPANSHIM_ENVIRONMENT_CONTEXT": "off"}, {"SPANSHIM_ENVIRONMENT_CONTEXT": "read"},
                         {"OTEL_PROPAGATORS": "b3"}, {"OTEL_PROPAGATORS": "none"}):
            port = self.start(**settings)
            self.assertEqual({}, variables(self.ask(port, "/vfork-execve/environ"))[1], settings)
        port = self.start(OTEL_PROPAGATORS="tracecontext")
        context = variables(self.ask(port, "/vfork-execve/environ"))[1]
        self.assertEqual({"TRACEPARENT", "TRACESTATE"}, set(context))

    def test_inherited(self):
        """What the process was started with gives way to its request's, and to nobody else's; and it is passed on where the
        caller's environment is without it."""
        port = self.start(**START)
        path = "/vfork-execve/environ"
        self.check_context(variables(self.ask(port, path, {}))[1], path)
        found, context = variables(self.ask(port, "/posix_spawn/own", {}))
        self.assertEqual({"TRACEPARENT": f"00-{'1' * 32}-{'2' * 16}-01"}, context)


class StartTest(EnvironmentTest):
    """What a process was started with."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.needs_programs("curl")
        self.server = ExactServer()
        self.addCleanup(self.server.close)
        self.url = f"http://127.0.0.1:{self.server.port}/size/5"

    def curl(self, **settings):
        """One transfer; the client's span and the request that came."""
        self.server.clear()
        self.sink.clear()
        process = self.run_program(["curl", "-s", self.url], env=self.spanshim.env(**settings))
        self.assertEqual(0, process.wait(60))
        return self.spans(1, SPAN_KIND_CLIENT)[0], self.server.requests[0]

    def test_parent(self):
        for argv_settings in ({}, {"SPANSHIM_ENVIRONMENT_CONTEXT": "read"}):
            span, request = self.curl(**START, **argv_settings)
            self.assertEqual(("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"), (span["trace_id"], span["parent_span_id"]))
            self.assertEqual(["start=1"], request.values("tracestate"))
            self.assertEqual(["from=start"], request.values("baggage"))

    def test_no_parent(self):
        for settings in ({}, {**START, "SPANSHIM_ENVIRONMENT_CONTEXT": "off"}, {**START, "SPANSHIM_ENVIRONMENT_CONTEXT": "write"},
                         {**START, "OTEL_PROPAGATORS": "b3"}, {**START, "TRACEPARENT": "00-0-0-01"},
                         {**START, "TRACEPARENT": START["TRACEPARENT"].upper()}):
            span, request = self.curl(**settings)
            self.assertEqual("", span["parent_span_id"], settings)
            self.assertEqual([], request.values("tracestate"))

    def test_unsampled(self):
        """The caller's decision."""
        process = self.run_program(["curl", "-s", self.url],
                                   env=self.spanshim.env(**{**START, "TRACEPARENT": START["TRACEPARENT"][:-1] + "0"}))
        self.assertEqual(0, process.wait(60))
        self.assertEqual([], self.spans(kind=SPAN_KIND_CLIENT))
        self.assertTrue(self.server.requests[0].values("traceparent")[0].endswith("-00"))

    def test_served_request_is_not_its_child(self):
        port = self.start(**START)
        self.ask(port, "/posix_spawn/environ", {})
        self.assertEqual("", self.span_of("/posix_spawn/environ")["parent_span_id"])


class ProgramsTest(EnvironmentTest):
    """Interpreters whose programs start curl for a request, each in all its ways: what curl asks for is the request's."""

    REPEAT = 3

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.needs_programs("curl")
        self.behind = ExactServer()
        self.addCleanup(self.behind.close)
        self.port = free_port()

    def serve(self, argv, ways):
        """Start the server; with several clients ask for each way. The spans of curl by path, and those of the server."""
        process = self.run_program(argv, env=self.spanshim.env(BEHIND=f"http://127.0.0.1:{self.behind.port}/size/9?"))
        wait_until(lambda: process.popen.poll() is not None or listens(self.port), what="the server")
        paths = [f"/{way}/{n}" for n in range(self.REPEAT) for way in ways]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            for path, answer in zip(paths, pool.map(lambda path: self.ask(self.port, path, {}), paths)):
                self.assertEqual(b"012345678", answer, path)
        clients = {span["attributes"]["url.full"].partition("?")[2]: span for span in self.spans(len(paths), SPAN_KIND_CLIENT)}
        servers = {span["span_id"]: span for span in self.spans(len(paths))}
        return paths, clients, servers

    def check(self, argv, ways, may_be_unknown=False):
        """Each one's parent is its request's span: where it is not known it has none, and never a wrong one."""
        paths, clients, servers = self.serve(argv, ways)
        right = 0
        for path in paths:
            parent = clients[path]["parent_span_id"]
            if parent == "" and may_be_unknown:
                continue
            self.assertEqual(path, servers[parent]["attributes"]["url.path"], path)
            right += 1
        print(f"{self.id().split('.')[-1]}: {right} of {len(paths)}", flush=True)

    def test_python(self):
        self.check([PYTHON, CHILDREN / "handler.py", self.port], ("run", "env", "fork", "shell", "bash", "popen"))

    def test_node(self):
        self.needs_programs("node")
        self.check(["/usr/bin/node", CHILDREN / "node.js", self.port], ("file", "env", "shell", "sync"), may_be_unknown=True)

    def test_php(self):
        self.needs_programs("php")
        self.check(["/usr/bin/php", "-S", f"127.0.0.1:{self.port}", CHILDREN / "router.php"], ("exec", "shell", "passthru", "open"))

    def test_ruby(self):
        self.needs_programs("ruby")
        self.check(["/usr/bin/ruby", CHILDREN / "server.rb", self.port], ("backticks", "spawn", "popen", "open3"))

    def test_perl(self):
        self.needs_programs("perl")
        self.check(["/usr/bin/perl", CHILDREN / "server.pl", self.port], ("backticks", "open", "system"))

    def test_java(self):
        self.needs_programs("java")
        self.check(["/usr/bin/java", "-XX:TieredStopAtLevel=1", CHILDREN / "Server.java", self.port], ("builder", "env"))

    def test_env_without(self):
        """`env -i` is respected: neither the shim nor a context gets through."""
        process = self.run_program([PYTHON, CHILDREN / "handler.py", self.port],
                                   env=self.spanshim.env(BEHIND=f"http://127.0.0.1:{self.behind.port}/size/9?"))
        wait_until(lambda: process.popen.poll() is not None or listens(self.port), what="the server")
        self.assertEqual(b"012345678", self.ask(self.port, "/clean/1", {}))
        self.assertEqual([], self.spans(kind=SPAN_KIND_CLIENT))
        self.assertEqual([], self.behind.requests[0].values("traceparent"))


if __name__ == "__main__":
    unittest.main()
