# SPDX-License-Identifier: Apache-2.0
"""libcurl by its interface: what programs do with its handles and lists, two libcurls at once, TLS and HTTP/2. The curl
program, git and pycurl are in the clients' matrix (tests/clients)."""

import collections
import re
import subprocess
import unittest

from exact_server import ExactServer
from harness import APPS, BARE, PYTHON, SPAN_KIND_CLIENT, SPAN_KIND_SERVER, ShimTest, Traffic
from line_servers import FtpServer, SmtpServer
from processes import free_port
from servers import SCRIPTS, fill_in

TRACEPARENT = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-3](?=\r\n)")
LIVES = ("lists", "own_header", "copies", "resets", "callbacks", "multi_perform", "multi_socket", "threads", "shares", "elsewhere",
         "others")
OWN_TRACE, OWN_SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class CurlTest(ShimTest):
    """Programs, bare and under the shim."""

    def setUp(self):
        super().setUp()
        self.server = ExactServer()
        self.addCleanup(self.server.close)
        self.url = f"http://127.0.0.1:{self.server.port}"

    def run_once(self, argv, preload):
        """Exit status, output and errors; and the heads that came, in an order that does not depend on connections."""
        self.server.clear()
        self.sink.clear()
        process = self.run_program(argv, env=self.spanshim.env(preload=preload))
        status = process.wait(120)
        self.server.settle()
        self.assertEqual([], self.server.violations)
        return (status, process.out, process.err), [request.head for request in self.server.requests]

    def check(self, *argv, count=None):
        """The same bare and under the shim, but for one header for each request and its span. The client spans."""
        bare, bare_heads = self.run_once(argv, preload=False)
        self.assertEqual(0, bare[0], bare)
        shimmed, heads = self.run_once(argv, preload=True)
        self.assertEqual(bare, shimmed)
        self.assertEqual(sorted(bare_heads), sorted(self.without_ours(head) for head in heads))
        return self.check_spans_of(heads, len(bare_heads) if count is None else count)

    @staticmethod
    def without_ours(head):
        """The head, without our header: the program's own stays."""
        return head if OWN_TRACE.encode() in head else TRACEPARENT.sub(b"", head)

    def check_spans_of(self, heads, count):
        """One header for each head, which names its span."""
        if BARE:
            return []
        spans = self.spans(count, SPAN_KIND_CLIENT)
        self.assertEqual(count, len(spans))
        named = []
        for head in heads:
            found = TRACEPARENT.findall(head)
            self.assertEqual(1, len(found), head)
            named.append(tuple(part.decode() for part in found[0]))
        ids = [(span["trace_id"], span["span_id"]) for span in spans]
        own = [span for span in spans if span["parent_span_id"] == OWN_SPAN]
        self.assertEqual(sorted(set(named) - {(OWN_TRACE, OWN_SPAN)}),
                         sorted(set(ids) - {(span["trace_id"], span["span_id"]) for span in own}))
        self.assertEqual(named.count((OWN_TRACE, OWN_SPAN)), len(own))
        self.assertEqual({OWN_TRACE} if own else set(), {span["trace_id"] for span in own})
        return spans

    def check_scopes(self, spans, scope="spanshim.curl"):
        self.assertEqual({scope} if spans else set(), {span["scope"]["name"] for span in spans})

    def test_each_life(self):
        for life in LIVES:
            with self.subTest(life=life):
                spans = self.check(APPS / "curl_lives", self.url, life)
                if life != "others":
                    self.check_scopes(spans)

    def test_resend_counts(self):
        """A redirect is a request of its own, and says which it is."""
        spans = self.check(APPS / "curl_lives", self.url, "lists")
        counts = collections.Counter(span["attributes"].get("http.request.resend_count") for span in spans)
        self.assertEqual({} if BARE else {None: 6, 1: 6}, dict(counts))

    def test_what_the_program_says_itself(self):
        """CURLOPT_CONNECT_ONLY: the bytes are the program's, and seen as such."""
        spans = self.check(APPS / "curl_lives", self.url, "others")
        self.check_scopes(spans, "spanshim.http")

    def test_other_host(self):
        """Our header goes where the program's own do: there, but not the user's name."""
        self.check(APPS / "curl_lives", self.url, "elsewhere")
        self.assertEqual([(b"127.0.0.1", 1), (b"localhost", 0)],
                         [(request.head.split(b"Host: ")[1].split(b":")[0], len(request.values("authorization")))
                          for request in sorted(self.server.requests, key=lambda request: request.target)])

    def test_fork(self):
        """A child's copy of a transfer is not the child's: its request ends once, where it goes on."""
        spans = self.check(APPS / "curl_lives", self.url, "forks")
        self.assertEqual([] if BARE else ["/size/7", "/slow/300"],
                         sorted(span["attributes"]["url.full"].removeprefix(self.url) for span in spans))
        for span in spans:
            self.assertNotIn("error.type", span["attributes"])

    def test_taken_back(self):
        """A transfer that the program takes back is no failure."""
        spans = self.check(APPS / "curl_lives", self.url, "taken_back")
        for span in spans:
            self.assertNotIn("error.type", span["attributes"])

    def test_list_is_given_back(self):
        """After a transfer libcurl has the program's own list: one that no hook sees sends just that."""
        bare = self.run_once([APPS / "curl_lives", self.url, "past_hooks"], preload=False)
        (status, out, errors), heads = self.run_once([APPS / "curl_lives", self.url, "past_hooks"], preload=True)
        self.assertEqual(bare[0], (status, out, errors))
        self.assertEqual(BARE, TRACEPARENT.search(heads[0]) is None)
        self.assertEqual([bare[1][0], bare[1][1]], [self.without_ours(heads[0]), heads[1]])

    def test_memory(self):
        """No list is lost, freed twice or read after its end."""
        self.needs_programs("valgrind")
        argv = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite",
                APPS / "curl_lives", self.url, *LIVES, "taken_back"]
        (status, _, errors), heads = self.run_once(argv, preload=True)
        self.assertEqual((0, b""), (status, errors))
        self.assertTrue(BARE or all(TRACEPARENT.search(head) for head in heads))

    def test_two_libcurls(self):
        """Loaded where nobody else sees them, both at once, unloaded and loaded again: each caller reaches its own."""
        plugins = [APPS / f"libcurl_plugin_{name}.so" for name in ("openssl", "gnutls")]
        self.needs_programs(*map(str, plugins))
        for order in (plugins, plugins[::-1], plugins[:1], plugins[1:]):
            with self.subTest(order=[plugin.stem for plugin in order]):
                self.check_scopes(self.check(APPS / "curl_plugins", f"{self.url}/size/9", *order))

    def test_under_a_request(self):
        """Transfers for requests that the program serves are under them; a trace header that it passes on is replaced."""
        relay = self.run_program([PYTHON, SCRIPTS / "curl" / "relay.py", self.url], env=self.spanshim.env())
        traffic = Traffic(relay.announced_port())
        came = f"00-{OWN_TRACE}-{OWN_SPAN}-01"
        for fields in ((), [("traceparent", came)], [("X-Other", "kept"), ("traceparent", came)]):
            traffic.once("GET", f"/size/{10 + len(fields)}", fields=fields)
        relay.terminate()
        self.server.settle()
        for number, request in enumerate(self.server.requests):
            self.assertEqual((["1"], ["2"], ["kept"] if number == 2 else []),
                             tuple(request.values(name) for name in ("x-first", "x-last", "x-other")))
            if not BARE:
                self._check_parent(request, (OWN_TRACE, OWN_SPAN) if number else None)

    def _check_parent(self, request, caller):
        """The server's span is under the caller's, the transfer's under the server's; and the header names that."""
        (trace, span), = TRACEPARENT.findall(request.head)
        spans = {kind: next(found for found in self.spans(3, kind) if found["trace_id"] == trace.decode()
                            and request.target in (found["attributes"].get("url.path"), self.path_of(found)))
                 for kind in (SPAN_KIND_SERVER, SPAN_KIND_CLIENT)}
        server, client = spans[SPAN_KIND_SERVER], spans[SPAN_KIND_CLIENT]
        self.assertEqual((span.decode(), server["span_id"]), (client["span_id"], client["parent_span_id"]))
        self.assertEqual(caller or (server["trace_id"], ""), (server["trace_id"], server["parent_span_id"]))

    def path_of(self, span):
        """Of a client's span."""
        return span["attributes"].get("url.full", "").removeprefix(self.url)

    def test_other_protocols(self):
        """FTP and SMTP, even if a file looks like a request: nothing is changed, and nothing is a span."""
        file = self.directory / "file"
        file.write_bytes(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 100)
        for server_class, options in ((FtpServer, ["-T", str(file)]), (FtpServer, []),
                                      (SmtpServer, ["-T", str(file), "--mail-from", "a@b", "--mail-rcpt", "c@d"])):
            with self.subTest(server=server_class.__name__, options=options):
                bare, told = (self._by_lines(server_class, options, preload) for preload in (False, True))
                self.assertEqual(bare, told)
                self.assertEqual(0, told[0][0], told)
                self.assertEqual([], self.spans(0))

    def _by_lines(self, server_class, options, preload):
        """How curl ends, and what the server was told."""
        with server_class() as server:
            url = f"{server.scheme}://127.0.0.1:{server.port}/name"
            process = self.run_program(["curl", "-q", "-sS", *options, url], env=self.spanshim.env(preload=preload))
            status = process.wait(60)
            return (status, process.out, process.err), server.received

    def test_failures(self):
        """libcurl's result and its text."""
        refused = free_port()
        cases = (
            (f"http://127.0.0.1:{refused}/", 7, "connection_refused", "Couldn't connect to server"),
            ("http://name.invalid/", 6, "CURLE_COULDNT_RESOLVE_HOST", "Couldn't resolve host name"),
            (f"{self.url}/hang", 28, "timeout", "Timeout was reached"),
            (f"{self.url}/drop", 52, "no_response", "Server returned nothing (no headers, no data)"),
        )
        for url, status, error, text in cases:
            with self.subTest(url=url):
                patience_s = "2" if status == 28 else "100"
                (code, _, _), _ = self.run_once(["curl", "-q", "-s", "-m", patience_s, url], preload=True)
                self.assertEqual(status, code)
                for span in self.spans(1, SPAN_KIND_CLIENT):
                    self.assertEqual(error, span["attributes"]["error.type"])
                    self.assertEqual(text, span["status"]["message"])
                    self.assertEqual(url, span["attributes"]["url.full"])


