# SPDX-License-Identifier: Apache-2.0
"""A client that sends as a script says, by exactly these calls: scripted.py FILE

The file is JSON: one object for each connection, made one after the other:
  port     of the loopback
  data     what is sent (Latin-1)
  steps    [call, length...]: a call of libc, with buffers of these lengths, the next bytes of the data; a call that takes less is
           made again with the rest of its buffers. [sendfile, offset, length] sends part of `file`. [pause, seconds] waits.
           [cork, 0 or 1] sets TCP_CORK.
  then     when a call took less, the rest of its buffers goes by this one: a call, or sendfile or splice, out of `file`, which holds
           the data
  flags    of the calls that have some
  options  nonblocking (after EAGAIN poll), edge (the same, by an edge-triggered epoll), tiny (a small send buffer), fastopen
           (the first call connects)
  answers  how many are read in the end

Printed is for each connection a line of JSON: what each call asked for and what it returned, and the answers' status lines."""

import ctypes
import json
import os
import select
import socket
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
ERRORS = {11: "EAGAIN", 4: "EINTR", 104: "ECONNRESET", 32: "EPIPE", 115: "EINPROGRESS"}


class Iovec(ctypes.Structure):
    """struct iovec"""

    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class Msghdr(ctypes.Structure):
    """struct msghdr"""

    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint), ("iov", ctypes.POINTER(Iovec)),
                ("iov_count", ctypes.c_size_t), ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Mmsghdr(ctypes.Structure):
    """struct mmsghdr"""

    _fields_ = [("header", Msghdr), ("length", ctypes.c_uint)]


def sockaddr_of(port):
    """A struct sockaddr_in of the loopback, as bytes."""
    return socket.AF_INET.to_bytes(2, "little") + port.to_bytes(2, "big") + bytes([127, 0, 0, 1]) + bytes(8)


class Calls:
    """libc's sending calls, over buffers given as pairs of address and length. Each returns what the call did."""

    def __init__(self, fd, port, flags):
        self.fd = fd
        self.flags = flags
        self.address = ctypes.create_string_buffer(sockaddr_of(port), 16)

    def write(self, buffers):
        """Of the first buffer, as the next two."""
        return LIBC.write(self.fd, ctypes.c_void_p(buffers[0][0]), ctypes.c_size_t(buffers[0][1]))

    def send(self, buffers):
        """With the flags."""
        return LIBC.send(self.fd, ctypes.c_void_p(buffers[0][0]), ctypes.c_size_t(buffers[0][1]), self.flags)

    def sendto(self, buffers):
        """To the peer by its address where it connects, else to nobody in particular."""
        to, length = (self.address, 16) if self.flags & socket.MSG_FASTOPEN else (None, 0)
        return LIBC.sendto(self.fd, ctypes.c_void_p(buffers[0][0]), ctypes.c_size_t(buffers[0][1]), self.flags, to, length)

    @staticmethod
    def _vector(buffers):
        return (Iovec * len(buffers))(*[Iovec(*buffer) for buffer in buffers])

    def writev(self, buffers):
        """All buffers."""
        return LIBC.writev(self.fd, self._vector(buffers), len(buffers))

    def pwritev2(self, buffers):
        """All buffers, at no offset."""
        return LIBC.pwritev2(self.fd, self._vector(buffers), len(buffers), ctypes.c_long(-1), 0)

    def _message(self, buffers):
        return Msghdr(None, 0, self._vector(buffers), len(buffers), None, 0, 0)

    def sendmsg(self, buffers):
        """All buffers in a message."""
        return LIBC.sendmsg(self.fd, ctypes.byref(self._message(buffers)), self.flags)

    def sendmmsg(self, buffers):
        """A message for each buffer; what went out of all of them."""
        messages = (Mmsghdr * len(buffers))(*[Mmsghdr(self._message([buffer]), 0) for buffer in buffers])
        n = LIBC.sendmmsg(self.fd, messages, len(buffers), self.flags)
        return n if n < 0 else sum(message.length for message in messages[:n])


