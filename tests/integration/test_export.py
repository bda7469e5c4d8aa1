# SPDX-License-Identifier: Apache-2.0
"""The way of spans out of the agent: OTLP over HTTP to receivers that behave well, badly or not at all, and the console
into a file. The traced program is test-apps/httpd."""

import collections
import json
import os
import shutil
import ssl
import subprocess
import time
import unittest
from email.utils import formatdate

import servers
from harness import BARE, BUILD, ShimTest
from http_client import Connection
from otlp_sink import OtlpSink
from processes import wait_until

NOW = {"OTEL_BSP_SCHEDULE_DELAY": "20"}


@unittest.skipIf(BARE, "bare run")
class ExportTest(ShimTest):
    """One agent, one receiver or more."""

    def request(self, count=1, path="/size/10", **settings):
        """A server with these settings, and some requests to it; returns when the agent has them all. (A client has its
        answer before the server's call returns and the span is written.)"""
        before = self.taken_count()
        env = self.spanshim.env(**{**NOW, **settings})
        _, port = servers.httpd(self, env=env)
        with Connection(port) as connection:
            for _ in range(count):
                connection.request("GET", path)
        wait_until(lambda: self.taken_count() == before + count, what="all spans taken from the ring")
        return port

    def taken_count(self):
        """How many records the agent has taken so far."""
        return self.spanshim.status()["totals"]["counts"]["taken"]

    def another_sink(self, **options):
        """A second receiver, closed with the test."""
        sink = OtlpSink(**options)
        self.addCleanup(sink.close)
        return sink

    def exporter(self):
        """The status of the only exporter of the only destination set."""
        sets = self.spanshim.status()["destinations"]
        self.assertEqual(1, len(sets), sets)
        self.assertEqual(1, len(sets[0]["exporters"]))
        return sets[0]["exporters"][0]

    def wait_for_exporter(self, key, value):
        """Until its status says so."""
        def look():
            status = self.exporter()
            return status if status[key] == value else None
        return wait_until(look, what=f"{key} is {value}")

    def assert_clean(self, *sinks):
        """No receiver saw anything that it should not."""
        for sink in (self.sink, *sinks):
            self.assertEqual([], sink.violations)


