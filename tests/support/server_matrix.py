# SPDX-License-Identifier: Apache-2.0
"""What every server must pass: each case on one and on 32 connections, kept alive and closed; clients that leave early; and
load by wrk while the server is reloaded or loses workers. A test class says which server:

    class EventTest(ServerTest):
        server_class = ApacheEvent"""

import collections
import os
import time

from harness import FULL, Exchange, ShimTest, Traffic, comparable, in_parallel
from processes import PATIENCE_S, wait_until
from server import Closing, Wrk

CROWD = 32
LONG = 10_000_000
LOAD_S = float(os.environ.get("SPANSHIM_TEST_LOAD_S", "30" if FULL else "5"))
DISTURBED = 2  # times, at least


class ServerTest(ShimTest):
    """The matrix for `server_class`."""

    server_class = None

    def setUp(self):
        self.needs_programs(*self.server_class.programs)
        if self._testMethodName == "test_load_with_kills" and not self.server_class.kill_worker:
            self.skipTest("it has no workers whose death it survives")
        super().setUp()
        # A receiver that gets to answering late, on a busy machine, must not be sent a batch twice: spans are counted.
        self.spanshim.settings["OTEL_EXPORTER_OTLP_TIMEOUT"] = "60000"
        self.spanshim.settings["SPANSHIM_QUEUE_BYTES"] = str(256 << 20)  # the load is faster than a receiver in Python
        self.server = self.server_class(self)
        self.server.start()

    # Each case, exactly

    def _ask(self, traffic, connection, case, close):
        """One request of this case; the answer must be what the case is about."""
        method = "HEAD" if case == "head" else "GET"
        status = {"missing": 404, "failing": 500}.get(case, 200)
        response = traffic.request(connection, method, self.server.targets[case],
                                   fields=[("Connection", "close")] if close else [],
                                   at_least=0.2 if case == "slow" else 0.0)
        self.assertEqual(status, response.status, f"{case}: {bytes(response.raw[:500])}")
        sizes = {"small": 1000, "large": 100_000, "chunked": LONG, "head": 0}
        self.assertEqual(sizes.get(case, len(response.body)), len(response.body), case)
        if case == "chunked" and self.server.chunks and not close:
            tries = self.server.chunk_tries
            while tries > 1 and response.fields.get("transfer-encoding") != "chunked":
                tries -= 1
                response = traffic.request(connection, method, self.server.targets[case])
                self.assertEqual((200, LONG), (response.status, len(response.body)))
            self.assertEqual("chunked", response.fields.get("transfer-encoding"))
        if case == "small" and self.server.says_close:
            self.assertEqual(close or not self.server.keeps_alive, response.closes)
        return response

    def _all_cases(self, close):
        def work(traffic):
            connection = traffic.connect(timeout=60)
            try:
                for case in self.server.targets:
                    if self._ask(traffic, connection, case, close).closes or close:
                        connection.close()
                        connection = traffic.connect(timeout=60)
            finally:
                connection.close()

        return work

    def test_each_case(self):
        for clients in (1, CROWD):
            for close in (False, True):
                with self.subTest(clients=clients, close=close):
                    self.sink.clear()
                    traffic = Traffic(self.server.port)
                    in_parallel(traffic, clients, self._all_cases(close))
                    self.check_spans(traffic.exchanges)

    # Clients that leave early

    def _span_of(self, connection):
        """The one span of this connection's request, as soon as it has come."""

        def look():
            return [span for span in self.spans() if span["attributes"]["network.peer.port"] == connection.local_port]

        found = wait_until(look, what="the span of the abandoned request")
        self.assertEqual(1, len(found))
        self.check_form(found[0])
        return dict(found[0]["attributes"])

    def _leave_early(self, target, leave):
        """Ask for this, leave as told, and see that the server still answers. The request's span. Whether such requests are
        in the access log is what the tests under load count on."""
        traffic = Traffic(self.server.port)
        with traffic.connect() as connection:
            connection.send(b"GET %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target.encode(), connection.host.encode()))
            leave(connection)
        attributes = self._span_of(connection)
        traffic.once("GET", self.server.targets["small"])
        spans = self.spans(2)
        self.assertEqual(2, len(spans), "one span for the abandoned request, one for the one after it")
        rest = [span for span in spans if span["attributes"]["network.peer.port"] != connection.local_port]
        self.check_spans(traffic.exchanges, rest)
        self._check_log()
        return connection, attributes

    def _expected(self, connection, target, status, body, error):
        exchange = Exchange("GET", target, status, port=self.server.port,
                            client_port=connection.local_port, response_body=body, error=error)
        return dict(comparable(exchange.attributes()))

    def test_client_leaves_amid_the_long_answer(self):
        """The answer has begun, so its status is known; how far it had come is the kernel's business. The error depends
        on what the server notices first: that its writes fail, or that the connection was reset."""
        self.needs_spans()
        target = self.server.targets["chunked"]
        connection, attributes = self._leave_early(target, lambda connection: connection.read_head())
        self.assertIn(attributes.get("error.type"), self.server.left_amid)
        self.assertLess(attributes["http.response.body.size"], LONG)
        expected = self._expected(connection, target, 200, attributes["http.response.body.size"],
                                  attributes["error.type"])
        self.assertEqual(expected, dict(comparable(attributes)))

    def _leave_in_time(self):
        """Leave while the server delays its answer. On a machine so busy that the answer may have been first, another server is
        left."""
        while True:
            begin, left = time.monotonic(), []

            def leave(connection):
                unread = connection.wait_until_read() or begin  # pylint: disable=cell-var-from-loop
                connection.close()
                left.append(time.monotonic() - unread)  # pylint: disable=cell-var-from-loop

            connection, attributes = self._leave_early(self.server.late, leave)
            if left[0] < self.server.late_s:
                return connection, attributes
            self.sink.clear()
            self.server = self.server_class(self)
            self.server.start()

    def test_client_leaves_before_the_answer(self):
        """Servers that don't watch the connection answer all the same, and the kernel takes the first write: with a whole
        answer in it the span has no error (`answered`), else the next write fails (`client_closed`). Those that read to
        watch it see its end (`client_closed`, without a status); those that are told by epoll close (`no_response`)."""
        self.needs_spans()
        connection, attributes = self._leave_in_time()
        error = attributes.get("error.type")
        self.assertIn(error or "answered", self.server.left_before)
        expected = self._expected(connection, self.server.late, attributes.get("http.response.status_code", 0),
                                  attributes.get("http.response.body.size", 0), error)
        self.assertEqual(expected, dict(comparable(attributes)))
        if not error:
            self.assertEqual(200, attributes["http.response.status_code"])

    # Load

    def _load(self, disturb):
        """wrk with and without keep-alive, and the server disturbed a few times meanwhile: answers that wrk read, the
        most that may have been sent, and how often the server was disturbed."""
        port, target = self.server.port, self.server.targets["small"]
        end = time.monotonic() + LOAD_S
        loads = [Wrk(self, port, target, 6), Wrk(self, port, target, 2, close=True) if self.server.says_close else Closing(port, target)]
        for load in loads:
            self.addCleanup(load.stop)
        times = 0
        while time.monotonic() < end or (disturb and times < DISTURBED):
            time.sleep(max(0.5, LOAD_S / 6))  # load without a disturbance
            if disturb:
                disturb()
                times += 1
        # A server with few workers may get to answering only when it is left alone: wrk's connections wait for each other.
        # The agent is asked, for reading spans takes long while there is load, and the longer the more of them come. A proxy's
        # requests count twice.
        wait_until(lambda: self.spanshim.status()["totals"]["counts"]["taken"] > 40 * LOAD_S, what="answers under load", interval=0.2)
        for load in loads:
            load.stop()
        read = sum(load.finish() for load in loads)
        self.assertGreater(read, 10 * LOAD_S, "hardly any load")
        # On each connection one answer may be under way when wrk ends, and at each loss of a worker.
        return read, read + sum(load.connections for load in loads) * (times + 1), times

    def _check_load(self, read, most, errors):
        """As many spans as wrk read answers, or a few more. Those without a whole answer are of requests that ended in one of
        these errors, or that a server drops when it sees that their client has left; a process that dies right after an
        answer has no time to say that it was whole."""
        wait_until(lambda: len(self.spans()) >= read, what=f"{read} spans")
        spans = self.spans()
        self.assertGreaterEqual(len(answered(spans)), read - (most - read))
        self.assertLessEqual(len(spans), most)
        self.assertLessEqual({error_of(span) for span in spans} - {None},
                             {"no_response", *errors, *self.server.left_before, *self.server.left_amid, *self.server.load_errors})
        self.assertEqual(len(spans), len({span["span_id"] for span in spans}), "span ids repeat")
        kinds = collections.Counter((span["attributes"]["http.request.method"], span["attributes"]["url.path"])
                                    for span in spans)
        self.assertEqual([("GET", self.server.targets["small"])], list(kinds))

    def test_load_with_reloads(self):
        """Nothing is lost in a reload: there are as many spans as lines in the access log."""
        self.needs_spans()
        read, most, times = self._load(self.server.reload)
        self._check_load(read, most, errors=())
        self._check_log()

    def _logged_and_spans(self):
        """Lines in the access log, and the least and the most that the spans call for."""
        spans = self.spans()
        least = len(spans if self.server.logs_given_up else answered(spans))
        return self.server.logged(), least, least if self.server.logs_given_up is False else len(spans)

    def _check_log(self):
        """The log has as many lines as the spans call for. It may be a moment behind, and so may the spans."""
        if not self.server.logs_all or self.server.logged() is None:
            return
        deadline = time.monotonic() + PATIENCE_S
        logged, least, most = self._logged_and_spans()
        while not least <= logged <= most and time.monotonic() < deadline:
            logged, least, most = self._logged_and_spans()
        self.assertTrue(least <= logged <= most, f"{logged} lines in the access log, {least} to {most} by the spans")

    def test_load_with_kills(self):
        """A worker that is killed takes its last log lines with it, never its spans: what it had open ends as an error."""
        self.needs_spans()
        read, most, times = self._load(self.server.kill_worker)
        self._check_load(read, most, errors=("process_exited",))
        if self.server.logged() is not None:
            wait_until(lambda: self.server.logged() <= len(self.spans()), what="a span for each line of the access log")


def error_of(span):
    """Why the request got no whole answer, or None; an answer that says 5xx is an answer."""
    error = span["attributes"].get("error.type")
    return None if error and error.isdigit() else error


def answered(spans):
    """Those whose request got its whole answer, be it that the server failed."""
    return [span for span in spans if error_of(span) is None]
