# SPDX-License-Identifier: Apache-2.0
"""FastCGI, SCGI and uwsgi: programs behind web servers, traced alone, and both traced as one tree. The answers are those of
the same servers bare."""

import re
import unittest

import gateways
from harness import PYTHON, ShimTest, Traffic, in_parallel
from http_client import Connection
from processes import wait_until

CROWD = 32
TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
TARGETS = (  # method, target, body, status
    ("GET", "/size/1000?x=1&password=2", None, 200),
    ("GET", "/size/100000", None, 200),
    ("GET", "/status/404", None, 404),
    ("GET", "/status/500", None, 500),
    ("POST", "/echo", b"y" * 100_000, 200),
    ("HEAD", "/size/10", None, 200),
    ("GET", "/moved", None, 302),
)


def answers(port, fields=()):
    """What each target is answered, on one connection as long as the server keeps it."""
    connection, told = Connection(port), []
    for method, target, body, _ in TARGETS:
        response = connection.request(method, target, body, fields)
        told.append((response.status, bytes(response.body)))
        if response.closes:
            connection.close()
            connection = Connection(port)
    connection.close()
    return told


class GatewayTest(ShimTest):
    """What all tests need."""

    def start(self, program, front, is_front_traced=True, is_program_traced=True, **options):
        """The program behind the front; the port of the latter."""
        program_options = {name: options.pop(name) for name in ("is_unix", "workers", "record") if name in options}
        behind = program(self, env=self.spanshim.env(preload=is_program_traced, OTEL_SERVICE_NAME="behind"), **program_options)
        return front(self, behind, env=self.spanshim.env(preload=is_front_traced, OTEL_SERVICE_NAME="front"), **options)

    def spans_of(self, count, *services):
        """So many spans of these services, by service; those of CGI programs apart (test_cgi)."""
        def look():
            self.spanshim.flush()
            spans = [span for span in self.sink.spans if span["attributes"].get("network.protocol.name") != "cgi"]
            return spans if len(spans) >= count else None

        spans = wait_until(look, what=f"{count} spans")
        self.assertEqual(count, len(spans), [(span["resource"]["service.name"], span["name"], span["kind"]) for span in spans])
        return [[span for span in spans if span["resource"]["service.name"] == service] for service in services]


class ServerTest(GatewayTest):
    """The program behind is traced, the web server in front is not: one server span for each request, exact."""

    def check(self, program, protocol, **options):
        port = self.start(program, gateways.nginx, is_front_traced=False, **options)
        bare_port = self.start(program, gateways.nginx, is_front_traced=False, is_program_traced=False, **options)
        fields = [("User-Agent", "us"), ("traceparent", TRACEPARENT)]
        self.assertEqual(answers(bare_port, fields), answers(port, fields))
        spans, = self.spans_of(len(TARGETS), "behind")
        spans.sort(key=lambda span: span["start_time_unix_nano"])
        for span, (method, target, body, status) in zip(spans, TARGETS):
            path, _, query = target.partition("?")
            attributes = span["attributes"]
            expected = {
                "http.request.method": method, "url.path": path, "url.scheme": "http", "http.response.status_code": status,
                "server.address": "localhost", "server.port": port, "client.address": "127.0.0.1",
                "user_agent.original": "us", "http.request.body.size": len(body or b""), "network.protocol.name": protocol,
            }
            if query:
                expected["url.query"] = "x=1&password=REDACTED"
            if status == 500:
                expected["error.type"] = "500"
            self.assertEqual(expected, {name: attributes.get(name) for name in expected}, target)
            self.assertEqual(expected.get("error.type"), attributes.get("error.type"), target)
            self.assertEqual((TRACE, "b7ad6b7169203331"), (span["trace_id"], span["parent_span_id"]))
        self.assertEqual([1000, 100_000], [span["attributes"]["http.response.body.size"] for span in spans
                                           if span["attributes"]["url.path"].startswith("/size/1000")])

    def test_php_fpm(self):
        self.check(gateways.php_fpm, "fastcgi")

    def test_long_fields(self):
        """The trace goes on behind fields that are longer than what is kept of them."""
        port = self.start(gateways.php_fpm, gateways.nginx, is_front_traced=False)
        with Connection(port) as connection:
            connection.request("GET", "/size/1", fields=[("X-A", "a" * 5000), ("X-B", "b" * 5000), ("traceparent", TRACEPARENT)])
        (span,), = self.spans_of(1, "behind")
        self.assertEqual((TRACE, "b7ad6b7169203331"), (span["trace_id"], span["parent_span_id"]))

    def test_php_fpm_unix(self):
        self.check(gateways.php_fpm, "fastcgi", is_unix=True)

    def test_php_fpm_kept(self):
        self.check(gateways.php_fpm, "fastcgi", keeps=True)

    def test_fcgiwrap(self):
        self.check(gateways.fcgiwrap, "fastcgi", is_unix=True)

    def test_uwsgi(self):
        self.check(gateways.uwsgi, "uwsgi")

    def test_scgi(self):
        self.check(gateways.plain("scgi"), "scgi")

    def test_fastcgi(self):
        self.check(gateways.plain("fastcgi"), "fastcgi", keeps=True)

    def test_client_leaves(self):
        """nginx closes the connection to the program then, which finds out by writing: or writes into it once, and knows
        nothing of it. One span in either case, and the next request has its own."""
        for number, program in enumerate((gateways.php_fpm, gateways.uwsgi, gateways.plain("scgi"))):
            self.sink.clear()
            port = self.start(program, gateways.nginx, is_front_traced=False)
            with Connection(port) as connection:
                connection.send(b"GET /delay/700 HTTP/1.1\r\nHost: a\r\n\r\n")
                self.wait_for_requests(2 * number + 1)
            with Connection(port) as connection:
                self.assertEqual(200, connection.request("GET", "/size/10").status)
            spans, = self.spans_of(2, "behind")
            late, = [span for span in spans if span["attributes"]["url.path"] == "/delay/700"]
            self.assertIn(late["attributes"].get("error.type"), (None, "client_closed", "connection_reset", "response_incomplete"))
            self.assertGreater(late["end_time_unix_nano"] - late["start_time_unix_nano"], 500_000_000)


