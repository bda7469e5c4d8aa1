#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a program writes arrives as OTLP log records: whole lines in their order, each with its time, its stream and the
trace of the request that it was written for."""

import time
import unittest

import harness

NS_PER_S = 1_000_000_000


# Only programs with network connections are traced.
PREAMBLE = "import os, socket, sys\nserver = socket.socket()\nserver.listen()\n"


class LogsTest(harness.ShimTest):
    """Programs whose standard error goes to the receiver as logs."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.spanshim.settings = {"OTEL_LOGS_EXPORTER": "otlp"}

    def run_python(self, code, **settings):
        """A program that writes and ends."""
        process = self.run_program([harness.PYTHON, "-c", PREAMBLE + code], env=self.spanshim.env(**settings))
        self.assertEqual(0, process.wait())

    def logs(self, count):
        """The log records, once there are so many."""
        records = self.sink.wait_for_logs(count)
        self.assertEqual([], self.sink.violations)
        return records

    def test_lines(self):
        started_ns = time.time_ns()
        self.run_python("for i in range(1000): os.write(2, b'line %d\\n' % i)")
        records = self.logs(1000)
        self.assertEqual([f"line {i}" for i in range(1000)], [record["body"] for record in records])
        for record in records:
            self.assertEqual({"log.iostream": "stderr"}, record["attributes"])
            self.assertEqual("spanshim.logs", record["scope"]["name"])
            self.assertEqual("", record["trace_id"])
            self.assertLess(started_ns - NS_PER_S, record["time_unix_nano"])
            self.assertLess(record["observed_time_unix_nano"], time.time_ns() + NS_PER_S)


if __name__ == "__main__":
    unittest.main()
