# SPDX-License-Identifier: Apache-2.0
"""Forms of HTTP/1 that few clients and servers use, played by both sides byte for byte: what the spans say of them."""

import json
import struct
import unittest

import servers
from harness import PYTHON, ShimTest, dropped_spans
from http_client import Connection

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
REFUSAL = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


class ScriptTest(ShimTest):
    """A scripted server, a connection for each conversation."""

    def converse(self, *conversations):
        """Each conversation is a list of (sent by the client, answered by the server). The spans' attributes, by path and
        in the order in which they were made."""
        self.needs_spans()
        script = self.directory / "script.json"
        script.write_text(json.dumps([[(len(sent), answer.decode("latin-1")) for sent, answer in steps]
                                      for steps in conversations]))
        process = self.run_program([PYTHON, servers.SCRIPTS / "scripted.py", script])
        port = process.announced_port()
        for steps in conversations:
            with Connection(port) as connection:
                for sent, answer in steps:
                    connection.send(sent)
                    self.assertEqual(answer, self.receive(connection, len(answer)))
        process.wait()
        spans = sorted(self.spans(), key=lambda span: span["start_time_unix_nano"])
        return [span["attributes"] for span in spans]

    @staticmethod
    def receive(connection, count):
        """So many bytes of an answer."""
        data = b""
        while len(data) < count:
            piece = connection.socket.recv(count - len(data))
            if not piece:
                break
            data += piece
        return data

    def check(self, attributes, **expected):
        """These attributes have these values, None for none; dots are written as two underscores."""
        named = {name.replace("__", "."): value for name, value in expected.items()}
        self.assertEqual(named, {name: attributes.get(name) for name in named})


