#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a program writes stands under its trace on the console; what belongs to none by itself."""

import os
import re
import signal
import time
import unittest

from harness import LAUNCHER, PYTHON, ShimTest
from http_client import Connection
from processes import wait_until

# Answers a request, and writes of it: two lines that are one event, with an escape sequence.
SERVER = r"""
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        print("ERROR: no\x1b[31m stock for", self.path + "\n    of shelf 7", file=sys.stderr)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("ready for requests", file=sys.stderr)
print("port", server.server_port, flush=True)
for _ in range(int(sys.argv[1])):
    server.handle_request()
"""
CLOCK = r"\d\d:\d\d:\d\d\.\d\d\d"
EVENT = re.compile(rf"^( *){CLOCK}  (\w*) +(\S+)  (.*)$")


class ConsoleTest(ShimTest):
    """A server whose standard error and traces go to the console."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.spanshim.settings = {"OTEL_LOGS_EXPORTER": "console", "OTEL_SERVICE_NAME": "shop", "OTEL_BLRP_SCHEDULE_DELAY": "100"}

    def start(self, *argv, count=2, **settings):
        """A server that ends after so many requests."""
        env = self.spanshim.env(preload=not argv) | {"OTEL_TRACES_EXPORTER": "console", **settings}
        return self.run_program([*argv, PYTHON, "-c", SERVER, count], env=env)

    def ask(self, port, path):
        """A request on a connection of its own."""
        with Connection(port) as connection:
            self.assertEqual(200, connection.request("GET", path, fields=[("Connection", "close")]).status)

    def serve(self, *argv, **settings):
        """Two requests to a server that ends after them."""
        server = self.start(*argv, **settings)
        port = server.announced_port()
        for path in ("/a", "/b"):
            self.ask(port, path)
        self.assertEqual(0, server.wait())
        return server

    def shown(self, path, count=2):
        """What is in the file, once both requests' events are there."""
        wait_until(lambda: path.exists() and path.read_text().count("of shelf 7") == count, what="both traces")
        return path.read_text().splitlines()

    def check(self, lines, paths=("/a", "/b")):
        """Each trace, its span, and the event of the request below it."""
        for path in paths:
            span = next(n for n, line in enumerate(lines) if f"GET {path} " in line)
            self.assertRegex(lines[span - 1], "^trace [0-9a-f]{32} ")
            indent, severity, service, text = EVENT.match(lines[span + 1]).groups()
            self.assertEqual(("    ", "ERROR", "shop", rf"ERROR: no\x1b[31m stock for {path}"), (indent, severity, service, text))
            self.assertEqual("    of shelf 7", lines[span + 2][lines[span + 1].index("ERROR: no"):])
        self.assertIn(("", "", "shop", "ready for requests"), [EVENT.match(line).groups() for line in lines if EVENT.match(line)])

    def test_file(self):
        self.serve(SPANSHIM_CONSOLE="shown.txt")
        self.spanshim.flush()
        self.check(self.shown(self.directory / "shown.txt"))

    def test_logs_alone(self):
        self.serve(SPANSHIM_CONSOLE="shown.txt", OTEL_TRACES_EXPORTER="none")
        self.spanshim.flush()
        lines = self.shown(self.directory / "shown.txt")
        self.assertEqual([], [line for line in lines if line.startswith("trace ")])
        self.assertEqual(3, sum(bool(EVENT.match(line)) for line in lines))

    def test_agent_that_stands_still(self):
        """For longer than a trace waits for more: at various moments after its span was read, and before its event was."""
        paths = [f"/{number}" for number in range(8)]
        server, worker = self.start(count=len(paths), SPANSHIM_CONSOLE="shown.txt"), self.spanshim.worker_pid
        port = server.announced_port()
        for number, path in enumerate(paths):
            self.ask(port, path)
            time.sleep(0.02 * number)  # the moments
            os.kill(worker, signal.SIGSTOP)
            time.sleep(0.3)
            os.kill(worker, signal.SIGCONT)
        self.assertEqual(0, server.wait())
        self.check(self.shown(self.directory / "shown.txt", count=len(paths)), paths)

    def test_session(self):
        """By the launcher: at the program's end all is shown, on its standard error."""
        server = self.serve(LAUNCHER, "run", "--")
        self.check(self.shown(server.err_path, count=4))


if __name__ == "__main__":
    unittest.main(verbosity=2)
