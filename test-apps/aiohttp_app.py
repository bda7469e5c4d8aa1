# SPDX-License-Identifier: Apache-2.0
"""A server on aiohttp with the paths of httpd.c; on the port that is its argument; prints a line for each answer."""

import asyncio
import logging
import sys

from aiohttp import web

routes = web.RouteTableDef()


@routes.get("/size/{count}")
async def size(request):
    return web.Response(body=b"x" * int(request.match_info["count"]))


@routes.get("/delay/{ms}")
async def delay(request):
    await asyncio.sleep(int(request.match_info["ms"]) / 1000)
    return web.Response(body=b"late\n")


@routes.get("/status/{code}")
async def status(request):
    code = int(request.match_info["code"])
    return web.Response(status=code, body=None if code in (204, 304) else b"status\n")


@routes.post("/echo")
async def echo(request):
    return web.Response(body=b"%d\n" % len(await request.read()))


@routes.get("/chunked/{count}")
async def chunked(request):
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    for left in range(int(request.match_info["count"]), 0, -100_000):
        await response.write(b"x" * min(left, 100_000))
    return response


async def main():
    app = web.Application(client_max_size=2**24)
    app.add_routes(routes)
    runner = web.AppRunner(app, access_log_format='%r %s')
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", int(sys.argv[1]))
    await site.start()
    logging.basicConfig(stream=sys.stdout, level=logging.INFO, format="%(message)s")
    await asyncio.Event().wait()


asyncio.run(main())
