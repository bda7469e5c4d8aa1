# SPDX-License-Identifier: Apache-2.0
"""Shapes of traffic that are easily miscounted: reuse, pipelining, cuts at every byte, bodies that look like requests,
answers that end in odd ways, very many connections. Each must give exactly its spans."""

import resource
import socket
import struct
import time
import unittest

import servers
from harness import ShimTest, Traffic
from http_client import Connection, Response, request_bytes
from processes import thread_states, wait_until

FAKE = b"GET /fake HTTP/1.1\r\nHost: fake\r\n\r\n"


class KeepAliveTest(ShimTest):
    """Many requests on one connection to nginx, and to the C server."""

    def _gets(self, port, target, count=100):
        traffic = Traffic(port)
        with traffic.connect() as connection:
            for _ in range(count):
                traffic.request(connection, "GET", target)
        self.check_spans(traffic.exchanges)

    def test_100_gets_of_1_kb(self):
        self._gets(servers.nginx(self)[1], "/1k")

    def test_100_gets_of_100_kb_by_sendfile(self):
        self._gets(servers.nginx(self)[1], "/100k")

    def test_100_gets_of_100_kb_by_sendfile_in_c(self):
        self._gets(servers.httpd(self)[1], "/sendfile/100000")

    def test_100_gets_of_100_kb_by_splice_in_c(self):
        self._gets(servers.httpd(self)[1], "/splice/100000")

    def test_50_heads_then_10_gets(self):
        for start, target in ((servers.nginx, "/1k"), (servers.httpd, "/size/1000"), (servers.httpd, "/chunked/1000")):
            with self.subTest(target=target):
                self.sink.spans.clear()
                traffic = Traffic(start(self)[1])
                with traffic.connect() as connection:
                    for _ in range(50):
                        traffic.request(connection, "HEAD", target)
                    for _ in range(10):
                        traffic.request(connection, "GET", target)
                self.check_spans(traffic.exchanges)


