# SPDX-License-Identifier: Apache-2.0
"""Segments of real programs: how they are named, what is marked as an error, fault or throttle, and why; requests that
crash, or make 500 calls."""

import json
import os
import random
import re
import signal
import unittest

import chain
import servers
from harness import APPS, LAUNCHER, SOURCE
from http_client import Connection, request_bytes
from processes import wait_until
from xray_daemon import DEFAULT_RULE
from xray_test import XrayTest

DATAGRAM_DOCUMENT_MAX = 65477
CALLS = 500
REQUESTS = 60

# AWS_XRAY_URL, the Host that a request comes with -> whether its segment is named by the Host.
DYNAMIC = [
    ("*4567-.*", {"4567-ws.gitpod.example": False, "localhost": False, "x4567-.y": True}),
    ("*4567-WS.gitpod.example*", {"4567-ws.gitpod.example": True, "4567-WS.GITPOD.example:8080": True, "4568-ws.gitpod.example": False}),
    ("shop.example", {"shop.example": True, "SHOP.Example": True, "shop.example:8080": False, "eshop.example": False}),
    ("shop.example:808?", {"shop.example:8081": True, "shop.example:80": False, "shop.example": False}),
    ("http://*", {"shop.example": False}),
    ("*/path", {"shop.example": False}),
    ("*", {"shop.example": True, "": False}),
    ("", {"shop.example": False}),
]


class SegmentTest(XrayTest):
    """A server, and what is asked of it."""

    def ask(self, port, target="/size/5", **fields):
        """One request on its own connection; `fields` may have a Host."""
        host = fields.pop("Host", f"localhost:{port}")
        with Connection(port) as connection:
            connection.send(request_bytes("GET", target, host=host, fields=fields.items()))
            return connection.read_response()


class NamesTest(SegmentTest):
    """The name of a segment."""

    def name_of_one(self, **settings):
        """The name of a segment of a server with these settings."""
        self.daemon.clear()
        self.ask(servers.httpd(self, "--threads", env=self.spanshim.env(**settings))[1])
        return self.segment()["name"]

    def test_fixed(self):
        for settings, expected in (({"OTEL_SERVICE_NAME": "shop"}, "shop"),
                                   ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=store"}, "store"),
                                   ({"OTEL_SERVICE_NAME": "shop", "AWS_XRAY_TRACING_NAME": "till"}, "till"),
                                   ({"AWS_XRAY_TRACING_NAME": "till"}, "till"),
                                   ({"OTEL_SERVICE_NAME": "a|b<c>é\\"}, "abcé"),
                                   ({}, "httpd")):
            with self.subTest(settings):
                self.assertEqual(expected, self.name_of_one(**settings))

    def test_dynamic(self):
        for pattern, hosts in DYNAMIC:
            _, port = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_SERVICE_NAME="shop", AWS_XRAY_URL=pattern))
            for host, is_name in hosts.items():
                with self.subTest(pattern=pattern, host=host):
                    self.daemon.clear()
                    self.ask(port, Host=host)
                    self.assertEqual(host if is_name else "shop", self.segment()["name"])

    def test_falls_back_to_the_tracing_name(self):
        self.assertEqual("till", self.name_of_one(AWS_XRAY_URL="nobody", AWS_XRAY_TRACING_NAME="till", OTEL_SERVICE_NAME="shop"))


