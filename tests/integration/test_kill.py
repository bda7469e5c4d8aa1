# SPDX-License-Identifier: Apache-2.0
"""kill -9, of servers and of the agent's worker, under load: what was finished is exported once, what was open is ended
as an error, nothing comes twice."""

import collections
import contextlib
import os
import random
import signal
import socket
import threading
import unittest

import servers
from harness import BARE, FULL, PYTHON, SPAN_KIND_CLIENT, ShimTest, Traffic
from http_client import request_bytes
from processes import age_s, children, wait_until

ERROR = "process_exited"

# Asks a server that does not answer, and says when the request is on its way.
CLIENT = """
import socket, sys
connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
connection.sendall(b"GET /open HTTP/1.1\\r\\nHost: upstream\\r\\n\\r\\n")
print("sent", flush=True)
connection.recv(1)
"""


def paths_of(spans):
    """How often each path came."""
    return collections.Counter(span["attributes"]["url.path"] for span in spans)


def ranges(numbers):
    """Sorted numbers as (first, last) of each unbroken row."""
    rows = []
    for number in numbers:
        if rows and rows[-1][1] == number - 1:
            rows[-1] = (rows[-1][0], number)
        else:
            rows.append((number, number))
    return rows


@unittest.skipIf(BARE, "bare run")
class ServerKillTest(ShimTest):
    """A server that is killed: its spans outlive it."""

    agent_settings = {"SPANSHIM_QUEUE_BYTES": 256 << 20}

    def setUp(self):
        super().setUp()
        self.settings = {"SPANSHIM_QUEUE_BYTES": 256 << 20}

    def _kill_under_load(self, process, port, victim, path):
        """Kill `victim` amid load; what came must be what was answered, and open requests as errors."""
        load = servers.Load(self, port, 8, 60_000, path)
        wait_until(lambda: self.sink.spans, what="spans come while the load runs")
        os.kill(victim, signal.SIGKILL)
        load.finish()
        answered = set(load.answered_paths())
        self.assertGreater(len(answered), 100)
        process.kill()
        spans = self.spans(len(answered))
        times = paths_of(spans)
        self.assertEqual([], [name for name, count in times.items() if count > 1][:5], "came twice")
        self.assertEqual([], sorted(answered - set(times))[:5], "answered and not exported")
        in_error = {span["attributes"]["url.path"]: span["attributes"] for span in spans
                    if "error.type" in span["attributes"]}
        self.assertEqual({ERROR}, {attributes["error.type"] for attributes in in_error.values()} | {ERROR})
        # Open were, at the moment of death: what was never answered, and here and there an answer that the kernel had
        # taken and the server not yet noted; that can only be its connection's last.
        self.assertLessEqual(len(in_error), 8)
        self.assertEqual(set(), set(times) - answered - set(in_error), "neither answered nor in error")
        self.assertEqual(set(), set(in_error) & answered - load.last_answered_paths(), "answered long ago, yet in error")
        for span in spans:
            if span["attributes"]["url.path"] in in_error:
                self.check_form(span)

    def test_threads(self):
        process, port = servers.httpd(self, "--threads", env=self.spanshim.env(**self.settings))
        self._kill_under_load(process, port, process.pid, "/size/100/@")

    def test_poll_loop(self):
        process, port = servers.httpd(self, env=self.spanshim.env(**self.settings))
        self._kill_under_load(process, port, process.pid, "/size/100/@")

    def test_nginx_worker(self):
        process, port = servers.nginx(self, env=self.spanshim.env(**self.settings))
        self._kill_under_load(process, port, children(process.pid)[0], "/short/@")

    def test_open_requests_end_as_errors(self):
        process, port = servers.httpd(self, "--threads")
        traffic = Traffic(port)
        traffic.once("GET", "/size/1")
        connections = [traffic.connect() for _ in range(5)]
        for number, connection in enumerate(connections):
            connection.send(request_bytes("GET", f"/delay/60000/{number}"))
        self.wait_for_requests(6)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        wait_until(lambda: len(self.spans()) >= 6, what="the open requests' spans")
        for connection in connections:
            connection.close()
        spans = [span for span in self.spans() if span["attributes"]["url.path"].startswith("/delay")]
        self.assertEqual([(f"/delay/60000/{number}", ERROR) for number in range(5)],
                         sorted((span["attributes"]["url.path"], span["attributes"]["error.type"]) for span in spans))
        for span in spans:
            self.check_form(span)
            self.assertNotIn("http.response.status_code", span["attributes"])

    def test_server_ends_in_the_middle(self):
        """Other deaths: by a fault, by exec, by exit; with a request open."""
        for requests, target, error in ((0, "/kill/11", "SIGSEGV"), (2, "/kill/6", "SIGABRT"), (4, "/exit/0", ERROR)):
            process, port = servers.httpd(self, "--threads")
            traffic = Traffic(port)
            self.sink.spans.clear()
            with traffic.connect() as waiting:
                waiting.send(request_bytes("GET", "/delay/60000"))
                self.wait_for_requests(requests + 1)
                traffic.once("GET", target)
                process.wait()
            wait_until(lambda: len(self.spans()) >= 2, what="both spans")
            self.assertEqual(1, len(self.sink.spans) - 1)
            by_path = {span["attributes"]["url.path"]: span["attributes"] for span in self.spans()}
            self.assertEqual(200, by_path[target]["http.response.status_code"])
            self.assertEqual(error, by_path["/delay/60000"]["error.type"])


