# SPDX-License-Identifier: Apache-2.0
"""gunicorn with a Flask application: a process for each request, threads, and gevent."""

import signal
import unittest

import server_matrix
import servers
from server import Server


class GunicornSync(Server):
    """Two workers, one request at a time each; the connection is closed after it."""

    programs = ("gunicorn",)
    kind = "sync"
    keeps_alive = False
    logs_given_up = False
    left_before = ("client_closed",)  # head and body are written apart, and the second write fails

    def start(self):
        self.process, self.port = servers.gunicorn(self.test, self.kind, log=self.access_log)

    def reload(self):
        self.reload_by(signal.SIGHUP)

    def kill_worker(self):
        self.kill_one()


class GunicornThreads(GunicornSync):
    """Two workers with threads."""

    kind = "gthread"
    keeps_alive = True


class GunicornGevent(GunicornThreads):
    """Two workers with gevent's event loop."""

    programs = ("gunicorn", "/usr/lib/python3/dist-packages/gevent")
    kind = "gevent"


class SyncTest(server_matrix.ServerTest):
    server_class = GunicornSync


class ThreadsTest(server_matrix.ServerTest):
    server_class = GunicornThreads


class GeventTest(server_matrix.ServerTest):
    server_class = GunicornGevent


if __name__ == "__main__":
    unittest.main(verbosity=2)
