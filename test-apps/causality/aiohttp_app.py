# SPDX-License-Identifier: Apache-2.0
"""aiohttp on both sides: `python3 aiohttp_app.py PORT`. KEEP=1: connections are kept; SLEEP_MS: it first waits so long, on
its own event loop."""

import asyncio
import os
import sys

import aiohttp
from aiohttp import web

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"


async def answer(request):
    if "SLEEP_MS" in os.environ:
        await asyncio.sleep(int(os.environ["SLEEP_MS"]) / 1000)
    async with request.app["session"].get(BEHIND + request.path) as behind:
        return web.Response(body=await behind.read())


async def session(app):
    connector = aiohttp.TCPConnector(force_close=os.environ.get("KEEP") != "1")
    async with aiohttp.ClientSession(connector=connector) as app["session"]:
        yield


application = web.Application()
application.cleanup_ctx.append(session)
application.router.add_get("/{path}", answer)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
