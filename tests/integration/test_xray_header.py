# SPDX-License-Identifier: Apache-2.0
"""X-Amzn-Trace-Id through real programs: what is read from a request, what goes out with a call, what the response says;
and the decisions that go with it, X-Ray's and OTLP's."""

import re
import unittest

import chain
import servers
from http_client import Connection
from processes import wait_until
from relay import Relay
from xray_test import PARENT, TRACE, XrayTest, w3c

ROOT = f"Root={TRACE}"
FULL = f"{ROOT};Parent={PARENT}"
ANY_ROOT = r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}"

# What a request comes with -> whether the trace and its parent are found in it.
FORMS = {
    f"{FULL};Sampled=1": (True, True),
    f"Sampled=1;Parent={PARENT};{ROOT}": (True, True),
    f"{ROOT} ; Parent={PARENT} ;Sampled=1 ": (True, True),
    f"root={TRACE};PARENT={PARENT};sampled=1": (True, True),
    f"{FULL};Sampled=1;": (True, True),
    f";;rubbish;{FULL};=;Sampled=1": (True, True),
    f"{FULL};Sampled=maybe": (True, True),
    f"{FULL}": (True, True),
    f"{ROOT};Sampled=1": (True, False),
    f"{ROOT};Parent=xyz;Sampled=1": (True, False),
    f"{ROOT};Parent={PARENT[:15]};Sampled=1": (True, False),
    "Root=abc;Sampled=1": (False, False),
    f"Root=1-{w3c(TRACE)};Parent={PARENT};Sampled=1": (False, False),
    f"Root=2{TRACE[1:]};Parent={PARENT};Sampled=1": (False, False),
    f"Root=1-{'0' * 8}-{'0' * 24};Parent={PARENT};Sampled=1": (False, False),
    "Sampled=1": (False, False),
    "nonsense": (False, False),
}
# What further keys a request comes with -> those that go out with its calls.
KEYS = {
    "": "",
    ";Lineage=25:3c04f1a2:1": ";Lineage=25:3c04f1a2:1",
    ";Self=1-5759e988-51a92b2c8d4f6e0a1b2c3d4e": "",
    ";Self=1-5759e988-51a92b2c8d4f6e0a1b2c3d4e;Lineage=25:3c04f1a2:1;CalledFrom=app": ";Lineage=25:3c04f1a2:1;CalledFrom=app",
}


class HeaderTest(XrayTest):
    """A service that passes each request on, `front`, and what stands on the wire to the one behind it."""

    def start_pair(self, **settings):
        """Both services; `front`'s port. What the second one is sent is kept by `relay`."""
        port = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_SERVICE_NAME="behind", **settings))[1]
        self.relay = Relay(port)
        self.addCleanup(self.relay.close)
        return chain.c(self, self.relay.port, self.spanshim.env(OTEL_SERVICE_NAME="front", **settings))

    def ask(self, port, header=None, target="/size/5", **more):
        """One request; its answer."""
        fields = [("X-Amzn-Trace-Id", header)] if header is not None else []
        with Connection(port) as connection:
            return connection.request("GET", target, fields=[*fields, *more.items()])

    def sent(self):
        """The trace headers of the calls: the value of X-Amzn-Trace-Id, and of traceparent."""
        return [(*request.values("x-amzn-trace-id"), *request.values("traceparent")) for request in self.relay.requests]


