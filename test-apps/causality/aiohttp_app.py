# SPDX-License-Identifier: Apache-2.0
"""A server on aiohttp: `python3 aiohttp_app.py PORT`. It asks by aiohttp's own client (KEEP=1: connections are kept), or, by
CLIENT, by httpx or by urllib in a thread of asyncio's (to_thread). SLEEP_MS: it first waits so long, on its own event loop."""

import asyncio
import os
import sys
import urllib.request

import aiohttp
import httpx
from aiohttp import web

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"
CLIENT = os.environ.get("CLIENT", "aiohttp")


def open_url(path):
    with urllib.request.urlopen(BEHIND + path, timeout=30) as behind:
        return behind.read()


async def ask_by_aiohttp(session, path):
    async with session.get(BEHIND + path) as behind:
        return await behind.read()


async def ask_by_httpx(session, path):
    return (await session.get(BEHIND + path, timeout=30)).content


async def ask_in_a_thread(_, path):
    return await asyncio.to_thread(open_url, path)


def aiohttp_session():
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=os.environ.get("KEEP") != "1"))


ask, new_session = {
    "aiohttp": (ask_by_aiohttp, aiohttp_session),
    "httpx": (ask_by_httpx, httpx.AsyncClient),
    "to_thread": (ask_in_a_thread, aiohttp_session),
}[CLIENT]


async def answer(request):
    if "SLEEP_MS" in os.environ:
        await asyncio.sleep(int(os.environ["SLEEP_MS"]) / 1000)
    return web.Response(body=await ask(request.app["session"], request.path))


async def session(app):
    async with new_session() as app["session"]:
        yield


application = web.Application()
application.cleanup_ctx.append(session)
application.router.add_get("/{path}", answer)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