class AtOnceTest(GatewayTest):
    """FastCGI's several requests at once on one connection, at both of its ends: each has its spans, whatever comes first."""

    def ask(self, count, rounds=2):
        behind = gateways.plain("multiplexed")(self, env=self.spanshim.env(OTEL_SERVICE_NAME="behind"))
        asking = self.run_program([PYTHON, gateways.APPS / "ask_at_once.py", behind.address.partition(":")[2], count, rounds],
                                  env=self.spanshim.env(OTEL_SERVICE_NAME="front"))
        self.assertEqual(0, asking.wait())

    def test_sixteen(self):
        self.ask(16)
        front_spans, behind_spans = self.spans_of(2 * 2 * 16, "front", "behind")
        by_id = {span["span_id"]: span for span in front_spans}
        self.assertEqual({f"/delay/{40 * number}" for number in range(16)}, {span["attributes"]["url.path"] for span in behind_spans})
        for span in behind_spans:
            asking, path = by_id[span["parent_span_id"]], span["attributes"]["url.path"]
            self.assertEqual((3, 2), (asking["kind"], span["kind"]))
            self.assertEqual(f"http://here{path}", asking["attributes"]["url.full"])
            for one in (asking, span):
                self.assertEqual((200, 6, 5), tuple(one["attributes"][name] for name in (
                    "http.response.status_code", "http.request.body.size", "http.response.body.size")))
                self.assertGreaterEqual(one["end_time_unix_nano"] - one["start_time_unix_nano"], int(path[7:]) * 1_000_000)

    def test_one_too_many(self):
        """The connection is followed no further, at either end, and that is counted; the program works as ever."""
        self.ask(17, rounds=1)
        self.spanshim.flush()
        self.assertEqual([], self.sink.spans)
        self.assertGreaterEqual(self.spanshim.status()["totals"]["dropped"]["pipeline_limit"], 2 * 16)