class NamesAndRulesTest(SegmentTest):
    """The name is chosen first, and sampling rules are about that name."""

    # RuleName -> what it fits; each samples all or nothing.
    RULES = {
        "never-health": {"URLPath": "/status/*", "FixedRate": 0.0},
        "posts": {"HTTPMethod": "POST", "FixedRate": 1.0},
        "by-host": {"Host": "*.EXAMPLE", "ServiceName": "shop.example", "FixedRate": 1.0},
        "by-service": {"ServiceName": "shop", "FixedRate": 1.0},
        "Default": {"FixedRate": 0.0},
    }

    def setUp(self):
        super().setUp()
        del self.spanshim.settings["OTEL_TRACES_SAMPLER"]
        self.daemon.rules = [{**DEFAULT_RULE, "RuleName": name, "ReservoirSize": 0, "Priority": 10000 if name == "Default" else 10 + number,
                              **rule} for number, (name, rule) in enumerate(self.RULES.items())]

    def rules(self):
        """The rule that sampled each request, by its path."""
        return {segment["http"]["request"]["url"].rpartition("/")[2]: segment["aws"]["xray"].get("sampling_rule_name")
                for segment in self.daemon.segments()}

    def wait_for_rules(self, port):
        """Ask for /size/0 until a rule samples it."""

        def is_sampled_by_rule():
            self.ask(port, "/size/0")
            self.daemon.settle()
            return any(segment["aws"]["xray"].get("sampling_rule_name") for segment in self.daemon.segments())

        wait_until(is_sampled_by_rule, what="the rules")

    def test_rule_of_each(self):
        port = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_SERVICE_NAME="shop", AWS_XRAY_URL="*.example"))[1]
        self.wait_for_rules(port)
        self.ask(port, "/size/1")
        self.ask(port, "/size/2", Host="shop.example")
        self.ask(port, "/size/3", Host="till.example")  # the service of this name has no rule
        self.ask(port, "/status/404")
        with Connection(port) as connection:
            connection.request("POST", "/size/4", b"")
        self.ask(port, "/size/5")
        self.daemon.wait_until(lambda: {*"01245"} <= {*self.rules()}, "all of them")
        self.assertEqual({"0": "by-service", "1": "by-service", "2": "by-host", "4": "posts", "5": "by-service"}, self.rules())
        self.assertEqual([], self.daemon.violations)


class FlagsTest(SegmentTest):
    """error, throttle and fault, and the cause of a fault."""

    def flags(self, document):
        """Those that a document has."""
        return {name for name in ("error", "throttle", "fault") if document.get(name)}

    def test_statuses(self):
        port = servers.httpd(self, "--threads")[1]
        expected = {200: set(), 302: set(), 400: {"error"}, 404: {"error"}, 429: {"error", "throttle"}, 500: {"fault"}, 503: {"fault"}}
        for status in expected:
            self.ask(port, f"/status/{status}")
        self.arrived(len(expected))
        self.assertEqual(expected, {segment["http"]["response"]["status"]: self.flags(segment) for segment in self.daemon.segments()})
        self.assertTrue(all("cause" not in segment for segment in self.daemon.segments()))

    def test_client_side(self):
        """The call that fails is marked like the request that fails of it."""
        behind = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))[1]
        port = chain.node(self, behind)
        self.ask(port, "/status/429")
        self.ask(port, "/status/500")
        self.arrived(2, 2)
        self.assertEqual([{"error", "throttle"}, {"fault"}],
                         sorted((self.flags(node.document) for node in self.daemon.subsegments()), key=lambda one: "fault" in one))

    def test_exception_because_upstream_refuses(self):
        """Flask answers an exception with 500. That the connection was refused is told where HTTP was spoken before."""
        server, behind = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))
        port = chain.flask(self, behind)
        self.ask(port)
        server.kill()
        self.assertEqual(500, self.ask(port).status)
        segments, calls = self.arrived(2, 2)
        segment, = [one for one in segments if self.flags(one)]
        call, = [one for one in calls if self.flags(one.document)]
        self.assertEqual({"fault"}, self.flags(segment))
        self.assertEqual((segment["id"], {"fault"}), (call.parent_id, self.flags(call.document)))
        exception, = call.document["cause"]["exceptions"]
        self.assertEqual("connection_refused", exception["type"])
        self.assertNotIn("response", call.document.get("http", {}))

    def test_crash_while_serving(self):
        server, port = servers.httpd(self, "--threads")
        with Connection(port) as connection:
            connection.send(request_bytes("GET", "/delay/60000", host=connection.host))
            self.wait_for_requests(1)
            os.kill(server.pid, signal.SIGSEGV)
            server.wait()
        segment = self.segment()
        self.assertEqual({"fault"}, self.flags(segment))
        self.assertNotIn("response", segment["http"])
        exception, = segment["cause"]["exceptions"]
        self.assertEqual("SIGSEGV", exception["type"])
        self.assertEqual(str(self.directory), segment["cause"]["working_directory"])
        self.assertIn("main", [frame["label"] for frame in exception["stack"]])
        self.assertTrue(all("/" not in frame["path"] for frame in exception["stack"]))

    def test_killed_while_serving(self):
        server, port = servers.httpd(self, "--threads")
        with Connection(port) as connection:
            connection.send(request_bytes("GET", "/delay/60000", host=connection.host))
            self.wait_for_requests(1)
            server.kill()
        segment = self.segment()
        self.assertEqual({"fault"}, self.flags(segment))
        self.assertEqual(["process_exited"], [one["type"] for one in segment["cause"]["exceptions"]])


