# SPDX-License-Identifier: Apache-2.0
"""http.server with a thread for each connection, whose handler asks the server behind it over a connection of the thread's
own: `python3 handler.py PORT`."""

import http.client
import http.server
import os
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def setup(self):
        super().setup()
        self.behind = http.client.HTTPConnection("127.0.0.1", int(os.environ["BEHIND"]), timeout=30)

    def do_GET(self):
        self.behind.request("GET", self.path)
        body = self.behind.getresponse().read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
