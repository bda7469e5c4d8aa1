# SPDX-License-Identifier: Apache-2.0
"""An ASGI application that asks the server behind it for the path it is asked for, by httpx. `uvicorn asgi_app:app`."""

import os

import httpx

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}"
client = httpx.AsyncClient()


async def app(scope, _, send):
    if scope["type"] == "http":
        answer = await client.get(BEHIND + scope["path"], timeout=30)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(answer.content))]})
        await send({"type": "http.response.body", "body": answer.content})
