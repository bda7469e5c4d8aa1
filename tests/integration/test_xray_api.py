# SPDX-License-Identifier: Apache-2.0
"""Segments go to X-Ray without a daemon: signed calls, with credentials from wherever AWS's SDKs have them. What goes wrong
is one line with the remedy."""

import re
import ssl
import subprocess
import unittest

import servers
from aws_sink import KEY, REGION, AwsSink, ContainerSink, MetadataSink
from harness import BARE, ShimTest, Traffic
from processes import free_port, wait_until

SESSION = ("ASIATESTTESTTESTTEST", "secret/of+the+session/0123456789abcdef", "token/of+the=session")
OTHER = ("ASIAOTHEROTHEROTHERO", "another/secret+0123456789abcdefghijklm", "token-of-the-other")


@unittest.skipIf(BARE, "bare run")
class ApiTest(ShimTest):
    """What all cases share."""

    def setUp(self):
        super().setUp()
        self.asked = 0  # requests
        self.aws = AwsSink()
        self.addCleanup(self.aws.close)

    def serve(self, key=KEY, **settings):
        """A server whose segments go to the stand-in; what makes requests to it."""
        given = {**self.aws.env(key), "OTEL_BSP_SCHEDULE_DELAY": 50}
        _, port = servers.httpd(self, env=self.spanshim.env(**{**given, **settings}))
        return Traffic(port)

    def ask(self, traffic, count=1):
        """So many requests; the agent has them all when it returns, so that a flush is about all of them."""
        with traffic.connect() as connection:
            for _ in range(count):
                traffic.request(connection, "GET", "/size/1")
        self.asked += count
        wait_until(lambda: self.spanshim.status()["totals"]["counts"]["taken"] == self.asked, what=f"{self.asked} spans")

    def exporter(self):
        """What the status says of the destination."""
        return next(exporter for destinations in self.spanshim.status()["destinations"] for exporter in destinations["exporters"]
                    if exporter["name"] == "xray")

    def wait_for_line(self, pattern):
        """Until the agent's log has it: that line, of which there is one."""
        wait_until(lambda: re.search(pattern, self.spanshim.log()), what=lambda: f"{pattern} in\n{self.spanshim.log()}")
        lines = [line for line in self.spanshim.log().splitlines() if re.search(pattern, line)]
        self.assertEqual(1, len(lines), lines)
        return lines[0]

    def check_delivered(self, count):
        """All came, in order, and nothing was wrong."""
        self.assertEqual(count, len(self.aws.wait_for(count)))
        self.assertEqual(count, len({document["id"] for document in self.aws.documents}))
        self.assertEqual([], self.aws.violations)


