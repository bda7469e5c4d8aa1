# SPDX-License-Identifier: Apache-2.0
"""Programs in unusual company: another C library, other preloads, connections that others accepted."""

import shutil
import subprocess
import time
import unittest
from pathlib import Path

import servers
from harness import APPS, LIBRARY, SOURCE, ShimTest, Traffic, is_sanitized
from processes import free_port

NODE_CLUSTER = """
const cluster = require('cluster'), http = require('http');
if (cluster.isPrimary) { cluster.fork(); cluster.fork(); }
else http.createServer({keepAliveTimeout: 0}, (request, response) => response.end('hi')).listen(%d, '127.0.0.1');
"""


class OtherClockTest(ShimTest):
    """A preload that makes programs believe in another time is not asked by the shim."""

    def _serve(self, preload):
        process, port = servers.httpd(self, env=self.spanshim.env(LD_PRELOAD=preload))
        traffic, began = Traffic(port), time.time()
        traffic.once("GET", "/delay/50", at_least=0.05)
        spans = self.check_spans(traffic.exchanges)
        for span in spans:
            self.assertLess(began - 1, span["start_time_unix_nano"] / 1e9)
            self.assertLess(span["end_time_unix_nano"] / 1e9, time.time() + 1)
        self.assertEqual(b"", process.err)

    def test_after_the_shim(self):
        self.needs_spans()
        self._serve(f"{LIBRARY}:{APPS / 'libother_clock.so'}")

    def test_before_the_shim(self):
        self.needs_spans()
        self._serve(f"{APPS / 'libother_clock.so'}:{LIBRARY}")


class BuiltTest(ShimTest):
    """Our C server, built otherwise."""

    def _build(self, *compiler):
        self.program = self.directory / "httpd_built"
        names = ("httpd", "http_peer", "http_answer", "http_bytes", "listener")
        sources = [SOURCE / "test-apps" / f"{name}.c" for name in names]
        subprocess.run([*compiler, "-D_GNU_SOURCE", "-O1", "-o", self.program, *sources], check=True)

    def _serve(self, mode, **settings):
        process = self.run_program([self.program, mode], env=self.spanshim.env(**settings))
        traffic = Traffic(process.announced_port())
        with traffic.connect() as connection:
            for size in (0, 1000):
                traffic.request(connection, "GET", f"/size/{size}")
            traffic.request(connection, "POST", "/echo", b"x" * 100)
        spans = self.check_spans(traffic.exchanges)
        self.assertEqual(b"", process.err)
        return [span["resource"]["service.name"] for span in spans]


class ThreadSanitizerTest(BuiltTest):
    """clang links its runtime into the executable: it stands in for functions that the shim calls at its start."""

    def test_threads(self):
        if is_sanitized():
            self.skipTest("two sanitizers do not go together")
        self.needs_programs("clang")
        self._build("clang", "-fsanitize=thread")
        self._serve("--threads")


class MuslTest(BuiltTest):
    """A C library that gives constructors no arguments, and that many containers have."""

    def setUp(self):
        super().setUp()
        compiler = shutil.which("musl-gcc")
        if not compiler:
            self.skipTest("no musl-gcc")
        self._build(compiler)

    def test_modes(self):
        for mode in ("--poll", "--threads", "--fork"):
            with self.subTest(mode):
                names = self._serve(mode)
                self.assertEqual({"httpd_built"} if names else set(), set(names))
                self.sink.clear()

    def test_settings_are_seen(self):
        self.needs_spans()
        self.assertEqual(["named"] * 3, self._serve("--poll", OTEL_SERVICE_NAME="named"))


class NodeClusterTest(ShimTest):
    """The primary accepts and passes connections on: a worker makes no socket of its own."""

    def test_passed_connections(self):
        node = shutil.which("node")
        if not node:
            self.skipTest("no node")
        port = free_port()
        script = Path(self.directory) / "cluster.js"
        script.write_text(NODE_CLUSTER % port)
        process = self.run_program([node, script], name="node")
        process.wait_listening(port)
        traffic = Traffic(port)
        for _ in range(10):
            traffic.once("GET", "/a")
        with traffic.connect() as connection:
            for _ in range(10):
                traffic.request(connection, "GET", "/b")
        self.check_spans(traffic.exchanges)


if __name__ == "__main__":
    unittest.main(verbosity=2)
