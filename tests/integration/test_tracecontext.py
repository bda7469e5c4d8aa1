# SPDX-License-Identifier: Apache-2.0
"""W3C Trace Context over the wire: a table of what comes to an unmodified program that passes requests on, and of what must
go out of it. nginx passes on all fields, right or wrong; Flask and Node none. What goes out is the same."""

import re
import unittest

import chain
import servers
from harness import BARE, ShimTest, Traffic
from relay import Relay

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"
OTHER = f"00-{'5' * 32}-{'6' * 16}-01"
VALID = f"00-{TRACE}-{PARENT}-01"
RIGHT = re.compile("00-([0-9a-f]{32})-([0-9a-f]{16})-(0[0-3])")
SENT_LENGTH = 512  # of a tracestate, at most


def numbered(first, end, width):
    """Members with names in order, each `width` bytes long."""
    return [f"k{number:02}={'v' * (width - 4)}" for number in range(first, end)]


# A traceparent that is taken: (what it shows, its value, the flags that go out)
TAKEN = (
    ("sampled", VALID, "01"),
    ("not sampled", f"00-{TRACE}-{PARENT}-00", "00"),
    ("random and sampled", f"00-{TRACE}-{PARENT}-03", "03"),
    ("random, not sampled", f"00-{TRACE}-{PARENT}-02", "02"),
    ("unknown flags are sent as zero", f"00-{TRACE}-{PARENT}-fd", "01"),
    ("unknown flags, not sampled", f"00-{TRACE}-{PARENT}-fc", "00"),
    ("a blank before it", f" {VALID}", "01"),
    ("blanks and tabs around it", f" \t {VALID}\t \t", "01"),
    ("ids with a single bit", f"00-{1:032x}-{1:016x}-01", "01"),
    ("ids with the first bit only", f"00-{1 << 127:032x}-{1 << 63:016x}-01", "01"),
    ("the next version", f"01-{TRACE}-{PARENT}-01", "01"),
    ("a version far ahead", f"cc-{TRACE}-{PARENT}-00", "00"),
    ("the last version", f"fe-{TRACE}-{PARENT}-01", "01"),
    ("a later version with more", f"cc-{TRACE}-{PARENT}-01-what-comes-then", "01"),
    ("a later version with an empty field more", f"cc-{TRACE}-{PARENT}-01-", "01"),
    ("flags of a later version", f"cc-{TRACE}-{PARENT}-ff", "01"),
)

# One that is not: a trace begins here.
REFUSED = (
    ("empty", ""),
    ("words", "not a traceparent"),
    ("version ff", f"ff-{TRACE}-{PARENT}-01"),
    ("version ff with more", f"ff-{TRACE}-{PARENT}-01-more"),
    ("version in upper case", f"CC-{TRACE}-{PARENT}-01"),
    ("version of a letter that is no digit", f"0g-{TRACE}-{PARENT}-01"),
    ("version begins with a dot", f".0-{TRACE}-{PARENT}-01"),
    ("version ends with a dot", f"0.-{TRACE}-{PARENT}-01"),
    ("version too short", f"0-{TRACE}-{PARENT}-01"),
    ("version too long", f"000-{TRACE}-{PARENT}-01"),
    ("version much too long", f"0000-{TRACE}-{PARENT}-01"),
    ("no version", f"{TRACE}-{PARENT}-01"),
    ("version 00 with more", f"{VALID}-what-comes-then"),
    ("version 00 with a dash more", f"{VALID}-"),
    ("version 00 with a dot more", f"{VALID}."),
    ("version 00 with a digit more", f"{VALID}1"),
    ("a later version, too short", f"cc-{TRACE}-{PARENT}-0"),
    ("a later version, more without a dash", f"cc-{TRACE}-{PARENT}-01.more"),
    ("a later version, flags too long", f"cc-{TRACE}-{PARENT}-010"),
    ("a later version, zero trace id", f"cc-{'0' * 32}-{PARENT}-01"),
    ("a later version, upper case", f"cc-{TRACE.upper()}-{PARENT}-01"),
    ("trace id zero", f"00-{'0' * 32}-{PARENT}-01"),
    ("trace id in upper case", f"00-{TRACE.upper()}-{PARENT}-01"),
    ("trace id with one letter in upper case", f"00-{TRACE[:-4]}E736-{PARENT}-01"),
    ("trace id begins with a dot", f"00-.{TRACE[1:]}-{PARENT}-01"),
    ("trace id ends with a dot", f"00-{TRACE[:-1]}.-{PARENT}-01"),
    ("trace id too short", f"00-{TRACE[:-1]}-{PARENT}-01"),
    ("trace id too long", f"00-{TRACE}0-{PARENT}-01"),
    ("trace id of 64 bits", f"00-{TRACE[:16]}-{PARENT}-01"),
    ("parent id zero", f"00-{TRACE}-{'0' * 16}-01"),
    ("parent id in upper case", f"00-{TRACE}-{PARENT.upper()}-01"),
    ("parent id begins with a dot", f"00-{TRACE}-.{PARENT[1:]}-01"),
    ("parent id ends with a dot", f"00-{TRACE}-{PARENT[:-1]}.-01"),
    ("parent id too short", f"00-{TRACE}-{PARENT[:-1]}-01"),
    ("parent id too long", f"00-{TRACE}-{PARENT}0-01"),
    ("flags begin with a dot", f"00-{TRACE}-{PARENT}-.0"),
    ("flags end with a dot", f"00-{TRACE}-{PARENT}-0."),
    ("flags in upper case", f"00-{TRACE}-{PARENT}-0A"),
    ("flags too short", f"00-{TRACE}-{PARENT}-1"),
    ("flags too long", f"00-{TRACE}-{PARENT}-001"),
    ("no flags", f"00-{TRACE}-{PARENT}"),
    ("empty flags", f"00-{TRACE}-{PARENT}-"),
    ("underscores for dashes", VALID.replace("-", "_")),
    ("a blank within", f"00-{TRACE} -{PARENT}-01"),
    ("two in one field", f"{VALID},{VALID}"),
    ("in quotes", f'"{VALID}"'),
)

