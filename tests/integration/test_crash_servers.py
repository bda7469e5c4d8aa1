# SPDX-License-Identifier: Apache-2.0
"""Real servers struck by SIGSEGV while they serve: the report names the request that was in flight, and its span ends as an
error of the same trace."""

import contextlib
import os
import secrets
import signal
import unittest
from pathlib import Path

import servers
from harness import PYTHON, STATUS_ERROR, ShimTest
from http_client import Connection, request_bytes
from processes import children, descriptors, free_port, wait_until
from rollbar_sink import TOKEN, RollbarSink

SLOW = "/delay/30000"


def serving_pid(server_pid, port, client_port):
    """Which of a server's processes has accepted this connection: a child that it forks (a CGI program) has it, too, until
    it executes something else."""
    socket_name = f"socket:[{_socket_inode(port, client_port)}]"
    found = [server_pid]
    for pid in found:
        found += children(pid)
    return next(pid for pid in found if socket_name in descriptors(pid).values())


def _socket_inode(port, client_port):
    """The server's end as the kernel numbers it."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines():
        fields = line.split()
        if fields[1].endswith(f":{port:04X}") and fields[2].endswith(f":{client_port:04X}"):
            return fields[9]
    raise LookupError("no such connection")


# A thread for each request; one path is its end.
THREADS = """
import ctypes, http.server, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/crash"):
            ctypes.string_at(0)
        time.sleep(60)
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("port", server.server_address[1], flush=True)
server.serve_forever()
"""


class StruckTest(ShimTest):
    """One request each."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.rollbar = RollbarSink()
        self.addCleanup(self.rollbar.close)
        self.spanshim.settings.update(ROLLBAR_ACCESS_TOKEN=TOKEN, ROLLBAR_ENDPOINT=self.rollbar.endpoint)

    def nginx(self):
        backend = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))[1]
        return servers.nginx(self, "proxy.conf", BEHIND=backend)

    def apache(self):
        folder = self.directory / "apache"
        folder.mkdir()
        folder.chmod(0o755)
        port = free_port()
        config = servers.fill_in("apache/matrix.conf", folder / "apache.conf", PORT=port, DIR=folder, MPM="prefork", CGI="cgi",
                                 MODULES="/usr/lib/apache2/modules", ROOT=servers.matrix_files(folder), BEHIND=free_port(),
                                 CGI_BIN=servers.SCRIPTS / "cgi",
                                 USER="User www-data\nGroup www-data" if os.getuid() == 0 else "")
        process = self.run_program(["/usr/sbin/apache2", "-f", config, "-D", "FOREGROUND"])
        return process, process.wait_listening(port)

    def _strike(self, start, *programs):
        """Start the server, ask for something slow, and kill the process that has the connection."""
        self.needs_programs(*programs)
        process, port = start()
        trace = secrets.token_hex(16)
        with Connection(port) as connection:
            fields = [("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01"), ("User-Agent", "struck/1")]
            connection.send(request_bytes("GET", SLOW, fields=fields, host=connection.host))
            connection.wait_until_read()
            self.wait_for_requests(1)
            os.kill(serving_pid(process.pid, port, connection.local_port), signal.SIGSEGV)
            self._await_end(connection)
        span = self._check_span(trace)
        self._check_report(span, port)
        self._check_item(span)

    def _await_end(self, connection):
        try:
            self.assertEqual(b"", connection.socket.recv(1))
        except ConnectionResetError:
            pass

    def _check_item(self, span):
        """The item at Rollbar names the request, and its trace."""
        item, = self.rollbar.wait_for(1)
        self.assertEqual([], self.rollbar.violations)
        self.assertEqual(("GET", f"GET {SLOW}", "SIGSEGV"),
                         (item["request"]["method"], item["context"], item["body"]["trace"]["exception"]["class"]))
        self.assertTrue(item["request"]["url"].endswith(SLOW), item["request"]["url"])
        self.assertEqual("struck/1", item["request"]["headers"]["user-agent"])
        self.assertEqual((span["trace_id"], span["span_id"]), (item["custom"]["trace_id"], item["custom"]["span_id"]))

    def _check_span(self, trace):
        span, = [one for one in self.spans(1) if one["trace_id"] == trace]
        self.assertEqual(STATUS_ERROR, span["status"]["code"])
        self.assertEqual(SLOW, span["attributes"]["url.path"])
        self.assertEqual("SIGSEGV", span["attributes"]["error.type"])
        event, = [one for one in span["events"] if one["name"] == "exception"]
        self.assertEqual("SIGSEGV", event["attributes"]["exception.type"])
        return span

    def _check_report(self, span, port):
        """The report on this machine names it as well."""
        report, = self.reports(1)
        self.assertEqual("crash", report["kind"])
        self.assertRegex(report["title"], "^SIGSEGV in .*: sent by ")
        request = report["request"]
        self.assertEqual(("GET", f"http://localhost:{port}{SLOW}", "struck/1"),
                         (request["method"], request["url"], request["user_agent"]))
        self.assertEqual((span["trace_id"], span["span_id"]), (request["trace_id"], request["span_id"]))
        self.assertEqual(1, len(report["open_requests"]))

    def test_one_request_of_several(self):
        """Each thread has its own: the one whose thread crashed is the report's, the others were open as well."""
        process = self.run_program([PYTHON, "-c", THREADS], name="threads")
        port = process.announced_port()
        with contextlib.ExitStack() as stack:
            for number in range(5):
                waiting = stack.enter_context(Connection(port))
                waiting.send(request_bytes("GET", f"/slow/{number}"))
                self.wait_for_requests(number + 1)
            struck = stack.enter_context(Connection(port))
            struck.send(request_bytes("GET", "/crash?code=7"))
            self.assertEqual(-signal.SIGSEGV, process.wait())
        report, = self.reports(1)
        self.assertEqual(("/crash", "code=7", True), tuple(report["request"][name] for name in ("path", "query", "certain")))
        self.assertEqual(6, len(report["open_requests"]))
        spans = {span["attributes"]["url.path"]: span for span in self.spans(6)}
        self.assertEqual({"SIGSEGV"}, {span["attributes"]["error.type"] for span in spans.values()})
        self.assertEqual(report["request"]["span_id"], spans["/crash"]["span_id"])

    def test_nginx(self):
        self._strike(self.nginx, "nginx")

    def test_apache(self):
        self._strike(self.apache, "apache2")

    def test_gunicorn(self):
        self._strike(lambda: servers.gunicorn(self, workers=1), "gunicorn")

    def test_node(self):
        self._strike(lambda: servers.node(self), "node")


