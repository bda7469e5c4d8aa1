# SPDX-License-Identifier: Apache-2.0
"""A request that passes through five unmodified programs is one trace, one at a time and many at once; so is one that passes
through seven."""

import collections
import sys
import unittest

import servers
from chain import LONG_SERVICES, ORDER, SERVICES, Chain, ChainTest, LongChain, order_of
from harness import BARE, Traffic, in_parallel


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
            return None
        counts = self._parents(self.spans_by_request(self.CLIENTS * self.EACH))
        self.assertEqual({}, counts["wrong"])
        # What comes with a header has a parent; so has what a thread of its own sends.
        self.assertLessEqual(set(counts["missing"]), {("nginx", "client"), ("node", "client")})
        return counts["right"]

    def test_no_parent_is_wrong(self):
        right = self._run()
        if not BARE:
            for name in ("nginx", "node"):
                self.assertGreater(right[name, "client"], self.CLIENTS * self.EACH / 2, "most parents are found")

    def test_no_parent_is_wrong_where_requests_queue_for_connections(self):
        self._run(sockets=4)


class LongChainTest(ChainTest):
    """32 requests at a time through seven programs in six languages, without any trace header of the client's."""

    CLIENTS, EACH = 32, 10
    order = order_of(LONG_SERVICES)

    def test_every_trace_is_whole(self):
        self.needs_programs("nginx", "varnishd", "gcc", "gunicorn", "node", servers.PHP_FPM, *servers.TOMCAT_PROGRAMS)
        programs = LongChain(self)
        count = self.CLIENTS * self.EACH
        parts = [range(first, first + self.EACH) for first in range(0, count, self.EACH)]
        in_parallel(Traffic(programs.port), self.CLIENTS, lambda part: self.ask(part.port, parts.pop(), [("User-Agent", "test")]))
        if BARE:
            return
        traces = self.spans_by_request(count)
        for spans in traces.values():
            self.check_trace(spans)
        self.assertEqual(len(traces), len({spans[self.order[0]]["trace_id"] for spans in traces.values()}))


if __name__ == "__main__":
    unittest.main(verbosity=2)