# A tracestate that is taken, by its fields, and the members that go out.
KEPT = (
    ("one member", ["foo=1"], ["foo=1"]),
    ("members in order", ["rojo=00f067aa0ba902b7,congo=t61rcWkgMzE,a=1"], ["rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE", "a=1"]),
    ("fields are one list", ["foo=1", "bar=2,baz=3", "a=4"], ["foo=1", "bar=2", "baz=3", "a=4"]),
    ("an empty field", [""], []),
    ("a field of blanks", [" \t "], []),
    ("an empty field after another", ["foo=1", ""], ["foo=1"]),
    ("an empty field before another", ["", "foo=1"], ["foo=1"]),
    ("an empty member at the end", ["foo=1,"], ["foo=1"]),
    ("an empty member at the front", [",foo=1"], ["foo=1"]),
    ("empty members within", ["foo=1,,bar=2, \t ,baz=3"], ["foo=1", "bar=2", "baz=3"]),
    ("a comma at a field's end", ["foo=1,", "bar=2"], ["foo=1", "bar=2"]),
    ("blanks and tabs around members", ["foo=1 \t , \t bar=2, \t baz=3"], ["foo=1", "bar=2", "baz=3"]),
    ("blanks at a value's front are of it", ["foo= 1,bar=  2"], ["foo= 1", "bar=  2"]),
    ("all characters of keys", ["abcdefghijklmnopqrstuvwxyz0123456789_-*/=1"], ["abcdefghijklmnopqrstuvwxyz0123456789_-*/=1"]),
    ("all characters of values", ["foo=" + (printable := "".join(map(chr, range(0x20, 0x7f))).replace(",", "").replace("=", ""))],
     [f"foo={printable}"]),
    ("a key that begins with a digit", ["0a=1"], ["0a=1"]),
    ("a key of one character", ["z=1"], ["z=1"]),
    ("a tenant's key", ["tenant@vendor=1"], ["tenant@vendor=1"]),
    ("a tenant that begins with a digit", ["0t@v=1,1-_*/t@v-_*/=2"], ["0t@v=1", "1-_*/t@v-_*/=2"]),
    ("a tenant's key as long as may be", [f"{'t' * 241}@{'v' * 14}=1"], [f"{'t' * 241}@{'v' * 14}=1"]),
    ("a key as long as may be", [f"{'z' * 256}=1"], [f"{'z' * 256}=1"]),
    ("a value as long as may be", [f"foo={'v' * 256}"], [f"foo={'v' * 256}"]),
    ("as many members as may be", [",".join(numbered(0, 32, 8))], numbered(0, 32, 8)),
    ("as many, in several fields", [",".join(numbered(0, 16, 8)), ",".join(numbered(16, 32, 8))], numbered(0, 32, 8)),
    ("512 bytes", [",".join(numbered(0, 16, 31)) + "v"], numbered(0, 15, 31) + [numbered(15, 16, 31)[0] + "v"]),
    ("too long: the last members go, whole", [",".join(numbered(0, 20, 40))], numbered(0, 12, 40)),
    ("too long: long members go first", [",".join([f"long={'v' * 200}", *numbered(0, 12, 40)])], numbered(0, 12, 40)),
    ("too long: a long one in the midst goes first", [",".join([*numbered(0, 5, 40), f"long={'v' * 200}", *numbered(5, 11, 40)])],
     numbered(0, 11, 40)),
    ("too long: in several fields", [",".join(numbered(0, 10, 40)), ",".join(numbered(10, 20, 40))], numbered(0, 12, 40)),
)

