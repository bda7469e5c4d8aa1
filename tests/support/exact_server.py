# SPDX-License-Identifier: Apache-2.0
"""A server for tests of clients: it keeps each request byte for byte, by connection, and answers as the path says.

    /size/N        200 with N counted bytes             /status/N      that status and a short body
    /chunked/N     in chunks                            /moved/PATH    302 to /PATH
    /close/N       up to the connection's end           /login         401, and 200 once there is an Authorization field
    /slow/MS       half, and the rest after MS          /echo          how many bytes of body came
    /last/N        as /size, then it closes             /hints         103 before 200
    /reset/N       half of N counted bytes, then RST    /cut/N         half of them, then the connection's end
    /drop          no answer, the connection's end      /hang          no answer until the client leaves
    /reject        401 before the body is read          /elsewhere/PATH  302 to /PATH of the host with another name"""

import contextlib
import re
import socket
import struct
import threading
import time

import socket_diag
from processes import PATIENCE_S, wait_until

HEAD_MAX = 1 << 20
TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
REQUEST_LINE = re.compile(rb"([A-Z]+) ([\x21-\x7e]+) HTTP/1\.([01])")
PATTERN = b"0123456789abcdefghijklmnopqrstuvwxyz" * 1000


def pattern(count):
    """So many bytes that are easily told from others."""
    return (PATTERN * (count // len(PATTERN) + 1))[:count]


class Request:
    """One request, and what became of it."""

    def __init__(self, head, client_port):
        self.head = head  # with the blank line
        self.body = b""  # as on the wire
        self.length = 0  # of the body without framing
        self.client_port = client_port
        self.status = 0  # sent, of the final answer
        self.sent = 0  # bytes of the answer's body, without framing
        self.ending = "whole"  # or cut, reset, none
        match = REQUEST_LINE.fullmatch(head.split(b"\r\n")[0])
        self.method, self.target = (part.decode() for part in match.groups()[:2]) if match else ("", "")
        self.is_old = bool(match) and match[3] == b"0"

    def values(self, name):
        """The values of the fields with this name, in any case."""
        lines = [line.partition(b":") for line in self.head.split(b"\r\n")[1:-2]]
        return [value.strip().decode("latin-1") for field, _, value in lines if field.decode("latin-1").lower() == name]

    @property
    def wants_close(self):
        """Is it the last one on its connection, by its own words?"""
        options = ",".join(self.values("connection")).lower()
        return "close" in options or (self.is_old and "keep-alive" not in options)

    def faults(self):
        """What a strict server refuses."""
        lines = self.head[:-4].split(b"\r\n")
        if not self.method:
            yield f"request line {lines[0]!r}"
        for line in lines[1:]:
            name, colon, value = line.partition(b":")
            if not colon or not TOKEN.fullmatch(name) or re.search(rb"[\0\r\n]", value):
                yield f"field {line!r}"
        for name in ("host", "content-length", "transfer-encoding"):
            if len(self.values(name)) > 1:
                yield f"{name} comes twice"
        if not self.is_old and not self.values("host"):
            yield "no host"


class Gone(Exception):
    """The client has left, or is to be left: the connection is over."""


class ClientConnection:
    """One connection, served by a thread."""

    def __init__(self, server, sock, port):
        self.requests = []
        self.rest = b""  # bytes behind the last whole request
        self._server = server
        self._socket = sock
        self._port = port
        self._written = 0  # bytes

    def serve(self):
        """Answer until it is over."""
        try:
            while self._serve_one():
                pass
        except (Gone, OSError):
            pass
        finally:
            self._socket.close()

    def leave(self):
        """End it from another thread."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    # Reading

    def _fill(self):
        data = self._socket.recv(1 << 18)
        if not data:
            raise Gone
        self.rest += data

    def _take(self, count):
        if len(self.rest) >= count:
            data, self.rest = self.rest[:count], self.rest[count:]
            return data
        data = bytearray(count)
        filled = len(self.rest)
        data[:filled], self.rest = self.rest, b""
        while filled < count:
            n = self._socket.recv_into(memoryview(data)[filled:])
            if not n:
                self.rest = bytes(data[:filled])
                raise Gone
            filled += n
        return bytes(data)

    def _take_until(self, mark):
        while mark not in self.rest and len(self.rest) < HEAD_MAX:
            self._fill()
        return self._take(self.rest.index(mark) + len(mark))

    def _read_body(self, request):
        if request.values("expect") == ["100-continue"]:
            self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        if request.values("transfer-encoding") == ["chunked"]:
            while True:
                line = self._take_until(b"\r\n")
                size = int(line.split(b";")[0], 16)
                request.body += line + self._take(size + 2)
                request.length += size
                if not size:
                    return
        request.length = int((request.values("content-length") or ["0"])[0])
        request.body = self._take(request.length)

    # Answering

    def _send(self, data):
        self._written += len(data)
        self._socket.sendall(data)

    def _serve_one(self):
        head = self._take_until(b"\r\n\r\n")
        request = Request(head, self._port)
        self.requests.append(request)
        for fault in request.faults():
            self._server.note(fault)
        words = request.target.partition("?")[0].split("/")[1:]
        if words[0] != "reject":
            self._read_body(request)
        return self._server.answer(self, request, words)

    def send_head(self, request, status, *fields):
        """An answer's head; the connection's end is said where it follows."""
        lines = [f"HTTP/1.1 {status} Any Reason", *fields]
        if request.wants_close:
            lines.append("Connection: close")
        elif request.is_old:
            lines.append("Connection: keep-alive")
        request.status = status
        self._send(("\r\n".join(lines) + "\r\n\r\n").encode())

    def send_body(self, request, data):
        """Bytes of an answer's body, but to HEAD."""
        if request.method != "HEAD":
            request.sent += len(data)
            self._send(data)

    def send_chunks(self, request, data):
        """A body in chunks."""
        for start in range(0, len(data), 10_000):
            part = data[start:start + 10_000]
            request.sent += len(part)
            self._send(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
        self._send(b"0\r\nX-Trailer: yes\r\n\r\n")

    def send_plain(self, request, status, data, *fields):
        """A whole answer; whether another request may follow."""
        self.send_head(request, status, f"Content-Length: {len(data)}", *fields)
        self.send_body(request, data)
        return not request.wants_close

    def send_informational(self, line):
        """An answer that is not the final one."""
        self._send(b"HTTP/1.1 %s\r\n\r\n" % line)

    def wait_read(self):
        """Until the client has read all that was sent."""
        wait_until(lambda: socket_diag.read_bytes(self._socket) in (None, self._written), what="the client reads")

    def wait_left(self):
        """Until the client closes; whatever it sends is kept."""
        with contextlib.suppress(Gone):
            while True:
                self._fill()

    def reset(self):
        """End it by RST."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class ExactServer:
    """Listens on `port` of the loopback; every connection has a thread."""

    def __init__(self):
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self.connections = []
        self.violations = []
        self._threads = []
        self._marks = {}  # ports of connections of our own: all that came before has been accepted when it is their turn
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    @property
    def requests(self):
        """All requests, in the order of connections."""
        return [request for connection in self.connections for request in connection.requests]

    def note(self, fault):
        """Something that no client may do."""
        self.violations.append(fault)

    def settle(self):
        """Wait until every connection is over; clients that have ended leave none, not even one that was yet to be accepted."""
        with socket.socket() as last:
            last.bind(("127.0.0.1", 0))
            self._marks[last.getsockname()[1]] = turn = threading.Event()
            last.connect(("127.0.0.1", self.port))
            if not turn.wait(PATIENCE_S):
                raise TimeoutError("a connection is not accepted")
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(PATIENCE_S)
            if thread.is_alive():
                raise TimeoutError("a client's connection is still open")

    def clear(self):
        """Forget all requests."""
        with self._lock:
            self.connections.clear()
            self.violations.clear()
            self._threads.clear()

    def close(self):
        """Stop; every thread ends."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._acceptor.join()
        self._listener.close()
        for connection in self.connections:
            connection.leave()
        for thread in self._threads:
            thread.join(PATIENCE_S)

    def _accept(self):
        while True:
            try:
                sock, (_, port) = self._listener.accept()
            except ConnectionAbortedError:  # reset by its client before its turn
                continue
            except OSError:
                return
            if mark := self._marks.pop(port, None):
                mark.set()
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                connection = ClientConnection(self, sock, port)
                self.connections.append(connection)
                self._threads.append(threading.Thread(target=connection.serve))
                self._threads[-1].start()

    # What is answered: each returns whether another request may follow.

    def answer(self, connection, request, words):
        """As the path says."""
        kind, rest = words[0], words[1:]
        known = {"size": self._size, "last": self._last, "slow": self._slow, "chunked": self._chunked,
                 "close": self._to_end, "cut": self._cut, "reset": self._reset, "status": self._status,
                 "moved": self._moved, "elsewhere": self._elsewhere}
        if kind in known:
            return known[kind](connection, request, rest[0])
        others = {"login": self._login, "echo": self._echo, "hints": self._hints, "drop": self._drop,
                  "hang": self._hang, "reject": self._reject}
        return others.get(kind, self._missing)(connection, request)

    @staticmethod
    def _size(connection, request, count):
        return connection.send_plain(request, 200, pattern(int(count)), "Content-Type: text/plain")

    @staticmethod
    def _last(connection, request, count):
        connection.send_plain(request, 200, pattern(int(count)),
                              *([] if request.wants_close else ["Connection: close"]))
        return False

    @staticmethod
    def _slow(connection, request, milliseconds):
        data = pattern(10_000)
        connection.send_head(request, 200, f"Content-Length: {len(data)}")
        connection.send_body(request, data[:5000])
        time.sleep(int(milliseconds) / 1000)
        connection.send_body(request, data[5000:])
        return not request.wants_close

    def _chunked(self, connection, request, count):
        if request.is_old or request.method == "HEAD":
            return self._to_end(connection, request, count)
        connection.send_head(request, 200, "Transfer-Encoding: chunked")
        connection.send_chunks(request, pattern(int(count)))
        return not request.wants_close

    @staticmethod
    def _to_end(connection, request, count):
        connection.send_head(request, 200, *([] if request.wants_close else ["Connection: close"]))
        connection.send_body(request, pattern(int(count)))
        return False

    @staticmethod
    def _half(connection, request, count):
        connection.send_head(request, 200, f"Content-Length: {count}")
        connection.send_body(request, pattern(int(count) // 2))
        connection.wait_read()

    def _cut(self, connection, request, count):
        self._half(connection, request, count)
        request.ending = "cut"
        return False

    def _reset(self, connection, request, count):
        self._half(connection, request, count)
        request.ending = "reset"
        connection.reset()
        return False

    @staticmethod
    def _status(connection, request, status):
        if status in ("204", "304"):
            connection.send_head(request, int(status))
            return not request.wants_close
        return connection.send_plain(request, int(status), b"as you wish\n")

    @staticmethod
    def _moved(connection, request, target):
        path = request.target.partition("/moved")[2] if target else "/"
        return connection.send_plain(request, 302, b"over there\n", f"Location: {path}")

    def _elsewhere(self, connection, request, _):
        path = request.target.partition("/elsewhere")[2]
        return connection.send_plain(request, 302, b"over there\n", f"Location: http://localhost:{self.port}{path}")

    @staticmethod
    def _login(connection, request):
        if request.values("authorization"):
            return connection.send_plain(request, 200, b"come in\n")
        return connection.send_plain(request, 401, b"who are you?\n", 'WWW-Authenticate: Basic realm="test"')

    @staticmethod
    def _echo(connection, request):
        return connection.send_plain(request, 200, b"%d\n" % request.length)

    @staticmethod
    def _hints(connection, request):
        connection.send_informational(b"103 Early Hints\r\nLink: </style.css>; rel=preload")
        return connection.send_plain(request, 200, b"hints\n")

    @staticmethod
    def _drop(_connection, request):
        request.ending = "none"
        return False

    @staticmethod
    def _hang(connection, request):
        request.ending = "none"
        connection.wait_left()
        return False

    @staticmethod
    def _reject(connection, request):
        connection.send_plain(request, 413, b"too much\n", *([] if request.wants_close else ["Connection: close"]))
        connection.wait_left()
        return False

    @staticmethod
    def _missing(connection, request):
        return connection.send_plain(request, 404, b"no such page\n")
