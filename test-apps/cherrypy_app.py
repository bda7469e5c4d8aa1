# SPDX-License-Identifier: Apache-2.0
"""A CherryPy application with the paths of httpd.c, on the port that is its argument; prints a line for each answer."""

import sys
import time

import cherrypy


class Paths:
    """A method for each first segment of a path."""

    @cherrypy.expose
    def size(self, count):
        return b"x" * int(count)

    @cherrypy.expose
    def delay(self, ms):
        time.sleep(int(ms) / 1000)
        return "late\n"

    @cherrypy.expose
    def status(self, code):
        cherrypy.response.status = int(code)
        return "" if int(code) in (204, 304) else "status\n"

    @cherrypy.expose
    def echo(self):
        return f"{len(cherrypy.request.body.read())}\n"

    @cherrypy.expose
    @cherrypy.config(**{"response.stream": True})
    def chunked(self, count):
        return (b"x" * min(left, 100_000) for left in range(int(count), 0, -100_000))


cherrypy.config.update({"server.socket_host": "127.0.0.1", "server.socket_port": int(sys.argv[1]),
                        "server.socket_timeout": 60, "engine.autoreload.on": False, "log.screen": True})
cherrypy.quickstart(Paths())
