# SPDX-License-Identifier: Apache-2.0
"""The trace header on its way: whatever calls a client sends its requests by, however they are cut, and however little the
kernel takes at a time, the receiver gets the program's bytes and one block of ours, or none for a counted reason; and the
program's calls return what they would have returned."""

import json
import re
import socket
import threading
import unittest

import servers
from client import CLIENTS
from exact_server import ExactServer
from harness import BARE, BUILD, PYTHON, SPAN_KIND_CLIENT, ShimTest, Traffic, is_sanitized
from http_client import request_bytes
from processes import PATIENCE_S, wait_until

OURS = re.compile(rb"\r\ntraceparent: 00-([0-9a-f]{32})-([0-9a-f]{16})-0[0-3](?=\r\n)")
OWN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
VECTOR_CALLS = ("writev", "pwritev2", "sendmsg")
CALLS = ("write", "send", "sendto", *VECTOR_CALLS)


def get(target="/echo", fields=()):
    """A request without a body."""
    return request_bytes("GET", target, fields=[("User-Agent", "scripted"), *fields]).decode("latin-1")


def post(body, target="/echo", fields=()):
    """A request with this text as body."""
    return request_bytes("POST", target, body.encode("latin-1"), fields).decode("latin-1")


class Connection:
    """What the scripted client is to do on one connection."""

    def __init__(self, data, steps, **script):
        self.data = data
        self.script = {"data": data, "steps": steps, **script}


class InjectionTest(ShimTest):
    """test-apps/clients/scripted.py against a server that keeps every byte."""

    def setUp(self):
        if BARE or is_sanitized():
            self.skipTest("compares a bare run with a traced one")
        super().setUp()
        self.server = ExactServer()
        self.addCleanup(self.server.close)

    def play(self, connections, preload=True, short_sends=None):
        """Let the client do this; what its calls returned and what it was answered, by connection."""
        script = self.directory / "script.json"
        script.write_text(json.dumps([{"port": self.server.port, **connection.script} for connection in connections]))
        env = self.spanshim.env(preload=preload)
        if short_sends:
            env["SHORT_SENDS"] = short_sends
            env["LD_PRELOAD"] = ":".join(filter(None, [env.get("LD_PRELOAD"), str(BUILD / "tests" / "libshort_sends.so")]))
        self.server.clear()
        self.sink.clear()
        process = self.run_program([PYTHON, CLIENTS / "scripted.py", script], env=env)
        self.assertEqual(0, process.wait(2 * PATIENCE_S), process.err.decode())
        wait_until(lambda: len(self.server.connections) >= len(connections), what="all connections are accepted")
        self.server.settle()
        return [json.loads(line) for line in process.out.splitlines()]

    def check(self, connections, withheld=None, exact=True, **options):
        """Play this bare and traced. The calls' results are the same (`exact`), or add up to the same; each request has
        one block of ours, or none for this reason."""
        bare = self.play(connections, preload=False, **options)
        told = self.play(connections, **options)
        if exact:
            self.assertEqual(bare, told)
        self.assertEqual([played["answers"] for played in bare], [played["answers"] for played in told])
        for connection, played in zip(connections, told):
            self._check_counts(connection, played["calls"])
        self._check_wire(connections, 0 if withheld else 1)
        self._check_spans(withheld)

    def _check_counts(self, connection, calls):
        """Never more than was asked for, never nothing, and all of it in the end."""
        taken = [n for _, n in calls if not isinstance(n, str)]
        self.assertTrue(all(isinstance(n, str) or 0 < n <= asked for asked, n in calls), calls)
        if not any(step[0] == "sendfile" for step in connection.script["steps"]):
            self.assertEqual(len(connection.data), sum(taken))

    def _check_wire(self, connections, blocks):
        """The receiver has the program's bytes and so many blocks in each request."""
        for connection, got in zip(connections, self.server.connections):
            steps = str(connection.script["steps"])[:200]
            counts = [len(OURS.findall(request.head)) for request in got.requests]
            self.assertEqual([blocks] * len(counts), counts, steps)
            received = b"".join(OURS.sub(b"", request.head) + request.body for request in got.requests) + got.rest
            self.assertEqual(connection.data.encode("latin-1"), received[:len(connection.data)], steps)
            for request in got.requests if blocks else []:
                self.assertTrue(OURS.search(request.head[-80:]), "just before the blank line")

    def _client_spans(self, count):
        return {span["span_id"]: span for span in self.spans(count, SPAN_KIND_CLIENT)}

    def _check_spans(self, withheld):
        """One for each request, named by its header."""
        requests = self.server.requests
        spans = self._client_spans(len(requests))
        self.assertEqual(len(requests), len(spans))
        for request in requests:
            for _, span_id in OURS.findall(request.head):
                self.assertIn(span_id.decode(), spans)
        if withheld:
            self.assertEqual({withheld}, {span["attributes"].get("spanshim.propagation.skipped") for span in spans.values()})
            self.assertGreaterEqual(self.spanshim.status()["totals"]["withheld"][withheld], len(requests))


