# SPDX-License-Identifier: Apache-2.0
"""Stand-ins for AWS: X-Ray's API and OTLP endpoint, which check each signature, and the endpoints that containers and
instances get credentials at.

    sink = AwsSink()                   # AWS_ENDPOINT_URL_XRAY=sink.url, AWS_ACCESS_KEY_ID=sink.key_id, ...
    sink.documents                     # those that were taken by PutTraceSegments
    sink.rules                         # what GetSamplingRules answers
    sink.violations                    # what a sender must not do; tests assert that there are none
    sink.requests                      # dicts: path, headers, length, status, code, count, time
    sink.set_mode("429", retry_after=1)

    metadata = MetadataSink(key)       # AWS_EC2_METADATA_SERVICE_ENDPOINT=metadata.url"""

import gzip
import json
import time
from email.utils import formatdate

import aws_signature
import xray_schema
from http_sink import HttpSink
from otlp_sink import READERS
from processes import PATIENCE_S

REGION = "eu-test-1"
KEY = ("AKIDTESTTESTTESTTEST", "secret/of+the+test/0123456789abcdefghij", None)
PATHS = ("/TraceSegments", "/GetSamplingRules", "/SamplingTargets", "/v1/traces")
CALL_DOCUMENTS_MAX = 50
CALL_BYTES_MAX = 5 << 20
STATUSES = {"ok": 200, "slow": 200, "unprocessed": 200, "400": 400, "403": 403, "413": 413, "429": 429, "500": 500, "503": 503}
CODES = {"400": "InvalidRequestException", "403": "AccessDeniedException", "413": "RequestEntityTooLarge",
         "429": "ThrottledException", "500": "InternalFailure", "503": "ServiceUnavailableException"}