class ErrorsTest(GatewayTest):
    """What a program writes to a request's error stream is a log of that request, taken once."""

    def check(self, program, target, text, count=1):
        self.spanshim.settings.update(OTEL_LOGS_EXPORTER="otlp")
        port = self.start(program, gateways.nginx, is_front_traced=False)
        with Connection(port) as connection:
            for _ in range(2):
                self.assertEqual(200, connection.request("GET", target).status)

        def records():
            self.spanshim.flush()
            return [record for record in list(self.sink.logs) if text in record["body"]]

        def told():
            return [(record["trace_id"], record["span_id"]) for record in records()]

        def served():
            return {(span["trace_id"], span["span_id"]) for span in self.sink.spans if span["kind"] == 2}

        wait_until(lambda: len(told()) >= 2 * count and set(told()) <= served(), what=lambda: f"the lines: {records()}, of {served()}")
        self.assertEqual(2 * count, len(told()), records())
        self.assertEqual(2, len(set(told())))
        return records()

    def test_fastcgi(self):
        self.check(gateways.plain("fastcgi"), "/size/1", "a line")

    def test_fcgiwrap(self):
        """The CGI program writes it to its standard error, and fcgiwrap passes it on."""
        self.check(gateways.fcgiwrap, "/stderr", "an error")

    def test_php_fpm(self):
        """It writes both to its standard error and to the stream."""
        for record in self.check(gateways.php_fpm, "/stderr", "the answer", count=2):
            self.assertNotIn("fscf", record["body"])


class TreeTest(GatewayTest):
    """Both are traced: the web server's own span, its request to the program, and the program's span, one below the other;
    and the program is told the second."""

    def check(self, program, front, protocol, withheld=0, **options):
        port = self.start(program, front, **options)
        bare_port = self.start(program, front, is_front_traced=False, is_program_traced=False,
                               **{name: value for name, value in options.items() if name != "record"})
        self.assertEqual(answers(bare_port), answers(port))
        self.check_told(port)
        in_parallel(Traffic(port), CROWD, self.ask_often)
        requests = len(TARGETS) + 3 + CROWD * 3
        front_spans, behind_spans = self.spans_of(3 * requests, "front", "behind")
        by_id = {span["span_id"]: span for span in front_spans}
        self.assertEqual({protocol}, {span["attributes"]["network.protocol.name"] for span in behind_spans})
        for span in behind_spans:
            asking = by_id[span["parent_span_id"]]
            served = by_id[asking["parent_span_id"]]
            self.assertEqual((3, 2), (asking["kind"], served["kind"]))
            self.assertEqual(1, len({one["trace_id"] for one in (span, asking, served)}))
            path = span["attributes"]["url.path"]
            self.assertEqual(path, served["attributes"]["url.path"])
            self.assertEqual(protocol, asking["attributes"]["network.protocol.name"])
            self.assertEqual(f"http://localhost:{port}{path}", asking["attributes"]["url.full"].partition("?")[0])
            self.assertEqual(span["attributes"]["http.response.status_code"], asking["attributes"]["http.response.status_code"])
            for name in ("http.request.body.size", "http.response.body.size"):
                self.assertEqual(span["attributes"][name], asking["attributes"][name], (path, name))

    def check_told(self, port):
        """The trace that came in goes on with the web server's own request, and what goes along with it."""
        with Traffic(port).connect() as connection:
            for fields in ([], [("traceparent", TRACEPARENT)],
                           [("traceparent", TRACEPARENT), ("tracestate", "a=b"), ("Cookie", "c" * 3000), ("baggage", "k=v")]):
                response = connection.request("GET", "/told", fields=fields)
                told = dict(line.split("=", 1) for line in bytes(response.body).decode().splitlines())
                self.assertEqual(len(told), bytes(response.body).count(b"\n"), "none twice")
                self.assertEqual({"HTTP_TRACEPARENT", *(f"HTTP_{name.upper()}" for name, _ in fields if name in ("tracestate", "baggage"))},
                                 set(told))
                if fields:
                    self.assertEqual(TRACE, told["HTTP_TRACEPARENT"][3:35])
                    self.assertNotEqual(TRACEPARENT, told["HTTP_TRACEPARENT"])

    @staticmethod
    def ask_often(traffic):
        """Three requests on a connection, each of which is answered with what it asked for."""
        with traffic.connect(timeout=60) as connection:
            for number in range(3):
                size = 1000 + 7 * connection.local_port % 997 + number
                response = connection.request("GET", f"/size/{size}")
                assert (response.status, len(response.body)) == (200, size)

    def test_nginx_php_fpm(self):
        self.check(gateways.php_fpm, gateways.nginx, "fastcgi")

    def test_nginx_php_fpm_unix_kept(self):
        self.check(gateways.php_fpm, gateways.nginx, "fastcgi", is_unix=True, keeps=True, workers=8)

    def test_nginx_uwsgi(self):
        self.check(gateways.uwsgi, gateways.nginx, "uwsgi")

    def test_nginx_scgi(self):
        self.check(gateways.plain("scgi"), gateways.nginx, "scgi")

    def test_apache_php_fpm(self):
        self.check(gateways.php_fpm, gateways.apache, "fastcgi")

    def test_apache_scgi(self):
        self.check(gateways.plain("scgi"), gateways.apache, "scgi")

    def test_apache_uwsgi(self):
        self.check(gateways.uwsgi, gateways.apache, "uwsgi")

    def test_lighttpd_fastcgi(self):
        self.check(gateways.plain("fastcgi"), gateways.lighttpd, "fastcgi")

    def test_lighttpd_scgi(self):
        self.check(gateways.plain("scgi"), gateways.lighttpd, "scgi")


