# SPDX-License-Identifier: Apache-2.0
"""A server on Tornado that asks the server behind it for the path it is asked for: `python3 tornado_app.py PORT`."""

import asyncio
import os
import sys

from tornado.httpclient import AsyncHTTPClient
from tornado.web import Application, RequestHandler

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"


class Asking(RequestHandler):
    async def get(self):
        answer = await AsyncHTTPClient(max_clients=64).fetch(BEHIND + self.request.path)
        self.write(answer.body)


async def main():
    Application([("/.*", Asking)]).listen(int(sys.argv[1]), "127.0.0.1")
    await asyncio.Event().wait()


asyncio.run(main())
