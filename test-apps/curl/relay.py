# SPDX-License-Identifier: Apache-2.0
"""A server that asks another one by libcurl for each request, with the trace header that came: relay.py UPSTREAM"""

import http.server
import io
import sys

import pycurl


class Relay(http.server.BaseHTTPRequestHandler):
    """One request after the other, by one handle."""

    protocol_version = "HTTP/1.1"
    curl = pycurl.Curl()

    def do_GET(self):
        """Answer what the other one answers."""
        body = io.BytesIO()
        passed_on = [f"{name}: {value}" for name, value in self.headers.items() if name in ("traceparent", "X-Other")]
        self.curl.setopt(pycurl.URL, sys.argv[1] + self.path)
        self.curl.setopt(pycurl.NOPROXY, "*")
        self.curl.setopt(pycurl.HTTPHEADER, ["X-First: 1", *passed_on, "X-Last: 2"])
        self.curl.setopt(pycurl.WRITEDATA, body)
        self.curl.perform()
        self.send_response(self.curl.getinfo(pycurl.RESPONSE_CODE))
        self.send_header("Content-Length", str(len(body.getvalue())))
        self.end_headers()
        self.wfile.write(body.getvalue())

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        """Quiet."""


def main():
    """Serve for ever."""
    with http.server.HTTPServer(("127.0.0.1", 0), Relay) as server:
        print("port", server.server_address[1], flush=True)
        server.serve_forever()


main()
