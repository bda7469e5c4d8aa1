# SPDX-License-Identifier: Apache-2.0
"""An HTTP/1 client that sends exactly the bytes it is given and reads answers strictly, one at a time."""

import socket
import time

import socket_diag
from processes import PATIENCE_S, wait_until


class Response:
    """One answer: status, header fields (lower-case names), body without framing, and the bytes as they came."""

    def __init__(self, status, fields, body, raw):
        self.status = status
        self.fields = fields
        self.body = body
        self.raw = raw

    @property
    def closes(self):
        """Does the server close the connection after it?"""
        wants = self.fields.get("connection", "").lower()
        return wants == "close" or (self.raw.startswith(b"HTTP/1.0") and wants != "keep-alive")


class Connection:
    """A connection to a server on this machine; `address` is a port of the loopback or a unix socket's path."""

    def __init__(self, address, timeout=PATIENCE_S, ipv6=False):
        self.address = address
        if isinstance(address, str):
            self.socket = socket.socket(socket.AF_UNIX)
            target = address
        else:
            self.socket = socket.socket(socket.AF_INET6 if ipv6 else socket.AF_INET)
            target = ("::1" if ipv6 else "127.0.0.1", address)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(target)
        except OSError:
            self.socket.close()
            raise
        if not isinstance(address, str):
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.local_port = None if isinstance(address, str) else self.socket.getsockname()[1]
        self.sent = 0  # bytes
        self.buffer = bytearray()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Close the connection; done twice is done once."""
        self.socket.close()

    def send(self, data):
        """Send exactly these bytes."""
        self.socket.sendall(data)
        self.sent += len(data)

    def request(self, method, target, body=None, fields=(), version="HTTP/1.1"):
        """Send one request whole and read its answer."""
        self.send(request_bytes(method, target, body, fields, version, self.host))
        return self.read_response(method)

    @property
    def host(self):
        """What a client would put into Host."""
        return "localhost" if isinstance(self.address, str) else f"localhost:{self.address}"

    def read_head(self):
        """Read an answer's head and no more of it than comes along; the bytes up to the blank line."""
        return self.read_until(b"\r\n\r\n")

    def wait_until_read(self):
        """Wait until the server has read all that was sent. The last moment at which it had not, as far as was seen, or None."""
        unread = None

        def is_read():
            nonlocal unread
            now = time.monotonic()
            if socket_diag.read_bytes(self.socket) == self.sent:
                return True
            unread = now
            return False

        wait_until(is_read, what="the server reads", interval=0.001)
        return unread

    def _fill(self):
        data = self.socket.recv(65536)
        self.buffer += data
        return bool(data)

    def read_until(self, mark):
        """Read up to and with this mark."""
        while mark not in self.buffer:
            if not self._fill():
                raise EOFError(f"connection closed before {mark!r}; had {bytes(self.buffer[:200])!r}")
        return self._take(self.buffer.index(mark) + len(mark))

    def read_exactly(self, count):
        """Read so many bytes."""
        while len(self.buffer) < count:
            if not self._fill():
                raise EOFError(f"connection closed {count - len(self.buffer)} bytes early")
        return self._take(count)

    def _take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data

    def _chunked(self):
        raw, body = bytearray(), bytearray()
        while True:
            line = self.read_until(b"\r\n")
            raw += line
            size = int(line.split(b";")[0], 16)
            if size == 0:
                break
            data = self.read_exactly(size + 2)
            raw += data
            body += data[:-2]
        while True:
            line = self.read_until(b"\r\n")
            raw += line
            if line == b"\r\n":
                return bytes(raw), bytes(body)

    def read_response(self, method="GET"):
        """Read one final answer; informational ones before it are kept in `raw`."""
        raw = b""
        while True:
            head = self.read_until(b"\r\n\r\n")
            raw += head
            lines = head[:-4].decode("latin-1").split("\r\n")
            status = int(lines[0].split(" ")[1])
            if status >= 200 or status == 101:
                break
        fields = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            fields[name.lower()] = value.strip()
        if method == "HEAD" or status in (101, 204, 304):
            body = framed = b""
        elif fields.get("transfer-encoding", "").lower() == "chunked":
            framed, body = self._chunked()
        elif "content-length" in fields:
            framed = body = self.read_exactly(int(fields["content-length"]))
        else:
            while self._fill():
                pass
            framed = body = self._take(len(self.buffer))
        return Response(status, fields, body, raw + framed)


def request_bytes(method, target, body=None, fields=(), version="HTTP/1.1", host="localhost"):
    """A request as bytes. `body` is bytes (counted) or a list of bytes (chunked)."""
    head = [f"{method} {target} {version}", f"Host: {host}"]
    head += [f"{name}: {value}" for name, value in fields]
    payload = b""
    if isinstance(body, list):
        head.append("Transfer-Encoding: chunked")
        payload = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in body) + b"0\r\n\r\n"
    elif body is not None:
        head.append(f"Content-Length: {len(body)}")
        payload = body
    return "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + payload