class CallTest(InjectionTest):
    """By every call, in every piece."""

    def test_every_call_whole(self):
        connections = []
        for call in CALLS:
            data = get()
            connections.append(Connection(data, [[call, len(data)]]))
            data = post("the body")
            connections.append(Connection(data, [[call, len(data)]]))
        self.check(connections)

    def test_a_byte_at_a_time(self):
        data = post("body")
        self.check([Connection(data, [[call, 1]] * len(data)) for call in CALLS])

    def test_every_cut_in_two(self):
        data = post("body")
        self.check([Connection(data, [["write", cut], ["write", len(data) - cut]]) for cut in range(1, len(data))])

    def test_every_cut_in_three(self):
        """Of a short head, around every byte of its last lines."""
        data = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n"
        size = len(data)
        self.check([Connection(data, [["send", a], ["send", b - a], ["send", size - b]])
                    for a in range(1, size - 1) for b in range(a + 1, size)])

    def test_every_cut_into_buffers(self):
        data = post("body")
        size = len(data)
        self.check([Connection(data, [[call, cut, 0, size - cut]]) for call in VECTOR_CALLS for cut in range(1, size)])

    def test_lines_that_end_in_newlines_only(self):
        data = "GET /echo HTTP/1.1\nHost: a\n\n"
        connections = [Connection(data, [["write", len(data)]], answers=0)]
        bare = self.play(connections, preload=False)
        self.assertEqual(bare, self.play(connections))
        received = self.server.connections[0].rest
        self.assertEqual(data.encode(), re.sub(rb"\n?traceparent: [^\r\n]*\r?\n?", b"\n", received, count=1)
                         if b"traceparent" in received else received)

    def test_bodies_behind_the_head(self):
        """In the same call, in the next, in chunks; short and longer than what is copied."""
        connections = []
        for length in (1, 1000, 40_000, 300_000):
            data = post("b" * length)
            head = data.index("\r\n\r\n") + 4
            for call in CALLS:
                connections.append(Connection(data, [[call, len(data)]]))
                connections.append(Connection(data, [[call, head], [call, length]]))
        chunked = request_bytes("POST", "/echo", [b"one", b"two" * 1000]).decode()
        connections.append(Connection(chunked, [["write", len(chunked)]]))
        connections.append(Connection(chunked, [["write", 1]] * len(chunked)))
        self.check(connections)

    def test_kept_connection(self):
        requests = [get(), post("one"), get("/size/1000"), post("b" * 5000), get()]
        steps = [[call, len(data)] for data, call in zip(requests, CALLS)]
        self.check([Connection("".join(requests), steps, answers=5)])

    def test_pipeline_in_separate_calls(self):
        requests = [get(), get("/size/10"), post("one"), get()]
        self.check([Connection("".join(requests), [["write", len(data)] for data in requests], answers=4)])

    def test_more_to_come(self):
        """MSG_MORE, TCP_CORK, MSG_DONTWAIT, MSG_NOSIGNAL."""
        data = post("b" * 3000)
        head = data.index("\r\n\r\n") + 4
        steps = [["send", 10], ["sendmsg", head - 10], ["cork", 1], ["cork", 0], ["send", 3000]]
        self.check([Connection(data, steps, flags=flags) for flags in (socket.MSG_MORE, socket.MSG_NOSIGNAL)]
                   + [Connection(data, [["cork", 1], ["write", 10], ["write", head - 10], ["write", 3000], ["cork", 0]]),
                      Connection(data, [["send", head], ["send", 3000]], flags=socket.MSG_DONTWAIT)])

    def test_messages_in_one_call(self):
        """sendmmsg: a head in one message, or in several."""
        data = post("body")
        size = len(data)
        self.check([Connection(data, [["sendmmsg", size]]),
                    *[Connection(data, [["sendmmsg", cut, size - cut]]) for cut in range(1, size)]],
                   withheld="unsuited_call")

    def test_fast_open(self):
        """The first bytes go with the connection's first packet, by a call that connects."""
        data = get()
        self.check([Connection(data, [["sendto", len(data)]], flags=socket.MSG_FASTOPEN, options=["fastopen"])],
                   withheld="unsuited_call")

    def test_body_by_sendfile(self):
        """100 MB behind the head, straight from a file."""
        file = self.directory / "large"
        size = 100_000_000
        with open(file, "wb") as out:
            out.truncate(size)
        head = get(fields=[("Content-Length", str(size))])
        for flags in (0, socket.MSG_MORE):
            with self.subTest(flags=flags):
                self.check([Connection(head, [["send", len(head)], ["sendfile", 0, size]], file=str(file), flags=flags)])
                self.assertEqual(size, self.server.requests[0].length)