class AwsSink(HttpSink):
    """X-Ray. Options of modes: delay (slow, s), retry_after (s), after (the mode is ok for so many calls). ahead_s is how far
    its clock is ahead of ours."""

    modes = (*STATUSES, "garbage", "hang", "close", "refuse")

    def __init__(self, port=0, mode="ok", tls=None, **options):
        self.region = REGION
        self.ahead_s = 0
        self.keys = {KEY[0]: KEY[1:]}
        self.rules = []
        self.documents = []
        self.spans = []
        super().__init__(port, mode, tls, **options)

    @property
    def violations(self):
        """What was wrong with what came."""
        return self._violations

    def env(self, key=KEY):
        """The settings that make a program's segments come here."""
        env = {"OTEL_TRACES_EXPORTER": "xray", "SPANSHIM_XRAY_VIA": "api", "OTEL_TRACES_SAMPLER": "always_on",
               "AWS_REGION": self.region, "AWS_ENDPOINT_URL_XRAY": self.url}
        if key:
            env.update(AWS_ACCESS_KEY_ID=key[0], AWS_SECRET_ACCESS_KEY=key[1])
        if key and key[2]:
            env.update(AWS_SESSION_TOKEN=key[2])
        return env

    def wait_for(self, count, timeout=PATIENCE_S):
        """Until at least `count` documents were taken."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while len(self.documents) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(self.documents)} of {count} documents came in {timeout} s; {self.requests[-3:]}")
                self._changed.wait(left)
            return list(self.documents)

    def codes(self):
        """How the requests were answered, in order: 200, or the name of the error."""
        with self._lock:
            return [request["code"] or request["status"] for request in self.requests]

    def _check_head(self, method, path, headers):
        if method != "POST" or path.partition("?")[0] not in PATHS:
            self._note(f"{method} {path}")

    def _answer(self, connection, mode, options, path, headers, body):
        if mode == "slow":
            self._sleep(options.get("delay", 2), mode)
        if mode == "hang":
            self._sleep(3600, mode)
        with self._lock:
            if len(self.requests) < options.get("after", 0):
                mode = "ok"
            status, code, answer, count = self._judge(mode, path, headers, body)
            self.requests.append({"path": path, "headers": headers, "length": len(body), "status": status, "code": code,
                                  "count": count, "time": time.monotonic()})
            self._changed.notify_all()
        if mode == "garbage":
            connection.sendall(b"\x15\x03\x01\x00\x02\x02\x28\r\n" * 8)
        if not status:
            return False
        connection.sendall(self._response(status, code, options, answer))
        return True

    def _response(self, status, code, options, answer):
        body = json.dumps(answer).encode()
        lines = [f"HTTP/1.1 {status} Some Reason", f"Date: {formatdate(time.time() + self.ahead_s, usegmt=True)}",
                 "Content-Type: application/json", f"Content-Length: {len(body)}"]
        if code:
            lines.append(f"x-amzn-ErrorType: {code}:http://internal.amazon.com/coral/")
        if "retry_after" in options:
            lines.append(f"Retry-After: {options['retry_after']}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def _judge(self, mode, path, headers, body):
        """status, name of the error, answer, number of documents."""
        try:
            aws_signature.check("POST", path, headers, body, self.keys, self.region, self.ahead_s)
        except aws_signature.Refused as refused:
            return refused.status, refused.code, {"message": str(refused)}, 0
        status = STATUSES.get(mode, 0)
        if status != 200:
            return status, CODES.get(mode), {"message": "because the test says so"}, 0
        if path.startswith("/v1/traces"):
            return 200, None, self._take_spans(headers, body), 0
        return self._take_call(mode, path, headers, body)

    def _take_spans(self, headers, body):
        reader = READERS.get(headers.get("content-type"))
        if not reader:
            self._note(f"content type {headers.get('content-type')!r}")
        else:
            self.spans += reader(gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body, self._note)
        return {}

    def _take_call(self, mode, path, headers, body):
        if headers.get("content-type") != "application/json":
            self._note(f"content type {headers.get('content-type')!r}")
        call = json.loads(body)
        if path != "/TraceSegments":
            records = [{"SamplingRule": rule, "CreatedAt": 0.0, "ModifiedAt": 0.0} for rule in self.rules]
            return 200, None, {"SamplingRuleRecords": records, "SamplingTargetDocuments": [], "UnprocessedStatistics": []}, 0
        texts = call.get("TraceSegmentDocuments")
        if set(call) != {"TraceSegmentDocuments"} or not texts or not all(isinstance(text, str) for text in texts):
            self._note(f"call of {sorted(call)}")
            return 400, "InvalidRequestException", {"message": "no documents"}, 0
        if len(texts) > CALL_DOCUMENTS_MAX or len(body) > CALL_BYTES_MAX:
            self._note(f"{len(texts)} documents, {len(body)} bytes in a call")
            return 400, "InvalidRequestException", {"message": "Exceeding maximum segment count: 50"}, 0
        return 200, None, {"UnprocessedTraceSegments": self._take_documents(mode, texts)}, len(texts)

    def _take_documents(self, mode, texts):
        unprocessed = []
        for number, text in enumerate(texts):
            document, problems = xray_schema.read_document(text.encode())
            for problem in problems:
                self._note(f"{problem}; in {text[:2000]}")
            if mode == "unprocessed" and number % 2:
                unprocessed.append({"Id": document["id"], "ErrorCode": "InvalidTraceId", "Message": "Invalid trace id"})
            else:
                self.documents.append(document)
        return unprocessed


class CredentialsSink(HttpSink):
    """What both kinds of endpoint have: the key that is handed out, and for how long it is good."""

    modes = ("ok", "404", "500", "hang", "refuse", "garbage")

    def __init__(self, key, life_s=3600):
        self.key = key
        self.life_s = life_s
        super().__init__()

    @property
    def violations(self):
        """What was wrong with what came."""
        return self._violations

    def paths(self):
        """What was asked for, in order."""
        with self._lock:
            return [request["path"] for request in self.requests]

    def _credentials(self):
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.life_s))
        return json.dumps({"Code": "Success", "Type": "AWS-HMAC", "AccessKeyId": self.key[0], "SecretAccessKey": self.key[1],
                           "Token": self.key[2], "Expiration": expires})

    def _answer(self, connection, mode, options, path, headers, body):
        with self._lock:
            self.requests.append({"path": path, "headers": headers})
            self._changed.notify_all()
        if mode == "hang":
            self._sleep(3600, mode)
            return False
        status, text = (int(mode), "") if mode in ("404", "500") else self._find(path, headers)
        if mode == "garbage":
            text = "<html>no credentials</html>"
        connection.sendall(f"HTTP/1.1 {status} Some Reason\r\nContent-Length: {len(text)}\r\n\r\n{text}".encode())
        return True

    def _find(self, path, headers):
        """Status and text."""
        raise NotImplementedError


class ContainerSink(CredentialsSink):
    """What AWS_CONTAINER_CREDENTIALS_FULL_URI names: wants the token in Authorization."""

    token = "container-token-1"

    def _check_head(self, method, path, headers):
        if method != "GET" or path != "/credentials":
            self._note(f"{method} {path}")

    def _find(self, path, headers):
        return (200, self._credentials()) if headers.get("authorization") == self.token else (403, "")


class MetadataSink(CredentialsSink):
    """An instance's metadata service, version 2: a token first, by PUT with its life; then the rest."""

    role = "shop-role"
    region = REGION

    def __init__(self, key, life_s=3600):
        self._tokens = set()
        self.texts = {}  # what else it answers, by path
        super().__init__(key, life_s)

    def forget_tokens(self):
        """As after a restart of the instance."""
        self._tokens.clear()

    def _check_head(self, method, path, headers):
        if (method == "PUT") != (path == "/latest/api/token"):
            self._note(f"{method} {path}")
        if method == "PUT" and not 1 <= int(headers.get("x-aws-ec2-metadata-token-ttl-seconds", 0)) <= 21600:
            self._note(f"life of a token {headers.get('x-aws-ec2-metadata-token-ttl-seconds')!r}")

    def _find(self, path, headers):
        if path == "/latest/api/token":
            token = f"token-{len(self.requests)}=="
            self._tokens.add(token)
            return 200, token
        if headers.get("x-aws-ec2-metadata-token") not in self._tokens:
            return 401, ""
        texts = {"/latest/meta-data/iam/security-credentials/": self.role,
                 f"/latest/meta-data/iam/security-credentials/{self.role}": self._credentials(),
                 "/latest/meta-data/placement/region": self.region}
        texts.update(self.texts)
        return (200, texts[path]) if path in texts else (404, "")