class AcceptedTest(ExportTest):
    """Receivers that take what comes."""

    def test_spans_come_in_batches_over_one_connection(self):
        port = self.request(700, OTEL_BSP_SCHEDULE_DELAY="200")
        self.request(1)
        self.sink.wait_for(701)
        self.assertGreaterEqual(len(self.sink.requests), 3)
        self.assertEqual(1, len({request["path"] for request in self.sink.requests}))
        self.assertEqual("/v1/traces", self.sink.requests[0]["path"])
        self.assertLessEqual(self.sink.connection_count, 2)  # two settings: two destination sets
        ports = collections.Counter(span["attributes"]["server.port"] for span in self.sink.spans)
        self.assertEqual([1, 700], sorted(ports.values()))
        span = next(span for span in self.sink.spans if span["attributes"]["server.port"] == port)
        self.assertEqual("httpd", span["resource"]["service.name"])
        self.assertEqual(0x103, span["flags"])
        self.assertEqual(701, len({span["span_id"] for span in self.sink.spans}))
        self.assert_clean()

    def test_a_batch_waits_for_its_delay(self):
        self.request(3, OTEL_BSP_SCHEDULE_DELAY="60000")
        self.wait_for_exporter("queued", 3)
        self.assertEqual("waiting", self.exporter()["state"])
        self.assertEqual([], self.sink.requests)
        self.assertEqual(3, len(self.spans()))

    def test_gzip_and_headers(self):
        self.request(3, OTEL_EXPORTER_OTLP_COMPRESSION="gzip", OTEL_EXPORTER_OTLP_HEADERS="a=general",
                     OTEL_EXPORTER_OTLP_TRACES_HEADERS="x-a=1%202, x-empty=,authorization=Bearer t")
        self.sink.wait_for(3)
        headers = self.sink.requests[0]["headers"]
        self.assertEqual("gzip", headers["content-encoding"])
        self.assertEqual("1 2", headers["x-a"])
        self.assertEqual("", headers["x-empty"])
        self.assertEqual("Bearer t", headers["authorization"])
        self.assertNotIn("a", headers)
        self.assertRegex(headers["user-agent"], r"^spanshim/\S+ OTel-OTLP-Exporter-C/\S+$")
        self.assert_clean()

    def test_headers_of_the_user_do_not_change_what_the_request_is(self):
        self.request(OTEL_EXPORTER_OTLP_HEADERS="content-type=text/plain,Content-Length=5,transfer-encoding=chunked,"
                                                "expect=100-continue,content-encoding=gzip,x-mine=1")
        self.sink.wait_for(1)
        headers = self.sink.requests[0]["headers"]
        self.assertEqual(("1", "application/x-protobuf"), (headers["x-mine"], headers["content-type"]))
        self.assertEqual([], [name for name in headers if name in ("transfer-encoding", "expect", "content-encoding")])
        self.assert_clean()

    def test_endpoint_of_traces_is_used_as_it_is(self):
        self.request(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=self.sink.url + "/here?x=1",
                     OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
        self.sink.wait_for(1)
        self.assertEqual("/here?x=1", self.sink.requests[0]["path"])

    def test_honeycomb_key_fills_the_header(self):
        proxy = self.another_sink(is_proxy=True)
        self.request(HONEYCOMB_API_KEY="hcaik_0", HONEYCOMB_SERVICE_NAME="shop", HTTP_PROXY=proxy.url,
                     OTEL_EXPORTER_OTLP_ENDPOINT="http://api.honeycomb.io")
        proxy.wait_for(1)
        self.assertEqual("hcaik_0", proxy.requests[0]["headers"]["x-honeycomb-team"])
        self.assertEqual("shop", proxy.spans[0]["resource"]["service.name"])
        self.assert_clean(proxy)

    def test_honeycomb_key_goes_nowhere_else(self):
        self.request(HONEYCOMB_API_KEY="hcaik_0", HONEYCOMB_SERVICE_NAME="shop")
        self.sink.wait_for(1)
        self.assertNotIn("hcaik_0", str(self.sink.requests))
        self.assertEqual("shop", self.sink.spans[0]["resource"]["service.name"])

    def test_two_services_one_agent_nothing_mixed(self):
        other = self.another_sink()
        self.request(5, OTEL_SERVICE_NAME="one", OTEL_EXPORTER_OTLP_HEADERS="k=1")
        self.request(7, OTEL_SERVICE_NAME="two", OTEL_EXPORTER_OTLP_HEADERS="k=2",
                     OTEL_EXPORTER_OTLP_ENDPOINT=other.url)
        self.request(2, OTEL_SERVICE_NAME="three", OTEL_EXPORTER_OTLP_HEADERS="k=1")
        self.sink.wait_for(7)
        other.wait_for(7)
        self.assertEqual({"one", "three"}, {span["resource"]["service.name"] for span in self.sink.spans})
        self.assertEqual({"two"}, {span["resource"]["service.name"] for span in other.spans})
        self.assertEqual({"1"}, {request["headers"]["k"] for request in self.sink.requests})
        self.assertEqual({"2"}, {request["headers"]["k"] for request in other.requests})
        self.assertEqual(2, len(self.spanshim.status()["destinations"]))
        self.assert_clean(other)

    def test_partial_success_counts_and_is_not_repeated(self):
        self.sink.set_mode("partial", rejected=2, message="two too old")
        self.request(3, OTEL_BSP_SCHEDULE_DELAY="60000")
        self.assertFalse(self.spanshim.flush())
        status = self.exporter()
        self.assertEqual((1, 2, 0), (status["exported"], status["dropped"]["rejected"], status["queued"]))
        self.assertIn("two too old", status["last_error"])
        self.assertEqual(1, len(self.sink.requests))

    def test_warning_without_rejected_spans_is_no_loss(self):
        self.sink.set_mode("partial", rejected=0, message="soon to be\nretired")
        self.request(3)
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(3, self.exporter()["exported"])
        self.assertIn("soon to be retired", self.exporter()["last_error"])


class RefusedTest(ExportTest):
    """Answers that are final."""

    def refused(self, mode, remedy, **settings):
        """One batch is refused, once; the status says what to do."""
        self.sink.set_mode(mode)
        self.request(3, OTEL_BSP_SCHEDULE_DELAY="60000", **settings)
        self.assertFalse(self.spanshim.flush())
        status = self.exporter()
        self.assertEqual((0, 3, 0, 0),
                         (status["exported"], status["dropped"]["refused"], status["queued"], status["retries"]))
        self.assertRegex(status["last_error"], f"^{mode}: .*{remedy}")
        self.assertIn("because the test says so", status["last_error"])
        self.assertEqual(1, len(self.sink.requests))
        self.assertIn(status["last_error"], self.spanshim.log())

    def test_400(self):
        self.refused("400", "refused the batch")

    def test_401_with_an_empty_key(self):
        self.refused("401", "the header x-honeycomb-team is empty",
                     OTEL_EXPORTER_OTLP_HEADERS="x-honeycomb-team=")

    def test_401_with_a_wrong_key(self):
        self.refused("401", "check HONEYCOMB_API_KEY", HONEYCOMB_API_KEY="wrong", HTTP_PROXY=self.sink.url,
                     OTEL_EXPORTER_OTLP_ENDPOINT="http://api.honeycomb.io")
        self.assertNotIn("wrong\"", self.spanshim.log())

    def test_404(self):
        self.refused("404", "check OTEL_EXPORTER_OTLP_ENDPOINT")

    def test_404_with_the_path_twice(self):
        self.sink.set_mode("404")
        self.request(3, OTEL_BSP_SCHEDULE_DELAY="60000", OTEL_EXPORTER_OTLP_ENDPOINT=self.sink.url + "/v1/traces")
        self.assertFalse(self.spanshim.flush())
        self.assertRegex(self.exporter()["last_error"], "^404: v1/traces is added to OTEL_EXPORTER_OTLP_ENDPOINT")

    def test_413(self):
        self.refused("413", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE")

    def test_500_is_no_status_to_retry(self):
        self.refused("500", "problem of its own")

    def test_redirects_are_not_followed(self):
        other = self.another_sink()
        self.sink.set_mode("302", location=other.url + "/v1/traces")
        self.request(3, OTEL_EXPORTER_OTLP_HEADERS="x-key=geheim", OTEL_BSP_SCHEDULE_DELAY="60000")  # it is the flush that sends
        self.assertFalse(self.spanshim.flush())
        self.assertRegex(self.exporter()["last_error"], "^302: .*redirects")
        self.assertEqual([], other.requests)


class RetriedTest(ExportTest):
    """Trouble that passes."""

    def retried(self, mode, error, **options):
        """Nothing is lost, nothing comes twice."""
        self.sink.set_mode(mode, **options)
        self.request(3)
        status = self.wait_for_exporter("state", "retrying")
        self.assertEqual(3, status["queued"])
        self.assertRegex(status["last_error"], error)
        self.sink.set_mode("ok")
        self.sink.wait_for(3)
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(3, len(self.sink.spans))
        self.assertEqual(3, self.exporter()["exported"])
        self.assert_clean()

    def test_429(self):
        self.retried("429", "^429: ")

    def test_502(self):
        self.retried("502", "^502: ")

    def test_503(self):
        self.retried("503", "^503: ")

    def test_504(self):
        self.retried("504", "^504: ")

    def unanswered(self, error, **settings):
        """No connection comes about: the status says why."""
        self.request(3, **settings)
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], error)

    def test_unknown_host(self):
        self.unanswered("^no answer from http://collector.invalid:4318/.*; check OTEL_EXPORTER_OTLP_ENDPOINT",
                        OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4318")

    def test_unknown_proxy(self):
        self.unanswered("; check HTTP_PROXY and HTTPS_PROXY$", HTTP_PROXY="http://proxy.invalid:3128")

    def test_nothing_listens(self):
        self.retried("refuse", "^nothing listens at http://127.0.0.1:.*OTEL_EXPORTER_OTLP_ENDPOINT")

    def test_no_answer(self):
        self.retried("close", "^no answer from")

    def test_garbage(self):
        self.retried("garbage", "^no answer from")

    def test_retry_after_in_seconds(self):
        self.sink.set_mode("429", retry_after=2)
        self.request(3)
        self.sink.wait_for_requests(1)
        self.sink.set_mode("ok")
        self.sink.wait_for(3)
        first, second = self.sink.requests[:2]
        self.assertGreaterEqual(second["time"] - first["time"], 1.95)

    def test_retry_after_as_a_date(self):
        self.sink.set_mode("503", retry_after=lambda: formatdate(time.time() + 3, usegmt=True))
        self.request(3)
        self.sink.wait_for_requests(1)
        self.sink.set_mode("ok")
        self.sink.wait_for(3)
        first, second = self.sink.requests[:2]
        self.assertGreaterEqual(second["time"] - first["time"], 1.5)

    def test_a_receiver_is_given_its_time_and_no_more(self):
        self.sink.set_mode("hang")
        self.request(3, OTEL_EXPORTER_OTLP_TIMEOUT="300")
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertIn("no answer from", status["last_error"])
        self.sink.set_mode("ok")
        self.wait_for_exporter("exported", 3)

    def test_a_slow_receiver_is_sent_nothing_twice(self):
        self.sink.set_mode("slow", delay=0.5)
        self.request(3, OTEL_EXPORTER_OTLP_TIMEOUT="60000")
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(3, len(self.sink.spans), "each span once: none was sent again while the receiver took its time")

    def test_flush_fails_fast_when_nothing_listens(self):
        self.sink.set_mode("refuse")
        self.request(3, OTEL_BSP_SCHEDULE_DELAY="60000")
        began = time.monotonic()
        self.assertFalse(self.spanshim.flush())
        self.assertLess(time.monotonic() - began, 30, "it is not waited for until the flush's own limit, 60 s")
        self.assertEqual(3, self.exporter()["queued"])

    def test_a_full_queue_drops_the_oldest_and_counts(self):
        """On the disk whole batches go: with small ones, much of the room is in use at any time."""
        self.sink.set_mode("refuse")
        self.request(900, SPANSHIM_QUEUE_BYTES="65536", OTEL_BSP_MAX_EXPORT_BATCH_SIZE="32")
        self.wait_for_exporter("state", "retrying")
        self.sink.set_mode("ok")
        self.assertTrue(self.spanshim.flush() or self.spanshim.flush())
        status = self.exporter()
        arrived = len(self.sink.spans)
        self.assertGreater(arrived, 50)
        self.assertEqual(900, arrived + status["dropped"]["queue_full"])
        self.assertEqual(arrived, status["exported"])


class WayTest(ExportTest):
    """What lies between: proxies and TLS."""

    def test_proxy(self):
        proxy = self.another_sink(is_proxy=True)
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.invalid:4318", HTTP_PROXY=proxy.url)
        proxy.wait_for(1)
        self.assertEqual("http://collector.invalid:4318/v1/traces", proxy.requests[0]["path"])
        self.assert_clean(proxy)

    def test_password_of_a_proxy_that_is_no_url_is_not_shown(self):
        proxies = ("http://user:geheim@127.0.0.1:99999", "odd://user:geheim@127.0.0.1:1", "user:geheim@geheim@[::1")
        for proxy in proxies:
            self.request(HTTP_PROXY=proxy)
        status = wait_until(lambda: self.all_retry(len(proxies)), what="a retry of each")
        self.assertEqual(len(proxies), json.dumps(status).count("HTTP_PROXY and HTTPS_PROXY"))
        self.assertNotIn("geheim", json.dumps(status) + self.spanshim.log())

    def all_retry(self, count):
        """The status, when so many destinations have failed once."""
        status = self.spanshim.status()
        return status if sum(one["exporters"][0]["retries"] > 0 for one in status["destinations"]) == count else None

    def test_no_proxy(self):
        proxy = self.another_sink(is_proxy=True)
        self.request(http_proxy=proxy.url, NO_PROXY="127.0.0.1,example.com")
        self.sink.wait_for(1)
        self.assertEqual([], proxy.requests)

    def certificate(self, name):
        """A self-signed certificate and its key."""
        certificate, key = self.directory / f"{name}.pem", self.directory / f"{name}.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "2",
                        "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True,
                       capture_output=True)
        return certificate, key

    @unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificates")
    def test_tls_with_a_private_authority_and_a_client_certificate(self):
        server, client = self.certificate("server"), self.certificate("client")
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*server)
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(client[0])
        sink = self.another_sink(tls=tls)
        # The certificate's path counts from the program's folder.
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_EXPORTER_OTLP_CERTIFICATE="server.pem",
                     OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=client[0], OTEL_EXPORTER_OTLP_CLIENT_KEY=client[1])
        sink.wait_for(1)
        self.assert_clean(sink)

    @unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificates")
    def test_tls_refuses_an_unknown_authority(self):
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*self.certificate("server"))
        sink = self.another_sink(tls=tls)
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url)
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], "certificate.*; OTEL_EXPORTER_OTLP_CERTIFICATE names the authority")
        self.assertEqual([], sink.requests)

    def test_no_tls_where_it_is_spoken_to(self):
        """The certificate's authority has nothing to do with it."""
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT=self.sink.url.replace("http:", "https:"))
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], "; does it speak TLS \\(https://\\), in a version of today\\?")

    @unittest.skipUnless(shutil.which("openssl"), "openssl makes the certificates")
    def test_a_key_that_cannot_be_used(self):
        certificate, key = self.certificate("client")
        locked = self.directory / "locked.key"
        subprocess.run(["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:x", "-out", locked], check=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        sink = self.another_sink(tls=tls)
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, OTEL_EXPORTER_OTLP_CERTIFICATE=certificate,
                     OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=certificate, OTEL_EXPORTER_OTLP_CLIENT_KEY=locked)
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertRegex(status["last_error"], "private key.*; check .*_CLIENT_CERTIFICATE and .*_CLIENT_KEY")

    def test_a_pipe_as_certificate_does_not_hold_the_agent_up(self):
        pipe = self.directory / "pipe"
        os.mkfifo(pipe)
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT="https://127.0.0.1:1", OTEL_EXPORTER_OTLP_CERTIFICATE=pipe)
        status = self.wait_for_exporter("state", "unusable")
        self.assertIn("is no plain file", status["last_error"])


