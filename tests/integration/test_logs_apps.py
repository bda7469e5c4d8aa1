# SPDX-License-Identifier: Apache-2.0
"""A request that fails, in programs that know nothing of it: its answer, its lines in CloudWatch Logs, its log records by OTLP,
its item at Rollbar and its span's exception are of one trace."""

import json
import re
import subprocess
import sys
import unittest

import gateways
import servers
from cloudwatch_sink import CloudWatchSink
from harness import BARE, PYTHON, SOURCE, ShimTest
from http_client import Connection
from processes import free_port, wait_until
from rollbar_sink import TOKEN, RollbarSink

sys.path.insert(0, str(SOURCE / "tests" / "servers"))

import test_java  # pylint: disable=wrong-import-position

THROWING = SOURCE / "test-apps" / "throwing"
SERVER_TIMING = re.compile('traceparent;desc="00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]"')


@unittest.skipIf(BARE, "bare run")
class LogsAppsTest(ShimTest):
    """Each application in turn."""

    def setUp(self):
        super().setUp()
        self.logs, self.rollbar = CloudWatchSink(), RollbarSink()
        self.addCleanup(self.logs.close)
        self.addCleanup(self.rollbar.close)
        self.spanshim.settings.update(
            self.logs.env("/apps"), OTEL_LOGS_EXPORTER="otlp", ROLLBAR_ACCESS_TOKEN=TOKEN, ROLLBAR_ENDPOINT=self.rollbar.endpoint,
            SPANSHIM_RESPONSE_TRACEPARENT="true", OTEL_BSP_SCHEDULE_DELAY="60000")  # spans go by a flush

    def serve(self, *argv, port=None):
        """Start it; its port."""
        process = self.run_program(argv)
        if port is None:
            return process.announced_port()
        process.wait_listening(port)
        return port

    def check(self, port, target, thrown, function):
        """Ask for what fails by this class of error in this function (None: the program does not say where), and find it
        everywhere. One request before it works."""
        with self.spanshim.held():  # a pause amid the lines of an error would end it
            with Connection(port) as connection:
                connection.request("GET", target)
            with Connection(port) as connection:
                answer = connection.request("GET", target)
        self.assertEqual(500, answer.status)
        ids = SERVER_TIMING.fullmatch(answer.fields["server-timing"]).groups()
        self._check_everywhere(ids, target, thrown, function)

    def _check_everywhere(self, ids, target, thrown, function, spans=2):
        self._check_rollbar(ids, thrown, function)  # first: a flush sends the span, which is to have the exception by then
        self._check_span(ids, thrown, spans)
        words = rf"{thrown}(.|\n)*\b{function}\b" if function else thrown
        self._check_cloudwatch(ids, target, words)
        self._check_otlp(ids, target, words)

    def _check_texts(self, texts, target, words):
        """Its line, and the error with its calls as one event."""
        self.assertEqual(1, len([text for text in texts if re.fullmatch(rf"\[[^]]*\] 127\.0\.0\.1 GET http {target}\? 500 .*", text)]), texts)
        self.assertEqual(1, len([text for text in texts if re.search(words, text)]), texts)

    def _check_cloudwatch(self, ids, target, words):
        def texts():
            events = [json.loads(event["message"]) for event in list(self.logs.events)]
            return [event["message"] for event in events if (event.get("trace_id"), event.get("span_id")) == ids]

        wait_until(lambda: len(texts()) >= 2, what=lambda: f"two events: {texts()}")
        self._check_texts(texts(), target, words)
        self.assertEqual([], self.logs.violations)

    def _check_otlp(self, ids, target, words):
        def texts():
            return [record["body"] for record in list(self.sink.logs) if (record["trace_id"], record["span_id"]) == ids]

        wait_until(lambda: len(texts()) >= 2, what=lambda: f"two records: {texts()}")
        self._check_texts(texts(), target, words)

    def _check_rollbar(self, ids, thrown, function):
        def items():
            return [item for item in list(self.rollbar.items) if item["custom"].get("trace_id") == ids[0]]

        wait_until(items, what="an item")
        item, = items()
        trace = (item["body"].get("trace_chain") or [item["body"]["trace"]])[0]
        self.assertEqual(thrown, trace["exception"]["class"].split(".")[-1])
        self.assertIn(function or "??", [frame.get("method") for frame in trace["frames"]])
        self.assertEqual(ids[1], item["custom"]["span_id"])
        self.assertEqual([], self.rollbar.violations)

    def _check_span(self, ids, thrown, spans):
        span, = [span for span in self.spans(spans) if (span["trace_id"], span["span_id"]) == ids]
        exceptions = [event["attributes"] for event in span["events"] if event["name"] == "exception"]
        self.assertEqual([thrown], [exception["exception.type"].split(".")[-1] for exception in exceptions])
        self.assertIn(thrown, exceptions[0]["exception.stacktrace"])

    def test_flask(self):
        self.needs_programs("gunicorn")
        port = free_port()
        self.serve(PYTHON, "/usr/bin/gunicorn", "-w", 2, "-b", f"127.0.0.1:{port}", "--chdir", THROWING, "flask_app:app", port=port)
        self.check(port, "/price/b", "PriceError", "price")

    def test_node(self):
        self.needs_programs("node")
        self.check(self.serve("node", THROWING / "node_server.js"), "/price/b", "PriceError", "price")

    def test_php(self):
        self.needs_programs("php")
        port = free_port()
        self.serve("php", "-S", f"127.0.0.1:{port}", THROWING / "router.php", port=port)
        self.check(port, "/price/b", "PriceError", "price")

    def test_php_fpm(self):
        """The error goes by FastCGI's own stream to nginx. The answer is nginx's, so it names nginx's span of the trace."""
        self.needs_programs(servers.PHP_FPM, "nginx")
        behind = gateways.php_fpm(self, workers=1, script=THROWING / "router.php")
        with Connection(gateways.nginx(self, behind)) as connection, self.spanshim.held():
            self.assertEqual(500, connection.request("GET", "/price/b").status)
            answer = connection.request("GET", "/price/b")
        trace_id, _ = SERVER_TIMING.fullmatch(answer.fields["server-timing"]).groups()
        served = [span for span in self.spans(4) if span["trace_id"] == trace_id and span["kind"] == 2]
        behind_span, = [span for span in served if "network.protocol.name" in span["attributes"]]
        self._check_everywhere((trace_id, behind_span["span_id"]), "/price/b", "PriceError", "price", spans=4)

    def puma(self, rackup, *options):
        """With its default settings: up to five threads, and a reactor that reads."""
        self.needs_programs("puma")
        port = free_port()
        return self.serve("puma", "--bind", f"tcp://127.0.0.1:{port}", *options, THROWING / rackup, port=port)

    def needs_gem(self, name):
        """Skip a test without it."""
        self.needs_programs("ruby")
        if subprocess.run(["ruby", "-e", f"Gem::Specification.find_by_name('{name}')"], stderr=subprocess.DEVNULL, check=False).returncode:
            self.skipTest(f"not installed: the gem {name} (scripts/setup installs it)")

    def test_puma(self):
        """It says what was thrown, and not where: the class and the message are all there is to have."""
        self.check(self.puma("config.ru", "-e", "production"), "/price/b", "PriceError", None)

    def test_rackup(self):
        """In development it puts Rack's own middleware in front."""
        self.needs_programs("puma", "rackup")
        port = free_port()
        self.serve("rackup", "-s", "puma", "-o", "127.0.0.1", "-p", port, THROWING / "config.ru", port=port)
        self.check(port, "/price/b", "PriceError", "rescue in price")

    def test_sinatra(self):
        """And with two workers."""
        self.needs_gem("sinatra")
        self.check(self.puma("sinatra.ru", "-e", "development", "-w", "2"), "/price/b", "PriceError", "rescue in price")

    def test_rails(self):
        self.needs_gem("railties")
        self.spanshim.settings["SPANSHIM_LOGS"] = "stdout,stderr"
        self.check(self.puma("rails.ru"), "/price/b", "PriceError", "rescue in price")

    def test_tomcat(self):
        """A servlet that expects a number."""
        self.needs_programs(*test_java.TomcatNio.programs)
        server = test_java.TomcatNio(self)
        server.start()
        self.check(server.port, "/size/b", "NumberFormatException", "PathsServlet.doGet")


if __name__ == "__main__":
    unittest.main(verbosity=2)
