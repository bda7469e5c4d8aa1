# SPDX-License-Identifier: Apache-2.0
"""A server with a thread for each connection, which asks the server behind for the path it is asked for: `python3 watcher.py
PORT`. One more thread asks the kernel about all connections every 3 ms, and then asks for /own/N."""

import http.server
import itertools
import os
import socket
import sys
import threading
import time
import urllib.request

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"
connections = set()


def ask(path):
    with urllib.request.urlopen(BEHIND + path, timeout=30) as behind:
        return behind.read()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        connections.add(self.connection)

    def finish(self):
        connections.discard(self.connection)
        super().finish()

    def do_GET(self):
        body = ask(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def watch():
    for number in itertools.count():
        time.sleep(0.003)
        for connection in list(connections):
            try:
                connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
            except OSError:
                pass  # it was closed meanwhile
        ask(f"/own/{number}")


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


threading.Thread(target=watch, daemon=True).start()
Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
