# SPDX-License-Identifier: Apache-2.0
"""CGI programs: one server span for each process, whatever starts it and whatever it starts."""

import os
import subprocess
import unittest

import servers
from exact_server import ExactServer
from harness import AGENT, APPS, PYTHON, SPAN_KIND_CLIENT, STATUS_ERROR, ShimTest
from http_client import Connection
from processes import Process, free_port, listens, wait_until

SCRIPTS = servers.SCRIPTS / "cgi"
TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SERVER_SPAN = "00f067aa0ba902b7"
REQUEST = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "REQUEST_URI": "/cgi-bin/program/x?token=abc",
           "SCRIPT_NAME": "/cgi-bin/program", "PATH_INFO": "/x", "SERVER_NAME": "example.org", "SERVER_PORT": "8443", "HTTPS": "on",
           "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "192.0.2.7", "REMOTE_PORT": "4711", "HTTP_HOST": "example.org:8443",
           "HTTP_USER_AGENT": "agent/1"}


class CgiTest(ShimTest):
    """What the tests share."""

    def setUp(self):
        super().setUp()
        self.behind = ExactServer()
        self.addCleanup(self.behind.close)
        self.more = {"BEHIND": f"http://127.0.0.1:{self.behind.port}/size/3", "PROGRAM": str(APPS / "cgi_program")}

    def run_bare_and_shimmed(self, argv, stdin=b"", **variables):
        """The same status, output and errors; the server's span if there is one."""
        self.needs_spans()
        results = []
        for preload in (False, True):
            env = {**self.spanshim.env(preload=preload), **REQUEST, **self.more, **variables}
            results.append(subprocess.run([str(argument) for argument in argv], env=env, input=stdin, capture_output=True,
                                          timeout=60, check=False))
        bare, shimmed = results
        self.assertEqual((bare.returncode, bare.stdout, bare.stderr), (shimmed.returncode, shimmed.stdout, shimmed.stderr))
        spans = self.spans(1)
        self.assertEqual(1, len(spans))
        return spans[0], bare.stdout


