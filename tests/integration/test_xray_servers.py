# SPDX-License-Identifier: Apache-2.0
"""Every server as X-Ray sees it: a segment for each request, whose fields are what was asked and answered. And one request
through several of them: one tree."""

import os
import sys
import unittest

import chain
import servers
from harness import SOURCE
from http_client import Connection
from xray_test import PARENT, TRACE, XrayTest, w3c

sys.path.append(str(SOURCE / "tests" / "servers"))

# pylint: disable=wrong-import-position
import test_apache
import test_gunicorn
import test_haproxy
import test_http_server
import test_httpd
import test_java
import test_lighttpd
import test_nginx
import test_node
import test_node_cluster
import test_perl
import test_php
import test_puma
import test_python
import test_squid
import test_uwsgi
import test_varnish

SERVERS = (test_apache.ApacheEvent, test_apache.ApachePrefork, test_gunicorn.GunicornSync, test_gunicorn.GunicornThreads,
           test_haproxy.HaproxyHttp, test_http_server.HttpServer, test_httpd.HttpdThreads, test_httpd.HttpdFork,
           test_java.SunHttpServer, test_java.TomcatNio, test_lighttpd.LighttpdWorkers, test_nginx.Nginx, test_node.Node,
           test_node_cluster.NodeCluster, test_perl.Starman, test_perl.HttpDaemon, test_php.PhpWorkers, test_puma.PumaCluster,
           test_python.CherryPy, test_python.Aiohttp, test_squid.SquidReverse, test_uwsgi.Uwsgi, test_varnish.Varnish)
AGENT = "xray-test/1.0"
FORWARDED = "203.0.113.9, 10.0.0.1"
# case -> what the segment says of the answer
FLAGS = {"missing": {"error": True}, "failing": {"fault": True}}


