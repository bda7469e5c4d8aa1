# SPDX-License-Identifier: Apache-2.0
"""pycurl: pycurl_client.py WAY STEP... (steps as in python.py). WAY: easy (one handle, reused), multi (a handle for each step,
one after the other), crowd (all steps at once)."""

import hashlib
import io
import sys

import pycurl


def handle(step, curl=None):
    """An easy handle for this step, and where its body goes."""
    verb, _, url = step.partition(" ")
    verb, _, size = verb.partition(":")
    curl = curl or pycurl.Curl()
    body = io.BytesIO()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.NOPROXY, "*")
    curl.setopt(pycurl.FOLLOWLOCATION, 1)
    curl.setopt(pycurl.TIMEOUT, 3 if verb == "timeout" else 20)
    curl.setopt(pycurl.WRITEDATA, body)
    curl.setopt(pycurl.HTTPHEADER, ["X-Own: yes", "X-Empty;"])
    if verb == "head":
        curl.setopt(pycurl.NOBODY, 1)
    if size:
        curl.setopt(pycurl.POSTFIELDS, "b" * int(size))
    return curl, body


def tell(curl, body, code):
    """One line about a transfer."""
    data = body.getvalue()
    print(code, curl.getinfo(pycurl.RESPONSE_CODE), len(data), hashlib.sha256(data).hexdigest()[:16],
          curl.getinfo(pycurl.NUM_CONNECTS), flush=True)


def run_easy(steps):
    """One handle for all."""
    curl = pycurl.Curl()
    for step in steps:
        curl.reset()
        curl, body = handle(step, curl)
        code = 0
        try:
            curl.perform()
        except pycurl.error as error:
            code = error.args[0]
        tell(curl, body, code)
    curl.close()


def run_multi(steps):
    """Transfers of one multi handle; it goes on when all of them have ended."""
    multi = pycurl.CurlMulti()
    for group in steps:
        started = [handle(step) for step in group]
        for curl, _ in started:
            multi.add_handle(curl)
        codes = {}
        while len(codes) < len(started):
            multi.perform()
            multi.select(1.0)
            _, good, bad = multi.info_read()
            codes.update({curl: 0 for curl in good})
            codes.update({curl: code for curl, code, _ in bad})
        for curl, body in started:
            tell(curl, body, codes[curl])
            multi.remove_handle(curl)
            curl.close()
    multi.close()


def main():
    """The program."""
    way, *steps = sys.argv[1:]
    if way == "easy":
        run_easy(steps)
    else:
        run_multi([[step] for step in steps] if way == "multi" else [steps])


main()
