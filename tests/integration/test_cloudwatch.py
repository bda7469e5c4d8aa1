# SPDX-License-Identifier: Apache-2.0
"""Logs go to CloudWatch Logs by signed calls, within what it takes. What goes wrong is one line with the remedy, and nothing
is lost that can be sent later."""

import json
import os
import re
import signal
import subprocess
import time
import unittest

import servers
from aws_sink import KEY
from cloudwatch_sink import CloudWatchSink
from harness import APPS, BARE, FULL, PYTHON, ShimTest, Traffic, is_sanitized
from http_client import Connection, request_bytes
from processes import Process, wait_until

GROUP = "/shop/backend"
PARENT = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01"
OTHER = ("AKIAOTHEROTHEROTHERO", "another/secret+0123456789abcdefghijklm", None)

# Writes each line of its standard input to standard error, as one write.
WRITER = "import os, sys\nfor line in sys.stdin.buffer: os.write(2, eval(line))\n"

# Writes lines in two halves, and tracebacks in three, until its standard input ends. Says how many.
HALVES = """
import os, select, sys
number = 0
while not select.select([0], [], [], 0.002)[0]:
    number += 1
    for part in [b"line %d ", b"is whole\\n"] if number % 5 else [b"Traceback (most recent call last):\\n", b'  File "x", line %d, in f\\n', b"E: no\\n"]:
        os.write(2, part % number if b"%" in part else part)
        select.select([0], [], [], 0.002)
print(number)
"""