class ServersTest(XrayTest):
    """One after the other; each is a service of its own name."""

    def setUp(self):
        super().setUp()
        self.expected = {}  # (service, url) -> the rest that is known

    def _ask(self, server, case, target, fields):
        connection = Connection(server.port)
        response = connection.request("GET", target, fields=fields)
        connection.close()
        name, url = type(server).__name__, f"http://{connection.host}{target.partition('?')[0]}"
        request = {"method": "GET", "url": url, "client_ip": "127.0.0.1"}
        fields = dict(fields)
        if "User-Agent" in fields:
            request["user_agent"] = fields["User-Agent"]
        if "X-Forwarded-For" in fields:
            request.update(client_ip=FORWARDED, x_forwarded_for=True)
        answer = {"status": response.status}
        if "content-length" in response.fields:
            answer["content_length"] = int(response.fields["content-length"])
        self.expected[name, url] = {"http": {"request": request, "response": answer}, "flags": FLAGS.get(case, {})}

    def _visit(self, server_class):
        server = server_class(self)
        self.spanshim.settings["OTEL_SERVICE_NAME"] = server_class.__name__
        server.start()
        self._ask(server, "small", server.targets["small"], [("User-Agent", AGENT)])
        self._ask(server, "missing", server.targets["missing"] + "?token=x", [("X-Forwarded-For", FORWARDED)])
        self._ask(server, "failing", server.targets["failing"], [])

    def _check(self, segment):
        expected = self.expected.pop((segment["name"], segment["http"]["request"]["url"]))
        self.assertEqual(expected["http"], segment["http"])
        self.assertEqual(expected["flags"], {name: segment[name] for name in ("error", "throttle", "fault") if name in segment})
        self.assertNotIn("parent_id", segment)

    def test_each_server(self):
        classes = [one for one in SERVERS if os.environ.get("SPANSHIM_TEST_NO_SKIP") == "1" or self._is_there(one)]
        for server_class in classes:
            self._visit(server_class)
        self.assertTrue(self.spanshim.flush())
        self.daemon.wait_until(lambda: len(self._of_requests()) >= len(self.expected), "all segments")
        self.daemon.settle()
        self.assertEqual([], self.daemon.violations)
        for segment in self._of_requests():
            with self.subTest(segment["name"]):
                self._check(segment)
        self.assertEqual({}, self.expected)
        self._check_calls()
        self.assertGreater(len(classes), 5, "hardly any server is installed")

    @staticmethod
    def _is_there(server_class):
        missing = [name for name in server_class.programs if not os.path.exists(name) and not
                   any(os.path.exists(f"{folder}/{name}") for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"))]
        if missing:
            print(f"{server_class.__name__}: not installed: {missing} (scripts/setup installs it)", file=sys.stderr)
        return not missing

    def _of_requests(self):
        """The segments but for those around a call of which nobody knows whom it is made for, and those of uWSGI's workers,
        which its router asks."""
        return [segment for segment in self.daemon.segments()
                if "http" in segment and not (segment["name"] == "Uwsgi" and "parent_id" in segment)]

    def _check_calls(self):
        """Proxies ask the server behind them: one call at most for each request."""
        for segment in self.daemon.segments():
            if "http" not in segment:
                self.assertEqual(1, len(segment["subsegments"]))
                self.assertIn(segment["name"], ("SquidReverse", "Varnish"))
        parents = [node.parent_id for node in self.daemon.subsegments()]
        self.assertEqual(len(parents), len(set(parents)))
        self.assertLessEqual(set(parents), {segment["id"] for segment in self.daemon.segments()})
        for node in self.daemon.subsegments():
            self.assertEqual("remote", node.document["namespace"])


class ChainTest(XrayTest):
    """Several services, a request through all of them."""

    def env(self, name):
        """The environment of a service."""
        return self.spanshim.env(OTEL_SERVICE_NAME=name)

    def start_chain(self):
        """nginx -> Flask -> Node -> C; nginx's port."""
        port = servers.httpd(self, "--threads", env=self.env("last"))[1]
        port = chain.node(self, port, self.env("node"))
        port = chain.flask(self, port, self.env("flask"))
        return chain.nginx(self, port, self.env("nginx"))

    def test_one_tree(self):
        """Trees are the same in X-Ray and by OTLP, with the same ids."""
        port = self.start_chain()
        with Connection(port) as connection:
            self.assertEqual(200, connection.request("GET", "/size/20").status)
            header = f"Root={TRACE};Parent={PARENT};Sampled=1"
            self.assertEqual(200, connection.request("GET", "/size/30", fields=[("X-Amzn-Trace-Id", header)]).status)
        segments, _ = self.arrived(8, 6)
        spans = {span["span_id"]: span for span in self.sink.wait_for(14)}
        for trace in {segment["trace_id"] for segment in segments}:
            root, = self.daemon.tree(trace)
            names = []
            while root.children:
                names.append((root.is_segment, root.name))
                root, = root.children
            names.append((root.is_segment, root.name))
            self.assertEqual(["nginx", "flask", "node", "last"], [name for is_segment, name in names if is_segment])
            self.assertEqual([True, False] * 3 + [True], [is_segment for is_segment, _ in names])
        self.assertEqual({None, PARENT}, {root.parent_id for root in map(lambda one: self.daemon.tree(one["trace_id"])[0], segments)})
        for node in self.daemon.nodes():
            span = spans.pop(node.id)
            self.assertEqual((w3c(node.trace_id), node.parent_id or ""), (span["trace_id"], span["parent_span_id"]))
            self.assertAlmostEqual(span["start_time_unix_nano"] / 1e9, node.document["start_time"], 5)
            self.assertAlmostEqual(span["end_time_unix_nano"] / 1e9, node.document["end_time"], 5)
        self.assertEqual({}, spans)

    def start_around_the_sdk(self):
        """C -> Flask with X-Ray's own SDK, without spanshim -> C; the first one's port."""
        self.needs_programs("/usr/lib/python3/dist-packages/aws_xray_sdk")
        port = servers.httpd(self, "--threads", env=self.env("last"))[1]
        bare = self.spanshim.env(preload=False)
        port = chain.flask(self, port, bare, application="xray_sdk_app")
        return chain.c(self, port, self.env("first"))

    def test_beside_the_sdk(self):
        """A trace goes on through a program that X-Ray's SDK traces, which takes our header and gives its own."""
        with Connection(self.start_around_the_sdk()) as connection:
            self.assertEqual(200, connection.request("GET", "/size/20").status)
        segments, calls = self.arrived(3, 2)
        root, = self.daemon.tree(segments[0]["trace_id"])
        self.assertEqual({"first", "sdk", "last"}, {segment["name"] for segment in segments})
        names = [root.name, root.children[0].children[0].name, root.children[0].children[0].children[0].children[0].name]
        self.assertEqual(["first", "sdk", "last"], names)
        self.assertEqual([True, False, True], ["spanshim" == self._sdk(segments, name) for name in names])

    @staticmethod
    def _sdk(segments, name):
        """Who says that it made the segment of this name; Debian's SDK says nothing."""
        segment, = [segment for segment in segments if segment["name"] == name]
        return segment.get("aws", {}).get("xray", {}).get("sdk")

    def test_beside_the_sdk_sampled_out(self):
        """It follows our decision, and so do we."""
        del self.spanshim.settings["OTEL_TRACES_SAMPLER"]
        with Connection(self.start_around_the_sdk()) as connection:
            fields = [("X-Amzn-Trace-Id", f"Root={TRACE};Sampled=0")]
            self.assertEqual(200, connection.request("GET", "/size/20", fields=fields).status)
            self.assertEqual(200, connection.request("GET", "/size/30", fields=[("X-Amzn-Trace-Id", "Sampled=1")]).status)
        self.arrived(3, 2)
        self.assertNotIn(TRACE, {segment["trace_id"] for segment in self.daemon.segments()})


if __name__ == "__main__":
    unittest.main(verbosity=2)