# Children that crash amid their first request, and are replaced; some at once, so many in all.
LOOP = """
import ctypes, os, socket, sys
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    client = socket.create_connection(listener.getsockname())
    client.send(b"GET /first HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
    server, _ = listener.accept()
    server.recv(1000)
    ctypes.string_at(0)
left, alive, ends = int(sys.argv[1]), 0, set()
while left or alive:
    while left and alive < 4:
        left, alive = left - 1, alive + 1
        if os.fork() == 0:
            serve()
    ends.add(os.wait()[1] & 127)
    alive -= 1
print(ends)
"""


class LoopTest(ShimTest):
    """A server whose workers crash in a loop: each is read, and nothing is left of it."""

    CRASHES = 40  # fewer than the agent keeps

    def _agent_processes(self):
        found = [self.spanshim.agent.pid]
        for pid in found:
            found += children(pid)
        return found

    def test_crash_loop(self):
        self.needs_spans()
        self.assertTrue(self.spanshim.flush())  # it has all that it needs by then
        before = len(descriptors(self.spanshim.worker_pid))
        wait_until(lambda: len(self._agent_processes()) == 3, what="keeper, worker and helper")
        process = self.run_program([PYTHON, "-c", LOOP, self.CRASHES], name="loop")
        self.assertEqual(0, process.wait())
        self.assertEqual(b"{11}\n", process.out)
        reports = self.reports(self.CRASHES)
        self.assertEqual(self.CRASHES, len(reports))
        self.assertEqual({"/first"}, {report["request"]["path"] for report in reports})
        self.assertEqual(1, len({report["title"] for report in reports}))
        wait_until(lambda: len(self._agent_processes()) == 3, what="the end of all readings")
        wait_until(lambda: len(descriptors(self.spanshim.worker_pid)) <= before + 4, what="the agent's descriptors are closed")


if __name__ == "__main__":
    unittest.main(verbosity=2)
