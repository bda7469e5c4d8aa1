# SPDX-License-Identifier: Apache-2.0
"""What the stand-ins for receivers have in common: they listen, read requests, and misbehave in every way that a real one
does."""

import socket
import threading
import time

from processes import PATIENCE_S, free_port

HEAD_MAX = 65536


class HttpSink:
    """A receiver; every connection has a thread. Modes that are handled here: refuse (nobody listens); hang and slow are
    for the answers to make, with _sleep()."""

    modes = ("refuse",)

    def __init__(self, port=0, mode="ok", tls=None, **options):
        self._tls = tls  # an ssl.SSLContext: https
        self._lock = threading.RLock()
        self._changed = threading.Condition(self._lock)
        self._connections = set()
        self._violations = []
        self._listener = None
        self._closed = False
        self.requests = []
        self.connection_count = 0
        self.mode = None
        self.options = {}
        self.port = port or free_port()
        self._bind()
        self._listen()
        self.set_mode(mode, **options)

    @property
    def url(self):
        """Where it listens."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def set_mode(self, mode, **options):
        """How requests are answered from now on."""
        if mode not in self.modes:
            raise ValueError(mode)
        with self._lock:
            before, self.mode, self.options = self.mode, mode, options
            self._changed.notify_all()
        if mode == "refuse":
            self._stop_listening()
            self._bind()  # without listen(): the port stays ours and refuses
            self._drop_connections()
        elif before == "refuse":
            self._listen()

    def wait_for_requests(self, count, timeout=PATIENCE_S):
        """Until at least `count` requests were answered or left unanswered."""
        deadline = time.monotonic() + timeout
        with self._lock:
            while len(self.requests) < count:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise AssertionError(f"{len(self.requests)} of {count} requests came in {timeout} s")
                self._changed.wait(left)

    def close(self):
        """Stop; every thread ends."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()
        self._stop_listening()
        self._drop_connections()

    def _bind(self):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        self._listener = listener

    def _listen(self):
        listener = self._listener
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _stop_listening(self):
        listener, self._listener = self._listener, None
        if listener:
            try:
                # Wakes the thread in accept(); close() alone would not.
                listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it was not listening
            listener.close()

    def _drop_connections(self):
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except ConnectionAbortedError:  # reset by its client before its turn
                continue
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self._tls:
                connection = self._tls.wrap_socket(connection, server_side=True)
        except OSError:
            connection.close()
            return
        with self._lock:
            if self._closed or self.mode == "refuse":  # it had been accepted just before
                connection.close()
                return
            self._connections.add(connection)
            self.connection_count += 1
        stream = connection.makefile("rb")
        try:
            while self._serve_one(connection, stream):
                pass
        except OSError:
            pass
        finally:
            with self._lock:
                self._connections.discard(connection)
            stream.close()
            connection.close()

    def _serve_one(self, connection, stream):
        """One request; True when another may follow. One that is cut off, as its sender was killed, is none."""
        line = stream.readline(HEAD_MAX)
        if not line.endswith(b"\n") and len(line) < HEAD_MAX:
            return False
        if not line.rstrip().endswith((b" HTTP/1.1", b" HTTP/1.0")):
            self._note(f"request line {line!r}")
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers = {}
        while (line := stream.readline(HEAD_MAX)) not in (b"\r\n", b"\n"):
            if not line.endswith(b"\n") and len(line) < HEAD_MAX:
                return False
            name, _, value = line.decode("latin-1").partition(":")
            if name.lower() in headers:
                self._note(f"header {name} comes twice")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", 0))
        body = stream.read(length)
        if len(body) < length:
            return False
        with self._lock:
            mode, options = self.mode, dict(self.options)
        self._check_head(method, path, headers)
        return self._answer(connection, mode, options, path, headers, body)

    def _sleep(self, seconds, mode):
        """Wait, but no longer than the mode lasts."""
        deadline = time.monotonic() + seconds
        with self._lock:
            while not self._closed and self.mode == mode and (left := deadline - time.monotonic()) > 0:
                self._changed.wait(left)

    def _note(self, text):
        with self._lock:
            self._violations.append(text)

    def _check_head(self, method, path, headers):
        """Note what is wrong with a request's head."""

    def _answer(self, connection, mode, options, path, headers, body):
        """Answer a request: True when another may follow."""
        raise NotImplementedError