# One that breaks a rule: it is dropped, and the traceparent holds.
DROPPED = (
    ("a key in upper case", ["FOO=1"]),
    ("a key with a dot", ["foo.bar=1"]),
    ("a key with a blank behind it", ["foo =1"]),
    ("a key with a blank within", ["foo bar=1"]),
    ("a key that begins with an at sign", ["@foo=1"]),
    ("a key that begins with an underscore", ["_foo=1"]),
    ("a key that begins with a dash", ["-foo=1"]),
    ("a key that begins with a star", ["*foo=1"]),
    ("a key that begins with a slash", ["/foo=1"]),
    ("no key", ["=1"]),
    ("a key too long", [f"{'z' * 257}=1"]),
    ("a tenant's key too long", [f"{'t' * 242}@{'v' * 14}=1"]),
    ("no equals sign", ["foo"]),
    ("no value", ["foo="]),
    ("no value but blanks", ["foo= ,bar=2"]),
    ("a value too long", [f"foo={'v' * 257}"]),
    ("two equals signs", ["foo=bar=baz"]),
    ("a tab in a value", ["foo=a\tb"]),
    ("a byte beyond ASCII", ["foo=caf\xe9"]),
    ("one wrong member of three", ["foo=1,Bar=2,baz=3"]),
    ("a wrong member in the second field", ["foo=1", "bar"]),
    ("too many members", [",".join(numbered(0, 33, 8))]),
    ("too many members, in several fields", [",".join(numbered(0, 20, 8)), ",".join(numbered(20, 33, 8))]),
)


class Case:
    """Fields that come, and what goes out: the trace joined or a new one, flags, members of tracestate."""

    def __init__(self, name, fields, joins, flags="01", members=()):
        self.name = name
        self.fields = fields
        self.flags = flags
        self.members = list(members)
        self.trace = self.parent = None
        if joins:
            values = [value for field, value in fields if field.lower() == "traceparent"]
            _, self.trace, self.parent, *_ = values[0].strip(" \t").split("-")


def cases():
    """The tables, and what they don't hold, as cases."""
    state = ("tracestate", "foo=1,bar=2")
    yield Case("nothing", [], joins=False)
    for name, value, flags in TAKEN:
        yield Case(f"taken: {name}", [("traceparent", value), state], True, flags, ["foo=1", "bar=2"])
    for name, value in REFUSED:
        yield Case(f"refused: {name}", [("traceparent", value)], joins=False)
        yield Case(f"refused with tracestate: {name}", [("traceparent", value), state], joins=False)
    for name, values, members in KEPT:
        yield Case(f"kept: {name}", [("traceparent", VALID), *(("tracestate", one) for one in values)], True, members=members)
    for name, values in DROPPED:
        yield Case(f"dropped: {name}", [("traceparent", VALID), *(("tracestate", one) for one in values)], True)
    for name in ("Traceparent", "TRACEPARENT", "TrAcEpArEnT"):
        yield Case(f"field name {name}", [(name, VALID)], True)
    for name in ("trace-parent", "trace.parent", "xtraceparent", "traceparent2"):
        yield Case(f"field name {name}", [(name, VALID)], joins=False)
    for name in ("Tracestate", "TRACESTATE", "TrAcEsTaTe"):
        yield Case(f"field name {name}", [("traceparent", VALID), (name, "foo=1")], True, members=["foo=1"])
    for name in ("trace-state", "trace.state", "xtracestate", "tracestate2"):
        yield Case(f"field name {name}", [("traceparent", VALID), (name, "foo=1")], True)
    yield Case("tracestate first", [state, ("traceparent", VALID)], True, members=["foo=1", "bar=2"])
    yield Case("tracestate around", [("tracestate", "foo=1"), ("traceparent", VALID), ("tracestate", "bar=2")], True,
               members=["foo=1", "bar=2"])
    yield Case("tracestate alone", [state], joins=False)
    yield Case("a later version's tracestate", [("traceparent", f"cc-{TRACE}-{PARENT}-01-more"), state], True,
               members=["foo=1", "bar=2"])
    yield Case("two different", [("traceparent", VALID), ("traceparent", OTHER), state], joins=False)
    yield Case("two alike", [("traceparent", VALID), ("traceparent", VALID), state], joins=False)
    yield Case("two, names in different case", [("traceparent", VALID), ("Traceparent", VALID)], joins=False)
    yield Case("a wrong one before a right one", [("traceparent", "wrong"), ("traceparent", VALID), state], joins=False)
    yield Case("a right one before an empty one", [("traceparent", VALID), ("traceparent", ""), state], joins=False)


