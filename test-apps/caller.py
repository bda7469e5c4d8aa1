# SPDX-License-Identifier: Apache-2.0
"""A server that calls another one for each of its requests: /HOW/HOST/PORT?COUNT. The answer says what came of it. With
the arguments HOW HOST PORT: a program that calls for each line that it reads."""

import errno
import http.client
import select
import socket
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


def address_of(host, port):
    """The first IPv4 address."""
    return socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_STREAM)[0][4]


def blocking(host, port):
    """A connection whose making is waited for."""
    connected = socket.socket()
    connected.connect(address_of(host, port))
    return connected


def waiting(host, port, address=None):
    """One that is made meanwhile, as event loops do."""
    connecting = socket.socket()
    connecting.setblocking(False)
    error = connecting.connect_ex(address or address_of(host, port))
    if error == errno.EINPROGRESS:
        select.select([], [connecting], [])
        error = connecting.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, "connect")
    connecting.setblocking(True)
    return connecting


def twice(host, port):
    """One whose making is asked for by a second call of connect()."""
    connecting = socket.socket()
    connecting.setblocking(False)
    error = connecting.connect_ex(address_of(host, port))
    if error == errno.EINPROGRESS:
        select.select([], [connecting], [])
        error = connecting.connect_ex(address_of(host, port))
    if error not in (0, errno.EISCONN):
        raise OSError(error, "connect")
    connecting.setblocking(True)
    return connecting


def elsewhere(host, port):
    """One whose address was looked up by another thread."""
    found = []
    thread = threading.Thread(target=lambda: found.append(address_of(host, port)))
    thread.start()
    thread.join()
    return waiting(host, port, found[0])


WAYS = {way.__name__: way for way in (blocking, waiting, twice, elsewhere)}


def call(how, host, port, count):
    """So many requests on one connection; the statuses, or the error's name."""
    connection = http.client.HTTPConnection(host, port)
    try:
        connection.sock = WAYS[how](host, port)
        statuses = []
        for number in range(count):
            connection.request("GET", f"/{number}")
            response = connection.getresponse()
            response.read()
            statuses.append(str(response.status))
        return " ".join(statuses)
    except OSError as error:
        return errno.errorcode[error.errno]
    finally:
        connection.close()


class Caller(BaseHTTPRequestHandler):
    """Calls, and tells."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        """The only one."""
        path, _, count = self.path.partition("?")
        _, how, host, port = path.split("/")
        body = call(how, host, int(port), int(count or 1)).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        """Silence."""


if __name__ == "__main__":
    if len(sys.argv) > 2:  # no server: a call for each line that is read
        for _ in sys.stdin:
            print(call(sys.argv[1], sys.argv[2], int(sys.argv[3]), 1), flush=True)
    else:
        HTTPServer(("127.0.0.1", int(sys.argv[1])), Caller).serve_forever()
