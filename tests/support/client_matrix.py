# SPDX-License-Identifier: Apache-2.0
"""What must hold for every client: bare and under the shim it does and prints the same, each of its requests has one
client span that says what went over the wire, and carries one trace header that names that span. A test class says which
client:

    class WgetTest(ClientTest):
        client_class = Wget"""

import re
import socket

from exact_server import ExactServer
from harness import BARE, SPAN_KIND_CLIENT, STATUS_ERROR, STATUS_UNSET, ShimTest, comparable

# The case -> the verb, and what is asked for, each target after the other.
CASES = {
    "small": ("get", "/size/1000?with=query"),
    "large": ("get", "/size/10000000"),
    "chunked": ("get", "/chunked/100000"),
    "to_end": ("get", "/close/50000"),
    "empty": ("get", "/status/204"),
    "hints": ("get", "/hints"),
    "slow": ("get", "/slow/300"),
    "head": ("head", "/size/1000"),
    "post": ("post:100", "/echo"),
    "post_large": ("post:1000000", "/echo"),
    "moved": ("get", "/moved/size/10"),
    "missing": ("get", "/status/404"),
    "failing": ("get", "/status/500"),
    "kept": ("get", "/size/1", "/size/2", "/size/3", "/size/4", "/size/5"),
    "last": ("get", "/last/10", "/size/10"),
    "cut": ("get", "/cut/10000"),
    "reset": ("get", "/reset/10000"),
    "drop": ("get", "/drop"),
    "hang": ("timeout", "/hang"),
    "refused": ("get", "refused"),
}
TRACEPARENT = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-3](?=\r\n)")
ENDINGS = {"cut": {"response_incomplete"}, "reset": {"connection_reset"}, "none": {"no_response"}}