class PageTest(SegmentTest):
    """What the manual's page walks through: a rule, the address, the launcher."""

    def test_from_nothing(self):
        page = (SOURCE / "docs" / "manual" / "xray.md").read_text()
        rule = json.loads(re.search(r"^    {\n.*?^    }\n", page, re.DOTALL | re.MULTILINE).group())["SamplingRule"]
        self.daemon.rules = [rule]
        env = self.spanshim.base_env()
        env.update(AWS_XRAY_DAEMON_ADDRESS=self.daemon.address, OTEL_SERVICE_NAME=rule["ServiceName"])
        server = self.run_program([LAUNCHER, "run", "--", APPS / "httpd"], env=env)
        port = server.announced_port()

        def is_sampled_by_it():
            self.ask(port)
            return any(segment["aws"]["xray"].get("sampling_rule_name") == rule["RuleName"] for segment in self.daemon.segments())

        wait_until(is_sampled_by_it, what="a request that the rule samples")
        self.assertEqual({rule["ServiceName"]}, {segment["name"] for segment in self.daemon.segments()})
        self.assertEqual([], self.daemon.violations)
        self.assertEqual([], self.sink.spans, "X-Ray only")
        self.assertNotIn(b"GET", server.err, "nor a tree on the terminal")


class AnyBytesTest(SegmentTest):
    """Heads of requests as nobody should send them."""

    SEED = 7

    def _bytes(self, most):
        return bytes(self.random.choice([byte for byte in range(0x20, 0x100) if byte != 0x7f])
                     for _ in range(self.random.randrange(most))).strip()

    def _host(self, most):
        """A name that the shim takes for one; its bytes may be no UTF-8."""
        return "shop" + "".join(self.random.choice("ab0-_.\xc3\xa9\xe2\x9c\x93\xff") for _ in range(self.random.randrange(most)))

    def test_documents_are_valid(self):
        """Whatever stands in the fields that a segment is made of."""
        self.random = random.Random(self.SEED)
        settings = {"AWS_XRAY_URL": "*", "SPANSHIM_USER_HEADER": "x-user", "SPANSHIM_REQUEST_HEADERS": "x-*", "SPANSHIM_QUERY": "keep",
                    "SPANSHIM_XRAY_ANNOTATIONS": "user_agent.original,url.query,user.id,http.request.header.x-amzn-trace-id"}
        port = servers.httpd(self, "--threads", env=self.spanshim.env(**settings))[1]
        for _ in range(REQUESTS):
            query = self._bytes(900).replace(b" ", b"")
            fields = [(name, self._bytes(most).decode("latin-1")) for name, most in
                      (("User-Agent", 3000), ("X-Forwarded-For", 600), ("X-User", 400), ("X-Amzn-Trace-Id", 300))]
            with Connection(port) as connection:
                connection.send(request_bytes("GET", "/size/5?" + query.decode("latin-1"), fields=fields,
                                              host=self._host(300)))
                connection.read_response()
        segments, _ = self.arrived(REQUESTS)
        self.assertGreater(len({segment["name"] for segment in segments}), REQUESTS / 2)
        self.assertEqual(REQUESTS, sum("user" in segment and "annotations" in segment for segment in segments))


class ManyCallsTest(SegmentTest):
    """A request that makes many calls."""

    def test_many_calls(self):
        """All of them arrive, and no document is longer than a datagram takes."""
        behind = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))[1]
        port = chain.flask(self, behind)
        self.assertEqual(200, self.ask(port, f"/size/5?times={CALLS}").status)
        (segment,), calls = self.arrived(1, CALLS)
        self.assertLessEqual(self.daemon.largest, DATAGRAM_DOCUMENT_MAX)
        self.assertEqual({segment["id"]}, {call.parent_id for call in calls})
        self.assertEqual({segment["trace_id"]}, {call.trace_id for call in calls})
        self.assertEqual({("localhost", 200)} if calls[0].name == "localhost" else {("127.0.0.1", 200)},
                         {(call.name, call.document["http"]["response"]["status"]) for call in calls})
        self.assertTrue(any(call.is_lone for call in calls))


if __name__ == "__main__":
    unittest.main(verbosity=2)
