# SPDX-License-Identifier: Apache-2.0
"""A request that passes through five unmodified programs is one trace. Each request carries its number in the target, which
every program passes on: so it is known which span belongs to which request, whatever the spans say."""

import collections
import re
import sys
import unittest

from chain import SERVICES, Chain
from harness import BARE, SPAN_KIND_SERVER, ShimTest, Traffic, in_parallel

SPAN_KIND_CLIENT = 3
KINDS = {SPAN_KIND_SERVER: "server", SPAN_KIND_CLIENT: "client"}
# Who calls whom: each span's parent is the one before it.
ORDER = [(name, kind) for name in SERVICES for kind in ("server", "client")][:-1]
FLAG_HAS_REMOTE, FLAG_REMOTE = 0x100, 0x200

TRACE = "5759e988bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"
XRAY_REST = "Lineage=25:3c04f1a2:1;Self=1-5759e988-51a92b2c8d4f6e0a1b2c3d4e"
TRACE_FIELDS = ("traceparent", "tracestate", "baggage", "b3", "x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid",
                "x-b3-sampled", "x-b3-flags", "x-amzn-trace-id")


def number_in(text):
    """A request's number, by its target."""
    return int(re.search(r"request=(\d+)", text).group(1))


def number_of(span):
    """The request that a span belongs to."""
    return number_in(span["attributes"].get("url.query") or span["attributes"]["url.full"])


def place_of(span):
    """Where in ORDER it belongs."""
    return span["resource"]["service.name"], KINDS[span["kind"]]


class ChainTest(ShimTest):
    """What all tests of the chain need."""

    def ask(self, port, numbers, fields=()):
        """Send the requests of these numbers over one connection."""
        with Traffic(port).connect() as connection:
            for number in numbers:
                response = connection.request("GET", f"/size/20?request={number}", fields=fields)
                self.assertEqual((200, b"x" * 20), (response.status, response.body))

    def spans_by_request(self, count):
        """All spans, by request and place: each place once."""
        self.spanshim.flush()
        self.sink.wait_for(count * len(ORDER), timeout=20)
        self.spans()
        found = collections.defaultdict(dict)
        for span in self.sink.spans:
            spans = found[number_of(span)]
            self.assertNotIn(place_of(span), spans, f"request {number_of(span)}")
            spans[place_of(span)] = span
        self.assertEqual(count, len(found))
        for number, spans in found.items():
            self.assertEqual(set(ORDER), set(spans), f"request {number}")
        return found

    def check_trace(self, spans, trace=None, parent_span_id=""):
        """The spans of one request are one trace, in order."""
        parent = {"trace_id": trace or spans[ORDER[0]]["trace_id"], "span_id": parent_span_id, "start_time_unix_nano": 0}
        for service, kind in ORDER:
            span = spans[service, kind]
            where = f"{kind} span of {service}: {span['attributes']}"
            self.assertEqual(parent["span_id"], span["parent_span_id"], where)
            self.assertEqual(parent["trace_id"], span["trace_id"], where)
            self.assertLessEqual(parent["start_time_unix_nano"], span["start_time_unix_nano"], where)
            self.assertEqual("GET", span["name"])
            self.assertEqual(200, span["attributes"]["http.response.status_code"], where)
            is_remote = kind == "server" and parent["span_id"] != ""
            self.assertEqual(FLAG_HAS_REMOTE | (FLAG_REMOTE if is_remote else 0), span["flags"] & ~0xff, where)
            parent = span

    def sent_to(self, relays, numbers):
        """What was on the wire in front of each service: request by number. Each came once, and but for their numbers and
        their trace fields all are the same."""
        found = {}
        for name, relay in relays.items():
            requests = relay.requests
            by_number = {number_in(request.target): request for request in requests}
            self.assertEqual(list(numbers), sorted(number_in(request.target) for request in requests), name)
            self.assertEqual(1, len({(re.sub(r"request=\d+", "", line), fields)
                                     for line, fields in (one.without(*TRACE_FIELDS) for one in requests)}), name)
            found[name] = by_number
        return found


class OneByOneTest(ChainTest):
    """One request at a time."""

    def test_every_trace_is_whole(self):
        numbers = range(1000)
        programs = Chain(self)
        self.ask(programs.port, numbers)
        sent = self.sent_to(programs.relays, numbers)
        for relay in programs.relays.values():
            self.assertLess(relay.connection_count, 10, "connections are kept")
        if BARE:
            return
        traces = self.spans_by_request(len(numbers))
        for number, spans in traces.items():
            self.check_trace(spans)
            for caller, name in zip(SERVICES, SERVICES[1:]):
                span = spans[caller, "client"]
                self.assertEqual([f"00-{span['trace_id']}-{span['span_id']}-{span['flags'] & 0xff:02x}"],
                                 sent[name][number].values("traceparent"))
                self.assertEqual([], sent[name][number].values("tracestate"))
        self.assertEqual(len(numbers), len({spans[ORDER[0]]["trace_id"] for spans in traces.values()}))


