# SPDX-License-Identifier: Apache-2.0
"""OTLP receivers over gRPC for tests: a real one, made of gRPC's own library, and one that says over HTTP/2 whatever the
test wants, right or wrong.

    sink = GrpcSink()                              # listens on sink.port
    sink.refuse(grpc.StatusCode.UNAVAILABLE, "restarting", times=2)
    sink.wait_for(3); sink.spans; sink.violations; sink.calls

    server = ScriptedServer(reset, accept)         # what each request gets; the last stays
    server.requests                                # dicts with headers and body"""

import concurrent.futures
import gzip
import socket
import threading
import time

import grpc
import h2.config
import h2.connection
import h2.events
import h2.exceptions

from otlp_sink import partial_success, rpc_status, varint
from otlp_wire import WireError, logs_of, spans_of
from processes import PATIENCE_S, free_port

SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"
LOGS_SERVICE = "opentelemetry.proto.collector.logs.v1.LogsService"
DETAILS = "grpc-status-details-bin"


def retry_info(seconds, nanos=0):
    """A google.rpc.Status with a RetryInfo in it."""
    def field(number, content):
        return bytes([number << 3 | 2]) + varint(len(content)) + content
    duration = b"\x08" + varint(seconds) + b"\x10" + varint(nanos)
    detail = field(1, b"type.googleapis.com/google.rpc.RetryInfo") + field(2, field(1, duration))
    return rpc_status("later") + field(3, detail)


class SpanStore:
    """Spans that come from several threads."""

    def __init__(self):
        self._changed = threading.Condition()
        self.spans = []
        self.logs = []
        self.violations = []

    def note(self, text):
        """Something that a sender must not do."""
        with self._changed:
            self.violations.append(text)

    def take(self, body):
        """The spans of a message."""
        self._take(body, spans_of, self.spans)

    def take_logs(self, body, context):
        """The log records of a call."""
        self._take(body, logs_of, self.logs)
        return b""

    def _take(self, body, read, items):
        try:
            new = read(body, self.note)
        except WireError as error:
            self.note(f"unreadable message: {error}")
            return
        with self._changed:
            items.extend(new)
            self._changed.notify_all()

    def wait_for(self, count, timeout=PATIENCE_S):
        """Until at least `count` spans have come."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(self.spans) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(self.spans)} of {count} spans came in {timeout} s")
                self._changed.wait(left)
        return self.spans


class GrpcSink(SpanStore):
    """A receiver of gRPC's own library."""

    def __init__(self, credentials=None, port=None):
        super().__init__()
        self.calls = []  # of each call: its metadata, the seconds that it had left, and when it came
        self._refusals = []
        self._may_answer = threading.Event()
        self._may_answer.set()
        self.partial = None  # (rejected, message)
        self._server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        handlers = {"Export": grpc.unary_unary_rpc_method_handler(self._export)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
        handlers = {"Export": grpc.unary_unary_rpc_method_handler(self.take_logs)}
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(LOGS_SERVICE, handlers),))
        address = f"127.0.0.1:{port or free_port()}"
        self.port = self._server.add_secure_port(address, credentials) if credentials \
            else self._server.add_insecure_port(address)
        self._server.start()

    def refuse(self, code, message, times=1, details=None):
        """The next calls end with this status."""
        self._refusals += [(code, message, details)] * times

    def hold(self):
        """Calls are not answered before replace() or close()."""
        self._may_answer.clear()

    def replace(self):
        """Stop as at a rolling update: no new calls; those under way are answered."""
        stopped = self._server.stop(PATIENCE_S)
        self._may_answer.set()
        stopped.wait()

    def close(self):
        """Stop; calls under way are cut off."""
        self._may_answer.set()
        self._server.stop(0).wait()

    def _export(self, body, context):
        self.calls.append({"metadata": dict(context.invocation_metadata()), "left": context.time_remaining(),
                           "time": time.monotonic()})
        if "OTel-OTLP-Exporter-" not in self.calls[-1]["metadata"].get("user-agent", ""):
            self.note(f"user agent of {self.calls[-1]}")
        self._may_answer.wait(PATIENCE_S)
        if self._refusals:
            code, message, details = self._refusals.pop(0)
            if details:
                context.set_trailing_metadata(((DETAILS, details),))
            context.abort(code, message)
        self.take(body)
        return partial_success(*self.partial) if self.partial else b""


class Request:
    """A request to a ScriptedServer, and what it may be answered with."""

    def __init__(self, server, connection, http2, stream):
        self._server = server
        self._connection = connection
        self._http2 = http2
        self._stream = stream
        self._is_begun = False
        self.status = 200
        self.headers = {}
        self.body = b""

    def send_headers(self, *headers, end=False):
        """Headers, or trailers."""
        status = [] if self._is_begun else [(":status", str(self.status))]
        self._http2.send_headers(self._stream, [*status, *headers], end)
        self._is_begun = True

    def send_data(self, data):
        """A part of the body."""
        self._http2.send_data(self._stream, data)

    def send_reset(self, code):
        """The stream ends here."""
        self._http2.reset_stream(self._stream, code)

    def send_goaway(self, code=0, last_stream=None):
        """The connection ends here."""
        self._http2.close_connection(code, last_stream_id=last_stream)

    def send_raw(self, data):
        """Bytes that are no HTTP/2."""
        self._connection.sendall(data)

    def message(self):
        """The request's message, without its frame."""
        compressed, length, message = self.body[0], int.from_bytes(self.body[1:5], "big"), self.body[5:]
        if length != len(message):
            self._server.note(f"a frame of {length} bytes around {len(message)}")
        return gzip.decompress(message) if compressed else message

    def take(self):
        """Keep its spans."""
        self._server.take(self.message())


def accept(request):
    """As a good receiver answers."""
    request.take()
    request.send_headers(("content-type", "application/grpc"))
    request.send_data(b"\0\0\0\0\0")
    request.send_headers(("grpc-status", "0"), end=True)


def trailers_only(*trailers):
    """An answer without a body: its status comes with the headers."""
    return lambda request: request.send_headers(("content-type", "application/grpc"), *trailers, end=True)


class ScriptedServer(SpanStore):
    """An HTTP/2 server without TLS that does what the script says; every connection has a thread."""

    def __init__(self, *script):
        super().__init__()
        self.requests = []
        self.connection_count = 0
        self._script = list(script)
        self._connections = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        """Stop."""
        for one in (self._listener, *self._connections):
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            one.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            self.connection_count += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        http2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        http2.initiate_connection()
        streams = {}
        try:
            connection.sendall(http2.data_to_send())
            while data := connection.recv(65536):
                for event in http2.receive_data(data):
                    self._on_event(connection, http2, streams, event)
                connection.sendall(http2.data_to_send())
        except (OSError, h2.exceptions.ProtocolError):
            pass
        finally:
            connection.close()

    def _on_event(self, connection, http2, streams, event):
        if isinstance(event, h2.events.RequestReceived):
            streams[event.stream_id] = Request(self, connection, http2, event.stream_id)
            streams[event.stream_id].headers = dict(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            streams[event.stream_id].body += event.data
            http2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            request = streams[event.stream_id]
            self.requests.append({"headers": request.headers, "body": request.body, "time": time.monotonic()})
            act = self._script.pop(0) if len(self._script) > 1 else self._script[0]
            act(request)