class ProgramTest(CgiTest):
    """Programs, without a web server."""

    def answer(self, how):
        """The attributes of the span of cgi_program, and what it printed."""
        self.sink.clear()
        span, out = self.run_bare_and_shimmed([APPS / "cgi_program"], QUERY_STRING=how)
        return span, out

    def test_attributes(self):
        span, _ = self.answer("hello")
        for name in ("spanshim.response.time_to_first_byte",):
            self.assertGreater(span["attributes"].pop(name), 0)
        self.assertEqual("GET", span["name"])
        self.assertEqual({"http.request.method": "GET", "url.path": "/cgi-bin/program/x", "url.query": "token=REDACTED",
                          "url.scheme": "https", "http.response.status_code": 200, "server.address": "example.org",
                          "server.port": 8443, "client.address": "192.0.2.7", "client.port": 4711, "user_agent.original": "agent/1",
                          "network.protocol.name": "cgi", "http.request.body.size": 0, "http.response.body.size": 6},
                         span["attributes"])

    def test_answers(self):
        """Status, size of the body and error by what the program says."""
        for how, status, size, error in (("status", 404, 0, None), ("location", 302, 0, None), ("pieces", 203, 20, None),
                                         ("child", 206, None, None), ("nph", 410, 4, None), ("exit", 200, 0, None),
                                         ("moved", 207, 6, None), ("cut", None, None, "response_incomplete"),
                                         ("garbage", None, None, "bad_framing"), ("silent", None, None, "no_response"),
                                         ("kill", None, None, "process_exited")):
            with self.subTest(how=how):
                span, _ = self.answer(how)
                found = [span["attributes"].get(name) for name in ("http.response.status_code", "http.response.body.size",
                                                                   "error.type")]
                self.assertEqual([status, size, error], found)
                self.assertEqual(error is not None, span["status"]["code"] == STATUS_ERROR)

    def test_parent(self):
        """The request's header, unless the web server's own span is nearer: that is in the same trace."""
        header = {"HTTP_TRACEPARENT": f"00-{TRACE}-{CALLER}-01", "HTTP_TRACESTATE": "vendor=1"}
        nearer = {"TRACEPARENT": f"00-{TRACE}-{SERVER_SPAN}-01", "TRACESTATE": "vendor=1"}
        other = {"TRACEPARENT": f"00-{'1' * 32}-{SERVER_SPAN}-01"}
        for variables, parent in (({}, ("", "")), (header, (CALLER, "vendor=1")), (nearer, (SERVER_SPAN, "vendor=1")),
                                  ({**header, **nearer}, (SERVER_SPAN, "vendor=1")), ({**header, **other}, (CALLER, "vendor=1")),
                                  ({"HTTP_TRACEPARENT": "00-bad", **nearer}, (SERVER_SPAN, "vendor=1"))):
            self.sink.clear()
            span, _ = self.run_bare_and_shimmed([APPS / "cgi_program"], **variables)
            self.assertEqual(parent, (span["parent_span_id"], span["trace_state"]), variables)

    def check_asked(self, span, count):
        """What was asked of the server behind is this request's, and told it so."""
        clients = self.spans(count, SPAN_KIND_CLIENT)
        self.assertEqual({(span["trace_id"], span["span_id"])}, {(client["trace_id"], client["parent_span_id"]) for client in clients})
        self.assertEqual(count, len(clients))
        for request in self.behind.requests[-count:]:
            self.assertIn(span["trace_id"], request.values("traceparent")[0])

    def test_script_and_its_children(self):
        """They are given the script's environment, and are no CGI programs."""
        self.needs_programs("curl", "bash")
        span, out = self.run_bare_and_shimmed([SCRIPTS / "child.sh"], HTTP_BAGGAGE="user=7", HTTP_TRACESTATE="vendor=1",
                                              HTTP_TRACEPARENT=f"00-{TRACE}-{CALLER}-01")
        self.assertTrue(out.endswith(b"012 012\n"))
        self.assertEqual(202, span["attributes"]["http.response.status_code"])
        self.check_asked(span, 2)
        for name, value in (("baggage", "user=7"), ("tracestate", "vendor=1")):
            self.assertEqual({value}, {found for request in self.behind.requests for found in request.values(name)})

    def test_script_that_asks_itself(self):
        span, out = self.run_bare_and_shimmed([SCRIPTS / "python.py"], stdin=b"x" * 10, REQUEST_METHOD="POST", CONTENT_LENGTH="10")
        self.assertEqual(("POST", 201, 10), tuple(span["attributes"][name] for name in (
            "http.request.method", "http.response.status_code", "http.request.body.size")))
        self.assertTrue(out.endswith(b"10 012\n"))
        self.check_asked(span, 1)

    def test_program_that_becomes_another(self):
        """It goes on with the span that its children were given."""
        self.needs_programs("curl")
        span, _ = self.run_bare_and_shimmed([SCRIPTS / "become.sh"], QUERY_STRING="status")
        self.assertEqual(404, span["attributes"]["http.response.status_code"])
        self.check_asked(span, 1)

    def test_interpreters(self):
        for argv in (["perl", "-e", r'print "Status: 299 P\n\nhello"'], ["bash", "-c", r"printf 'Status: 299 P\n\n'; echo -n hello"],
                     ["ruby", "-e", r'print "Status: 299 P\n\nhello"'], ["php", "-r", r'echo "Status: 299 P\n\nhello";'],
                     ["node", "-e", r'process.stdout.write("Status: 299 P\n\nhello")'], ):
            self.needs_programs(argv[0])
            with self.subTest(program=argv[0]):
                self.sink.clear()
                span, _ = self.run_bare_and_shimmed(argv)
                self.assertEqual(299, span["attributes"]["http.response.status_code"])

    def test_secrets(self):
        """HTTP_PROXY is what the client sent: the agent is not to use it. The answer is no log."""
        span, _ = self.run_bare_and_shimmed([APPS / "cgi_program"], QUERY_STRING="hello", HTTP_PROXY="http://127.0.0.1:9/",
                                            OTEL_LOGS_EXPORTER="otlp", SPANSHIM_LOGS="stdout,stderr")
        self.assertEqual(200, span["attributes"]["http.response.status_code"])
        self.assertEqual([], self.sink.logs)