@unittest.skipIf(BARE, "bare run")
class CloudWatchTest(ShimTest):
    """What all cases share."""

    def setUp(self):
        super().setUp()
        self.logs = CloudWatchSink()
        self.addCleanup(self.logs.close)

    def write(self, *texts, key=KEY, **settings):
        """A program that writes these bytes to standard error, one write each, and ends."""
        given = {"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": None, "OTEL_BLRP_SCHEDULE_DELAY": 50}
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
        stream, = self.logs.groups[GROUP]
        self.assertRegex(stream, rf"^{os.uname().nodename}/python3\.\d+/{pid}$")
        self.assertEqual("stderr", json.loads(self.logs.events[0]["message"])["iostream"])
        self.assertLess(abs(self.logs.events[0]["timestamp"] / 1000 - time.time()), 60)

    def test_plain_and_a_stream_of_ones_own(self):
        self.write(b"one\n", SPANSHIM_CLOUDWATCH_FORMAT="plain", SPANSHIM_CLOUDWATCH_LOG_STREAM="{service}-{strftime:%Y}",
                   OTEL_SERVICE_NAME="shop")
        event, = self.logs.wait_for(1)
        year = time.gmtime(event["timestamp"] / 1000).tm_year
        self.assertEqual(("one", f"shop-{year}"), (event["message"], event["stream"]))

    def test_lines_of_a_request_name_its_trace(self):
        """What a server says while it answers, and our own line about the request."""
        _, port = servers.http_server(self, env=self.spanshim.env(**self.logs.env(GROUP), OTEL_BSP_SCHEDULE_DELAY=50,
                                                                   OTEL_BLRP_SCHEDULE_DELAY=50))
        traffic = Traffic(port)
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/")
        events = [json.loads(event["message"]) for event in self.logs.wait_for(2)]
        span, = self.spans(1)
        self.assertEqual({"stderr", "request"}, {event["iostream"] for event in events})
        for event in events:
            self.assertIn("GET", event["message"])
            self.assertEqual((span["trace_id"], span["span_id"]), (event["trace_id"], event["span_id"]))
        self.assertEqual([], self.logs.violations)

    def crash(self, **settings):
        """A server writes a line and dies of a request. The crash's event, the line's, and the report on this machine."""
        if is_sanitized():
            self.skipTest("AddressSanitizer takes the fault for itself")
        env = self.spanshim.env(**self.logs.env(GROUP), SPANSHIM_REQUEST_LINES="off", OTEL_SERVICE_NAME="shop", **settings)
        server = self.run_program(["/bin/sh", "-c", f"echo starts >&2; exec {APPS / 'crash_server'}"], env=env)
        with Connection(server.announced_port()) as connection:
            connection.send(request_bytes("GET", "/null", host=connection.host, fields=[("traceparent", PARENT)]))
            server.popen.wait(60)
        starts, crash = sorted(self.logs.wait_for(2), key=lambda event: event["timestamp"])
        self.assertIn("starts", starts["message"])
        self.assertEqual([], self.logs.violations)
        report, = self.spanshim.crashes()
        return crash, starts, report

    def test_a_crash(self):
        crash, starts, report = self.crash(SPANSHIM_CLOUDWATCH_LOG_STREAM="{machine}/{service}/{pid}")
        event = json.loads(crash["message"])
        title, *calls, last = event["message"].splitlines()
        self.assertEqual((report["title"], f"crash report {report['uuid']}"), (title, last))
        self.assertIn("write_to_null", "".join(calls))
        self.assertEqual(("CRITICAL", "crash", PARENT.split("-")[1], report["request"]["span_id"]),
                         tuple(event[name] for name in ("level", "iostream", "trace_id", "span_id")))
        self.assertEqual(report["time_unix_ns"] // 1000000, crash["timestamp"])
        self.assertEqual(starts["stream"], crash["stream"])

    def test_a_crash_plain(self):
        crash, _, report = self.crash(SPANSHIM_CLOUDWATCH_FORMAT="plain")
        self.assertTrue(crash["message"].startswith(report["title"] + "\n"), crash["message"])
        self.assertTrue(crash["message"].endswith(f"crash report {report['uuid']} trace_id={PARENT.split('-')[1]}"))
        self.assertRegex(crash["stream"], r"/crash_server/\d+$")

    def test_what_is_no_text_and_what_is_too_long(self):
        self.write(b"nul \0 and \xff\xc3\n", b"x" * (2 << 20) + b"\n", "€".encode() * 87000 + b"\n", b"last\n")
        wait_until(lambda: any("last" in event["message"][:20] for event in self.logs.events), what="the last line")
        events = [json.loads(event["message"]) for event in self.logs.events]
        self.assertEqual([], self.logs.violations)
        self.assertEqual("nul \ufffd and \ufffd\ufffd", events[0]["message"])
        self.assertGreater(sum(event["message"].count("x") for event in events), 250000)
        self.assertGreater(max(event.get("bytes_left_out", 0) for event in events), 1 << 20)
        self.assertEqual(87000, sum(event["message"].count("€") for event in events))

    def test_long_events_are_cut(self):
        self.write(b"x" * 5000 + b"\n", SPANSHIM_CLOUDWATCH_EVENT_BYTES=2048, SPANSHIM_CLOUDWATCH_LONG_EVENTS="cut")
        event = json.loads(self.logs.wait_for(1)[0]["message"])
        self.assertEqual(5000, len(event["message"]) + event["bytes_left_out"])

    def test_a_cap_per_minute(self):
        self.write(*[b"line %d\n" % number for number in range(50)], SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE=1000,
                   OTEL_BLRP_SCHEDULE_DELAY=60000)
        self.spanshim.flush()
        self.wait_for_line("cloudwatch: events are left out: SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE is reached")
        messages = [event["message"] for event in self.logs.events]
        self.assertIn("SPANSHIM_CLOUDWATCH_BYTES_PER_MINUTE", messages[-1])
        self.assertLessEqual(sum(len(message) + 26 for message in messages[:-1]), 1000)
        exporter = self.exporter()
        self.assertEqual(50, exporter["exported"] + exporter["dropped"]["limited"])
        self.assertEqual(len(messages) - 1, exporter["exported"])


class GroupTest(CloudWatchTest):
    """Groups and streams are made when they are missing."""

    def test_made_with_advice(self):
        self.write(b"one\n")
        self.texts(1)
        self.wait_for_line(f"log group {GROUP} was made and keeps its events for ever: .*SPANSHIM_CLOUDWATCH_RETENTION_DAYS")
        self.assertEqual(["PutLogEvents", "CreateLogStream", "CreateLogGroup", "CreateLogStream", "PutLogEvents"],
                         [operation for operation, _ in self.logs.calls()])

    def test_made_with_a_retention(self):
        self.write(b"one\n", SPANSHIM_CLOUDWATCH_RETENTION_DAYS=7)
        self.texts(1)
        self.assertEqual({GROUP: 7}, self.logs.retention)
        self.assertNotIn("for ever", self.spanshim.log())

    def test_there_already(self):
        self.logs.groups[GROUP] = {"shop"}
        self.write(b"one\n", SPANSHIM_CLOUDWATCH_LOG_STREAM="{service}", OTEL_SERVICE_NAME="shop", SPANSHIM_CLOUDWATCH_RETENTION_DAYS=7)
        self.texts(1)
        self.assertEqual([("PutLogEvents", 200)], self.logs.calls())
        self.assertEqual({}, self.logs.retention)

    def test_may_not_be_made(self):
        """Then they wait until somebody makes it."""
        self.logs.denied = {"CreateLogGroup"}
        self.write(b"one\n")
        self.wait_for_line(f"log group {GROUP} can't be made: 400 AccessDeniedException: the credentials of AWS_ACCESS_KEY_ID may not")
        self.logs.groups[GROUP] = set()
        self.texts(1)

    def test_a_writer_without_the_right_to_make_anything(self):
        self.logs.groups[GROUP] = {"shop"}
        self.logs.denied = {"CreateLogGroup", "CreateLogStream"}
        self.write(b"one\n", SPANSHIM_CLOUDWATCH_LOG_STREAM="shop")
        self.texts(1)

    def test_what_can_be_no_group(self):
        self.write(b"one\n", SPANSHIM_CLOUDWATCH_LOG_GROUP="no group")
        self.wait_for_line("cloudwatch is left out: SPANSHIM_CLOUDWATCH_LOG_GROUP can't be used")
        self.assertEqual([], self.logs.requests)


class RefusalTest(CloudWatchTest):
    """One clear line each; then as AWS says."""

    def test_held(self):
        cases = {"ThrottlingException": "400 ThrottlingException: AWS asks for fewer requests",
                 "ServiceUnavailableException": "503 ServiceUnavailableException: AWS has a problem of its own",
                 "AccessDeniedException": "400 AccessDeniedException: the credentials of AWS_ACCESS_KEY_ID may not do this: attach "
                                          "CloudWatchAgentServerPolicy",
                 "ExpiredTokenException": "403 ExpiredTokenException: the credentials of AWS_ACCESS_KEY_ID have expired: renew them"}
        self.check_held(cases)

    def test_held_too(self):
        """What may pass, and what is no answer of AWS's."""
        elsewhere = "this is no answer of AWS's: check AWS_ENDPOINT_URL_CLOUDWATCH_LOGS and HTTPS_PROXY"
        self.check_held({"RequestTimeoutException": "400 RequestTimeoutException: AWS has a problem of its own",
                         "302": f"302: {elsewhere}", "404": f"404: {elsewhere}", "407": f"407: {elsewhere}"})

    def check_held(self, cases):
        """By name of the mode: the line that is written. Events wait until it is over."""
        for count, (mode, line) in enumerate(cases.items(), 1):
            with self.subTest(mode):
                self.logs.set_mode(mode)
                self.write(b"one\n")
                self.wait_for_line(line)
                self.logs.set_mode("ok")
                self.spanshim.flush()
                self.texts(count)
        self.assertEqual(0, sum(self.exporter()["dropped"].values()))

    def test_nobody_there(self):
        self.logs.set_mode("refuse")
        self.write(b"one\n")
        self.wait_for_line("no answer from AWS: .*; see AWS_REGION, AWS_ENDPOINT_URL_CLOUDWATCH_LOGS")
        self.logs.set_mode("ok")
        self.texts(1)

    def test_wrong_secret(self):
        self.write(b"one\n", key=(KEY[0], "not-the-secret", None))
        self.wait_for_line("403 InvalidSignatureException: the signature doesn't fit: check the secret key of AWS_ACCESS_KEY_ID")
        self.assertNotIn("not-the-secret", self.spanshim.log())

    def test_unknown_key(self):
        self.write(b"one\n", key=OTHER)
        self.wait_for_line("403 UnrecognizedClientException: AWS doesn't know the credentials of AWS_ACCESS_KEY_ID")

    def test_wrong_region(self):
        self.write(b"one\n", AWS_REGION="eu-other-1")
        self.wait_for_line("403 InvalidSignatureException: .* the region, .*Credential should be scoped to eu-test-1/logs")

    def test_no_credentials(self):
        self.write(b"one\n", key=None)
        self.wait_for_line("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
        self.assertEqual([], self.logs.requests)

    def test_refused_for_good(self):
        """What is too long for a region is counted, and the next goes on."""
        self.logs.event_max = 1000
        self.write(b"x" * 2000 + b"\n")
        self.wait_for_line("InvalidParameterException: .*Log event too large: ")
        self.write(b"short\n")
        self.logs.wait_for(1)
        self.assertEqual(1, self.exporter()["dropped"]["rejected"])

    def test_taken_already(self):
        """The answer before was lost: they are there."""
        self.logs.set_mode("DataAlreadyAcceptedException")
        self.write(b"one\n")
        wait_until(lambda: self.exporter()["exported"] == 1, what="the count")
        self.assertEqual(["PutLogEvents"], [operation for operation, _ in self.logs.calls()])

    def test_one_that_is_too_long_for_the_region(self):
        """It goes by itself, and so no other is lost with it."""
        self.write(b"before\n", b"x" * 262140 + b"\n", b"after\n", SPANSHIM_CLOUDWATCH_EVENT_BYTES=1048576, OTEL_BLRP_SCHEDULE_DELAY=60000)
        self.spanshim.flush()
        self.assertEqual(["before", "after"], [json.loads(event["message"])["message"] for event in self.logs.wait_for(2)])
        self.assertEqual(1, self.exporter()["dropped"]["rejected"])

    def test_too_old(self):
        """By AWS's clock: counted, and not sent again."""
        self.logs.ahead_s = 15 * 86400
        self.write(b"one\n", b"two\n", OTEL_BLRP_SCHEDULE_DELAY=60000)
        self.spanshim.flush()
        self.wait_for_line("CloudWatch Logs left out 2 events that are too old and 0 that are too new: check the clock")
        self.assertEqual(2, self.exporter()["dropped"]["rejected"])
        self.assertEqual([], self.logs.violations)

    def test_an_endpoint_for_all_services(self):
        self.write(b"one\n", AWS_ENDPOINT_URL_CLOUDWATCH_LOGS=None, AWS_ENDPOINT_URL=self.logs.url)
        self.texts(1)


class OutageTest(CloudWatchTest):
    """The endpoint is down, and the agent is killed meanwhile. SPANSHIM_TEST_FULL=1: for a minute."""

    def spooled(self):
        """How many events are on the disk."""
        return sum(exporter["spooled"] for one in self.spanshim.status()["destinations"] for exporter in one["exporters"])

    def test_what_is_sent_is_not_sent_again(self):
        """Of a batch that takes two calls the second one fails: it goes on there."""
        self.logs.groups[GROUP] = {"shop"}
        self.logs.set_mode("ServiceUnavailableException", after=1)
        self.write(*[b"%d" % number * 150000 + b"\n" for number in range(8)], SPANSHIM_CLOUDWATCH_LOG_STREAM="shop",
                   OTEL_BLRP_SCHEDULE_DELAY=60000)
        self.assertFalse(self.spanshim.flush())
        self.assertEqual(("PutLogEvents", "ServiceUnavailableException"), self.logs.calls()[1])
        self.logs.set_mode("ok")
        self.spanshim.flush()
        self.assertEqual("01234567", "".join(text[0] for text in self.texts(8)))
        self.assertEqual(8, self.exporter()["exported"])

    def test_every_event_arrives(self):
        self.logs.set_mode("refuse")
        lines = [b"line %03d\n" % number for number in range(300)]
        self.write(*lines)
        wait_until(lambda: self.spooled() == 300, what=lambda: f"300 events on the disk, not {self.spooled()}")
        time.sleep(60 if FULL else 0)
        self.spanshim.kill()
        self.logs.set_mode("ok")
        self.spanshim.log_path.unlink()
        self.spanshim.start_agent()
        self.write(b"afterwards\n")
        texts = self.texts(301)
        self.assertEqual([line.decode().strip() for line in lines], [text for text in texts if text.startswith("line")])
        for put in range(self.logs.put_count):
            sent = [event["message"] for event in self.logs.events if event["put"] == put]
            self.assertEqual(len(sent), len(set(sent)))

    def test_a_line_that_waits_survives_the_end(self):
        """The agent is told to end while a line is not at its end: it is on the disk for the next one."""
        self.logs.set_mode("refuse")
        env = self.spanshim.env(**self.logs.env(GROUP), OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT=None)
        writer = Process([PYTHON, "-c", "import os, sys; os.write(2, b'half'); sys.stdin.read()"], self.directory, env, name="writer",
                         stdin=subprocess.PIPE)
        wait_until(lambda: self.spanshim.status()["totals"]["counts"]["taken"], what="the line")
        self.spanshim.stop()
        writer.popen.stdin.close()
        self.assertEqual(0, writer.wait())
        self.logs.set_mode("ok")
        self.spanshim.log_path.unlink()
        self.spanshim.start_agent()
        self.write(b"afterwards\n")
        self.assertEqual({"half", "afterwards"}, set(self.texts(2)))

    def test_lines_that_wait_survive_the_worker(self):
        """It is killed again and again while the endpoint is down and a program writes: nothing is lost, cut or there twice."""
        self.logs.set_mode("refuse")
        env = self.spanshim.env(**self.logs.env(GROUP), OTEL_TRACES_EXPORTER="none", OTEL_EXPORTER_OTLP_ENDPOINT=None,
                                OTEL_BLRP_SCHEDULE_DELAY=50)
        writer = Process([PYTHON, "-c", HALVES], self.directory, env, name="writer", stdin=subprocess.PIPE)
        for kill in range(24):
            worker = self.spanshim.worker_pid
            time.sleep(kill % 2 * (0.2 + kill / 1000))  # after less, the next one comes the later
            os.kill(worker, signal.SIGKILL)
            wait_until(lambda: self.spanshim.worker_pid not in (None, worker), what="the next worker")
        writer.popen.stdin.close()
        self.assertEqual(0, writer.wait(60))
        self.logs.set_mode("ok")
        self.spanshim.flush()
        expected = [f'Traceback (most recent call last):\n  File "x", line {number}, in f\nE: no' if number % 5 == 0
                    else f"line {number} is whole" for number in range(1, int(writer.out) + 1)]
        self.assertEqual(expected, self.texts(len(expected)))


if __name__ == "__main__":
    unittest.main(verbosity=2)
