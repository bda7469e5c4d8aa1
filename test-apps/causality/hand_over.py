# SPDX-License-Identifier: Apache-2.0
"""A server whose main thread reads all requests and hands each to a pool, which asks the server behind for its path and
answers: `python3 hand_over.py PORT`. After each it asks for /own/N itself."""

import concurrent.futures
import contextlib
import http.client
import itertools
import os
import socket
import sys
import urllib.request

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"
pool = concurrent.futures.ThreadPoolExecutor(8)


def ask(path):
    with urllib.request.urlopen(BEHIND + path, timeout=30) as behind:
        return behind.read()


def answer(client, path):
    with client:
        body = ask(path)
        client.sendall(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)


def serve():
    with socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=128) as listener:
        for number in itertools.count():
            client, _ = listener.accept()
            head = client.recv(65536)
            if not head:
                client.close()
                continue
            pool.submit(answer, client, head.split()[1].decode())
            with contextlib.suppress(OSError, http.client.HTTPException):  # the other one may end first
                ask(f"/own/{number}")


serve()
