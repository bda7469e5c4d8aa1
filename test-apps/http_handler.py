# SPDX-License-Identifier: Apache-2.0
"""A server on Python's http.server classes with the paths of httpd.c; prints its port."""

import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """Keep-alive, answers by path."""

    protocol_version = "HTTP/1.1"

    def _begin(self, status):
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")

    def _answer(self, status, body):
        self._begin(status)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status not in (204, 304):
            self.wfile.write(body)

    def _answer_in_chunks(self, length):
        self._begin(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        size = max(1000, length // 100)
        for start in range(0, length, size):
            part = b"x" * min(size, length - start)
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
        self.wfile.write(b"0\r\n\r\n")

    def do_GET(self):
        _, what, number = (self.path.partition("?")[0] + "/0").split("/")[:3]
        if what == "size":
            self._answer(200, b"x" * int(number))
        elif what == "delay":
            time.sleep(int(number) / 1000)
            self._answer(200, b"late\n")
        elif what == "chunked":
            self._answer_in_chunks(int(number))
        elif what == "status":
            self._answer(int(number), b"status\n")
        else:
            self._answer(404, b"no such path\n")

    do_HEAD = do_GET

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(200, b"%d\n" % len(body))

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Quiet."""


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print("port", server.server_address[1], flush=True)
server.serve_forever()