class SlowNamesTest(ExportTest):
    """The name server does not answer: the agent goes on with its other work."""

    agent_settings = {"LD_PRELOAD": BUILD / "tests" / "libslow_names.so", "ASAN_OPTIONS": "verify_asan_link_order=0"}

    def test_other_work_goes_on(self):
        self.request(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector.example:4318", OTEL_EXPORTER_OTLP_TIMEOUT=500)
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] > 1 else None, what="two retries")
        self.assertIn("timed out", status["last_error"])


class TextTest(ExportTest):
    """What people are shown is text, whatever it is made of."""

    def test_a_path_that_is_none(self):
        path = os.fsencode(self.directory) + b"/" + 100 * "\u00e4".encode() + b"\xff"
        self.request(OTEL_TRACES_EXPORTER="otlp_file", SPANSHIM_OTLP_FILE=os.fsdecode(path) + "/none")
        status = wait_until(lambda: self.exporter() if self.exporter()["retries"] else None, what="a retry")
        self.assertIn("can't be opened", status["last_error"])
        self.assertIn("\u00e4", status["target"])

    def refused(self, count):
        """The exporter's status, when so many spans were refused."""
        status = self.exporter()
        return status if status["dropped"]["refused"] == count else None

    def test_words_of_a_receiver_that_are_cut(self):
        for refused, start in enumerate(("", "a"), 1):
            self.sink.set_mode("400", message=start + "\u00e4" * 200)
            self.request()
            status = wait_until(lambda: self.refused(refused), what="the refusal")
            self.assertRegex(status["last_error"], f"\\({start}\u00e4\u00e4.*\\)$")
            self.assertIn(status["last_error"], self.spanshim.log())