class WireTest(GatewayTest):
    """What the program behind nginx gets is, byte for byte, what nginx sends bare, and the trace variable: a record of its
    own, or more of the block."""

    def record(self, protocol, is_traced, fields, body):
        """The bytes that came for one request; numbers of five digits, which are ports, are made alike."""
        path = self.directory / f"record-{protocol}-{is_traced}"
        port = self.start(gateways.plain(protocol), gateways.nginx, is_front_traced=is_traced, is_program_traced=False, record=path)
        with Connection(port) as connection:
            self.assertEqual(200, connection.request("POST", "/echo", body, fields).status)
        return re.sub(rb"(?<![0-9a-f])\d{5}(?![0-9a-f])", b"00000", path.read_bytes())

    def check(self, protocol, change):
        for fields in ([], [("Traceparent", TRACEPARENT), ("X-Last", "z")],
                       [("traceparent", TRACEPARENT), ("X-Last", "z"), ("traceparent", TRACEPARENT)]):
            with self.subTest(protocol=protocol, fields=fields):
                body = b"b" * 3000
                bare = self.record(protocol, False, fields, body)
                traced = self.record(protocol, True, fields, body)
                ours = re.search(rb"HTTP_TRACEPARENT.{,3}?(00-[0-9a-f]{32}-[0-9a-f]{16}-0[13])", traced, re.DOTALL)[1]
                self.assertNotEqual(TRACEPARENT, ours.decode())
                self.assertEqual(change(bare, ours), traced)

    def test_fastcgi(self):
        def change(bare, ours):
            """PARAMS without the old variable, ours in a record of its own, and the empty one."""
            begin, at = bare[:16], 16
            kind, length, padding = bare[at + 1], int.from_bytes(bare[at + 4:at + 6], "big"), bare[at + 6]
            self.assertEqual(4, kind)
            pairs = bare[at + 8:at + 8 + length].replace(b"\x10\x37HTTP_TRACEPARENT" + TRACEPARENT.encode(), b"")
            rest = bare[at + 8 + length:]
            own = b"\x10\x37HTTP_TRACEPARENT" + ours
            return (begin + bytes((1, 4, 0, 1)) + len(pairs).to_bytes(2, "big") + bytes((padding, 0)) + pairs + rest[:padding] +
                    bytes((1, 4, 0, 1, 0, len(own), 0, 0)) + own + rest[padding:])

        self.check("fastcgi", change)

    def test_scgi(self):
        def change(bare, ours):
            length, _, rest = bare.partition(b":")
            pairs, rest = rest[:int(length)], rest[int(length):]
            pairs = pairs.replace(b"HTTP_TRACEPARENT\0" + TRACEPARENT.encode() + b"\0", b"")
            pairs += b"HTTP_TRACEPARENT\0" + ours + b"\0"
            return b"%d:" % len(pairs) + pairs + rest

        self.check("scgi", change)

    def test_uwsgi(self):
        def change(bare, ours):
            length = int.from_bytes(bare[1:3], "little")
            pairs, rest = bare[4:4 + length], bare[4 + length:]
            pairs = pairs.replace(b"\x10\0HTTP_TRACEPARENT\x37\0" + TRACEPARENT.encode(), b"")
            pairs += b"\x10\0HTTP_TRACEPARENT\x37\0" + ours
            return bare[:1] + len(pairs).to_bytes(2, "little") + bare[3:4] + pairs + rest

        self.check("uwsgi", change)


if __name__ == "__main__":
    unittest.main(verbosity=2)