class CallTest(ApiTest):
    """PutTraceSegments"""

    def test_segments_arrive(self):
        traffic = self.serve(OTEL_SERVICE_NAME="shop")
        self.ask(traffic, 3)
        self.assertTrue(self.spanshim.flush())
        self.check_delivered(3)
        self.assertEqual({"shop"}, {document["name"] for document in self.aws.documents})
        self.assertEqual(["/TraceSegments"], sorted({request["path"] for request in self.aws.requests}))

    def test_many_go_by_fifty(self):
        traffic = self.serve(OTEL_BSP_SCHEDULE_DELAY=60000, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=512)
        self.ask(traffic, 130)
        self.assertTrue(self.spanshim.flush())
        self.check_delivered(130)
        self.assertLessEqual(3, len(self.aws.requests))

    def test_what_is_sent_is_not_sent_again(self):
        """The second call of a batch fails: it goes on there."""
        traffic = self.serve(OTEL_BSP_SCHEDULE_DELAY=60000, OTEL_BSP_MAX_EXPORT_BATCH_SIZE=512)
        self.aws.set_mode("503", after=1)
        self.ask(traffic, 80)
        self.spanshim.flush()
        self.wait_for_line("503 ServiceUnavailableException: AWS has a problem of its own")
        self.assertGreater(len(self.aws.wait_for(1)), 0)
        self.aws.set_mode("ok")
        self.check_delivered(80)

    def test_refused_segments_are_counted_and_not_sent_again(self):
        traffic = self.serve(OTEL_BSP_SCHEDULE_DELAY=60000)
        self.aws.set_mode("unprocessed")
        self.ask(traffic, 4)
        self.spanshim.flush()
        self.wait_for_line(r"X-Ray refused [12] segments: InvalidTraceId \([12]\): Invalid trace id")
        wait_until(lambda: self.exporter()["exported"] + self.exporter()["dropped"]["rejected"] == 4, what="all are counted")
        self.assertEqual(self.exporter()["exported"], len(self.aws.documents))
        self.assertEqual(4, sum(request["count"] for request in self.aws.requests))

    def test_throttled(self):
        traffic = self.serve()
        self.aws.set_mode("429", retry_after=1)
        self.ask(traffic, 2)
        self.wait_for_line("429 ThrottledException: AWS asks for fewer requests")
        self.aws.set_mode("ok")
        self.check_delivered(2)

    def test_refused_for_good(self):
        traffic = self.serve()
        self.aws.set_mode("400")
        self.ask(traffic)
        self.wait_for_line("400 InvalidRequestException: AWS refused the batch: check AWS_REGION")
        self.assertEqual(1, self.exporter()["dropped"]["refused"])

    def test_https(self):
        """AWS_CA_BUNDLE says who vouches for the service; without it, it is not trusted."""
        certificate, key = self.directory / "aws.pem", self.directory / "aws.key"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                        "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
                       check=True, capture_output=True)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
        self.aws.close()
        self.aws = AwsSink(tls=tls)
        self.addCleanup(self.aws.close)
        self.ask(self.serve(AWS_CA_BUNDLE=certificate))
        self.check_delivered(1)
        self.ask(self.serve())
        self.wait_for_line("no answer from AWS: .*certificate.*AWS_CA_BUNDLE")

    def test_no_answer_that_can_be_read(self):
        traffic = self.serve()
        self.ask(traffic)
        self.check_delivered(1)
        for mode in ("garbage", "close"):
            self.aws.set_mode(mode)
            self.ask(traffic)
            self.assertFalse(self.spanshim.flush())
        self.assertIn("no answer from AWS", self.spanshim.log())
        self.aws.set_mode("ok")
        self.check_delivered(3)

    def test_nobody_there(self):
        traffic = self.serve()
        self.aws.set_mode("refuse")
        self.ask(traffic)
        self.wait_for_line("no answer from AWS: .*; see AWS_REGION, AWS_ENDPOINT_URL_XRAY")
        self.aws.set_mode("ok")
        self.check_delivered(1)


RULE = {"RuleName": "all", "Priority": 1, "FixedRate": 1.0, "ReservoirSize": 0, "ServiceName": "*", "ServiceType": "*",
        "Host": "*", "HTTPMethod": "*", "URLPath": "*", "ResourceARN": "*", "Version": 1}


class RulesTest(ApiTest):
    """Sampling rules are asked for in the same way."""

    def test_rules(self):
        self.aws.rules = [RULE]
        traffic = self.serve(OTEL_TRACES_SAMPLER=None)
        self.wait_for_line("X-Ray's sampling is by X-Ray's rules")
        self.ask(traffic, 20)
        self.assertTrue(self.spanshim.flush())
        self.check_delivered(20)
        self.assertIn("/GetSamplingRules", [request["path"] for request in self.aws.requests])

    def test_refused(self):
        self.serve((KEY[0], "not-the-secret", None), OTEL_TRACES_SAMPLER=None)
        self.wait_for_line("X-Ray's sampling rules can't be had from http://127.0.0.1:.*: 403 InvalidSignatureException: the signature")