class Conversation:
    """One connection."""

    def __init__(self, script):
        self.script = script
        self.options = script.get("options", [])
        self.log = []
        self.data = ctypes.create_string_buffer(script["data"].encode("latin-1"))
        self.at = ctypes.addressof(self.data)
        self.socket = socket.socket()
        if "tiny" in self.options:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        if "fastopen" not in self.options:
            self.socket.connect(("127.0.0.1", script["port"]))
        self.socket.setblocking(not {"nonblocking", "edge"} & set(self.options))
        self.poll = select.epoll() if "edge" in self.options else select.poll()
        self.poll.register(self.socket, select.EPOLLOUT | select.EPOLLET if "edge" in self.options else select.POLLOUT)
        self.calls = Calls(self.socket.fileno(), script["port"], script.get("flags", 0))

    def run(self):
        """Send all of it and read the answers."""
        for call, *arguments in self.script["steps"]:
            if call == "pause":
                time.sleep(arguments[0])
            elif call == "cork":
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, arguments[0])
            elif call == "sendfile":
                self._send_file(*arguments)
            else:
                self._send(getattr(self.calls, call), arguments)
                self.calls.flags &= ~socket.MSG_FASTOPEN
        self.socket.setblocking(True)
        answers = [self._read_answer() for _ in range(self.script.get("answers", 1))]
        self.socket.close()
        return {"calls": self.log, "answers": answers}

    def _send(self, call, lengths):
        buffers = []
        for length in lengths:
            buffers.append((self.at, length))
            self.at += length
        while buffers:
            n = call(buffers)
            number = ctypes.get_errno()
            self.log.append([sum(length for _, length in buffers), n if n >= 0 else ERRORS.get(number, number)])
            if n < 0:
                self._failed(number)
                continue
            buffers = advance(buffers, n)
            then = self.script.get("then")
            if not then or not buffers:
                continue
            if not hasattr(self.calls, then):
                self._send_file(buffers[0][0] - ctypes.addressof(self.data), sum(length for _, length in buffers), then)
                return
            call = getattr(self.calls, then)

    def _failed(self, number):
        if number in (11, 115):
            self.poll.poll()
        elif number != 4:
            raise OSError(number, os.strerror(number))

    def _send_file(self, offset, length, how="sendfile"):
        with open(self.script["file"], "rb") as file:
            end = offset + length
            while offset < end:
                try:
                    n = getattr(self, f"_by_{how}")(file.fileno(), offset, end - offset)
                except BlockingIOError:
                    self.poll.poll()
                    continue
                offset += n

    def _by_sendfile(self, file, offset, length):
        return os.sendfile(self.socket.fileno(), file, offset, length)

    def _by_splice(self, file, offset, length):
        """All that fits into a pipe: a part of it would be left there."""
        source, sink = os.pipe()
        n = left = os.splice(file, sink, min(length, 4096), offset_src=offset)
        while left:
            try:
                left -= os.splice(source, self.socket.fileno(), left)
            except BlockingIOError:
                self.poll.poll()
        os.close(source)
        os.close(sink)
        return n

    def _read_answer(self):
        data = b""
        while b"\r\n\r\n" not in data:
            part = self.socket.recv(1)
            if not part:
                return "end of file"
            data += part
        head = data.decode("latin-1").split("\r\n")
        left = next(int(line.split(":")[1]) for line in head if line.lower().startswith("content-length"))
        while left:
            left -= len(self.socket.recv(left))
        return head[0]


def advance(buffers, n):
    """The buffers without their first n bytes."""
    left = []
    for address, length in buffers:
        used = min(n, length)
        n -= used
        if length > used:
            left.append((address + used, length - used))
    return left


def main():
    """Make the connections of the script."""
    with open(sys.argv[1], encoding="ascii") as file:
        scripts = json.load(file)
    for script in scripts:
        print(json.dumps(Conversation(script).run()), flush=True)


main()
