#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A CGI script that reads its request's body and asks another server by its own means."""
import os
import sys
import urllib.request

body = sys.stdin.buffer.read(int(os.environ.get("CONTENT_LENGTH") or 0))
answer = urllib.request.urlopen(os.environ["BEHIND"]).read()  # pylint: disable=consider-using-with
sys.stdout.write(f"Status: 201 Created\r\nContent-Type: text/plain\r\n\r\n{len(body)} {answer.decode()}\n")