@unittest.skipIf(BARE, "bare run")
class ClientKillTest(ShimTest):
    """A program that is killed while it waits for another's answer."""

    def test_the_open_request_ends_as_an_error(self):
        with socket.create_server(("127.0.0.1", 0)) as upstream:
            client = self.run_program([PYTHON, "-c", CLIENT, upstream.getsockname()[1]])
            wait_until(lambda: b"sent" in client.out, what="the request")
            client.kill()
            span, = self.spans(1, SPAN_KIND_CLIENT)
        self.assertEqual(("http://upstream/open", ERROR),
                         (span["attributes"]["url.full"], span["attributes"]["error.type"]))


@unittest.skipIf(BARE, "bare run")
class WorkerKillTest(ShimTest):
    """The agent's worker killed again and again: no committed span is lost."""

    KILLS = 100
    BATCH_S = 0.1  # it may be killed at any moment of a batch's life,
    AGE_S = 0.21  # but one that is killed sooner after its start is started again ever later

    def _kill_worker(self):
        before = self.spanshim.worker_pid
        age = self.AGE_S + random.random() * self.BATCH_S
        wait_until(lambda: age_s(before) > age, what="the worker's age")
        os.kill(before, signal.SIGKILL)
        wait_until(lambda: set(children(self.spanshim.agent.pid)) - {before}, what="a new worker")

    def test_100_kills_under_load(self):
        settings = {"SPANSHIM_QUEUE_BYTES": 256 << 20, "OTEL_BSP_SCHEDULE_DELAY": int(self.BATCH_S * 1000)}
        _, port = servers.nginx(self, workers=2, env=self.spanshim.env(**settings))
        traffic = Traffic(port)
        enough = threading.Event()

        def work():
            with traffic.connect() as connection:
                number = 0
                while not enough.is_set():
                    traffic.request(connection, "GET", f"/short/{number}")
                    number += 1
                    enough.wait(0.0005)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            for _ in range(self.KILLS):
                self._kill_worker()
                arrived = len(self.sink.spans)
                wait_until(lambda n=arrived: len(self.sink.spans) > n or FULL, what="spans go on")
        finally:
            enough.set()
            worker.join()
        asked = {exchange.target for exchange in traffic.exchanges}
        with contextlib.suppress(TimeoutError):  # what is lost is said below
            wait_until(lambda: len(paths_of(self.spans())) >= len(asked))
        spans = self.spans()
        times = paths_of(spans)
        twice = sum(count - 1 for count in times.values())
        print(f"{len(asked)} requests, {self.KILLS} kills, {twice} spans sent again")
        lost = sorted(int(path.rpartition("/")[2]) for path in asked - set(times))
        self.assertEqual([], ranges(lost)[:20], f"lost {len(lost)}; log:\n{self.spanshim.log()[-3000:]}")
        # Only what was under way when its sender died may come again: the same span, not another one.
        self.assertEqual(len(asked), len({span["span_id"] for span in spans}))
        self.assertLessEqual(twice, self.KILLS * 512)

    def test_nothing_twice_when_idle(self):
        _, port = servers.httpd(self)
        traffic = Traffic(port)
        for _ in range(10):
            for _ in range(20):
                traffic.once("GET", "/size/1")
            self.assertTrue(self.spanshim.flush())
            self._kill_worker()
        self.check_spans(traffic.exchanges)


if __name__ == "__main__":
    unittest.main(verbosity=2)