class WebServerTest(CgiTest):
    """Programs behind web servers that are traced, too."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.serve_others()
        self.port = free_port()
        self.root = self.directory / "www"
        (self.root / "cgi-bin").mkdir(parents=True)
        script = self.root / "cgi-bin" / "child.sh"
        script.write_text((SCRIPTS / "child.sh").read_text())
        script.chmod(0o755)

    def serve_others(self):
        """Web servers of root start their programs as somebody else, whom root's agent has to serve."""
        if os.getuid() != 0:
            return
        self.spanshim.stop()
        place = self.directory / "agent.sock"
        env = {**self.spanshim.base_env(), "SPANSHIM_AGENT": str(place)}
        del env["SPANSHIM_RUNTIME_DIR"]
        self.spanshim.base_env = lambda: dict(env)
        self.spanshim.agent = Process([str(AGENT), "--stay", "--socket", str(place), "--serve-uid", "all", "--log",
                                       str(self.spanshim.log_path)], self.directory, env, name="serving")
        wait_until(lambda: f"listens at {place}" in self.spanshim.log(), what="the agent")

    def check(self, argv, path="/cgi-bin/child.sh", status=202, expected=("http", "cgi")):
        """A request bare and under the shim is answered alike; the program's span is a child of the server's, and curl's are
        children of the program's."""
        answers = []
        for preload in (False, True):
            self.port = free_port()
            process = self.run_program(argv(), env={**self.spanshim.env(preload=preload), **self.more}, name=f"server-{preload}")
            wait_until(lambda: process.popen.poll() is not None or listens(self.port), what="the server")
            self.assertIsNone(process.popen.poll(), (process.err, self.logs()))
            answers.append(wait_until(lambda: self.answer(f"{path}?q=1"), what="an answer"))
            received = self.spans(len(expected) if preload else None)  # before the end: a signal may come while it still answers
            process.terminate()
        self.assertEqual((status, b"012 012\n"), (answers[0].status, answers[0].body), self.logs())
        self.assertEqual((status, b"012 012\n"), (answers[1].status, answers[1].body), self.logs())
        spans = {span["attributes"].get("network.protocol.name", "http"): span for span in received}
        self.assertLessEqual(set(expected), set(spans), self.logs())
        self.assertEqual(202, spans["cgi"]["attributes"]["http.response.status_code"])
        self.assertEqual(path, spans["cgi"]["attributes"]["url.path"])
        self.assertEqual({spans["cgi"]["span_id"]}, {span["parent_span_id"] for span in self.spans(2, SPAN_KIND_CLIENT)})
        return spans.get("http") or spans.get("fastcgi"), spans["cgi"]

    def answer(self, target):
        """The server's answer; None while nobody listens behind it."""
        with Connection(self.port) as connection:
            response = connection.request("GET", target)
        return None if response.status == 502 else response

    def logs(self):
        """What servers have logged."""
        return "\n".join(path.read_text(errors="replace") for path in self.directory.glob("*.log"))

    def test_python(self):
        """It does not look at Status; and the program writes to the client itself, even the rest of the head, so that nothing
        of the server's own answer can be told."""
        _, cgi = self.check(lambda: [PYTHON, "-m", "http.server", "--cgi", "--bind", "127.0.0.1", "-d", self.root, self.port],
                            status=200, expected={"cgi"})
        self.assertNotEqual("", cgi["parent_span_id"])

    def test_busybox(self):
        """It is linked statically, so it can't be traced; its programs can."""
        self.needs_programs("/usr/bin/busybox")
        _, cgi = self.check(lambda: ["/usr/bin/busybox", "httpd", "-f", "-p", f"127.0.0.1:{self.port}", "-h", self.root],
                            expected={"cgi"})
        self.assertEqual("", cgi["parent_span_id"])

    def test_lighttpd(self):
        self.needs_programs("lighttpd")
        env = self.spanshim.env()
        settings = ", ".join(f'"{name}" => "{value}"' for name, value in {**env, **self.more}.items()
                             if name.startswith(("OTEL_", "SPANSHIM_")) or name in self.more)

        def argv():
            config = servers.fill_in("lighttpd/cgi.conf", self.directory / "lighttpd.conf", PORT=self.port, ROOT=self.root,
                                     DIR=self.directory, SETTINGS=settings)
            return ["/usr/sbin/lighttpd", "-D", "-f", config]

        http, cgi = self.check(argv)
        self.assertEqual(http["span_id"], cgi["parent_span_id"])

    def test_fcgiwrap(self):
        """The web server is nginx, which isn't traced here."""
        self.needs_programs("nginx", "fcgiwrap")
        socket_path = self.directory / "fcgiwrap.sock"
        config = servers.fill_in("nginx/fcgiwrap.conf", self.directory / "nginx.conf", PORT=self.port, ROOT=self.root,
                                 DIR=self.directory, SOCKET=socket_path, USER="user root;" if os.getuid() == 0 else "")
        nginx = self.run_program(["/usr/sbin/nginx", "-c", config, "-e", self.directory / "error.log"],
                                 env=self.spanshim.env(preload=False), name="nginx")
        nginx.wait_listening(self.port)
        port = self.port

        def argv():
            self.port = port
            if socket_path.exists():
                socket_path.unlink()
            return ["/usr/sbin/fcgiwrap", "-s", f"unix:{socket_path}"]

        fastcgi, cgi = self.check(argv, expected=("fastcgi", "cgi"))
        self.assertEqual(fastcgi["span_id"], cgi["parent_span_id"])

    def _apache(self, mpm, module):
        self.needs_programs("apache2")
        user = "User www-data\nGroup www-data" if os.getuid() == 0 else ""
        names = " ".join(name for name in {**self.spanshim.env(), **self.more} if name.startswith(("OTEL_", "SPANSHIM_", "LD_"))
                         or name in self.more)

        def argv():
            config = servers.fill_in("apache/cgi.conf", self.directory / "apache.conf", PORT=self.port, ROOT=self.root,
                                     DIR=self.directory, MODULES="/usr/lib/apache2/modules", USER=user, NAMES=names, MPM=mpm, CGI=module)
            return ["/usr/sbin/apache2", "-f", config, "-D", "FOREGROUND"]

        return self.check(argv)

    def test_apache(self):
        http, cgi = self._apache("prefork", "cgi")
        self.assertEqual(http["span_id"], cgi["parent_span_id"])

    def test_apache_daemon(self):
        """mod_cgid's programs are started by a process that serves no request."""
        _, cgi = self._apache("event", "cgid")
        self.assertEqual("", cgi["parent_span_id"])


if __name__ == "__main__":
    unittest.main()
