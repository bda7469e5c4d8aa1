# SPDX-License-Identifier: Apache-2.0
"""Errors that unmodified programs print: each becomes a Rollbar item with its calls and causes, the request that it was
thrown in, and the exception of that request's span."""

import secrets
import subprocess
import unittest

import servers
from harness import PATIENCE_S, PYTHON, SOURCE, ShimTest
from http_client import Connection
from processes import free_port, wait_until
from rollbar_sink import TOKEN, RollbarSink

THROWING = SOURCE / "test-apps" / "throwing"


class TracebackTest(ShimTest):
    """A server that throws when it is asked for the price of b."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.rollbar = RollbarSink()
        self.addCleanup(self.rollbar.close)
        self.settings = {"ROLLBAR_ACCESS_TOKEN": TOKEN, "ROLLBAR_ENDPOINT": self.rollbar.endpoint,
                         "OTEL_BSP_SCHEDULE_DELAY": "60000"}  # a span waits for its exception until the flush

    def env(self, **settings):
        """The environment of the server."""
        return self.spanshim.env(**{**self.settings, **settings})

    def serve(self, argv, port=None, **settings):
        """Start the server: its port."""
        process = self.run_program(argv, env=self.env(**settings))
        if port is None:
            return process.announced_port()
        process.wait_listening(port)
        return port

    def ask(self, port, path="/price/b", status=500):
        """Ask for something: the trace."""
        trace = secrets.token_hex(16)
        with Connection(port) as connection:
            answer = connection.request("GET", f"{path}?token=secret",
                                        fields=[("traceparent", f"00-{trace}-{secrets.token_hex(8)}-01")])
        self.assertEqual(status, answer.status)
        return trace

    def item(self, port, path="/price/b", words="no price of b"):
        """The item of what is thrown; request, span and its exception are as they should be."""
        with self.spanshim.held():  # some print an error line by line: a pause of 100 ms would end it
            trace = self.ask(port, path)
        item = self.rollbar.wait_for(1)[0]
        self.assertEqual([], self.rollbar.violations)
        self.assertEqual(("error", trace), (item["level"], item["custom"]["trace_id"]))
        self.assertTrue(item["custom"]["request_is_certain"])
        self.assertEqual("GET", item["request"]["method"])
        self.assertIn(path, item["request"]["url"])
        self.assertNotIn("secret", item["request"]["url"])
        span = self.spans(1)[0]
        self.assertEqual((trace, item["custom"]["span_id"]), (span["trace_id"], span["span_id"]))
        event = next(event for event in span["events"] if event["name"] == "exception")
        self.assertEqual(self.thrown(item)[0], event["attributes"]["exception.type"])
        self.assertIn(words, event["attributes"]["exception.message"])
        self.assertIn(words, event["attributes"]["exception.stacktrace"])
        return item

    @staticmethod
    def traces(item):
        """What was thrown, then its causes."""
        return item["body"].get("trace_chain") or [item["body"]["trace"]]

    def thrown(self, item):
        """The classes."""
        return [trace["exception"]["class"] for trace in self.traces(item)]

    def last_call(self, item, number=0):
        """Where it was thrown: the file's name, the method, the line."""
        frame = self.traces(item)[number]["frames"][-1]
        return frame["filename"].rsplit("/", 1)[-1], frame["method"], frame["lineno"]

    def test_flask(self):
        self.needs_programs("/usr/bin/gunicorn")
        port = free_port()
        item = self.item(self.serve([PYTHON, "/usr/bin/gunicorn", "-w", "2", "-b", f"127.0.0.1:{port}", "--chdir", THROWING,
                                     "flask_app:app"], port))
        self.assertEqual(["flask_app.PriceError", "KeyError"], self.thrown(item))
        self.assertEqual(("flask_app.py", "price", 24), self.last_call(item))
        self.assertEqual(("flask_app.py", "load", 15), self.last_call(item, 1))
        self.assertEqual('return {"a": "1"}[key]', self.traces(item)[1]["frames"][-1]["code"])
        self.assertEqual(("python", "flask"), (item["language"], item["framework"]))

    def test_node(self):
        self.needs_programs("node")
        item = self.item(self.serve(["node", THROWING / "node_server.js"]))
        self.assertEqual(["PriceError", "TypeError"], self.thrown(item))
        self.assertEqual(("node_server.js", "price", 22), self.last_call(item))
        self.assertEqual(("node_server.js", "load", 15), self.last_call(item, 1))
        self.assertEqual("javascript", item["language"])

    def test_php(self):
        self.needs_programs("php")
        port = free_port()
        item = self.item(self.serve(["php", "-d", "display_errors=0", "-d", "log_errors=1", "-S", f"127.0.0.1:{port}",
                                     THROWING / "router.php"], port))
        self.assertEqual(["PriceError", "OutOfBoundsException"], self.thrown(item))
        self.assertEqual(("router.php", "price", 19), self.last_call(item))
        self.assertEqual("php", item["language"])

    def test_puma(self):
        self.needs_programs("puma")
        port = free_port()
        item = self.item(self.serve(["puma", "--bind", f"tcp://127.0.0.1:{port}", "--threads", "2:2",
                                     THROWING / "config.ru"], port))
        self.assertEqual(["PriceError"], self.thrown(item))  # it does not say where
        self.assertEqual("ruby", item["language"])

    def test_java(self):
        self.needs_programs("javac", "java")
        subprocess.run(["javac", "-d", self.directory, THROWING / "ThrowingServer.java"], check=True)
        item = self.item(self.serve(["java", "-cp", self.directory, "ThrowingServer"]))
        self.assertEqual(["ThrowingServer$PriceException", "java.lang.NullPointerException"], self.thrown(item))
        self.assertEqual(("ThrowingServer.java", "ThrowingServer.price", 25), self.last_call(item))
        self.assertEqual("java", item["language"])

    def test_tomcat(self):
        self.needs_programs(*servers.TOMCAT_PROGRAMS)
        port = free_port()
        argv, settings = servers.tomcat(self.directory, port)
        servers.wait_for_tomcat(self.run_program(argv, env=self.env(**settings)))
        item = self.item(port, "/delay/x", "For input string")
        self.assertEqual(["java.lang.NumberFormatException"], self.thrown(item))
        self.assertEqual(("java", "tomcat"), (item["language"], item["framework"]))
        methods = [frame["method"] for frame in self.traces(item)[0]["frames"]]
        self.assertIn("PathsServlet.doGet", methods)

    def test_perl(self):
        self.needs_programs("starman")
        port = free_port()
        item = self.item(self.serve(["starman", "--listen", f"127.0.0.1:{port}", "--workers", "1", THROWING / "app.psgi"], port))
        self.assertEqual(["die"], self.thrown(item))
        self.assertEqual("perl", item["language"])

    def test_last_lines_of_a_crash(self):
        """They are in its report, and in its item."""
        self.needs_programs("perl")
        process = self.run_program(["perl", "-e", "print STDERR qq(line $_\n) for 1..30; kill 'ABRT', $$"],
                                   env=self.env(SPANSHIM_CRASH="always", SPANSHIM_CRASH_TIMEOUT="60000"))
        process.wait()
        item = self.rollbar.wait_for(1)[0]
        self.assertEqual([], self.rollbar.violations)
        self.assertEqual([f"line {number}" for number in range(11, 31)],
                         [event["body"]["message"] for event in item["body"]["telemetry"] if event["type"] == "log"])

    def test_uncaught(self):
        """A program that ends by what it throws, and serves nobody."""
        self.needs_programs("node")
        for number, argv in enumerate([[PYTHON, "-c", "1/0"], ["node", "-e", "throw new TypeError('no')"]], start=1):
            process = self.run_program(argv, env=self.env())
            self.assertEqual(1, process.wait())
            item = self.rollbar.wait_for(number)[-1]
            self.assertEqual([["ZeroDivisionError"], ["TypeError"]][number - 1], self.thrown(item))
            self.assertNotIn("request", item)
        self.assertEqual([], self.rollbar.violations)

    def test_switched_off(self):
        self.needs_programs("node")
        port = self.serve(["node", THROWING / "node_server.js"], SPANSHIM_TRACEBACKS="false", SPANSHIM_LOGS="stderr")
        self.ask(port)
        self.assertEqual([], self.spans(1)[0].get("events", []))
        self.assertEqual([], self.rollbar.items)

    def test_many_that_no_sampler_keeps(self):
        """Their requests leave no record: items name the trace, and do not wait for one another."""
        self.needs_programs("node")
        port = self.serve(["node", THROWING / "node_server.js"], OTEL_TRACES_SAMPLER="always_off")
        traces = [self.ask(port) for _ in range(20)]
        wait_until(lambda: sum(self.rollbar_counts()) == 20, what="20 errors")
        for item in self.rollbar.items:
            self.assertIn(item["custom"]["trace_id"], traces)
            self.assertNotIn("request", item)

    def rollbar_counts(self):
        """Items: taken, and left out by the limits; errors: that were too many in a second."""
        status = self.spanshim.status()
        return [status["totals"]["errors"]["not_reported"],
                *(exporter["exported"] + exporter["dropped"]["limited"] for destination in status["destinations"]
                  for exporter in destination["exporters"] if exporter["name"] == "rollbar")]

    def test_many(self):
        """What is thrown again and again is counted and sent a few times."""
        self.needs_programs("node")
        port = self.serve(["node", THROWING / "node_server.js"])
        for _ in range(50):
            self.ask(port)
        wait_until(lambda: sum(self.spanshim.status()["totals"]["errors"].values()) == 50, what="50 errors")
        items = self.rollbar.wait_for(1, PATIENCE_S)
        self.assertLessEqual(len(items), 5)


if __name__ == "__main__":
    unittest.main(verbosity=2)