class TlsTest(ShimTest):
    """TLS and HTTP/2, of which no hook sees a byte in clear; nginx tells what came."""

    def setUp(self):
        self.needs_programs("nginx", "openssl", "curl")
        super().setUp()
        self.port = free_port()
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj",
                        "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", self.directory / "key.pem",
                        "-out", self.directory / "cert.pem"], check=True, capture_output=True)
        fill_in("nginx/h2.conf", self.directory / "nginx.conf", PORT=self.port, DIR=self.directory)
        nginx = self.run_program(["/usr/sbin/nginx", "-e", self.directory / "error.log", "-p", self.directory, "-c",
                                  self.directory / "nginx.conf"], env=self.spanshim.env(preload=False))
        nginx.wait_listening(self.port)

    def test_versions(self):
        url = f"https://localhost:{self.port}/a?b=c"
        for option, version in (("--http1.1", "1.1"), ("--http2", "2")):
            with self.subTest(option=option):
                self.sink.clear()
                argv = ["curl", "-q", "-sS", option, "--cacert", self.directory / "cert.pem", url, url]
                bare = self.run_program(argv, env=self.spanshim.env(preload=False))
                self.assertEqual((0, b"- -\n- -\n"), (bare.wait(60), bare.out), bare.err)
                process = self.run_program(argv, env=self.spanshim.env())
                self.assertEqual(0, process.wait(60), process.err)
                if BARE:
                    continue
                spans = {span["span_id"]: span for span in self.spans(2, SPAN_KIND_CLIENT)}
                lines = process.out.decode().split("\n")[:-1]
                self.assertEqual(sorted(spans), sorted(line.split("-")[2] for line in lines))
                for span in spans.values():
                    self.assertEqual(version, span["attributes"]["network.protocol.version"])
                    self.assertEqual(url, span["attributes"]["url.full"])
                    self.assertEqual(200, span["attributes"]["http.response.status_code"])
                    self.assertEqual("spanshim.curl", span["scope"]["name"])
                self.assertEqual(1, sum("spanshim.tls.duration" in span["attributes"] for span in spans.values()))

    def test_certificate(self):
        """A certificate that nobody vouches for."""
        process = self.run_program(["curl", "-q", "-sS", f"https://localhost:{self.port}/"], env=self.spanshim.env())
        self.assertEqual(60, process.wait(60))
        for span in self.spans(1, SPAN_KIND_CLIENT):
            self.assertEqual("CURLE_PEER_FAILED_VERIFICATION", span["attributes"]["error.type"])
            self.assertEqual("SSL peer certificate or SSH remote key was not OK", span["status"]["message"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