class RefusalTest(ApiTest):
    """Credentials and clocks that are wrong"""

    def test_wrong_secret(self):
        traffic = self.serve((KEY[0], "not-the-secret", None))
        self.ask(traffic)
        self.wait_for_line("403 InvalidSignatureException: the signature doesn't fit: check the secret key of AWS_ACCESS_KEY_ID")
        for _ in range(3):
            self.assertFalse(self.spanshim.flush())
        self.wait_for_line("InvalidSignatureException")
        self.assertLessEqual(4, self.aws.codes().count("InvalidSignatureException"))
        self.assertNotIn("not-the-secret", self.spanshim.log())
        self.assertEqual(0, self.exporter()["dropped"]["refused"], "it waits")

    def test_unknown_key(self):
        traffic = self.serve(OTHER)
        self.ask(traffic)
        self.wait_for_line("403 UnrecognizedClientException: AWS doesn't know the credentials of AWS_ACCESS_KEY_ID")

    def test_may_not(self):
        traffic = self.serve()
        self.aws.set_mode("403")
        self.ask(traffic)
        self.wait_for_line("403 AccessDeniedException: the credentials of AWS_ACCESS_KEY_ID may not do this: attach AWSXRay")
        self.aws.set_mode("ok")
        self.check_delivered(1)

    def test_clock_ahead_and_behind(self):
        """Refused once; then the service's clock counts, and nobody hears of it."""
        for ahead_s in (3600, -86400):
            with self.subTest(ahead_s=ahead_s):
                self.aws.ahead_s = ahead_s
                del self.aws.requests[:]
                traffic = self.serve()
                before = len(self.aws.documents)
                self.ask(traffic)
                self.aws.wait_for(before + 1)
                self.ask(traffic)
                self.aws.wait_for(before + 2)
                self.assertLessEqual(self.aws.codes().count("InvalidSignatureException"), 1)
                self.assertEqual(2, self.aws.codes().count(200))
        self.assertEqual([], self.aws.violations)
        self.assertNotIn("InvalidSignature", self.spanshim.log())

    def test_no_credentials(self):
        traffic = self.serve(None)
        self.ask(traffic)
        self.wait_for_line("no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, write ~/.aws/credentials")
        self.assertEqual([], self.aws.requests)

    def test_key_without_secret(self):
        traffic = self.serve(None, AWS_ACCESS_KEY_ID=KEY[0])
        self.ask(traffic)
        self.wait_for_line("no credentials: AWS_ACCESS_KEY_ID is set without")

    def test_no_region_and_a_bad_one(self):
        for region, line in ((None, "no region: set AWS_REGION"),
                             ("Frankfurt!", 'AWS_REGION: "Frankfurt!" is no region: set it to one like eu-west-1')):
            with self.subTest(region):
                self.ask(self.serve(AWS_REGION=region))
                self.wait_for_line(line)