class AtOnceTest(ChainTest):
    """32 requests at a time, without relays."""

    CLIENTS, EACH = 32, 25

    def _parents(self, traces):
        """How many parents are right, wrong and missing, by the child's place."""
        counts = {"right": collections.Counter(), "wrong": collections.Counter(), "missing": collections.Counter()}
        for spans in traces.values():
            for above, place in zip(ORDER, ORDER[1:]):
                span, parent = spans[place], spans[above]
                if not span["parent_span_id"]:
                    counts["missing"][place] += 1
                elif (span["trace_id"], span["parent_span_id"]) != (parent["trace_id"], parent["span_id"]):
                    counts["wrong"][place] += 1
                else:
                    counts["right"][place] += 1
                    self.assertLessEqual(parent["start_time_unix_nano"], span["start_time_unix_nano"])
        print(", ".join(f"{what}: {dict(places)}" for what, places in counts.items()), file=sys.stderr)
        return counts

    def _run(self, **options):
        programs = Chain(self, recorded=False, **options)
        parts = [range(first, first + self.EACH) for first in range(0, self.CLIENTS * self.EACH, self.EACH)]
        in_parallel(Traffic(programs.port), self.CLIENTS, lambda part: self.ask(part.port, parts.pop()))
        if BARE:
            return
        counts = self._parents(self.spans_by_request(self.CLIENTS * self.EACH))
        self.assertEqual({}, counts["wrong"])
        # What comes with a header has a parent; so has what a thread of its own sends.
        self.assertLessEqual(set(counts["missing"]), {("nginx", "client"), ("node", "client")})

    def test_no_parent_is_wrong(self):
        self._run()

    def test_no_parent_is_wrong_where_requests_queue_for_connections(self):
        self._run(sockets=4)


# OTEL_PROPAGATORS -> the fields that the first request comes with, and what goes over each hop.
FORMATS = {
    "tracecontext,baggage": (
        {"traceparent": f"00-{TRACE}-{PARENT}-01", "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
         "baggage": "user=7,tier=gold;note=kept"},
        {"traceparent": "00-{trace}-{span}-01", "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
         "baggage": "user=7,tier=gold;note=kept"}),
    "b3": (
        {"b3": f"{TRACE}-{PARENT}-1"},
        {"b3": "{trace}-{span}-1"}),
    "b3multi": (
        {"X-B3-TraceId": TRACE, "X-B3-SpanId": PARENT, "X-B3-ParentSpanId": "00f067aa0ba902b7", "X-B3-Sampled": "1"},
        {"x-b3-traceid": "{trace}", "x-b3-spanid": "{span}", "x-b3-sampled": "1"}),
    "xray": (
        {"X-Amzn-Trace-Id": f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT};Sampled=1;{XRAY_REST}"},
        {"x-amzn-trace-id": f"Root=1-{{trace:.8}}-{TRACE[8:]};Parent={{span}};Sampled=1;{XRAY_REST}"}),
    "tracecontext,b3,xray": (
        {"traceparent": f"00-{TRACE}-{PARENT}-01"},
        {"traceparent": "00-{trace}-{span}-01", "b3": "{trace}-{span}-1",
         "x-amzn-trace-id": f"Root=1-{{trace:.8}}-{TRACE[8:]};Parent={{span}};Sampled=1"}),
}


def in_order(fields):
    """Fields of a trace, comparable: the order of X-Ray's keys means nothing."""
    return sorted((name, sorted(value.split(";")) if name == "x-amzn-trace-id" else value) for name, value in fields)


class FormatsTest(ChainTest):
    """Each format, from end to end."""

    NUMBERS = range(5)

    def _run(self, propagators):
        came, goes = FORMATS[propagators]
        programs = Chain(self, OTEL_PROPAGATORS=propagators)
        self.ask(programs.port, self.NUMBERS, fields=came.items())
        sent = self.sent_to(programs.relays, self.NUMBERS)
        if BARE:
            return
        for number, spans in self.spans_by_request(len(self.NUMBERS)).items():
            self.check_trace(spans, TRACE, PARENT)
            for caller, name in zip(SERVICES, SERVICES[1:]):
                expected = {field: value.format(trace=TRACE, span=spans[caller, "client"]["span_id"])
                            for field, value in goes.items()}
                fields = [field for field in sent[name][number].fields if field[0] in TRACE_FIELDS]
                self.assertEqual(in_order(expected.items()), in_order(fields), f"from {caller} to {name}")

    def test_tracecontext_and_baggage(self):
        self._run("tracecontext,baggage")

    def test_b3(self):
        self._run("b3")

    def test_b3multi(self):
        self._run("b3multi")

    def test_xray(self):
        self._run("xray")

    def test_several(self):
        self._run("tracecontext,b3,xray")

    def test_none(self):
        traceparent = f"00-{TRACE}-{PARENT}-01"
        programs = Chain(self, OTEL_PROPAGATORS="none")
        self.ask(programs.port, self.NUMBERS, fields=[("traceparent", traceparent)])
        sent = self.sent_to(programs.relays, self.NUMBERS)
        for name, by_number in sent.items():
            for request in by_number.values():
                # nginx passes on what came, as it would without the shim.
                self.assertEqual([traceparent] if name == "flask" else [], request.values("traceparent"))
        if BARE:
            return
        for spans in self.spans_by_request(len(self.NUMBERS)).values():
            for service in SERVICES:
                self.assertEqual("", spans[service, "server"]["parent_span_id"])
            for service in SERVICES[:-1]:
                self.assertEqual(spans[service, "server"]["span_id"], spans[service, "client"]["parent_span_id"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