class ShortTest(InjectionTest):
    """The kernel takes less than it is given: cut at every offset, of the head and of our lines."""

    REQUEST = post("the body")
    LENGTH = len(REQUEST) + 72  # with the longest block of ours

    def _connections(self, call, **script):
        """As many as there are places at which the first call may be cut."""
        buffers = [len(self.REQUEST)] if call not in VECTOR_CALLS else [20, 30, len(self.REQUEST) - 50]
        return [Connection(self.REQUEST, [[call, *buffers]], **script)] * self.LENGTH

    def _every_offset(self, call, then, options=("nonblocking",)):
        """On the connection n, the first call takes n bytes."""
        self.check(self._connections(call, options=list(options)), exact=False, short_sends="%" + then)

    def test_every_offset(self):
        for call in CALLS:
            with self.subTest(call=call):
                self._every_offset(call, ",again")

    def test_every_offset_interrupted(self):
        self._every_offset("write", ",intr,again,intr", options=())

    def test_every_offset_blocking(self):
        """A blocking socket takes a part now and then, too: a signal came."""
        self._every_offset("write", "", options=())
        self._every_offset("sendmsg", ",1,1,1,2,3,5,8", options=())

    def test_the_rest_by_another_call(self):
        for call, then in (("write", "sendmsg"), ("send", "writev"), ("sendmsg", "pwritev2"), ("writev", "sendto")):
            with self.subTest(call=call, then=then):
                self.check(self._connections(call, then=then), exact=False, short_sends="%")

    def test_the_rest_from_a_file(self):
        """What is left of our lines goes out before bytes that nobody looks at."""
        file = self.directory / "request"
        file.write_text(self.REQUEST, encoding="latin-1", newline="")
        whole_lines = self.REQUEST.index("\r\n\r\n") + 2
        for then in ("sendfile", "splice"):
            with self.subTest(then=then):
                connections = self._connections("write", then=then, file=str(file))
                bare, told = (self.play(connections, preload, short_sends="%") for preload in (False, True))
                self.assertEqual([played["answers"] for played in bare], [played["answers"] for played in told])
                received = [request.head + request.body for request in self.server.requests]
                self.assertEqual([self.REQUEST.encode()] * self.LENGTH, [OURS.sub(b"", data) for data in received])
                blocks = [len(OURS.findall(data)) for data in received]
                self.assertEqual([0] * whole_lines + [1] * (self.LENGTH - whole_lines), blocks)

    def test_a_byte_per_call(self):
        steps = [["write", len(self.REQUEST)]]
        self.check([Connection(self.REQUEST, steps), Connection(self.REQUEST, steps, options=["nonblocking"])], exact=False,
                   short_sends=",".join(["1"] * self.LENGTH))
        self.check([Connection(self.REQUEST, steps, options=["nonblocking"])], exact=False,
                   short_sends=",".join(["1", "again"] * self.LENGTH))

    def test_nothing_at_first(self):
        """The whole head is offered once more, as it was, or cut in another way."""
        data = self.REQUEST
        for short in ("again", "again,again,intr,again", "5,again", "again,5,again"):
            with self.subTest(short=short):
                self.check([Connection(data, [["write", len(data)]], options=["nonblocking"]),
                            Connection(data, [["writev", 10, 20, len(data) - 30]], options=["nonblocking"]),
                            Connection(data, [["write", 10], ["write", len(data) - 10]], options=["nonblocking"])],
                           exact=False, short_sends=short)

    def test_head_in_pieces_each_cut(self):
        data = self.REQUEST
        steps = [["write", 25], ["write", 25], ["write", len(data) - 50]]
        for short in ("%,again", "25,%,again", "25,25,%,again", "25,25,%,again,1,again,1,again"):
            with self.subTest(short=short):
                self.check([Connection(data, steps, options=["nonblocking"])] * (len(data) + 20), exact=False,
                           short_sends=short)

    def test_reset_amid_our_lines(self):
        """The connection breaks while a part of our block is out: the program is told so."""
        data = self.REQUEST
        end = data.index("\r\n\r\n")
        for taken in (5, end, end + 1, end + 2, end + 30, end + 74):
            with self.subTest(taken=taken):
                process_result = self._broken(data, taken)
                self.assertEqual(1, process_result[0])
                self.assertIn(b"ConnectionResetError", process_result[1])

    def _broken(self, data, taken):
        script = self.directory / "script.json"
        script.write_text(json.dumps([{"port": self.server.port, "data": data, "steps": [["write", len(data)]]}]))
        env = self.spanshim.env()
        env["SHORT_SENDS"] = f"{taken},reset"
        env["LD_PRELOAD"] += f":{BUILD / 'tests' / 'libshort_sends.so'}"
        process = self.run_program([PYTHON, CLIENTS / "scripted.py", script], env=env)
        return process.wait(60), process.err


