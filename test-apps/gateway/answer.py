# SPDX-License-Identifier: Apache-2.0
"""What programs behind web servers answer: a WSGI application with the paths of httpd.c, and one that tells the trace
variables as they came."""

import time

TRACE_VARIABLES = ("HTTP_TRACEPARENT", "HTTP_TRACESTATE", "HTTP_BAGGAGE", "HTTP_B3", "HTTP_X_AMZN_TRACE_ID")


def answer(variables, body):
    """The status, the header fields and the body."""
    what, _, number = variables["REQUEST_URI"].partition("?")[0].strip("/").partition("/")
    if what == "size":
        return 200, [], b"x" * int(number)
    if what == "delay":
        time.sleep(int(number) / 1000)
        return 200, [], b"late\n"
    if what == "status":
        return int(number), [], b"status\n"
    if what == "moved":
        return 302, [("Location", "http://elsewhere.example/")], b""
    if what == "echo":
        return 200, [], b"%d\n" % len(body)
    if what == "told":
        return 200, [], "".join(f"{name}={variables[name]}\n" for name in TRACE_VARIABLES if name in variables).encode()
    return 404, [], b"no such path\n"


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    status, fields, body = answer(environ, environ["wsgi.input"].read(length) if length else b"")
    start_response(f"{status} As asked", [("Content-Length", str(len(body))), *fields])
    return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]