CASES = list(cases())


class TraceContextTest(ShimTest):
    """Each program gets all cases, and between it and a server that is not traced everything is recorded."""

    def _run(self, start):
        _, behind = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))
        relay = Relay(behind)
        self.addCleanup(relay.close)
        port = start(self, relay.port)
        with Traffic(port).connect() as connection:
            for number, case in enumerate(CASES):
                response = connection.request("GET", f"/size/1?request={number}", fields=case.fields)
                self.assertEqual(200, response.status, case.name)
        requests = {int(request.target.partition("=")[2]): request for request in relay.requests}
        self.assertEqual(len(CASES), len(requests))
        if BARE:
            return
        spans = {int(span["attributes"]["url.query"].partition("=")[2]): span for span in self.spans()}
        for number, case in enumerate(CASES):
            with self.subTest(case.name):
                if number in spans:
                    self._check_span(case, spans[number])
                self._check_wire(case, requests[number])

    def _check_span(self, case, span):
        self.assertEqual(case.parent or "", span["parent_span_id"])
        self.assertEqual(",".join(case.members), span["trace_state"])

    def _check_wire(self, case, request):
        values = request.values("traceparent")
        self.assertEqual(1, len(values), values)
        found = RIGHT.fullmatch(values[0])
        self.assertTrue(found, values)
        trace, span, flags = found.groups()
        came = "".join(value for _, value in case.fields)
        self.assertNotIn(span, came, "a span id of its own")
        self.assertTrue(int(trace, 16) and int(span, 16), values)
        if case.trace:
            self.assertEqual((case.trace, case.flags), (trace, flags))
        else:
            self.assertNotIn(trace, came)
            self.assertIn(flags, ("01", "03"))
        states = request.values("tracestate")
        self.assertNotIn("", states)
        self.assertEqual(case.members, [one.strip(" \t") for state in states for one in state.split(",")])

    def test_nginx(self):
        self._run(chain.nginx)

    def test_flask(self):
        self._run(chain.flask)

    def test_node(self):
        self._run(chain.node)

    def test_requests_made_for_one(self):
        _, behind = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))
        relay = Relay(behind)
        self.addCleanup(relay.close)
        port = chain.flask(self, relay.port)
        for fields in ([("traceparent", VALID), ("tracestate", "foo=1")], []):
            relay.clear()
            with Traffic(port).connect() as connection:
                self.assertEqual(200, connection.request("GET", "/size/1?times=3", fields=fields).status)
            requests = relay.requests
            self.assertEqual(3, len(requests))
            if BARE:
                continue
            found = [RIGHT.fullmatch(one).groups() for request in requests for one in request.values("traceparent")]
            self.assertEqual(3, len({span for _, span, _ in found}), "each has an id of its own")
            self.assertEqual(1, len({trace for trace, _, _ in found}), "all are of one trace")
            self.assertEqual(bool(fields), found[0][0] == TRACE)
            self.assertEqual([["foo=1"] if fields else []] * 3, [request.values("tracestate") for request in requests])


if __name__ == "__main__":
    unittest.main(verbosity=2)
