#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a program writes arrives as OTLP log records: whole lines in their order, each with its time, its stream and the
trace of the request that it was written for. A crash is one, too."""

import secrets
import time
import unittest

import otlp_json
from grpc_sink import GrpcSink
from harness import APPS, PYTHON, STATUS_ERROR, ShimTest
from http_client import Connection, request_bytes
from otlp_sink import OtlpSink
from processes import wait_until

NS_PER_S = 1_000_000_000
ERROR, FATAL = 17, 21
# Only programs with network connections are traced.
PREAMBLE = "import os, socket, sys, syslog\nserver = socket.socket()\nserver.listen()\n"
# Answers a request, and writes of it.
SERVER = """
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        print("INFO: asked for", self.path, file=sys.stderr)
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
    def log_message(self, *arguments):
        pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
print("port", server.server_port, flush=True)
server.serve_forever()
"""


class LogsTest(ShimTest):
    """Programs whose standard error goes to the receiver as logs."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.spanshim.settings = {"OTEL_LOGS_EXPORTER": "otlp", "OTEL_BLRP_SCHEDULE_DELAY": "100"}

    def run_python(self, code, **settings):
        """A program that writes and ends."""
        process = self.run_program([PYTHON, "-c", PREAMBLE + code], env=self.spanshim.env(**settings))
        self.assertEqual(0, process.wait())

    def logs(self, count, sink=None):
        """The log records, once there are so many."""
        sink = sink or self.sink
        records = sink.wait_for_logs(count)
        self.assertEqual([], sink.violations)
        return records

    def log_exporter(self):
        """What the status says of the destination of logs."""
        exporters = [exporter for group in self.spanshim.status()["destinations"] for exporter in group["exporters"]]
        return next(exporter for exporter in exporters if exporter["name"].startswith("otlp_logs"))


class RecordTest(LogsTest):
    """What a record says."""

    def test_lines(self):
        started_ns = time.time_ns()
        self.run_python("for i in range(1000): os.write(2, b'line %d\\n' % i)", OTEL_SERVICE_NAME="shop")
        records = self.logs(1000)
        self.assertEqual([f"line {i}" for i in range(1000)], [record["body"] for record in records])
        for record in records:
            self.assertEqual({"log.iostream": "stderr"}, record["attributes"])
            self.assertEqual("spanshim.logs", record["scope"]["name"])
            self.assertEqual("shop", record["resource"]["service.name"])
            self.assertEqual(("", "", 0), (record["trace_id"], record["span_id"], record["severity_number"]))
            self.assertLess(started_ns - NS_PER_S, record["time_unix_nano"])
            self.assertLess(record["observed_time_unix_nano"], time.time_ns() + NS_PER_S)

    def test_severity_and_source(self):
        self.run_python("os.write(1, b'INFO: out\\n'); os.write(2, b'{\"level\":\"warning\"}\\n')\n"
                        "syslog.syslog(syslog.LOG_ERR, 'broken')", SPANSHIM_LOGS="stdout,stderr,syslog")
        records = {record["body"]: record for record in self.logs(3)}
        self.assertEqual({"INFO: out", '{"level":"warning"}', "broken"}, set(records))
        self.assertEqual((9, "INFO", {"log.iostream": "stdout"}),
                         tuple(records["INFO: out"][name] for name in ("severity_number", "severity_text", "attributes")))
        self.assertEqual(13, records['{"level":"warning"}']["severity_number"])
        self.assertEqual((ERROR, {"spanshim.log.source": "syslog"}),
                         (records["broken"]["severity_number"], records["broken"]["attributes"]))

    def test_file(self):
        path = self.directory / "app.log"
        self.run_python(f"fd = os.open({str(path)!r}, os.O_CREAT | os.O_WRONLY | os.O_APPEND)\nos.write(fd, b'hello\\n')",
                        SPANSHIM_LOG_FILES=str(self.directory / "*.log"))
        self.assertEqual({"log.file.path": str(path), "log.file.name": "app.log"}, self.logs(1)[0]["attributes"])

    def test_no_text(self):
        self.run_python("os.write(2, b'caf\\xc3\\xa9 \\xff\\0 end\\n'); os.write(2, b'x' * 300000 + b'\\n')")
        bad, long = self.logs(2)
        self.assertTrue(bad["body"].startswith("café \N{REPLACEMENT CHARACTER}") and bad["body"].endswith(" end"))
        self.assertEqual(300001, len(long["body"]) + long["attributes"]["spanshim.log.left_out"])  # with the line's end

    def test_trace(self):
        server = self.run_program([PYTHON, "-c", SERVER], env=self.spanshim.env())
        with Connection(server.announced_port()) as connection:
            for number in range(3):
                self.assertEqual(200, connection.request("GET", f"/{number}").status)
        spans = {span["attributes"]["url.path"]: span for span in self.spans(3)}
        for record in self.logs(3):
            span = spans[record["body"].rpartition(" ")[2]]
            self.assertEqual((span["trace_id"], span["span_id"]), (record["trace_id"], record["span_id"]))
            self.assertEqual(span["resource"], record["resource"])

    def test_crash(self):
        server = self.run_program([APPS / "crash_server"], env=self.spanshim.env(OTEL_SERVICE_NAME="shop"))
        trace = secrets.token_hex(16)
        with Connection(server.announced_port()) as connection:
            connection.send(request_bytes("GET", "/null", host=connection.host,
                                          fields=[("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01")]))
            server.popen.wait(60)
        record = wait_until(lambda: next((one for one in self.sink.logs if one["event_name"]), None), 60, "the record")
        report, = self.spanshim.crashes()
        span, = self.spans(1)
        self.assertEqual(("app.crash", FATAL, "FATAL", report["title"], trace, span["span_id"]),
                         tuple(record[name] for name in ("event_name", "severity_number", "severity_text", "body",
                                                         "trace_id", "span_id")))
        self.assertEqual(("SIGSEGV", report["uuid"]),
                         tuple(record["attributes"][name] for name in ("exception.type", "app.crash.id")))
        self.assertIn("write_to_null", record["attributes"]["exception.stacktrace"])
        self.assertEqual(STATUS_ERROR, span["status"]["code"])
        for name in ("service.name", "service.instance.id", "process.pid"):
            self.assertEqual(span["resource"][name], record["resource"][name])


