# SPDX-License-Identifier: Apache-2.0
"""Responses that name their trace, if the settings want it: real servers, whose answers are otherwise what they were."""

import re
import unittest

import servers
from harness import ShimTest
from http_client import Connection

TIMING_NAME = b"Server-Timing: "
TIMING = re.compile(rb'Server-Timing: traceparent;desc="00-([0-9a-f]{32})-([0-9a-f]{16})-0[13]"\r\n')
CORS = b"Access-Control-Expose-Headers: Server-Timing\r\n"
XRAY = re.compile(rb"X-Amzn-Trace-Id: ([^\r]*)\r\n")
OF_THE_MOMENT = re.compile(rb"(?i)^(date|etag|last-modified): [^\r]*", re.MULTILINE)

INTERIM = re.compile(rb"(HTTP/1.1 1.*\r\n(.+\r\n)*\r\n)*")

WANTED = {"SPANSHIM_RESPONSE_TRACEPARENT": "true"}
FILES = [("GET", "/1k"), ("HEAD", "/1k"), ("GET", "/100k"), ("GET", "/empty"), ("GET", "/missing")]
SHAPES = [("GET", "/size/1000"), ("HEAD", "/size/1000"), ("GET", "/size/100000"), ("GET", "/size/0"),
          ("GET", "/status/204"), ("GET", "/status/304"), ("GET", "/status/503")]

class ResponseHeadersTest(ShimTest):
    """Each test starts a server by a function of its environment, which returns the port."""

    def setUp(self):
        super().setUp()
        self.needs_spans()

    def ask(self, port, requests, fields=()):
        """Over one connection while the server keeps it; each answer, as it came."""
        answers, connection = [], Connection(port)
        for method, target in requests:
            answer = connection.request(method, target, fields=fields)
            answers.append(answer)
            if answer.closes:
                connection.close()
                connection = Connection(port)
        connection.close()
        return answers

    def serve(self, start, settings, requests, **options):
        """The answers of the server with these settings, and of the bare one."""
        traced = self.ask(start(self.spanshim.env(**settings)), requests, **options)
        bare = self.ask(start(self.spanshim.env(preload=False)), requests, **options)
        return traced, bare

    def check_untouched(self, traced, bare, added=()):
        """Without what was `added` the bytes are those of the bare server."""
        for answer, plain in zip(traced, bare, strict=True):
            raw = answer.raw
            for line in added:
                raw = re.sub(line, b"", raw, count=1)
            self.assertEqual(OF_THE_MOMENT.sub(b"", plain.raw), OF_THE_MOMENT.sub(b"", raw))

    def told_by(self, answer, behind=b""):
        """The ids that the answer's one line says; it is the last of the head, but for what is `behind` it."""
        heads = INTERIM.match(answer.raw).end()
        head = answer.raw[heads:].partition(b"\r\n\r\n")[0] + b"\r\n"
        self.assertNotIn(TIMING_NAME, answer.raw[:heads])
        self.assertEqual(1, head.count(TIMING_NAME), head)
        line = TIMING.search(head)
        self.assertTrue(line, head)
        self.assertEqual(behind, head[line.end():])
        return line.group(1).decode(), line.group(2).decode()

    def check(self, start, requests):
        """Every answer names its server's span, and is the bare server's but for that."""
        traced, bare = self.serve(start, WANTED, requests)
        told = [(*self.told_by(answer), target, answer.status)
                for answer, (_, target) in zip(traced, requests, strict=True)]
        spans = [(span["trace_id"], span["span_id"], span["attributes"]["url.path"],
                  span["attributes"]["http.response.status_code"]) for span in self.spans(len(requests))]
        self.assertEqual(sorted(told), sorted(spans))
        self.check_untouched(traced, bare, [TIMING])

    def test_nginx_by_sendfile(self):
        self.check(lambda env: servers.nginx(self, env=env)[1], FILES)

    def test_nginx_as_a_proxy(self):
        _, behind = servers.httpd(self, env=self.spanshim.env(preload=False))
        self.check(lambda env: servers.nginx(self, "proxy.conf", env=env, BEHIND=behind)[1], SHAPES)

    def test_gunicorn(self):
        self.check(lambda env: servers.gunicorn(self, env=env)[1], SHAPES)

    def test_node(self):
        self.needs_programs("node")
        self.check(lambda env: servers.node(self, env=env)[1], [*SHAPES, ("GET", "/chunked/2500")])

    def test_http_server(self):
        self.check(lambda env: servers.http_server(self, env=env)[1], FILES)

    def _check_httpd(self, *arguments):
        self.check(lambda env: servers.httpd(self, *arguments, env=env)[1],
                   [*SHAPES, ("GET", "/chunked/2500"), ("GET", "/sendfile/50000"), ("GET", "/splice/50000"),
                    ("GET", "/hints"), ("GET", "/close/3000")])

    def test_httpd_by_write(self):
        self._check_httpd("--fork")

    def test_httpd_by_send(self):
        self._check_httpd("--calls", "socket")

    def test_httpd_by_writev(self):
        self._check_httpd("--calls", "vector")

    def test_httpd_by_sendmsg(self):
        self._check_httpd("--calls", "message")

    def test_off_by_default(self):
        traced, bare = self.serve(lambda env: servers.nginx(self, env=env)[1], {"SPANSHIM_RESPONSE_TRACEPARENT_CORS": "true"},
                                  FILES)
        self.check_untouched(traced, bare)

    def test_other_origins(self):
        traced, bare = self.serve(lambda env: servers.node(self, env=env)[1],
                                  {**WANTED, "SPANSHIM_RESPONSE_TRACEPARENT_CORS": "true"}, SHAPES)
        for answer in traced:
            self.told_by(answer, behind=CORS)
        self.check_untouched(traced, bare, [TIMING, CORS])

    def test_xray(self):
        """As X-Ray's SDKs answer: the trace, and whether it is recorded if that was asked."""
        root = "1-5759e988-bd862e3fe1be46a994272793"
        for sampled, expected in (("", ""), (";Sampled=1", ""), (";Sampled=?", ";Sampled=1"), (";Sampled=0", "")):
            with self.subTest(sampled=sampled):
                field = ("X-Amzn-Trace-Id", f"Root={root};Parent=53995c3f42cd8ad8{sampled}")
                traced, bare = self.serve(lambda env: servers.http_server(self, env=env)[1],
                                          {"OTEL_PROPAGATORS": "xray", "SPANSHIM_RESPONSE_XRAY": "true"}, FILES, fields=[field])
                for answer in traced:
                    self.assertEqual([f"Root={root}{expected}".encode()], XRAY.findall(answer.raw))
                self.check_untouched(traced, bare, [XRAY])


if __name__ == "__main__":
    unittest.main()
