# SPDX-License-Identifier: Apache-2.0
"""A server on Twisted that asks the server behind it for the path it is asked for, over connections that it keeps:
`python3 twisted_app.py PORT`."""

import os
import sys

from twisted.internet import reactor
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

BEHIND = f"http://127.0.0.1:{os.environ['BEHIND']}".encode()
connections = HTTPConnectionPool(reactor)
connections.maxPersistentPerHost = 64
agent = Agent(reactor, connections)


class Asking(Resource):
    isLeaf = True

    def render_GET(self, request):
        def answer(body):
            request.write(body)
            request.finish()

        agent.request(b"GET", BEHIND + request.uri).addCallback(readBody).addCallback(answer)
        return NOT_DONE_YET


reactor.listenTCP(int(sys.argv[1]), Site(Asking()), interface="127.0.0.1")
reactor.run()
