# SPDX-License-Identifier: Apache-2.0
"""Starts curl for each request, as the path's first part says, and answers with what it printed: `handler.py PORT`"""

import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

WAYS = {
    "run": lambda argv: subprocess.run(argv, stdout=subprocess.PIPE, check=True).stdout,
    "env": lambda argv: subprocess.run(argv, env={**os.environ, "MORE": "1"}, stdout=subprocess.PIPE, check=True).stdout,
    "fork": lambda argv: subprocess.run(argv, preexec_fn=os.getpid, stdout=subprocess.PIPE, check=True).stdout,
    "shell": lambda argv: subprocess.run(" ".join(argv), shell=True, stdout=subprocess.PIPE, check=True).stdout,
    "bash": lambda argv: subprocess.run(["bash", "-c", f"echo -n $({' '.join(argv)})"], stdout=subprocess.PIPE, check=True).stdout,
    "popen": lambda argv: os.popen(" ".join(argv)).read().encode(),
    "clean": lambda argv: subprocess.run(["env", "-i", *argv], stdout=subprocess.PIPE, check=True).stdout,
}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):  # pylint: disable=invalid-name
        body = b"ready"
        if self.path.split("/")[1] in WAYS:
            body = WAYS[self.path.split("/")[1]](["curl", "-s", os.environ["BEHIND"] + self.path])
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
