# SPDX-License-Identifier: Apache-2.0
"""Each format of trace headers through a chain of five unmodified programs, of which only the first is sent any."""

import unittest

from chain import SERVICES, TRACE_FIELDS, Chain, ChainTest
from harness import BARE

TRACE = "5759e988bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"
XRAY_SELF = "Self=1-5759e988-51a92b2c8d4f6e0a1b2c3d4e"  # a load balancer's own: not passed on
XRAY_REST = "Lineage=25:3c04f1a2:1"

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
        {"X-Amzn-Trace-Id": f"Root=1-{TRACE[:8]}-{TRACE[8:]};Parent={PARENT};Sampled=1;{XRAY_SELF};{XRAY_REST}"},
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
