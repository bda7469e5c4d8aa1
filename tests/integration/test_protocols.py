# SPDX-License-Identifier: Apache-2.0
"""OTLP's forms: the same traffic as protobuf and JSON over HTTP, over gRPC, and into a file gives the same spans; and what
becomes of them when a gRPC receiver misbehaves. The receivers of gRPC are its own library and a scripted HTTP/2 server."""

import os
import shutil
import ssl
import subprocess
import threading
import unittest

import grpc

import otlp_json
import servers
from grpc_sink import GrpcSink, ScriptedServer, accept, retry_info, trailers_only
from harness import BARE, ShimTest
from http_client import Connection
from otlp_sink import OtlpSink
from processes import free_port, wait_until

TRAFFIC = (("GET", "/size/10"), ("GET", "/size/5?q=%22%5C"), ("HEAD", "/size/7"), ("GET", "/missing"))
AGENT = ("User-Agent", 'a "quoted\\" text\twith a bad byte: \xff')
NOW = {"OTEL_BSP_SCHEDULE_DELAY": "20"}
HELD = {"OTEL_BSP_SCHEDULE_DELAY": "60000"}  # a flush sends
UNFORESEEN = ("trace_id", "span_id", "start_time_unix_nano", "end_time_unix_nano")
UNFORESEEN_ATTRIBUTES = ("network.peer.port", "spanshim.response.time_to_first_byte", "server.port")
UNFORESEEN_RESOURCE = ("process.pid", "process.creation.time", "service.instance.id")


def comparable(span):
    """A span without what differs from run to run."""
    out = {name: value for name, value in span.items() if name not in UNFORESEEN}
    out["attributes"] = {name: value for name, value in span["attributes"].items() if name not in UNFORESEEN_ATTRIBUTES}
    out["resource"] = {name: value for name, value in span["resource"].items() if name not in UNFORESEEN_RESOURCE}
    return repr(sorted(out.items()))


@unittest.skipIf(BARE, "bare run")
class ProtocolTest(ShimTest):
    """One agent; receivers as a test wants them."""

    endpoint = None

    def make(self, kind, *arguments, **options):
        """A receiver, closed with the test."""
        receiver = kind(*arguments, **options)
        self.addCleanup(receiver.close)
        return receiver

    def request(self, count=None, **settings):
        """A server with these settings and TRAFFIC to it, or `count` requests; returns when the agent has them all."""
        traffic = TRAFFIC if count is None else [TRAFFIC[0]] * count
        self.endpoint = settings.get("OTEL_EXPORTER_OTLP_ENDPOINT", self.sink.url)
        before = self.taken_count()
        _, port = servers.httpd(self, env=self.spanshim.env(**{**NOW, **settings}))
        with Connection(port) as connection:
            for method, target in traffic:
                connection.request(method, target, fields=(AGENT,))
        wait_until(lambda: self.taken_count() == before + len(traffic), what="all spans taken from the ring")

    def taken_count(self):
        """How many records the agent has taken so far."""
        return self.spanshim.status()["totals"]["counts"]["taken"]

    def exporter(self):
        """The status of the exporter that the last requests went to."""
        exporters = [one for destinations in self.spanshim.status()["destinations"] for one in destinations["exporters"]]
        return next(one for one in exporters if self.endpoint in one["target"])

    def wait_for_exporter(self, key, value):
        """Until its status says so."""
        def look():
            status = self.exporter()
            return status if status[key] == value else None
        return wait_until(look, what=f"{key} is {value}")

    def by_grpc(self, port, **settings):
        """Settings that send to a gRPC receiver on this port."""
        return {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}", **settings}

    def file_spans(self, path):
        """The spans of a file's lines; strict."""
        notes = []
        lines = path.read_bytes().splitlines(keepends=True)
        self.assertTrue(all(line.endswith(b"\n") for line in lines))
        spans = [span for line in lines for span in otlp_json.spans_of(line, notes.append)]
        self.assertEqual([], notes)
        return spans


