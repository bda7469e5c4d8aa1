# SPDX-License-Identifier: Apache-2.0
"""A TCP relay between two programs, which keeps what went through: what was on the wire, whatever the programs say."""

import contextlib
import socket
import threading

BLOCK = 65536


class Request:
    """One request as it was sent: its line, and its fields in order, names in lower case."""

    def __init__(self, head, body):
        lines = head.decode("latin-1").split("\r\n")
        self.line = lines[0]
        self.target = lines[0].split(" ")[1]
        self.fields = [(name.lower(), value.strip(" \t")) for name, _, value in (one.partition(":") for one in lines[1:])]
        self.body = body

    def values(self, name):
        """The values of all fields of this name."""
        return [value for field, value in self.fields if field == name]

    def without(self, *names):
        """The line and the fields, but those of these names."""
        return self.line, tuple(field for field in self.fields if field[0] not in names)


def requests_in(data):
    """The requests that these bytes are; bodies are counted ones. ValueError when the last is cut off."""
    found = []
    while data:
        head, end, data = bytes(data).partition(b"\r\n\r\n")
        if not end:
            raise ValueError(f"a head without an end: {head[-200:]!r}")
        request = Request(head, b"")
        length = int((request.values("content-length") or [0])[0])
        if length > len(data):
            raise ValueError(f"{len(data)} of {length} bytes of a body")
        request.body, data = data[:length], data[length:]
        found.append(request)
    return found


class Relay:
    """Takes connections at `port` and passes them on to another port of the loopback."""

    def __init__(self, target_port):
        self.target_port = target_port
        self._lock = threading.Lock()
        self._sockets = []
        self._recorded = []  # a bytearray for each connection: what its client sent
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def connection_count(self):
        """Connections so far."""
        with self._lock:
            return len(self._recorded)

    @property
    def requests(self):
        """All requests so far, connection by connection."""
        with self._lock:
            return [request for recorded in self._recorded for request in requests_in(recorded)]

    def clear(self):
        """Forget what was sent so far."""
        with self._lock:
            for recorded in self._recorded:
                recorded.clear()

    def close(self):
        """End it, with all connections."""
        with self._lock:
            ends, self._sockets = [self._listener, *self._sockets], None
        for end in ends:
            with contextlib.suppress(OSError):  # already over
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits in it
            end.close()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except ConnectionAbortedError:  # reset by its client before its turn
                continue
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self.target_port))
            except OSError:
                client.close()
                continue
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            recorded = bytearray()
            with self._lock:
                if self._sockets is None:
                    return
                self._sockets += [client, server]
                self._recorded.append(recorded)
            for arguments in ((client, server, recorded), (server, client, None)):
                threading.Thread(target=self._pump, args=arguments, daemon=True).start()

    def _pump(self, source, sink, recorded):
        """Pass bytes on until one side ends; they are kept before they go on, so nobody can know of them earlier."""
        with contextlib.suppress(OSError):  # one side has reset its connection
            while data := source.recv(BLOCK):
                if recorded is not None:
                    with self._lock:
                        recorded += data
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