class FormsTest(HeaderTest):
    """Reading and writing, with one decision for all destinations."""

    def test_forms(self):
        port = servers.httpd(self, "--threads")[1]
        for number, header in enumerate(FORMS):
            self.ask(port, header, f"/size/{number + 1}")
        self.arrived(len(FORMS))
        by_size = {segment["http"]["response"]["content_length"]: segment for segment in self.daemon.segments()}
        for number, (header, (has_trace, has_parent)) in enumerate(FORMS.items()):
            with self.subTest(header):
                self.assertEqual((has_trace, PARENT if has_parent else None),
                                 (by_size[number + 1]["trace_id"] == TRACE, by_size[number + 1].get("parent_id")))

    def test_calls(self):
        """The Parent is the subsegment, both headers name the same trace, keys go along."""
        port = self.start_pair()
        for number, keys in enumerate(KEYS):
            self.ask(port, f"{FULL};Sampled=1{keys}", f"/size/{number}")
        self.arrived(2 * len(KEYS), len(KEYS))
        sent = {int(request.target.rpartition("/")[2]): request for request in self.relay.requests}
        for node in self.daemon.subsegments():
            number = int(node.document["http"]["request"]["url"].rpartition("/")[2])
            with self.subTest(list(KEYS)[number]):
                self.assertEqual([f"{ROOT};Parent={node.id};Sampled=1{list(KEYS.values())[number]}"],
                                 sent[number].values("x-amzn-trace-id"))
                self.assertEqual([f"00-{w3c(TRACE)}-{node.id}-01"], sent[number].values("traceparent"))
        for node in self.daemon.nodes():
            self.assertEqual(TRACE, node.trace_id)

    def test_program_that_only_calls(self):
        """curl serves nothing: a segment of its name stands around the call, so that the service map shows who called."""
        self.needs_programs("curl")
        relay = Relay(servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_SERVICE_NAME="behind"))[1])
        self.addCleanup(relay.close)
        curl = self.run_program(["/usr/bin/curl", "-s", f"http://localhost:{relay.port}/size/5"], env=self.spanshim.env())
        self.assertEqual((0, b"xxxxx"), (curl.wait(), curl.out))
        _, (call,) = self.arrived(2, 1)
        around, = self.daemon.tree(call.trace_id)
        self.assertEqual(["curl", ["localhost", ["behind"]]], around.shape())
        self.assertNotIn("http", around.document)
        request, = relay.requests
        self.assertEqual([f"Root={call.trace_id};Parent={call.id};Sampled=1"], request.values("x-amzn-trace-id"))

    def test_a_balancer_puts_a_root_beside_a_traceparent(self):
        port = self.start_pair()
        self.ask(port, ROOT, traceparent=f"00-{w3c(TRACE)[::-1]}-{PARENT}-01")
        self.arrived(2, 1)
        self.assertEqual({w3c(TRACE)[::-1]}, {w3c(node.trace_id) for node in self.daemon.nodes()})
        subsegment, = self.daemon.subsegments()
        (amazon, parent), = self.sent()
        trace = w3c(TRACE)[::-1]
        self.assertEqual(f"Root=1-{trace[:8]}-{trace[8:]};Parent={subsegment.id};Sampled=1", amazon)
        self.assertEqual(f"00-{trace}-{subsegment.id}-01", parent)

    def test_two_callers(self):
        """The one whose trace is not gone on with is linked to."""
        port = servers.httpd(self, "--threads")[1]
        self.ask(port, f"{FULL};Sampled=1", traceparent=f"00-{w3c(TRACE)[::-1]}-{PARENT[::-1]}-01")
        segment = self.segment()
        self.assertEqual((w3c(TRACE)[::-1], PARENT[::-1]), (w3c(segment["trace_id"]), segment["parent_id"]))
        self.assertEqual([(TRACE, PARENT)], [(link["trace_id"], link["id"]) for link in segment["links"]])

    def test_propagators(self):
        """OTEL_PROPAGATORS is what counts, if it is set."""
        port = self.start_pair(OTEL_PROPAGATORS="tracecontext")
        self.ask(port, FULL)
        self.arrived(2, 1)
        self.assertEqual([["traceparent"]], [[name for name, _ in request.fields if "trace" in name] for request in self.relay.requests])
        self.assertEqual(set(), {node.trace_id for node in self.daemon.nodes()} & {TRACE})

    def test_response(self):
        port = servers.httpd(self, "--threads", env=self.spanshim.env(SPANSHIM_RESPONSE_XRAY="true"))[1]
        for header, expected in ((None, ANY_ROOT), (f"{FULL};Sampled=1", ROOT), (f"{FULL};Sampled=?", f"{ROOT};Sampled=1"),
                                 (f"{FULL};Sampled=0", ROOT)):
            with self.subTest(header):
                self.assertRegex(self.ask(port, header).fields.get("x-amzn-trace-id", "none"), f"^{expected}$")
        port = servers.httpd(self, "--threads")[1]
        self.assertNotIn("x-amzn-trace-id", self.ask(port, f"{FULL};Sampled=?").fields, "off by default")