def refusing_socket():
    """A socket with a port of its own that refuses connections as long as it is open."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    return sock


class ClientTest(ShimTest):
    """The matrix for `client_class`."""

    client_class = None
    server_class = ExactServer

    def setUp(self):
        self.needs_programs(*self.client_class.programs)
        super().setUp()
        self.server = self.server_class()
        self.addCleanup(self.server.close)
        self.refusing = refusing_socket()
        self.addCleanup(self.refusing.close)
        self.client = self.client_class(self)
        self.client.prepare()

    def test_each_case(self):
        cases = {name: case for name, case in CASES.items() if name not in self.client.without}
        if self.client.at_once:
            steps = [(verb, self.url(target)) for verb, *targets in cases.values() for target in targets]
            self.check_run(self.client.steps(steps), at_least=len(steps) - ("refused" in cases))
            return
        for name, (verb, *targets) in cases.items():
            with self.subTest(case=name):
                self.check_run(self.client.command(verb, [self.url(target) for target in targets]),
                               at_least=len(targets) if name != "refused" else 0)

    def url(self, target):
        """The target on the server, or on a port that refuses connections."""
        if target == "refused":
            return f"http://127.0.0.1:{self.refusing.getsockname()[1]}/refused"
        return f"http://127.0.0.1:{self.server.port}{target}"

    # One run, bare and shimmed

    def check_run(self, argv, at_least=1):
        """Run this bare and under the shim: the same output, the same requests but for our header, and their spans."""
        bare = self.run_client(argv, self.spanshim.env(preload=False, **self.client.environment))
        bare_wire = self.on_the_wire()
        self.assertGreaterEqual(len(self.server.requests), at_least, f"requests of a bare run; its end: {bare}")
        self.assertEqual([], self.server.violations)
        shimmed = self.run_client(argv, self.spanshim.env(**self.client.environment))
        self.assertEqual(bare, shimmed, "exit status and output")
        self.assertEqual(bare_wire, self.on_the_wire(), "requests, but for our header")
        self.check_client_spans()

    def run_client(self, argv, env):
        """Exit status, output and errors, without what varies."""
        self.server.clear()
        self.sink.clear()
        process = self.run_program(argv, env=env)
        status = process.wait(120)
        self.server.settle()
        return status, self.client.output(process.out), self.client.output(process.err)

    def on_the_wire(self):
        """What came in, by connection, without our header and without what varies."""
        connections = []
        for connection in self.server.connections:
            connections.append([self.client.request(TRACEPARENT.sub(b"", request.head, count=1)) + request.body
                                for request in connection.requests])
            if connection.rest:
                connections[-1].append(connection.rest)
        return sorted(sum(connections, []) if self.client.is_crowd else connections)

    # Spans

    def check_client_spans(self):
        """Each request has one header of ours and one span, which say the same."""
        if BARE:
            return
        requests = self.server.requests
        self.maxDiff = None
        arrived = self.spans(len(requests), SPAN_KIND_CLIENT)
        spans = {span["span_id"]: span for span in arrived}
        self.assertEqual(len(arrived), len(spans), "span ids repeat")
        named = [span_id for span_id, span in spans.items() if self._was_never_sent(span)]
        for request in requests:
            with self.subTest(target=request.target):
                headers = TRACEPARENT.findall(request.head)
                self.assertEqual(1, len(headers), f"one header: {request.head}")
                trace_id, span_id = (part.decode() for part in headers[0])
                self.assertIn(span_id, spans, f"a span of {request.head}; agent's log: {self.spanshim.log()[-2000:]}")
                self.assertEqual(trace_id, spans[span_id]["trace_id"])
                self._check_span(request, spans[span_id])
                named.append(span_id)
        self.assertEqual(sorted(spans), sorted(named), "one span for each request")

    def _was_never_sent(self, span):
        """Is it of a request that found no server? There may be such a span."""
        if not span["attributes"]["url.full"].endswith("/refused"):
            return False
        self.assertEqual("connection_refused", span["attributes"]["error.type"])
        self.assertNotIn("http.response.status_code", span["attributes"])
        return True

    def _check_span(self, request, span):
        attributes = span["attributes"]
        errors = self._errors(request)
        self.assertIn(attributes.get("error.type"), errors, "error.type")
        expected = self._attributes(request, attributes)
        self.assertEqual(expected, dict(comparable(attributes)))
        self.assertEqual(request.method, span["name"])
        self.assertEqual("spanshim.curl" if self.client.by_curl else "spanshim.http", span["scope"]["name"])
        self.assertEqual(STATUS_ERROR if "error.type" in attributes else STATUS_UNSET, span["status"]["code"])
        self.assertGreater(span["end_time_unix_nano"], span["start_time_unix_nano"])

    def _errors(self, request):
        """What error.type may be."""
        if request.target == "/hang":
            return set(self.client.gave_up)
        return ENDINGS.get(request.ending) or {str(request.status) if request.status >= 400 else None}

    def _attributes(self, request, attributes):
        """What the span must say; the error is what it says, which was looked at before."""
        expected = {
            "http.request.method": request.method,
            "url.full": f"http://127.0.0.1:{self.server.port}{request.target}",
            "server.address": "127.0.0.1",
            "server.port": self.server.port,
            "network.peer.address": "127.0.0.1",
            "network.peer.port": self.server.port,
            "network.protocol.version": "1.0" if request.is_old else "1.1",
            "http.request.body.size": request.length,
        }
        if request.status:
            expected["http.response.status_code"] = request.status
            expected["http.response.body.size"] = request.sent
        if request.values("user-agent"):
            expected["user_agent.original"] = request.values("user-agent")[0]
        if "error.type" in attributes:
            expected["error.type"] = attributes["error.type"]
        return self._as_curl_tells(expected, attributes) if self.client.by_curl else expected

    @staticmethod
    def _as_curl_tells(expected, attributes):
        """libcurl knows the version when an answer came, and the sizes of a transfer's last request."""
        if "http.response.status_code" not in expected:
            del expected["network.protocol.version"]
        elif expected["http.response.status_code"] in (302, 401) and "http.request.body.size" not in attributes:
            del expected["http.request.body.size"], expected["http.response.body.size"]
        if attributes.get("http.request.resend_count") == 1:
            expected["http.request.resend_count"] = 1
        return expected
