# SPDX-License-Identifier: Apache-2.0
"""Heads that a program passes on while it works on several requests in turns: the head of an outgoing request says which of
them it is made for. Where it could be another's, or the program's own, it has no parent."""

import concurrent.futures
import http.server
import socket
import threading
import unittest
from urllib.parse import urlsplit

import servers
from harness import PYTHON, SPAN_KIND_SERVER, ShimTest
from http_client import Connection, request_bytes
from processes import free_port, wait_until

SPAN_KIND_CLIENT = 3
CLIENT, OTHER = ("User-Agent", "client/1.0"), ("User-Agent", "other/1.0")


class Behind(http.server.BaseHTTPRequestHandler):
    """/held/... waits until it is told to go on; the program's own requests don't."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        agent = self.headers.get("User-Agent", "")
        self.server.asked.append((self.path, agent))
        if "/held/" in self.path and not agent.startswith("own/"):
            self.server.go_on.wait(60)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class BehindServer(http.server.ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """HAProxy resets connections that it is done with."""


class EchoTest(ShimTest):
    """A server behind that holds answers back, and clients whose requests are under way at once."""

    why = "ambiguous"  # what a span without a parent says

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.behind = BehindServer(("127.0.0.1", 0), Behind)
        self.behind.asked, self.behind.go_on = [], threading.Event()
        thread = threading.Thread(target=self.behind.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.behind.server_close)
        self.addCleanup(self.behind.shutdown)
        self.addCleanup(self.behind.go_on.set)
        self.port = free_port()
        self.connections = []
        self.warm_ups = 0  # requests that were answered, maybe in vain

    def start(self, argv, **settings):
        """Start the program under test."""
        process = self.run_program(argv, env=self.spanshim.env(BEHIND=self.behind.server_address[1], **settings))
        wait_until(lambda: self._answers(process), timeout=60, what="it answers")

    def _answers(self, process):
        self.assertIsNone(process.popen.poll(), "it has ended")
        try:
            with Connection(self.port) as connection:
                status = connection.request("GET", "/warm-up", fields=[OTHER]).status
                self.warm_ups += 1
                return status == 200
        except (OSError, EOFError):
            return False

    def ask(self, path, *fields):
        """Send a request; its answer is read at the end."""
        connection = Connection(self.port)
        self.addCleanup(connection.close)
        connection.send(request_bytes("GET", path, fields=fields, host=f"localhost:{self.port}"))
        self.connections.append(connection)

    def wait_behind(self, path, agent, count=1):
        """Until the server behind was asked for it so often."""
        wait_until(lambda: self.behind.asked.count((path, agent[1])) >= count, what=f"{path} behind")

    def finish(self, status=200):
        """Let all answers come."""
        self.behind.go_on.set()
        for connection in self.connections:
            self.assertIn(connection.read_response("GET").status, (200, status))

    def asked_for(self, path, agent=CLIENT):
        """Of the outgoing requests for this path under this name: the paths of their parents, None for no parent."""
        served = {span["span_id"]: span["attributes"]["url.path"] for span in self.spans(len(self.connections) + self.warm_ups)}
        spans = self.spans(kind=SPAN_KIND_CLIENT)
        asked = [span for span in spans if urlsplit(span["attributes"]["url.full"]).path == path and
                 span["attributes"].get("user_agent.original") == agent[1]]
        if not (agent[1] or "").startswith("own/"):  # those may be made while nothing is served
            for span in asked:
                self.assertEqual(None if span["parent_span_id"] else self.why, span["attributes"].get("spanshim.parent"))
        return [served[span["parent_span_id"]] if span["parent_span_id"] else None for span in asked]


class HaproxyTest(EchoTest):
    """One thread for all connections. A request that waits in its queue may be meant by whatever it does."""

    def setUp(self):
        super().setUp()
        self.needs_programs("haproxy")
        self.unseen_port = free_port()
        self.failing = socket.create_server(("127.0.0.1", 0))
        thread = threading.Thread(target=self._fail)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.failing.close)
        self.addCleanup(self.failing.shutdown, socket.SHUT_RDWR)
        config = servers.fill_in("haproxy/echo.cfg", self.directory / "haproxy.cfg", PORT=self.port,
                                 BEHIND=self.behind.server_address[1], FAILS=self.failing.getsockname()[1],
                                 UNSEEN=self.unseen_port)
        self.start(["/usr/sbin/haproxy", "-f", config])
        for number in range(2):
            self.ask(f"/full/held/{number}", OTHER)
        self.wait_for_requests(self.warm_ups + 2)

    def _fail(self):
        """A server that reads a request and leaves without an answer."""
        while True:
            try:
                connection, _ = self.failing.accept()
            except OSError:
                return
            with connection:
                connection.recv(4096)

    def test_passed_on(self):
        """Beside its own question for the very same, under another name."""
        self.wait_behind("/held/1", ("", "own/1.0"))
        self.ask("/held/1", CLIENT)
        self.wait_behind("/held/1", CLIENT)
        self.wait_behind("/held/1", ("", "own/1.0"), self.behind.asked.count(("/held/1", "own/1.0")) + 2)
        self.finish()
        self.assertEqual(["/held/1"], self.asked_for("/held/1"))
        own = self.asked_for("/held/1", ("", "own/1.0"))
        self.assertEqual({None}, set(own))

    def test_two_alike(self):
        self.ask("/held/1", CLIENT)
        self.wait_behind("/held/1", CLIENT)
        self.ask("/held/1", CLIENT)
        self.wait_behind("/held/1", CLIENT, 2)
        self.ask("/held/1", ("User-Agent", "third/1.0"))
        self.wait_behind("/held/1", ("", "third/1.0"))
        self.finish()
        self.assertCountEqual(["/held/1", None], self.asked_for("/held/1"))
        self.assertEqual(["/held/1"], self.asked_for("/held/1", ("", "third/1.0")))

    def test_without_a_name(self):
        """Who doesn't say what it is may be anybody."""
        self.ask("/held/1")
        self.wait_behind("/held/1", ("", ""))
        self.finish()
        self.assertEqual([None], self.asked_for("/held/1", ("", None)))

    def test_beside_what_is_not_seen(self):
        """Not HTTP/1: it may bring requests, too. As long as it is open."""
        with Connection(self.unseen_port) as unseen:
            unseen.send(b"\x16\x03\x01\x02\x00")
            unseen.wait_until_read()
            self.ask("/held/1", CLIENT)
            self.wait_behind("/held/1", CLIENT)
        self.finish()
        self.assertEqual([None], self.asked_for("/held/1"))

    def test_another_server_after_a_failure(self):
        """Sent again, it is the same request's."""
        self.ask("/again/held/1", CLIENT)
        self.wait_behind("/again/held/1", CLIENT)
        self.finish()
        parents = self.asked_for("/again/held/1")
        self.assertEqual({"/again/held/1"}, set(parents))
        self.assertGreater(len(parents), 1)

    def test_another_path(self):
        """Even if somebody else asks for that one: from then on neither is believed."""
        self.ask("/renamed/1", CLIENT)
        self.wait_behind("/held/other", CLIENT)
        self.ask("/held/other", CLIENT)
        self.wait_behind("/held/other", CLIENT, 2)
        self.ask("/renamed/2", CLIENT)
        self.wait_behind("/held/other", CLIENT, 3)
        self.finish()
        self.assertEqual([None] * 3, self.asked_for("/held/other"))

    def test_doubled_fields(self):
        """It refuses them, or passes on what it makes of them: nobody else's."""
        self.ask("/held/1", CLIENT, OTHER, ("User-Agent", "third/1.0"))
        self.wait_behind("/held/1", CLIENT)
        self.ask("/held/1", OTHER, CLIENT)
        self.wait_behind("/held/1", OTHER)
        self.ask("/held/2", CLIENT, ("Host", "elsewhere"))
        self.finish(status=400)
        self.assertEqual(["/held/1"], self.asked_for("/held/1"))
        self.assertEqual(["/held/1"], self.asked_for("/held/1", OTHER))
        self.assertEqual([], self.asked_for("/held/2"))


