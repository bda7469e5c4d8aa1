#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What programs write becomes events: a traceback is one, as the interpreters really write it; lines of many threads are
whole and in order; what is long, or no text, is bounded and marked."""

import shutil
import unittest

import harness

ERROR, WARN = 17, 13
PYTHON_SERVER = "import os, socket, sys, threading, logging\nserver = socket.socket()\nserver.listen()\n"

# Only programs with network connections are traced, so each one listens. A line before the error, and the error.
PROGRAMS = {
    "ruby": ["-e", "require 'socket'; s = TCPServer.new('127.0.0.1', 0); STDERR.puts 'before'\n"
             "def load; raise KeyError, 'no b'; end\n"
             "def price; load; rescue KeyError; raise ArgumentError, 'no price'; end\nprice"],
    "node": ["-e", "require('net').createServer().listen(0, '127.0.0.1', () => { process.stderr.write('before\\n');\n"
             "throw new Error('no price', {cause: new Error('no b')}) })"],
    "perl": ["-e", "use Socket; use Carp; socket(S, PF_INET, SOCK_STREAM, 0); listen(S, 5); print STDERR qq(before\\n);\n"
             "sub price { confess 'no price' } price()"],
    "php": ["-d", "log_errors=1", "-d", "display_errors=0", "-d", "error_log=", "-r",
            "$s = stream_socket_server('tcp://127.0.0.1:0'); fwrite(STDERR, \"before\\n\");\n"
            "function price() { throw new Exception('no price'); } price();"],
}
ENDS = {"ruby": "-e:4:in `<main>'", "node": "Node.js v", "perl": "called at", "php": "on line 2"}


class LogLinesTest(harness.ShimTest):
    """Programs whose standard error goes to a receiver of OTLP."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.spanshim.settings = {"OTEL_LOGS_EXPORTER": "otlp"}
        self.seen = 0

    def run_command(self, command):
        self.run_program(command, env=self.spanshim.env()).wait()

    def run_at_once(self, command):
        """Its calls are made without a pause, as far as the agent can see: where a program pauses for 100 ms, an event may end."""
        with self.spanshim.held():
            self.run_command(command)

    def logs(self, count):
        """The next so many log records, of which there are no more."""
        records = self.sink.wait_for_logs(self.seen + count)[self.seen:]
        self.assertEqual([], self.sink.violations)
        self.assertEqual(count, len(records))
        self.seen += count
        return records

    def test_tracebacks(self):
        for language, arguments in PROGRAMS.items():
            if not shutil.which(language):
                print(f"no {language}: its traceback is not tested")
                continue
            with self.subTest(language):
                self.run_at_once([shutil.which(language), *arguments])
                before, error = self.logs(2)
                self.assertEqual("before", before["body"])
                self.assertIn("no price", error["body"])
                self.assertIn(ENDS[language], error["body"].splitlines()[-1])

    def test_python(self):
        """By the interpreter, by a logger, and in a thread."""
        self.run_at_once([harness.PYTHON, "-c", PYTHON_SERVER + """
def price():
    try:
        1 / 0
    except ZeroDivisionError as error:
        raise ValueError("no price\\nof b") from error
logging.warning("before")
try:
    price()
except ValueError:
    logging.exception("caught")
thread = threading.Thread(target=price)
thread.start()
thread.join()
price()
"""])
        before, logged, thread, uncaught = self.logs(4)
        self.assertEqual(("WARNING:root:before", WARN), (before["body"], before["severity_number"]))
        for record, start in ((logged, "ERROR:root:caught\nTraceback"), (thread, "Exception in thread"), (uncaught, "Traceback")):
            self.assertTrue(record["body"].startswith(start), record["body"])
            self.assertTrue(record["body"].endswith("\nValueError: no price\nof b"), record["body"])
            self.assertEqual(2, record["body"].count("Traceback (most recent call last):"))
            self.assertEqual(ERROR, record["severity_number"])

    def test_threads(self):
        """Each thread's lines are whole and in its order, though they are written in pieces."""
        self.run_command([harness.PYTHON, "-c", PYTHON_SERVER + """
def write(n):
    for i in range(100):
        os.write(2, b"thread %d, " % n)
        os.write(2, b"line %d\\n" % i)
threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
"""])
        bodies = [record["body"] for record in self.logs(16 * 100)]
        for n in range(16):
            start = f"thread {n}, "
            self.assertEqual([f"{start}line {i}" for i in range(100)], [body for body in bodies if body.startswith(start)])

    def test_long_and_binary(self):
        self.run_command([harness.PYTHON, "-c", PYTHON_SERVER + """
os.write(2, b"x" * 2_000_000 + b"\\n")
os.write(2, b"\\xff\\0\\n")
os.write(2, b"after\\n")
"""])
        long, binary, after = self.logs(3)
        self.assertLessEqual(len(long["body"]), 256 * 1024)
        self.assertEqual(2, len(binary["body"]))
        self.assertEqual("after", after["body"])


if __name__ == "__main__":
    unittest.main()