class PipelineTest(ShimTest):
    """Requests sent before earlier ones are answered."""

    def _pipeline(self, port, target, writes, per_write):
        traffic = Traffic(port)
        with traffic.connect() as connection:
            for number in range(writes):
                connection.send(b"".join(request_bytes("GET", f"{target}?n={number}-{i}", host=connection.host)
                                         for i in range(per_write)))
            for number in range(writes):
                for i in range(per_write):
                    traffic.note(connection, "GET", f"{target}?n={number}-{i}", connection.read_response())
        self.check_spans(traffic.exchanges)

    def test_100_gets_in_10_writes_to_nginx(self):
        self._pipeline(servers.nginx(self)[1], "/1k", 10, 10)

    def test_100_gets_in_10_writes_to_the_poll_loop(self):
        self._pipeline(servers.httpd(self)[1], "/size/1000", 10, 10)

    def test_100_gets_in_10_writes_to_threads(self):
        self._pipeline(servers.httpd(self, "--threads")[1], "/size/1000", 10, 10)

    def test_bodies_between_pipelined_requests(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            wanted = [("POST", b"x" * n) for n in (0, 1, 10, 5000)] + [("POST", [b"a" * 7, FAKE])]
            connection.send(b"".join(request_bytes(method, "/echo", body, host=connection.host)
                                     for method, body in wanted))
            for method, body in wanted:
                size = sum(map(len, body)) if isinstance(body, list) else len(body)
                response = traffic.note(connection, method, "/echo", connection.read_response(), request_body=size)
                self.assertEqual(b"%d\n" % size, response.body)
        self.check_spans(traffic.exchanges)

    def test_body_and_the_beginning_of_the_next_request(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            following = request_bytes("GET", "/size/1", host=connection.host)
            for cut in (1, 3, len(following) // 2, len(following) - 1):
                connection.send(request_bytes("POST", "/echo", b"hello", host=connection.host) + following[:cut])
                traffic.note(connection, "POST", "/echo", connection.read_response(), request_body=5)
                connection.send(following[cut:])
                traffic.note(connection, "GET", "/size/1", connection.read_response())
        self.check_spans(traffic.exchanges)


class SplitTest(ShimTest):
    """Heads that arrive in pieces."""

    def _split_everywhere(self, port, target, calls_per_byte=False):
        traffic = Traffic(port)
        whole = request_bytes("GET", target, fields=[("User-Agent", "cut")], host=f"localhost:{port}")
        with traffic.connect() as connection:
            for cut in range(1, len(whole)):
                connection.send(whole[:cut])
                connection.wait_until_read()
                connection.send(whole[cut:])
                traffic.note(connection, "GET", target, connection.read_response(), user_agent="cut")
            for byte in whole if calls_per_byte else ():
                connection.send(bytes([byte]))
                connection.wait_until_read()
            if calls_per_byte:
                traffic.note(connection, "GET", target, connection.read_response(), user_agent="cut")
        self.check_spans(traffic.exchanges)

    def test_the_span_starts_with_the_first_byte(self):
        process, port = servers.httpd(self)
        traffic = Traffic(port)
        pause = 0.2
        with traffic.connect() as connection:
            for _ in range(2):
                connection.send(b"G")
                connection.wait_until_read()
                wait_until(lambda: set(thread_states(process.pid).values()) == {"S"}, what="the server waits for more")
                time.sleep(pause)  # what is measured, not a wait for something
                connection.send(request_bytes("GET", "/size/1", host=connection.host)[1:])
                traffic.note(connection, "GET", "/size/1", connection.read_response(), at_least=pause)
        self.check_spans(traffic.exchanges)

    def test_request_cut_after_every_byte_to_nginx(self):
        self._split_everywhere(servers.nginx(self)[1], "/1k?cut=yes")

    def test_request_cut_after_every_byte_to_the_poll_loop(self):
        self._split_everywhere(servers.httpd(self)[1], "/size/10?cut=yes", calls_per_byte=True)

    def test_request_cut_after_every_byte_by_readv(self):
        self._split_everywhere(servers.httpd(self, "--calls", "vector")[1], "/size/10?cut=yes", calls_per_byte=True)

    def test_request_cut_after_every_byte_to_gunicorn(self):
        _, port = servers.gunicorn(self, "gthread", workers=1)
        self._split_everywhere(port, "/size/10?cut=yes")


class BodyTest(ShimTest):
    """Bodies are skipped by their framing, whatever stands in them."""

    def test_bodies_that_contain_a_request(self):
        for start in (servers.httpd, servers.node, lambda test: servers.gunicorn(test, "gthread"),
                      servers.http_handler):
            self.sink.spans.clear()
            traffic = Traffic(start(self)[1])
            with traffic.connect() as connection:
                for _ in range(10):
                    traffic.request(connection, "POST", "/echo", FAKE)
                    traffic.request(connection, "POST", "/echo", FAKE * 3000)
                    if start is not servers.http_handler: # which reads no chunks
                        traffic.request(connection, "POST", "/echo", [FAKE, FAKE + FAKE, b"end"])
                traffic.request(connection, "GET", "/size/5")
            self.check_spans(traffic.exchanges)

    def test_body_arrives_apart_from_its_head(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            for body in (FAKE, [FAKE, b"tail"]):
                whole = request_bytes("POST", "/echo", body, host=connection.host)
                for start in range(0, len(whole), 7):
                    connection.send(whole[start:start + 7])
                    connection.wait_until_read()
                size = sum(map(len, body)) if isinstance(body, list) else len(body)
                traffic.note(connection, "POST", "/echo", connection.read_response(), request_body=size)
        self.check_spans(traffic.exchanges)

    def test_expect_100_continue(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            connection.send(b"POST /echo HTTP/1.1\r\nHost: %s\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
                            % connection.host.encode())
            interim = b"HTTP/1.1 100 Continue\r\n\r\n"
            self.assertEqual(interim, connection.socket.recv(len(interim), socket.MSG_WAITALL))
            connection.send(b"hello")
            traffic.note(connection, "POST", "/echo", connection.read_response(), request_body=5)
            traffic.request(connection, "GET", "/size/1")
        self.check_spans(traffic.exchanges)


class AnswerTest(ShimTest):
    """Every framing of an answer, and answers that break off."""

    def test_framings(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            for target in ("/chunked/1", "/chunked/5500", "/hints", "/status/204", "/status/304", "/size/0",
                           "/chunked/0", "/size/70000", "/close/12345"):
                traffic.request(connection, "GET", target)
        self.check_spans(traffic.exchanges)

    def test_no_answer(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            connection.send(request_bytes("GET", "/drop", host=connection.host))
            self.assertEqual(b"", connection.socket.recv(1))
            traffic.note(connection, "GET", "/drop", Response(0, {}, b"", b""), error="no_response")
        self.check_spans(traffic.exchanges)

    def test_answer_breaks_off(self):
        traffic = Traffic(servers.httpd(self)[1])
        with traffic.connect() as connection:
            with self.assertRaises(EOFError):
                connection.request("GET", "/partial/1000")
            traffic.note(connection, "GET", "/partial/1000", Response(200, {}, b"x" * 500, b""),
                         error="response_incomplete")
        self.check_spans(traffic.exchanges)

    def test_client_hangs_up_during_the_delay(self):
        self.needs_spans()
        process, port = servers.httpd(self, "--threads")
        traffic = Traffic(port)
        with traffic.connect() as connection:
            connection.send(request_bytes("GET", "/close/100000000", host=connection.host))
            connection.socket.recv(1)
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        traffic.once("GET", "/size/1")
        wait_until(lambda: len(self.spans()) >= 2, what="the span of the abandoned request")
        cut, = [span for span in self.spans() if span["attributes"]["url.path"].startswith("/close")]
        self.assertIn(cut["attributes"]["error.type"], ("client_closed", "connection_reset"))
        self.assertEqual(200, cut["attributes"]["http.response.status_code"])
        self.assertEqual(2, len(self.spans()))
        self.assertIsNone(process.popen.poll())

    def test_half_closed_client_is_answered(self):
        traffic = Traffic(servers.httpd(self, "--threads")[1])
        with traffic.connect() as connection:
            connection.send(request_bytes("GET", "/delay/50", host=connection.host))
            connection.socket.shutdown(socket.SHUT_WR)
            traffic.note(connection, "GET", "/delay/50", connection.read_response(), at_least=0.05)
        self.check_spans(traffic.exchanges)

    def test_bytes_that_are_no_http_make_no_span(self):
        _, port = servers.httpd(self)
        for junk in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\0" * 100, b"EHLO mail.example\r\n",
                     b"get / http/1.1\r\n", b"GET\r\n\r\n"):
            with Connection(port) as connection:
                connection.send(junk)
        traffic = Traffic(port)
        traffic.once("GET", "/size/1")
        self.check_spans(traffic.exchanges)


class TransportTest(ShimTest):
    """The same over IPv6 and over unix sockets."""

    def test_ipv6(self):
        traffic = Traffic(servers.httpd(self, "--ipv6")[1])
        with traffic.connect(ipv6=True) as connection:
            for _ in range(10):
                traffic.request(connection, "GET", "/size/10", client="::1")
        self.check_spans(traffic.exchanges)

    def test_unix_socket(self):
        self.needs_spans()
        path = str(self.directory / "web.sock")
        process = self.run_program([servers.APPS / "httpd", "--unix", path])
        wait_until(lambda: b"ready" in process.out, what="httpd is ready")
        with Connection(path) as connection:
            for _ in range(10):
                self.assertEqual(200, connection.request("GET", "/size/10").status)
        spans = self.spans(10)
        self.assertEqual([("GET", "/size/10", 200, 10)] * 10, [
            (span["attributes"]["http.request.method"], span["attributes"]["url.path"],
             span["attributes"]["http.response.status_code"], span["attributes"]["http.response.body.size"])
            for span in spans])


class CrowdTest(ShimTest):
    """1,500 connections open at once, one request open on each."""

    CROWD = 1500

    def setUp(self):
        super().setUp()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    def _crowd(self, port, target):
        traffic = Traffic(port)
        connections = [traffic.connect() for _ in range(self.CROWD)]
        try:
            for rounds in range(2):
                # The head's last byte is held back, so that all requests are open together.
                for connection in connections:
                    connection.send(request_bytes("GET", target, host=connection.host)[:-1])
                for connection in connections if rounds else reversed(connections):
                    connection.send(b"\n")
                for connection in connections:
                    traffic.note(connection, "GET", target, connection.read_response())
        finally:
            for connection in connections:
                connection.close()
        self.check_spans(traffic.exchanges)

    def test_poll_loop(self):
        self._crowd(servers.httpd(self)[1], "/size/100")

    def test_threads(self):
        self._crowd(servers.httpd(self, "--threads")[1], "/size/100")

    def test_nginx(self):
        self._crowd(servers.nginx(self)[1], "/1k")


if __name__ == "__main__":
    unittest.main(verbosity=2)
