# SPDX-License-Identifier: Apache-2.0
"""A line for each request in a file: complete whatever the samplers decide, and in the form that people's tools read."""

import json
import re
import signal
import unittest

import servers
from harness import BARE, ShimTest, Traffic, in_parallel
from http_client import request_bytes
from processes import wait_until
from xray_daemon import XrayDaemon

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-"
XRAY_TRACE = "1-5759e988-bd862e3fe1be46a994272793"
LINE = re.compile(r"\[20\d\d-[A-Z][a-z]{2}-\d\d \d\d:\d\d\] (?P<rest>.*)")
CLOCK = re.compile(r"\[[^]]*\] ")


@unittest.skipIf(BARE, "bare run")
class RequestLogTest(ShimTest):
    """A server whose requests are logged."""

    def setUp(self):
        super().setUp()
        self.path = self.directory / "requests.log"

    def environment(self, form="line", **settings):
        """Of a program with a log in this form."""
        return self.spanshim.env(SPANSHIM_REQUEST_LOG=self.path, SPANSHIM_REQUEST_LOG_FORMAT=form, TZ="UTC", **settings)

    def lines(self, count, path=None):
        """The file's lines, once there are so many, and those that came too many with them."""
        path = path or self.path
        read = lambda: path.read_text().splitlines() if path.exists() else []
        wait_until(lambda: self.spanshim.flush() and len(read()) >= count, what=f"{count} lines in {path.name}")
        return read()

    def serve(self, **settings):
        """A server; what makes requests to it."""
        return Traffic(servers.httpd(self, env=self.environment("json", **settings))[1])

    def logged(self, traffic, target, *fields):
        """One request with these header fields: its line."""
        with traffic.connect() as connection:
            traffic.request(connection, "GET", target, fields=fields)
        line = lambda: [row for row in map(json.loads, self.lines(1)) if row["path"] == target]
        wait_until(line, what=f"a line of {target}")
        self.assertEqual(1, len(line()))
        return line()[0]

    def test_lines_of_an_application(self):
        process, port = servers.gunicorn(self, "gthread", workers=2, env=self.environment())
        traffic = Traffic(port)

        def work(part):
            with part.connect() as connection:
                for target in ("/size/12", "/size/12?a=b&c=%20d", "/status/404", "/status/500", "/nothing"):
                    part.request(connection, "GET", target)
                part.request(connection, "POST", "/echo", b"xyz")

        in_parallel(traffic, 4, work)
        expected = 4 * ["127.0.0.1 GET http /size/12? 200 OK", "127.0.0.1 GET http /size/12?a=b&c=%20d 200 OK",
                        "127.0.0.1 GET http /status/404? 404 Not Found", "127.0.0.1 GET http /status/500? 500 Internal Server Error",
                        "127.0.0.1 GET http /nothing? 404 Not Found", "127.0.0.1 POST http /echo? 200 OK"]
        lines = self.lines(len(expected))
        self.assertEqual(sorted(expected), sorted(LINE.fullmatch(line)["rest"] for line in lines))
        self.assertEqual(len(expected), len(self.spans(len(expected))))
        self.assertEqual(0o600, self.path.stat().st_mode & 0o777)
        self.assertIsNone(process.popen.poll())

    def test_combined_is_what_the_server_writes_itself(self):
        """gunicorn's own access log is the judge, but for the time: it dates a request by its begin."""
        own = self.directory / "access.log"
        env = self.environment("combined", SPANSHIM_REQUEST_HEADERS="referer")
        traffic = Traffic(servers.gunicorn(self, workers=1, env=env, log=own)[1])
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/size/1000?q=1", fields=[("Referer", "http://a/b?c"), ("User-Agent", "some one/1 (x)")])
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/status/418", version="HTTP/1.0")
        traffic.once("POST", "/echo", b"body")
        ours = [CLOCK.sub("", line) for line in self.lines(3)]
        wait_until(lambda: own.read_text().count("\n") == 3, what="gunicorn's own log")
        self.assertEqual([CLOCK.sub("", line) for line in own.read_text().splitlines()], ours)

    def test_sampled_out_by_the_sampler(self):
        traffic = self.serve(OTEL_TRACES_SAMPLER="always_off")
        row = self.logged(traffic, "/unsampled", ("traceparent", TRACEPARENT + "01"), ("User-Agent", "x/1"))
        self.assertEqual((TRACE, False, False, 404), (row["trace_id"], row["sampled"], row["xray_sampled"], row["status"]))
        self.assertEqual("b7ad6b7169203331", row["parent_span_id"])
        self.assertEqual([], self.spans())
        self.assertEqual(0, self.spanshim.status()["totals"]["dropped"]["ring_full"])

    def test_sampled_out_by_the_caller(self):
        traffic = self.serve(OTEL_PROPAGATORS="tracecontext,xray")
        row = self.logged(traffic, "/traceparent", ("traceparent", TRACEPARENT + "00"))
        self.assertEqual((TRACE, False), (row["trace_id"], row["sampled"]))
        row = self.logged(traffic, "/xray", ("X-Amzn-Trace-Id", f"Root={XRAY_TRACE};Parent=53995c3f42cd8ad8;Sampled=0"))
        self.assertEqual((XRAY_TRACE[2:].replace("-", ""), False, False), (row["trace_id"], row["sampled"], row["xray_sampled"]))
        self.assertTrue(self.logged(traffic, "/kept")["sampled"])
        self.assertEqual(["/kept"], [span["attributes"]["url.path"] for span in self.spans(1)])

    def test_what_the_user_ignores_is_not_in_it(self):
        traffic = self.serve(SPANSHIM_IGNORE_PATHS="/healthz", OTEL_TRACES_SAMPLER="always_off")
        traffic.once("GET", "/healthz")
        self.logged(traffic, "/other")
        self.assertEqual(["/other"], [json.loads(line)["path"] for line in self.lines(1)])

    def test_sampled_out_of_xray(self):
        """X-Ray and the other destinations decide by themselves; the log has all."""
        daemon = XrayDaemon()
        self.addCleanup(daemon.close)
        traffic = self.serve(AWS_XRAY_DAEMON_ADDRESS=daemon.address, OTEL_BSP_SCHEDULE_DELAY=50)
        for target, sampled in (("/out", 0), ("/in", 1)):
            row = self.logged(traffic, target, ("X-Amzn-Trace-Id", f"Root={XRAY_TRACE};Sampled={sampled}"))
            self.assertEqual((XRAY_TRACE[2:].replace("-", ""), True, bool(sampled)), (row["trace_id"], row["sampled"], row["xray_sampled"]))
        daemon.wait_for(segments=1)
        self.assertTrue(self.spanshim.flush())
        daemon.settle()
        self.assertEqual(["/in"], [one["http"]["request"]["url"][-3:] for one in daemon.segments()])
        self.assertEqual({"/in", "/out"}, {span["attributes"]["url.path"] for span in self.spans(2)})

    def test_sampled_out_and_killed(self):
        """What was open when the process died is in the log, too."""
        env = self.environment("json", OTEL_TRACES_SAMPLER="always_off")
        process, port = servers.gunicorn(self, "gthread", workers=1, env=env)
        with Traffic(port).connect() as connection:
            connection.send(request_bytes("GET", "/delay/600000"))
            self.wait_for_requests(1)
            for pid in servers.children(process.pid):
                servers.os.kill(pid, signal.SIGKILL)
            rows = lambda: [row for row in map(json.loads, self.lines(1)) if row["path"] == "/delay/600000"]
            wait_until(rows, what="a line of the open request")
        self.assertEqual([("process_exited", False)], [(row["error"], row["sampled"]) for row in rows()])
        self.assertNotIn("status", rows()[0])
        self.assertEqual([], self.spans())

    def test_goes_on_in_a_new_file_after_rotation(self):
        traffic = self.serve()
        self.assertEqual("/first", self.logged(traffic, "/first")["path"])
        rotated = self.directory / "requests.log.1"
        self.path.rename(rotated)
        self.assertEqual("/second", self.logged(traffic, "/second")["path"])
        self.assertEqual(1, len(self.lines(1, rotated)))

    def test_no_request_forges_a_line(self):
        traffic = Traffic(servers.httpd(self, env=self.environment())[1])
        with traffic.connect() as connection:
            traffic.request(connection, "GET", '/a"%0a[2026-Jan-01?x=\\n', fields=[("User-Agent", 'x"y')])
        self.assertEqual(r"127.0.0.1 GET http /a\x22%0a[2026-Jan-01?x=\x5Cn 404 Not Found", LINE.fullmatch(self.lines(1)[0])["rest"])

    def test_a_file_that_can_not_be_opened_harms_no_other_destination(self):
        missing = self.directory / "missing" / "requests.log"
        traffic = Traffic(servers.httpd(self, env=self.spanshim.env(SPANSHIM_REQUEST_LOG=missing))[1])
        traffic.once("GET", "/")
        wait_until(lambda: f"{missing} can't be opened" in self.spanshim.log(), what="a line in the agent's log")
        self.assertEqual(1, len(self.sink.wait_for(1)))

    def test_named_without_a_file(self):
        traffic = Traffic(servers.httpd(self, env=self.spanshim.env(SPANSHIM_EXPORTERS="request_log"))[1])
        traffic.once("GET", "/")
        wait_until(lambda: "set SPANSHIM_REQUEST_LOG" in self.spanshim.log(), what="a line in the agent's log")
        self.assertEqual(1, self.spanshim.log().count("SPANSHIM_REQUEST_LOG"))


if __name__ == "__main__":
    unittest.main()