class SlowPeer:
    """Takes one connection with a tiny window, and reads it a few bytes at a time until it is told to hurry."""

    def __init__(self):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen()
        self.port = self._listener.getsockname()[1]
        self.received = b""
        self.hurry = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        connection, _ = self._listener.accept()
        with connection:
            length = None
            while length is None or len(self.received) < length:
                self.hurry.wait(0.01)
                part = connection.recv(1 << 20 if self.hurry.is_set() else 1)
                if not part:
                    return
                self.received += part
                head = self.received.find(b"\r\n\r\n")
                if length is None and head >= 0:
                    length = head + 4 + int(re.search(rb"Content-Length: (\d+)", self.received)[1])
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def close(self):
        """It has read everything."""
        self._thread.join(60)
        self._listener.close()


class SlowTest(InjectionTest):
    """A peer that reads a byte now and then, over small buffers: the kernel's own way to take little."""

    def test_slow_reader(self):
        data = post("0123456789" * 30_000, fields=[(f"X-Fill-{number}", "y" * 1000) for number in range(5)])
        for options in (["tiny", "nonblocking"], ["tiny", "edge"], ["tiny"]):
            with self.subTest(options=options):
                self._exchange(data, options)

    def _exchange(self, data, options):
        peer = SlowPeer()
        self.addCleanup(peer.close)
        self.addCleanup(peer.hurry.set)
        self.sink.clear()
        script = self.directory / "script.json"
        steps = [["write", 1000], ["write", 3000], ["write", len(data) - 4000]]
        script.write_text(json.dumps([{"port": peer.port, "data": data, "steps": steps, "options": options}]))
        process = self.run_program([PYTHON, CLIENTS / "scripted.py", script], env=self.spanshim.env())
        wait_until(lambda: len(peer.received) > 100, what="the peer reads")
        peer.hurry.set()
        self.assertEqual(0, process.wait(), process.err.decode())
        peer.close()
        self.assertEqual(1, len(OURS.findall(peer.received)))
        self.assertEqual(data.encode(), OURS.sub(b"", peer.received))
        calls = json.loads(process.out)["calls"]
        self._check_counts(Connection(data, steps), calls)
        self.assertEqual(1, len(self._client_spans(1)))