class SameSpansTest(ProtocolTest):
    """The form makes no difference to what arrives."""

    def test_every_form_gives_the_same_spans(self):
        sink = self.make(GrpcSink)
        path = self.directory / "traces.jsonl"
        self.request(OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf")
        expected = sorted(map(comparable, self.sink.wait_for(len(TRAFFIC))))
        self.sink.clear()
        self.request(OTEL_EXPORTER_OTLP_PROTOCOL="http/json")
        self.assertEqual(expected, sorted(map(comparable, self.sink.wait_for(len(TRAFFIC)))))
        self.assertEqual({"application/json"}, {request["headers"]["content-type"] for request in self.sink.requests})
        self.request(**self.by_grpc(sink.port))
        self.assertEqual(expected, sorted(map(comparable, sink.wait_for(len(TRAFFIC)))))
        self.request(OTEL_TRACES_EXPORTER="otlp_file", SPANSHIM_OTLP_FILE="traces.jsonl")
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(expected, sorted(map(comparable, self.file_spans(path))))
        self.assertEqual([], self.sink.violations + sink.violations)

    def test_compressed_they_are_the_same(self):
        sink = self.make(GrpcSink)
        for settings, receiver in (({"OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, self.sink), (self.by_grpc(sink.port), sink)):
            self.request(100, OTEL_EXPORTER_OTLP_COMPRESSION="gzip", **settings)
            receiver.wait_for(100)
            self.assertEqual([], receiver.violations)
        self.assertEqual("gzip", self.sink.requests[0]["headers"]["content-encoding"])

    def test_the_form_for_traces_wins(self):
        self.request(1, OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/json")
        self.sink.wait_for(1)
        self.assertEqual("application/json", self.sink.requests[0]["headers"]["content-type"])


class JsonTest(ProtocolTest):
    """Answers to JSON are JSON."""

    def test_partial_success_counts(self):
        self.sink.set_mode("partial", rejected=2, message="two too old")
        self.request(3, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", **HELD)
        self.assertFalse(self.spanshim.flush())
        status = self.exporter()
        self.assertEqual((1, 2), (status["exported"], status["dropped"]["rejected"]))
        self.assertIn("two too old", status["last_error"])

    def test_words_of_an_error_are_read(self):
        self.sink.set_mode("415", message="no JSON here")
        self.request(3, OTEL_EXPORTER_OTLP_PROTOCOL="http/json", **HELD)
        self.assertFalse(self.spanshim.flush())
        self.assertRegex(self.exporter()["last_error"],
                         r"^415: .* does not take OTLP as http/json: see OTEL_EXPORTER_OTLP_PROTOCOL \(no JSON here\)$")


class GrpcTest(ProtocolTest):
    """A receiver of gRPC's own library."""

    def setUp(self):
        super().setUp()
        self.grpc = self.make(GrpcSink)

    def test_call_has_a_deadline_and_the_users_metadata(self):
        self.request(2, **self.by_grpc(self.grpc.port, OTEL_EXPORTER_OTLP_HEADERS="X-Team=a%20b",
                                       OTEL_EXPORTER_OTLP_TIMEOUT="7000"))
        self.grpc.wait_for(2)
        call = self.grpc.calls[0]
        self.assertEqual("a b", call["metadata"]["x-team"])
        self.assertTrue(0 < call["left"] <= 7, call)
        self.assertEqual([], self.grpc.violations)

    def test_without_a_time_limit_there_is_no_deadline(self):
        self.request(1, **self.by_grpc(self.grpc.port, OTEL_EXPORTER_OTLP_TIMEOUT="0", OTEL_BSP_EXPORT_TIMEOUT="0"))
        self.grpc.wait_for(1)
        self.assertGreater(self.grpc.calls[0]["left"] or 1e9, 1e6)

    def test_endpoint_may_be_host_and_port(self):
        self.request(1, **self.by_grpc(self.grpc.port, OTEL_EXPORTER_OTLP_ENDPOINT=f"127.0.0.1:{self.grpc.port}",
                                       OTEL_EXPORTER_OTLP_INSECURE="true"))
        self.grpc.wait_for(1)
        self.assertEqual(f"http://127.0.0.1:{self.grpc.port}", self.exporter()["target"])

    def test_many_batches(self):
        self.request(700, **self.by_grpc(self.grpc.port, **HELD))
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(700, len({span["span_id"] for span in self.grpc.spans}))

    def test_partial_success_counts(self):
        self.grpc.partial = (1, "one too old")
        self.request(3, **self.by_grpc(self.grpc.port, **HELD))
        self.assertFalse(self.spanshim.flush())
        self.assertEqual((2, 1), (self.exporter()["exported"], self.exporter()["dropped"]["rejected"]))
        self.assertIn("one too old", self.exporter()["last_error"])

    def test_codes_that_pass_are_retried(self):
        for code in ("CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"):
            with self.subTest(code):
                sink = self.make(GrpcSink)
                sink.refuse(grpc.StatusCode[code], "för now", details=retry_info(0, 50_000_000))
                self.request(1, **self.by_grpc(sink.port))
                sink.wait_for(1)
                self.wait_for_exporter("exported", 1)
                self.assertEqual(1, self.exporter()["retries"])
                self.assertRegex(self.exporter()["last_error"], f"^{code}: .*för now")

    def test_codes_that_are_final_are_not(self):
        remedies = {"UNKNOWN": "problem of its own", "INVALID_ARGUMENT": "refused the batch",
                    "PERMISSION_DENIED": "other credentials", "RESOURCE_EXHAUSTED": "OTEL_BSP_MAX_EXPORT_BATCH_SIZE",
                    "UNIMPLEMENTED": "nothing takes traces at", "INTERNAL": "problem of its own",
                    "UNAUTHENTICATED": "set OTEL_EXPORTER_OTLP_HEADERS"}
        for code, remedy in remedies.items():
            with self.subTest(code):
                sink = self.make(GrpcSink)
                sink.refuse(grpc.StatusCode[code], "because")
                self.request(1, **self.by_grpc(sink.port))
                status = wait_until(lambda: self.exporter() if self.exporter()["dropped"]["refused"] else None, what=code)
                self.assertEqual((0, 0), (status["exported"], status["retries"]))
                self.assertRegex(status["last_error"], rf"^{code}: .*{remedy}.* \(because\)$")
                self.assertEqual(1, len(sink.calls))

    def test_exhausted_with_retry_info_comes_again_when_told(self):
        self.grpc.refuse(grpc.StatusCode.RESOURCE_EXHAUSTED, "slower", details=retry_info(1))
        self.request(1, **self.by_grpc(self.grpc.port))
        self.wait_for_exporter("exported", 1)
        self.assertRegex(self.exporter()["last_error"], "^RESOURCE_EXHAUSTED: the receiver asks for fewer spans")
        refused, taken = self.grpc.calls
        self.assertGreaterEqual(taken["time"] - refused["time"], 0.9)

    def test_outage_loses_nothing(self):
        port = self.grpc.port
        self.grpc.close()
        self.request(5, **self.by_grpc(port))
        self.wait_for_exporter("state", "retrying")
        self.assertRegex(self.exporter()["last_error"], "^nothing listens at")
        again = self.make(GrpcSink, port=port)
        again.wait_for(5)
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(5, len(again.spans))

    def test_receiver_that_is_being_replaced(self):
        sink = self.make(GrpcSink)
        sink.hold()
        self.request(1, **self.by_grpc(sink.port))  # more could make a second batch, which nobody would take
        wait_until(lambda: sink.calls, what="the call")
        sink.replace()
        self.wait_for_exporter("exported", 1)
        self.assertEqual(0, self.exporter()["retries"])
        self.assertEqual(1, len(sink.spans))

    @unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificates")
    def test_tls_and_a_client_certificate(self):
        certificate, key = self.directory / "server.pem", self.directory / "server.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                       capture_output=True)
        pair = (key.read_bytes(), certificate.read_bytes())
        sink = self.make(GrpcSink, credentials=grpc.ssl_server_credentials([pair], pair[1], True))
        self.request(3, **self.by_grpc(sink.port, OTEL_EXPORTER_OTLP_ENDPOINT=f"127.0.0.1:{sink.port}",
                                       OTEL_EXPORTER_OTLP_CERTIFICATE=certificate,
                                       OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=certificate, OTEL_EXPORTER_OTLP_CLIENT_KEY=key))
        sink.wait_for(3)
        self.assertEqual([], sink.violations)


class GrpcProxyTest(ProtocolTest):
    """gRPC through a proxy: squid, by CONNECT."""

    def proxy(self, rule):
        """Its settings."""
        self.needs_programs("squid")
        port = free_port()
        folder = self.directory / "squid"
        folder.mkdir()
        folder.chmod(0o777)  # for the user that it becomes when root starts it
        config = folder / "squid.conf"
        config.write_text(f"http_port 127.0.0.1:{port}\nhttp_access {rule} all\naccess_log none\ncache_log {folder}/log\n"
                          f"pid_filename none\ncoredump_dir {folder}\n")
        self.run_program(["squid", "-N", "-f", config], env=self.spanshim.base_env()).wait_listening(port)
        return {"HTTP_PROXY": f"http://127.0.0.1:{port}"}

    def test_it_is_gone_through(self):
        sink = self.make(GrpcSink)
        self.request(100, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10", **self.by_grpc(sink.port), **self.proxy("allow"))
        sink.wait_for(100)
        self.assertEqual([], sink.violations)
        self.assertEqual(100, len(sink.spans))

    def test_its_refusal_is_not_the_receivers(self):
        sink = self.make(GrpcSink)
        self.request(1, **self.by_grpc(sink.port), **self.proxy("deny"))
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], "response 403; check HTTP_PROXY and HTTPS_PROXY$")


class GrpcTroubleTest(ProtocolTest):
    """What gRPC's own library never does."""

    def retried(self, action, error, **settings):
        """The first request gets this, the second is accepted; nothing is lost, nothing comes twice."""
        server = self.make(ScriptedServer, action, accept)
        self.request(3, **self.by_grpc(server.port, **settings))
        self.check_retried(server, error)

    def check_retried(self, server, error):
        """The server that was asked last has all spans now."""
        server.wait_for(3)
        self.wait_for_exporter("exported", 3)
        self.assertEqual(1, self.exporter()["retries"])
        self.assertRegex(self.exporter()["last_error"], error)
        self.assertEqual(3, len(server.spans))
        self.assertEqual([], server.violations)

    def refused(self, action, error):
        """It is final."""
        server = self.make(ScriptedServer, action)
        self.request(3, **self.by_grpc(server.port, **HELD))
        self.assertFalse(self.spanshim.flush())
        status = self.exporter()
        self.assertEqual((0, 3, 0), (status["exported"], status["dropped"]["refused"], status["retries"]))
        self.assertRegex(status["last_error"], error)
        self.assertEqual(1, len(server.requests))

    def test_request_is_as_grpc_has_it(self):
        server = self.make(ScriptedServer, accept)
        self.request(3, **self.by_grpc(server.port, OTEL_EXPORTER_OTLP_COMPRESSION="gzip"))
        server.wait_for(3)
        headers = server.requests[0]["headers"]
        self.assertEqual(("POST", "http", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
                         (headers[":method"], headers[":scheme"], headers[":path"]))
        self.assertEqual(("application/grpc", "trailers", "gzip", "10000m"),
                         (headers["content-type"], headers["te"], headers["grpc-encoding"], headers["grpc-timeout"]))
        self.assertEqual(1, server.requests[0]["body"][0])
        self.assertEqual([], server.violations)

    def test_status_without_a_body(self):
        self.retried(trailers_only(("grpc-status", "14"), ("grpc-message", "r%C3%BCck%ZZwärts%0a")),
                     r"^UNAVAILABLE: the receiver at http://127.0.0.1:\d+ has a problem of its own \(rück%ZZwärts \)$")

    def test_reset(self):
        self.retried(lambda request: request.send_reset(2), "^no answer from")

    def test_goaway(self):
        self.retried(lambda request: request.send_goaway(0, last_stream=0), "^no answer from")

    def test_goaway_with_the_answer(self):
        def answer_and_go(request):
            accept(request)
            request.send_goaway()
        server = self.make(ScriptedServer, answer_and_go)
        self.request(50, **self.by_grpc(server.port, OTEL_BSP_MAX_EXPORT_BATCH_SIZE="10"))
        self.wait_for_exporter("exported", 50)
        status = self.exporter()
        self.assertEqual((0, 0), (status["retries"], status["dropped"]["refused"]), status)
        self.assertEqual(50, len(server.spans))

    def test_connection_closed(self):
        def close(request):
            request.send_raw(b"")
            raise OSError
        self.retried(close, "^no answer from")

    def test_bytes_that_are_no_http2(self):
        self.retried(lambda request: request.send_raw(b"\xff" * 64), "^no answer from")

    def test_silence_is_given_its_time_and_no_more(self):
        """From the start, and after headers. The time is what the good answer has, too."""
        actions = (lambda request: None, lambda request: request.send_headers(("content-type", "application/grpc")))
        receivers = [self.make(ScriptedServer, action, accept) for action in actions]
        for receiver in receivers:
            self.request(3, **self.by_grpc(receiver.port, OTEL_EXPORTER_OTLP_TIMEOUT="3000"))
        for receiver in receivers:
            self.endpoint = f"http://127.0.0.1:{receiver.port}"
            self.check_retried(receiver, "^no answer from")
            silent, answered = receiver.requests[0], receiver.requests[-1]
            self.assertGreaterEqual(answered["time"] - silent["time"], 2.9)

    def test_busy_proxy(self):
        def answer(request):
            request.status = 503
            request.send_headers(("content-type", "text/plain"))
            request.send_data(b"no upstream")
            request.send_headers(("x", "y"), end=True)
        self.retried(answer, r"^503: .* \(no upstream\)$")

    def test_web_server(self):
        def answer(request):
            request.send_headers(("content-type", "text/html"))
            request.send_data(b"<p>hello")
            request.send_headers(("x", "y"), end=True)
        self.refused(answer, "^200: .* speaks no gRPC: see OTEL_EXPORTER_OTLP_PROTOCOL$")

    def test_status_that_is_no_number(self):
        self.refused(trailers_only(("grpc-status", "soon")), "^UNKNOWN: ")

    def test_answer_that_is_no_message(self):
        def answer(request):
            request.take()
            request.send_headers(("content-type", "application/grpc"))
            request.send_data(b"\0\xff\xff\xff\xffgarbage")
            request.send_headers(("grpc-status", "0"), end=True)
        server = self.make(ScriptedServer, answer)
        self.request(3, **self.by_grpc(server.port))
        server.wait_for(3)
        self.wait_for_exporter("exported", 3)

    def test_receiver_of_http1_is_named(self):
        self.request(3, **self.by_grpc(self.sink.port))
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], "^no answer from .*; does it speak gRPC\\? .*PROTOCOL=http/protobuf is for HTTP$")

    def test_receiver_of_grpc_asked_by_http1_is_named(self):
        server = self.make(GrpcSink)
        self.request(3, OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{server.port}")
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], "^no answer from .*; does it speak TLS \\(https://\\) or gRPC\\? .*PROTOCOL=grpc$")


if __name__ == "__main__":
    unittest.main(verbosity=2)