class SharedFilesTest(ApiTest):
    """~/.aws"""

    def write(self, credentials="", config=""):
        """The files of the program's user."""
        folder = self.directory / ".aws"
        folder.mkdir(exist_ok=True)
        (folder / "credentials").write_text(credentials)
        (folder / "config").write_text(config)

    @staticmethod
    def keys(key):
        """A profile's lines."""
        lines = f"aws_access_key_id = {key[0]}\naws_secret_access_key={key[1]}\n"
        return lines + (f"aws_session_token = {key[2]}\n" if key[2] else "")

    def test_default_profile(self):
        self.write("[default]\n" + self.keys(KEY), f"[default]\nregion = {REGION}\n")
        self.ask(self.serve(None, AWS_REGION=None))
        self.check_delivered(1)

    def test_named_profile(self):
        self.write("[default]\n" + self.keys(OTHER), f"[profile shop]\n{self.keys(KEY)}region={REGION}\n")
        self.ask(self.serve(None, AWS_REGION=None, AWS_PROFILE="shop"))
        self.check_delivered(1)
        self.assertEqual(f"{self.aws.url}, profile shop", self.exporter()["target"])

    def test_expired_and_renewed(self):
        """Who renews the file needs to restart nothing."""
        self.aws.keys = {SESSION[0]: (SESSION[1], "the token of today")}
        self.write("[default]\n" + self.keys(SESSION))
        traffic = self.serve(None)
        self.ask(traffic)
        self.wait_for_line("403 ExpiredTokenException: the credentials of the profile's aws_access_key_id have expired: renew them")
        self.write("[default]\n" + self.keys(SESSION[:2] + ("the",)).replace("= the\n", "= the-token-of-tomorrow\n"))
        self.aws.keys = {SESSION[0]: (SESSION[1], "the-token-of-tomorrow")}
        self.check_delivered(1)

    def test_what_is_not_supported(self):
        self.write("", "[profile shop]\nrole_arn = arn:aws:iam::123456789012:role/shop\nsource_profile = default\n")
        self.ask(self.serve(None, AWS_PROFILE="shop"))
        self.wait_for_line("no credentials: profile shop gets them by role_arn, which is not supported")


class EndpointsTest(ApiTest):
    """Containers and instances"""

    def start(self, sink):
        """An endpoint that is gone with the test."""
        self.addCleanup(sink.close)
        return sink

    def test_container(self):
        container = self.start(ContainerSink(SESSION))
        token = self.directory / "token"
        token.write_text(container.token + "\n")
        self.aws.keys = {SESSION[0]: SESSION[1:]}
        self.ask(self.serve(None, AWS_CONTAINER_CREDENTIALS_FULL_URI=f"{container.url}/credentials",
                            AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE=str(token)))
        self.check_delivered(1)
        self.assertEqual(["/credentials"], container.paths())
        self.assertEqual([], container.violations)

    def test_container_elsewhere(self):
        self.ask(self.serve(None, AWS_CONTAINER_CREDENTIALS_FULL_URI="http://credentials.example/"))
        self.wait_for_line("AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or at this machine")

    def test_instance(self):
        """Credentials and region; asked once for many calls, and again before they expire."""
        metadata = self.start(MetadataSink(SESSION))
        self.aws.keys = {SESSION[0]: SESSION[1:]}
        traffic = self.serve(None, AWS_REGION=None, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url)
        for count in range(1, 4):
            self.ask(traffic)
            self.check_delivered(count)
        asked = metadata.paths()
        if "the instance's metadata service" in self.spanshim.log():  # two seconds were too short for it
            asked = list(dict.fromkeys(asked))
        self.assertEqual(["/latest/api/token", "/latest/meta-data/iam/security-credentials/",
                          "/latest/meta-data/iam/security-credentials/shop-role", "/latest/meta-data/placement/region"],
                         asked)
        self.assertEqual([], metadata.violations)

    def test_refreshed_before_expiry(self):
        """Good for four minutes more: those of the next call are others."""
        metadata = self.start(MetadataSink(SESSION, life_s=240))
        self.aws.keys = {SESSION[0]: SESSION[1:], OTHER[0]: OTHER[1:]}
        traffic = self.serve(None, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url)
        self.ask(traffic)
        self.check_delivered(1)
        metadata.key, metadata.life_s = OTHER, 3600
        metadata.forget_tokens()
        self.ask(traffic)
        self.check_delivered(2)
        used = [request["headers"]["authorization"].split("Credential=")[1].split("/")[0] for request in self.aws.requests]
        self.assertEqual([SESSION[0], OTHER[0]], used)
        metadata.set_mode("500")
        self.ask(traffic)
        self.check_delivered(3)

    def test_revoked(self):
        """What the service doesn't know any more is loaded anew, at once."""
        metadata = self.start(MetadataSink(SESSION))
        self.aws.keys = {SESSION[0]: SESSION[1:]}
        traffic = self.serve(None, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url)
        self.ask(traffic)
        self.check_delivered(1)
        self.aws.keys = {OTHER[0]: OTHER[1:]}
        metadata.key = OTHER
        self.ask(traffic)
        self.check_delivered(2)
        self.assertEqual([200, "UnrecognizedClientException", 200], self.aws.codes())
        self.assertNotIn("Unrecognized", self.spanshim.log())

    def test_instance_without_a_role(self):
        metadata = self.start(MetadataSink(SESSION))
        metadata.set_mode("404")
        self.ask(self.serve(None, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url))
        self.wait_for_line("no credentials from the instance's metadata service: it answers 404: attach a role")

    def test_instance_that_does_not_answer(self):
        """As where the instance's answers come no further than to its own processes."""
        metadata = self.start(MetadataSink(SESSION))
        self.aws.keys = {SESSION[0]: SESSION[1:]}
        metadata.set_mode("hang")
        self.ask(self.serve(None, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url))
        self.wait_for_line("no credentials from the instance's metadata service: .*; in a container the instance's hop limit must be 2")
        metadata.set_mode("garbage")
        self.assertFalse(self.spanshim.flush())
        self.assertRegex(self.spanshim.log(), "no credentials from the instance's metadata service: .*\n")
        metadata.set_mode("ok")
        self.check_delivered(1)

    def test_disabled(self):
        metadata = self.start(MetadataSink(SESSION))
        self.ask(self.serve(None, AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url, AWS_EC2_METADATA_DISABLED="true"))
        self.wait_for_line("no credentials: set AWS_ACCESS_KEY_ID")
        self.assertEqual([], metadata.paths())