class WayTest(LogsTest):
    """How they get there."""

    def test_own_settings_win(self):
        sink = OtlpSink()
        self.addCleanup(sink.close)
        self.run_python("os.write(2, b'line\\n')", OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"{sink.url}/mine/v1/logs",
                        OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="http/json", OTEL_EXPORTER_OTLP_LOGS_COMPRESSION="gzip",
                        OTEL_EXPORTER_OTLP_LOGS_HEADERS="key=mine", OTEL_EXPORTER_OTLP_HEADERS="key=all,other=1")
        self.assertEqual("line", self.logs(1, sink)[0]["body"])
        self.assertEqual("/mine/v1/logs", sink.requests[0]["path"])
        headers = sink.requests[0]["headers"]
        self.assertEqual(("application/json", "gzip", "mine", None),
                         (headers["content-type"], headers["content-encoding"], headers["key"], headers.get("other")))
        self.assertEqual([], self.sink.logs)

    def test_file(self):
        path = self.directory / "logs.jsonl"
        self.run_python("os.write(2, b'one\\ntwo\\n')", OTEL_LOGS_EXPORTER="otlp_file", SPANSHIM_OTLP_LOGS_FILE=str(path))

        def look():
            lines = path.read_text().splitlines() if path.exists() else []
            records = [record for line in lines for record in otlp_json.logs_of(line.encode(), self.fail)]
            return records if len(records) >= 2 else None

        self.assertEqual(["one", "two"], [record["body"] for record in wait_until(look, 60, "the file")])

    def test_grpc(self):
        sink = GrpcSink()
        self.addCleanup(sink.close)
        self.run_python("os.write(2, b'line\\n')", OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="grpc",
                        OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=f"http://127.0.0.1:{sink.port}")
        wait_until(lambda: sink.logs, 60, "the record")
        self.assertEqual((["line"], []), ([record["body"] for record in sink.logs], sink.violations))

    def test_batches(self):
        self.run_python("for i in range(100): os.write(2, b'line %d\\n' % i)", OTEL_BLRP_MAX_EXPORT_BATCH_SIZE="10",
                        OTEL_BLRP_SCHEDULE_DELAY="60000")  # they are full: none goes because of the time
        self.logs(100)
        self.assertEqual(10, sum(request["path"] == "/v1/logs" for request in self.sink.requests))

    def test_batches_of_what_is_no_text(self):
        """It is longer in a request, of which receivers take 4 MiB."""
        self.run_python("for i in range(12): os.write(2, b'\\xff' * 200000 + b'\\n')", OTEL_BLRP_SCHEDULE_DELAY="60000")
        self.spanshim.flush()
        self.logs(12)
        self.assertLess(max(request["length"] for request in self.sink.requests if request["path"] == "/v1/logs"), 4 << 20)

    def test_refused_records_are_counted(self):
        self.sink.set_mode("partial", rejected=2)
        self.run_python("os.write(2, b'1\\n2\\n3\\n')", OTEL_BLRP_SCHEDULE_DELAY="60000")
        self.assertFalse(self.spanshim.flush())
        self.logs(1)
        exporter = self.log_exporter()
        self.assertEqual((1, 2), (exporter["exported"], exporter["dropped"]["rejected"]))
        self.assertEqual("the receiver refused some log records: because the test says so", exporter["last_error"])

    def test_a_receiver_that_is_away_gets_them_later(self):
        self.sink.set_mode("503")
        self.run_python("for i in range(100): os.write(2, b'line %d\\n' % i)")
        wait_until(lambda: self.log_exporter()["state"] == "retrying", 60, "a retry")
        self.sink.set_mode("ok")
        self.assertEqual([f"line {i}" for i in range(100)], [record["body"] for record in self.logs(100)])

    def test_nothing_is_taken_unless_asked_for(self):
        for settings in ({"OTEL_LOGS_EXPORTER": None}, {"OTEL_LOGS_EXPORTER": "none", "SPANSHIM_LOGS": "stderr"},
                         {"SPANSHIM_LOGS": "none"}):
            self.run_python("os.write(2, b'line\\n')", **settings)
        self.run_python("os.write(2, b'last\\n')")
        self.assertEqual(["last"], [record["body"] for record in self.logs(1)])


if __name__ == "__main__":
    unittest.main()
