# SPDX-License-Identifier: Apache-2.0
"""Servers of protocols that are spoken in lines, FTP and SMTP: as much of them as one client's transfer needs."""

import socket
import threading

STORED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"  # looks like something else


class LineServer:
    """Serves one connection in a thread. What it was told is kept."""

    scheme = greeting = ""

    def __init__(self):
        self.received = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(20)
        self._listener.close()

    def _serve(self):
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return
        with connection, connection.makefile("rwb", buffering=0) as stream:
            stream.write(self.greeting.encode() + b"\r\n")
            for line in stream:
                self.received.append(line.split()[0] if line.startswith((b"EPRT", b"EHLO")) else line)
                if not self.answer(stream, line.split()[0].upper()):
                    return

    def answer(self, stream, verb):
        """Answer one line; false: it was the last."""
        raise NotImplementedError


class FtpServer(LineServer):
    """One file, to be fetched or stored, over a connection of its own for the data."""

    scheme, greeting = "ftp", "220 here"
    replies = {b"USER": b"331 and", b"PASS": b"230 in", b"PWD": b'257 "/"', b"TYPE": b"200 so", b"QUIT": b"221 bye"}

    def __init__(self):
        super().__init__()
        self._data = None

    def answer(self, stream, verb):
        if verb == b"EPSV":
            self._data = socket.create_server(("127.0.0.1", 0))
            stream.write(b"229 there (|||%d|)\r\n" % self._data.getsockname()[1])
        elif verb in (b"RETR", b"STOR"):
            self._transfer(stream, verb)
        else:
            stream.write(self.replies.get(verb, b"500 what") + b"\r\n")
        return verb != b"QUIT"

    def _transfer(self, stream, verb):
        connection, _ = self._data.accept()
        self._data.close()
        with connection, connection.makefile("rwb") as data:
            stream.write(b"150 now\r\n")
            if verb == b"RETR":
                data.write(STORED)
            else:
                self.received.append(data.read())
        stream.write(b"226 done\r\n")


class SmtpServer(LineServer):
    """Takes mail."""

    scheme, greeting = "smtp", "220 here"

    def answer(self, stream, verb):
        if verb == b"DATA":
            stream.write(b"354 go on\r\n")
            for line in stream:
                self.received.append(line)
                if line == b".\r\n":
                    break
        stream.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 so\r\n")
        return verb != b"QUIT"