class DecisionsTest(HeaderTest):
    """X-Ray decides by itself: OTEL_TRACES_SAMPLER is unset."""

    def setUp(self):
        super().setUp()
        del self.spanshim.settings["OTEL_TRACES_SAMPLER"]

    def check_unsampled(self, header):
        """Nothing is told to X-Ray, everything to OTLP; the trace goes on. The headers that the call went out with."""
        port = self.start_pair()
        self.assertEqual(200, self.ask(port, header).status)
        spans = self.spans(2)
        client, = [span for span in self.sink.spans if span["kind"] == 3]
        self.ask(port, f"{FULL[:-1]}0;Sampled=1")  # what comes later has come before, had it been sent
        self.arrived(2, 1)
        self.assertEqual({f"{PARENT[:-1]}0"}, {node.parent_id for node in self.daemon.nodes()} & {PARENT, f"{PARENT[:-1]}0"})
        self.assertEqual(1, len({span["trace_id"] for span in [*spans, client]}))
        return client, self.sent()[0]

    def test_sampled_out_upstream(self):
        client, (amazon, parent) = self.check_unsampled(f"{FULL};Sampled=0")
        self.assertEqual(w3c(TRACE), client["trace_id"])
        self.assertEqual(f"{FULL[:-16]}{client['span_id']};Sampled=0", amazon)
        self.assertEqual(f"00-{w3c(TRACE)}-{client['span_id']}-01", parent)

    def test_sampled_out_without_a_root(self):
        client, (amazon, parent) = self.check_unsampled("Sampled=0")
        trace = client["trace_id"]
        self.assertEqual(f"Root=1-{trace[:8]}-{trace[8:]};Parent={client['span_id']};Sampled=0", amazon)
        self.assertEqual(f"00-{trace}-{client['span_id']}-03", parent, "sampled, and an id of our own, which is random")

    def test_sampled_for_x_ray_only(self):
        """traceparent says no, X-Amzn-Trace-Id says yes: each counts for its own destination."""
        port = self.start_pair()
        self.ask(port, f"{FULL};Sampled=1", traceparent=f"00-{w3c(TRACE)}-{PARENT}-00")
        self.arrived(2, 1)
        self.assertEqual([], self.spans())
        subsegment, = self.daemon.subsegments()
        self.assertEqual([(f"{ROOT};Parent={subsegment.id};Sampled=1", f"00-{w3c(TRACE)}-{subsegment.id}-00")], self.sent())

    def test_what_the_response_says_of_it(self):
        """Sampled=?: the local decision, which is told; the first request of a second is sampled, of many some are not."""
        port = servers.httpd(self, "--threads", env=self.spanshim.env(SPANSHIM_RESPONSE_XRAY="true"))[1]
        said = [self.ask(port, f"{ROOT};Sampled=?").fields["x-amzn-trace-id"] for _ in range(200)]
        self.assertEqual({f"{ROOT};Sampled=0", f"{ROOT};Sampled=1"}, set(said))
        self.assertTrue(said[0].endswith("Sampled=1"))
        self.arrived(sum(one.endswith("1") for one in said))
        self.assertEqual(200, len(self.spans(200)))

    def test_no_record_that_nobody_takes(self):
        """What only OTLP's sampler keeps makes no record where traces go to X-Ray alone."""
        taken = 0
        for exporters, expected in (("xray", 1), ("xray,otlp", 11)):
            process, port = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_TRACES_EXPORTER=exporters))
            wait_until(lambda pid=process.pid: self.spanshim.knows(pid), what="the agent to know the server")
            for sampled in "1" + 10 * "0":
                self.ask(port, f"{FULL};Sampled={sampled}")
            count = lambda: self.spanshim.status()["totals"]["counts"]["taken"]
            wait_until(lambda least=taken + expected: count() >= least, what="what is recorded")
            with self.subTest(exporters):
                self.assertEqual(expected, count() - taken)
            taken += expected
        self.arrived(2)

    def test_one_decision_by_the_standard_setting(self):
        port = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_TRACES_SAMPLER="always_off"))[1]
        self.ask(port, f"{FULL};Sampled=1")
        port = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_TRACES_SAMPLER="always_on"))[1]
        self.ask(port, f"{FULL};Sampled=0", "/size/7")
        self.assertEqual(7, self.segment()["http"]["response"]["content_length"])
        self.assertEqual(["/size/7"], [span["attributes"]["url.path"] for span in self.spans(1)])


if __name__ == "__main__":
    unittest.main(verbosity=2)
