# SPDX-License-Identifier: Apache-2.0
"""A Flask application with the paths of httpd.c."""

import time

from flask import Flask, Response, request

app = Flask(__name__)


@app.route("/size/<int:count>", methods=["GET", "POST"])
def size(count):
    return Response(b"x" * count, content_type="text/plain")


@app.route("/delay/<int:ms>")
def delay(ms):
    time.sleep(ms / 1000)
    return "late\n"


@app.route("/echo", methods=["POST", "PUT"])
def echo():
    return f"{len(request.get_data())}\n"


@app.route("/status/<int:code>")
def status(code):
    return Response(b"" if code in (204, 304) else b"status\n", status=code)


@app.route("/chunked/<int:count>")
def chunked(count):
    step = max(1000, count // 100)
    return Response(b"x" * min(step, count - start) for start in range(0, count, step))
