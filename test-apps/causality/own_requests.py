# SPDX-License-Identifier: Apache-2.0
"""An event loop that asks the server behind it for what it is asked for: `python3 own_requests.py PORT`. It passes the
client's User-Agent on, and for /proxied/... the client's Host, too. And it asks for /held/1 every 20 ms by itself, under the
client's Host but with a User-Agent of its own."""

import asyncio
import os
import sys

import aiohttp
from aiohttp import web

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"


async def ask(session, path, headers):
    async with session.get(BEHIND + path, headers=headers) as behind:
        return await behind.read()


async def answer(request):
    headers = {"User-Agent": request.headers["User-Agent"]}
    if request.path.startswith("/proxied"):
        headers["Host"] = request.headers["Host"]
    await asyncio.sleep(0.01)
    return web.Response(body=await ask(request.app["session"], request.path, headers))


async def poll(session):
    while True:
        await ask(session, "/held/1", {"Host": f"localhost:{sys.argv[1]}", "User-Agent": "own/1.0"})
        await asyncio.sleep(0.02)


async def session(app):
    async with aiohttp.ClientSession() as app["session"]:
        task = asyncio.create_task(poll(app["session"]))
        yield
        task.cancel()


application = web.Application()
application.cleanup_ctx.append(session)
application.router.add_get("/{path:.*}", answer)
web.run_app(application, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None)