class TargetTest(ScriptTest):
    """The forms of a request's target."""

    def test_absolute_target_names_the_server(self):
        spans = self.converse([(b"GET http://shop.example:8080/p?q=1 HTTP/1.1\r\nHost: other\r\n\r\n", OK)])
        self.assertEqual(1, len(spans))
        self.check(spans[0], url__path="/p", url__query="q=1", server__address="shop.example", server__port=8080)

    def test_asterisk_target_is_the_path(self):
        spans = self.converse([(b"OPTIONS * HTTP/1.1\r\nHost: a:81\r\n\r\n", OK), (NEXT, OK)])
        self.assertEqual(["*", "/next"], [span["url.path"] for span in spans])
        self.check(spans[0], http__request__method="OPTIONS", server__address="a", server__port=81)

    def test_tunnel_is_one_span(self):
        request = b"CONNECT db.example:5432 HTTP/1.1\r\nHost: db.example:5432\r\n\r\n"
        spans = self.converse([(request, b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"), (NEXT, OK),
                               (request, b"HTTP/1.1 200 Established\r\nContent-Length: 5\r\n\r\n"),
                               (b"GET /inside HTTP/1.1\r\n\r\n", OK), (b"\x16\x03\x01", b"\x16\x03\x03")])
        self.assertEqual([403, 200, 200], [span["http.response.status_code"] for span in spans])
        self.check(spans[0], url__path=None, spanshim__upgraded=None)
        self.check(spans[1], url__path="/next")
        self.check(spans[2], http__request__method="CONNECT", url__path=None, server__address="db.example",
                   server__port=5432, spanshim__upgraded=True, spanshim__framing=None)


class UpgradeTest(ScriptTest):
    """Answers before the last one, or before the end of HTTP."""

    def test_websocket_is_one_span_and_a_refused_one_goes_on(self):
        request = (b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
        granted = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x81\x02hi"
        spans = self.converse([(request, b"HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n"), (NEXT, OK), (request, granted),
                               (b"\x81\x85\0\0\0\0hello", b"\x81\x05hello"), (NEXT, OK)])
        self.assertEqual([("/ws", 426, None), ("/next", 200, None), ("/ws", 101, True)],
                         [(span["url.path"], span["http.response.status_code"], span.get("spanshim.upgraded"))
                          for span in spans])

    def test_interim_answers_and_trailers(self):
        interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n"
        head = b"POST /p HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n" + CHUNKED + b"\r\n"
        spans = self.converse([(head, interim), (b"3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", OK), (NEXT, OK)])
        self.assertEqual(["/p", "/next"], [span["url.path"] for span in spans])
        self.check(spans[0], http__response__status_code=200, http__request__body__size=3, spanshim__framing=None)


class HeadTest(ScriptTest):
    """Heads of unusual length or form."""

    def test_long_heads_are_cut_and_followed(self):
        request = b"POST /%s HTTP/1.1\r\nX: %s\r\nContent-Length: 5\r\n\r\nhello" % (b"x" * 100_000, b"y" * 2_000_000)
        answer = b"HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 2\r\n\r\nhi" % (b"z" * 100_000)
        spans = self.converse([(request, answer), (NEXT, OK)])
        self.assertEqual(2, len(spans))
        self.check(spans[0], http__request__body__size=5, http__response__body__size=2, spanshim__truncated=True)
        self.assertLess(len(spans[0]["url.path"]), 8192)
        self.check(spans[1], url__path="/next", spanshim__truncated=None)

    def test_odd_blanks_and_line_ends(self):
        request = b"\r\nPOST  /p \tHTTP/1.1 \nHost:\ta\nUser-Agent: b\n c\nContent-Length:\t5\t\n\nhello"
        spans = self.converse([(request, OK), (NEXT, OK)])
        self.assertEqual(["/p", "/next"], [span["url.path"] for span in spans])
        self.check(spans[0], http__request__body__size=5, server__address="a", spanshim__framing=None)


class FramingTest(ScriptTest):
    """Messages that can be read in two ways, or in none."""

    def test_ambiguous_framing_is_marked_and_followed(self):
        both = b"Content-Length: 30\r\n" + CHUNKED + b"\r\n3\r\nabc\r\n0\r\n\r\n"
        twice = b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"
        spans = self.converse([(b"POST /both HTTP/1.1\r\nHost: a\r\n" + both, OK),
                               (b"POST /twice HTTP/1.1\r\nHost: a\r\n" + twice, OK),
                               (b"GET /answer HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + both), (NEXT, OK)])
        self.assertEqual([("/both", "ambiguous", 3, 2), ("/twice", "ambiguous", 3, 2), ("/answer", "ambiguous", 0, 3),
                          ("/next", None, 0, 2)],
                         [(span["url.path"], span.get("spanshim.framing"), span["http.request.body.size"],
                           span["http.response.body.size"]) for span in spans])

    def test_lone_cr_is_a_blank(self):
        trailer = CHUNKED + b"\r\n2\r\nhi\r\n0\r\nX-Trailer: yes\r\r\n\r\n"
        spans = self.converse([(NEXT, b"HTTP/1.1 200 OK\r\n" + trailer),
                               (b"GET /odd HTTP/1.1\r\nX: a\rb\r\r\nHost: a\r\n\r\n", OK), (NEXT, OK)])
        self.assertEqual([("/next", None, None, 2), ("/odd", "ambiguous", None, 2), ("/next", None, None, 2)],
                         [(span["url.path"], span.get("spanshim.framing"), span.get("error.type"),
                           span["http.response.body.size"]) for span in spans])

    def test_what_follows_the_last_request_is_one_if_it_is_answered(self):
        last = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        old = b"GET /last HTTP/1.0\r\n\r\n"
        spans = self.converse([(last + NEXT, OK)], [(old + NEXT, OK)], [(last, OK), (NEXT, b"")],
                              [(last + NEXT, OK + OK)])
        self.assertEqual([("/last", 200), ("/last", 200), ("/last", 200), ("/last", 200), ("/next", 200)],
                         [(span["url.path"], span.get("http.response.status_code")) for span in spans])

    def test_invalid_request_ends_with_its_answer(self):
        fields = [b"Content-Length: 5, 6", b"Content-Length: -1", b"Content-Length: 99999999999999999999",
                  b"Transfer-Encoding: chunked, gzip", b"Transfer-Encoding: chunked;a=b", b"Host : b",
                  CHUNKED + b"\r\nffffffffffffffffff"]
        spans = self.converse(*[[(b"POST /p HTTP/1.1\r\n%s\r\n\r\n" % field, REFUSAL)] for field in fields])
        self.assertEqual([(400, "invalid", None)] * len(fields),
                         [(span["http.response.status_code"], span.get("spanshim.framing"), span.get("error.type"))
                          for span in spans])

    def test_invalid_answer_ends_at_once(self):
        fields = [b"Content-Length: 5, 6", b"Content-Length: x", b"Transfer-Encoding: chunked;a=b", CHUNKED + b"\r\nxyz"]
        spans = self.converse(*[[(NEXT, b"HTTP/1.1 200 OK\r\n%s\r\n\r\n" % field)] for field in fields])
        self.assertEqual([(200, "invalid", "bad_framing")] * len(fields),
                         [(span["http.response.status_code"], span.get("spanshim.framing"), span.get("error.type"))
                          for span in spans])


class OtherProtocolTest(ScriptTest):
    """What is no HTTP/1."""

    def test_other_protocols_make_no_spans(self):
        opening = [b"GET /\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
                   b"*1\r\n$4\r\nPING\r\n", b"\0\0\0\x08\x04\xd2\x16\x2f", b"SSH-2.0-x\r\n"]
        spans = self.converse(*[[(first, b"+PONG\r\n"), (NEXT, OK)] for first in opening], [(NEXT, OK)])
        self.assertEqual(1, len(spans))
        self.assertEqual(0, dropped_spans(self.spanshim.status()))


class ProxyHeaderTest(ScriptTest):
    """The PROXY protocol."""

    HEADERS = [
        (b"PROXY TCP4 203.0.113.7 192.0.2.1 56324 443\r\n", "203.0.113.7", 56324),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n", "2001:db8::7", 56324),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1", None),
        (SIGNATURE + b"\x21\x11" + struct.pack(">H4B4BHH3x", 15, 203, 0, 113, 7, 192, 0, 2, 1, 56324, 443),
         "203.0.113.7", 56324),
        (SIGNATURE + b"\x20\0\0\0", "127.0.0.1", None),
        (SIGNATURE + b"\x21\x31\0\xd8" + bytes(216), "127.0.0.1", None),
    ]

    def test_the_header_tells_the_client(self):
        forwarded = b"GET /forwarded HTTP/1.1\r\nForwarded: for=198.51.100.1\r\n\r\n"
        whole = [[(header + NEXT, OK), (forwarded, OK)] for header, _, _ in self.HEADERS]
        apart = [[(header, b""), (NEXT, OK), (forwarded, OK)] for header, _, _ in self.HEADERS]
        spans = self.converse(*whole, *apart)
        expected = [one for _, client, port in self.HEADERS
                    for one in (("/next", client, port), ("/forwarded", "198.51.100.1", None))]
        self.assertEqual(2 * expected, [(span["url.path"], span["client.address"], span.get("client.port"))
                                        for span in spans])
        self.assertEqual({"127.0.0.1"}, {span["network.peer.address"] for span in spans})

    def test_a_malformed_header_makes_no_span(self):
        bad = [b"PROXY TCP4 203.0.113.7 192.0.2.1 56324\r\n", SIGNATURE + b"\x31\x11\0\x0c" + bytes(12)]
        self.assertEqual([], self.converse(*[[(header + NEXT, OK)] for header in bad]))

    def test_nginx_behind_a_proxy(self):
        self.needs_spans()
        _, port = servers.nginx(self, "proxied.conf")
        for header, _, _ in self.HEADERS[:4]:
            with Connection(port) as connection:
                connection.send(header)
                connection.wait_until_read()
                self.assertEqual(200, connection.request("GET", "/").status)
        self.assertEqual(sorted((client, port) for _, client, port in self.HEADERS[:4] if port),
                         sorted((span["attributes"]["client.address"], span["attributes"]["client.port"])
                                for span in self.spans(4) if "client.port" in span["attributes"]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
