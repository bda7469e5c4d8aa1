# SPDX-License-Identifier: Apache-2.0
"""Python's clients: python.py LIBRARY STEP... where a step is a verb and a URL: "get URL", "head URL", "post:N URL" (a body
of N bytes), "timeout URL" (get, waiting no longer than three seconds). One session makes all steps and prints what it got."""

import asyncio
import hashlib
import sys
import urllib.parse

PATIENCE_S = 20


def fetch_urllib(steps):
    """urllib.request: a connection for each request."""
    import urllib.request
    import urllib.error

    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for method, url, body, timeout in steps:
        def fetch():
            try:
                answer = opener.open(urllib.request.Request(url, body, method=method), timeout=timeout)
            except urllib.error.HTTPError as error:
                answer = error
            return answer.status, answer.read()
        yield fetch


def fetch_http_client(steps):
    """http.client: a connection for each server."""
    import http.client

    connections = {}
    for method, url, body, timeout in steps:
        def fetch():
            parts = urllib.parse.urlsplit(url)
            connection = connections.get((parts.netloc, timeout))
            if not connection:
                connection = http.client.HTTPConnection(parts.netloc, timeout=timeout)
                connections[parts.netloc, timeout] = connection
            try:
                connection.request(method, f"{parts.path}?{parts.query}" if parts.query else parts.path, body,
                                   {"User-Agent": "http.client", "X-Empty": ""})
                answer = connection.getresponse()
                return answer.status, answer.read()
            except Exception:
                connection.close()
                raise
        yield fetch


def fetch_requests(steps):
    """requests: a session."""
    import requests

    session = requests.Session()
    session.trust_env = False
    for method, url, body, timeout in steps:
        def fetch():
            answer = session.request(method, url, data=body, timeout=timeout, allow_redirects=True)
            return answer.status_code, answer.content
        yield fetch


def fetch_httpx(steps):
    """httpx: a client with its pool."""
    import httpx

    client = httpx.Client(trust_env=False, follow_redirects=True)
    for method, url, body, timeout in steps:
        def fetch():
            answer = client.request(method, url, content=body, timeout=timeout)
            return answer.status_code, answer.content
        yield fetch


def fetch_urllib3(steps):
    """urllib3: a pool, without retries."""
    import urllib3

    pool = urllib3.PoolManager(retries=urllib3.Retry(total=0, redirect=3, raise_on_redirect=True))
    for method, url, body, timeout in steps:
        def fetch():
            answer = pool.request(method, url, body=body, timeout=timeout, retries=urllib3.Retry(3, connect=0, read=0))
            return answer.status, answer.data
        yield fetch


def tell(what):
    """One line about an answer or an error, as it was got."""
    try:
        status, data = what()
        print(status, len(data), hashlib.sha256(data).hexdigest()[:16], flush=True)
    except Exception as error:  # pylint: disable=broad-exception-caught
        print(type(error).__name__, flush=True)


async def run_aiohttp(steps):
    """aiohttp: one session on an event loop."""
    import aiohttp

    async with aiohttp.ClientSession() as session:
        for method, url, body, timeout in steps:
            try:
                limit = aiohttp.ClientTimeout(total=timeout)
                async with session.request(method, url, data=body, timeout=limit) as answer:
                    data = await answer.read()
                    result = answer.status, data
                tell(lambda: result)
            except Exception as error:  # pylint: disable=broad-exception-caught
                print(type(error).__name__, flush=True)


def parse(step):
    """Method, URL, body and patience of a step."""
    verb, _, url = step.partition(" ")
    verb, _, size = verb.partition(":")
    method = {"timeout": "GET"}.get(verb, verb.upper())
    return method, url, b"b" * int(size) if size else None, 3 if verb == "timeout" else PATIENCE_S


def main():
    """The program."""
    library, *steps = sys.argv[1:]
    steps = [parse(step) for step in steps]
    if library == "aiohttp":
        asyncio.run(run_aiohttp(steps))
        return
    for fetch in globals()[f"fetch_{library}"](steps):
        tell(fetch)


main()