class WithheldTest(InjectionTest):
    """Requests that go out as they are, and why."""

    def _whole(self, data, **script):
        return Connection(data, [["write", len(data)]], **script)

    def test_long_head(self):
        """Servers refuse 8 KiB and more; what is shorter by our lines or more is added to."""
        self.check([self._whole(get(fields=[("X-Fill", "y" * 7300)]))])
        for length in (7700, 12_000, 100_000):
            self.check([self._whole(get(fields=[("X-Fill", "y" * length)]))], withheld="head_too_long")

    def test_long_head_in_pieces(self):
        data = get(fields=[("X-Fill", "y" * 10_000)])
        self.check([Connection(data, [["write", 5000], ["write", len(data) - 5000]])], withheld="head_too_long")

    def test_many_fields(self):
        self.check([self._whole(get(fields=[(f"X-{number}", "y") for number in range(90)]))])
        self.check([self._whole(get(fields=[(f"X-{number}", "y") for number in range(98)]))], withheld="too_many_fields")

    def test_many_buffers(self):
        data = post("b" * 1024)
        ones = [1] * 1023 + [len(data) - 1023]
        for call in VECTOR_CALLS:
            self.check([Connection(data, [[call, *ones[:500], len(data) - 500]])])
            self.check([Connection(data, [[call, *ones]])], withheld="too_many_buffers")

    def test_own_header(self):
        """The program traces itself: its header stays, and our span is in its trace."""
        data = get(fields=[("traceparent", OWN), ("tracestate", "a=b")])
        connections = [self._whole(data), Connection(data, [["write", 1]] * len(data))]
        bare = self.play(connections, preload=False)
        self.assertEqual(bare, self.play(connections))
        for got in self.server.connections:
            self.assertEqual(data.encode(), got.requests[0].head)
        spans = self._client_spans(2)
        self.assertEqual({(OWN.split("-")[1], OWN.split("-")[2])},
                         {(span["trace_id"], span["parent_span_id"]) for span in spans.values()})

    def test_signed(self):
        """What an HTTP message signature covers is the signer's choice. AWS's names the fields that it covers."""
        for fields in ([("Signature-Input", 'sig=("@method" "host");keyid="k"'), ("Signature", "sig=:AAAA:")],
                       [("Authorization", 'Signature keyId="k",headers="(request-target) host",signature="AAAA"')]):
            self.check([self._whole(get(fields=fields))], withheld="signed")
        sigv4 = ("AWS4-HMAC-SHA256 Credential=K/20260101/eu-west-1/s3/aws4_request, "
                 "SignedHeaders=host;user-agent;x-amz-date, Signature=00ff")
        self.check([self._whole(get(fields=[("X-Amz-Date", "20260101T000000Z"), ("Authorization", sigv4)]))])

    def test_nothing_to_pass_on(self):
        """Baggage is all that is asked for, and there is none: the request is as it should be."""
        data = get()
        self.spanshim.settings["OTEL_PROPAGATORS"] = "baggage"
        self.play([self._whole(data)])
        self.assertEqual(data.encode(), self.server.requests[0].head)
        span, = self._client_spans(1).values()
        self.assertNotIn("spanshim.propagation.skipped", span["attributes"])
        self.assertEqual({}, {name: count for name, count in self.spanshim.status()["totals"]["withheld"].items() if count})

    def test_pipeline_in_one_call(self):
        """The first has our header, the others the reason why not."""
        requests = [get(), get("/size/10"), post("one")]
        data = "".join(requests)
        connections = [Connection(data, [["write", len(data)]], answers=3)]
        bare = self.play(connections, preload=False)
        self.assertEqual(bare, self.play(connections))
        received = b"".join(request.head + request.body for request in self.server.requests)
        self.assertEqual(data.encode(), OURS.sub(b"", received))
        spans = self._client_spans(3)
        self.assertEqual(3, len(spans))
        skipped = [span["attributes"].get("spanshim.propagation.skipped") for span in spans.values()]
        self.assertEqual(len(OURS.findall(received)), skipped.count(None))
        self.assertLessEqual(set(skipped), {None, "pipelined"})


class PassedOnTest(InjectionTest):
    """A proxy passes the caller's header on unchanged: what goes on is ours, once."""

    def test_nginx(self):
        _, port = servers.nginx(self, "proxy.conf", BEHIND=self.server.port)
        Traffic(port).once("GET", "/size/10", fields=[("traceparent", OWN), ("X-Other", "kept")])
        head = self.server.requests[0].head
        found = OURS.findall(head)
        self.assertEqual(1, len(found), head)
        self.assertEqual(OWN.split("-")[1].encode(), found[0][0])
        self.assertNotEqual(OWN.split("-")[2].encode(), found[0][1])
        self.assertIn(b"X-Other: kept\r\n", head)


if __name__ == "__main__":
    unittest.main(verbosity=2)