class CacheTest(EchoTest):
    """Varnish: it answers what it has and asks afterwards, or lets many wait for one's answer; threads of its pool ask."""

    def setUp(self):
        super().setUp()
        self.needs_programs("varnishd", "gcc")
        config = servers.fill_in("causality/cache.vcl", self.directory / "cache.vcl", BEHIND=self.behind.server_address[1])
        self.start(servers.varnish(self.directory / "varnish", self.port, config), SPANSHIM_REQUEST_HEADERS="x-id")

    def _ask_often(self, path, client):
        for number in range(60):
            with Connection(self.port) as connection:
                fields = [CLIENT, ("X-Id", f"{path}-{client}-{number}")]
                self.assertEqual(200, connection.request("GET", path, fields=fields).status)

    def test_all_ask_for_the_same(self):
        """Whose request it is says only a field that Varnish passes on: the right one, or none."""
        clients = [("/grace/1", 1), *(("/2", client) for client in range(4)), *(("/grace/3", client) for client in range(3))]
        with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
            list(pool.map(lambda client: self._ask_often(*client), clients))
        served = self.spans(60 * len(clients) + self.warm_ups)
        names = {span["span_id"]: span["attributes"].get("http.request.header.x-id") for span in served}
        asked = [span for span in self.spans(kind=SPAN_KIND_CLIENT) if "http.request.header.x-id" in span["attributes"]]
        print(f"{len(asked)} asked, {sum(bool(span['parent_span_id']) for span in asked)} with a parent", flush=True)
        self.assertGreater(len(asked), 10)
        for span in asked:
            if span["parent_span_id"]:
                self.assertEqual(span["attributes"]["http.request.header.x-id"], names[span["parent_span_id"]])


class OwnRequestsTest(EchoTest):
    """A program on an event loop that makes requests of its own."""

    def setUp(self):
        super().setUp()
        self.start([PYTHON, servers.SCRIPTS / "causality" / "own_requests.py", self.port])

    def test_own_name(self):
        """A timer asks for what a client asks for, as another program; and the client's is passed on."""
        self.ask("/proxied/held/1", CLIENT)
        self.ask("/held/1", CLIENT)
        self.wait_behind("/held/1", CLIENT)
        self.wait_behind("/proxied/held/1", CLIENT)
        self.wait_behind("/held/1", ("", "own/1.0"), self.behind.asked.count(("/held/1", "own/1.0")) + 2)
        self.finish()
        self.assertEqual(["/proxied/held/1"], self.asked_for("/proxied/held/1"))
        self.assertEqual({None}, set(self.asked_for("/held/1", ("", "own/1.0"))))

    def test_another_host(self):
        """The same name and path, but it was asked under another host's name: it is a request of the program's own."""
        self.why = "unknown"
        self.ask("/held/1", CLIENT)
        self.wait_behind("/held/1", CLIENT)
        self.finish()
        self.assertEqual([None], self.asked_for("/held/1"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
