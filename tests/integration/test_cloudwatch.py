# SPDX-License-Identifier: Apache-2.0
"""Logs go to CloudWatch Logs by signed calls, within what it takes. What goes wrong is one line with the remedy, and nothing
is lost that can be sent later."""

import json
import os
import re
import signal
import unittest

from aws_sink import KEY
from cloudwatch_sink import CloudWatchSink
from harness import BARE, PYTHON, ShimTest
from processes import Process, wait_until

GROUP = "/shop/backend"
OTHER = ("AKIAOTHEROTHEROTHERO", "another/secret+0123456789abcdefghijklm", None)

# A server, as far as the shim can tell, that writes each line of its standard input to standard error, as one write.
WRITER = "import os, socket, sys\nlistener = socket.create_server((\"127.0.0.1\", 0))\nfor line in sys.stdin.buffer: os.write(2, eval(line))\n"


@unittest.skipIf(BARE, "bare run")
class CloudWatchTest(ShimTest):
    """What all cases share."""

    def setUp(self):
        super().setUp()
        self.logs = CloudWatchSink()
        self.addCleanup(self.logs.close)

    def write(self, *texts, key=KEY, **settings):
        """A program that writes these bytes to standard error, one write each, and ends."""
        given = {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": None, "SPANSHIM_LOGS": "stderr",
                 "OTEL_BSP_SCHEDULE_DELAY": 50}
        env = self.spanshim.env(**{**given, **self.logs.env(GROUP, key), **settings})
        script = self.directory / "texts"
        script.write_text("".join(f"{text!r}\n" for text in texts))
        with open(script, "rb") as source:
            writer = Process([PYTHON, "-c", WRITER], self.directory, env, name="writer", stdin=source)
        self.assertEqual(0, writer.popen.wait(timeout=60))
        return writer.pid

    def exporter(self):
        """What the status says of the destination."""
        return next(exporter for destinations in self.spanshim.status()["destinations"] for exporter in destinations["exporters"]
                    if exporter["name"] == "cloudwatch")

    def wait_for_line(self, pattern):
        """Until the agent's log has it: that line, of which there is one."""
        wait_until(lambda: re.search(pattern, self.spanshim.log()), what=lambda: f"{pattern} in\n{self.spanshim.log()}")
        lines = [line for line in self.spanshim.log().splitlines() if re.search(pattern, line)]
        self.assertEqual(1, len(lines), lines)
        return lines[0]

    def texts(self, count):
        """The messages' texts, once there are so many and no more."""
        events = self.logs.wait_for(count)
        self.assertEqual([], self.logs.violations)
        self.assertEqual(count, len(events))
        return [json.loads(event["message"])["message"] for event in events]


class EventsTest(CloudWatchTest):
    """What is sent"""

    def test_lines_arrive(self):
        pid = self.write(b"one\n", b"two\n", b"three\n")
        self.assertEqual(["one", "two", "three"], self.texts(3))
        self.assertEqual({GROUP}, set(self.logs.groups))
        self.assertEqual({f"{os.uname().nodename}/python3.11/{pid}"}, self.logs.groups[GROUP])
        self.assertEqual("stderr", json.loads(self.logs.events[0]["message"])["iostream"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
