# SPDX-License-Identifier: Apache-2.0
"""A WSGI application that asks the server behind it for the path it is asked for. `python3 wsgi_app.py PORT` serves it with a
thread for each connection. KEEP=1: connections are kept; POOL=1: a thread of a pool that all share asks. With OWN_MS set it
asks for /own/N every so many ms, on a thread of its own."""

import concurrent.futures
import itertools
import os
import sys
import threading
import time
import urllib.request

import requests
from flask import Flask

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}/"
app = Flask(__name__)
session = requests.Session()
pool = concurrent.futures.ThreadPoolExecutor(8)


def ask(path):
    if os.environ.get("KEEP") == "1":
        return session.get(BEHIND + path, timeout=30).content
    with urllib.request.urlopen(BEHIND + path, timeout=30) as answer:
        return answer.read()


def ask_by_itself(pause_s):
    for number in itertools.count():
        time.sleep(pause_s)
        ask(f"own/{number}")


if "OWN_MS" in os.environ:
    threading.Thread(target=ask_by_itself, args=(int(os.environ["OWN_MS"]) / 1000,), daemon=True).start()


@app.get("/<path>")
def answer(path):
    if os.environ.get("POOL") == "1":
        return pool.submit(ask, path).result()
    return ask(path)


if __name__ == "__main__":
    app.run(port=int(sys.argv[1]), threaded=True)