class OtlpTest(ApiTest):
    """X-Ray's OTLP endpoint"""

    def serve_otlp(self, key=KEY, **settings):
        """Likewise, by OTLP."""
        given = {**self.aws.env(key), "OTEL_TRACES_EXPORTER": "otlp", "SPANSHIM_XRAY_VIA": None, "SPANSHIM_OTLP_SIGV4": "on",
                 "OTEL_EXPORTER_OTLP_ENDPOINT": self.aws.url, "OTEL_BSP_SCHEDULE_DELAY": 50}
        _, port = servers.httpd(self, env=self.spanshim.env(**{**given, **settings}))
        return Traffic(port)

    def test_signed(self):
        for protocol in ("http/protobuf", "http/json"):
            for compression in ("none", "gzip"):
                with self.subTest(protocol=protocol, compression=compression):
                    del self.aws.spans[:]
                    self.ask(self.serve_otlp(OTEL_EXPORTER_OTLP_PROTOCOL=protocol, OTEL_EXPORTER_OTLP_COMPRESSION=compression))
                    wait_until(lambda: self.aws.spans, what="a span")
                    self.assertEqual(["GET"], [span["name"] for span in self.aws.spans])
        self.assertEqual([], self.aws.violations)

    def test_not_signed_when_off(self):
        self.ask(self.serve_otlp(SPANSHIM_OTLP_SIGV4="auto"))
        self.spanshim.flush()
        wait_until(lambda: self.aws.requests, what="a request")
        self.assertNotIn("authorization", self.aws.requests[0]["headers"])

    def test_refused(self):
        self.ask(self.serve_otlp((KEY[0], "not-the-secret", None)))
        self.wait_for_line("403 InvalidSignatureException: the signature doesn't fit: check the secret key")

    def test_no_credentials(self):
        self.ask(self.serve_otlp(None))
        self.wait_for_line("no credentials: set AWS_ACCESS_KEY_ID")

    def test_grpc(self):
        self.ask(self.serve_otlp(OTEL_EXPORTER_OTLP_PROTOCOL="grpc", OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}"))
        self.wait_for_line("OTLP by gRPC is not signed: set OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf")


if __name__ == "__main__":
    unittest.main(verbosity=2)