class ElsewhereTest(ExportTest):
    """Other destinations, and none."""

    def test_console_into_a_file(self):
        self.request(2, OTEL_TRACES_EXPORTER="console", SPANSHIM_CONSOLE="traces.txt", OTEL_SERVICE_NAME="shop")
        path = self.directory / "traces.txt"
        text = wait_until(lambda: path.read_text() if path.exists() and path.read_text().count("\n") == 4 else None,
                          what="two traces in the file")
        self.assertRegex(text, r"(?m)^trace [0-9a-f]{32}  \d\d:\d\d:\d\d\.\d{3}  1 span  [\d.]+ (µs|ms|s)$")
        self.assertRegex(text, r"(?m)^  shop  GET /size/10 +200 +[\d.]+ (µs|ms|s)  █+$")
        self.assertNotIn("\033", text)
        self.assertEqual([], self.sink.requests)

    def test_flush_prints_what_the_console_holds_back(self):
        self.request(2, OTEL_TRACES_EXPORTER="console", SPANSHIM_CONSOLE="traces.txt", OTEL_BSP_SCHEDULE_DELAY="60000")
        self.assertTrue(self.spanshim.flush())
        self.assertEqual(4, (self.directory / "traces.txt").read_text().count("\n"))

    def test_added_destination_leaves_the_others(self):
        self.request(2, SPANSHIM_EXPORTERS="console", SPANSHIM_CONSOLE="traces.txt")
        self.sink.wait_for(2)
        path = self.directory / "traces.txt"
        wait_until(lambda: path.exists() and path.read_text().count("\n") == 4, what="two traces in the file")

    def test_console_without_a_terminal_says_so(self):
        self.request(2, OTEL_TRACES_EXPORTER="console")
        status = wait_until(lambda: self.exporter() if self.exporter()["dropped"]["refused"] else None, what="a drop")
        self.assertIn("SPANSHIM_CONSOLE", status["last_error"])

    def test_bad_settings_are_named_in_the_log(self):
        self.request(1, OTEL_EXPORTER_OTLP_TIMEOUT="soon", OTEL_BSP_MAX_QUEUE_SIZE="-1", HONEYCOMB_API_KEY="")
        self.sink.wait_for(1)
        log = self.spanshim.log()
        self.assertIn('OTEL_EXPORTER_OTLP_TIMEOUT: "soon"', log)
        self.assertIn('OTEL_BSP_MAX_QUEUE_SIZE: "-1"', log)
        self.assertIn("HONEYCOMB_API_KEY is empty", log)

    def test_bad_settings_of_a_running_program_are_in_status(self):
        self.request(1, HONEYCOMB_API_KEY="")
        self.assertRegex(self.spanshim.command("status").stdout, r"(?m)^ +\d+  httpd  +HONEYCOMB_API_KEY is empty: set it")


if __name__ == "__main__":
    unittest.main(verbosity=2)
