# SPDX-License-Identifier: Apache-2.0
"""A Flask application that answers what the server at NEXT answers. Connections to it are kept; of the request it passes on
the target, no header field. With ?times=N it asks N times."""

import os

import requests
from flask import Flask, Response, request

NEXT = os.environ["NEXT"]
app = Flask(__name__)
session = requests.Session()
session.mount("http://", requests.adapters.HTTPAdapter(pool_maxsize=32))


@app.route("/<path:_>")
def pass_on(_):
    for _ in range(request.args.get("times", 1, int)):
        answer = session.get(NEXT + request.environ["RAW_URI"])
    return Response(answer.content, answer.status_code, content_type=answer.headers.get("Content-Type"))
