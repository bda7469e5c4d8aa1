# SPDX-License-Identifier: Apache-2.0
"""uWSGI with an HTTP router of its own: the router answers the clients, and asks the workers in another protocol."""

import signal
import unittest

import server_matrix
import servers
from processes import wait_until
from server import Server


class Uwsgi(Server):
    """Three workers and the router, all children of the master."""

    programs = ("uwsgi",)
    says_close = False
    log_mark = b"] GET /"
    logs_given_up = None  # the workers log; the router may die before the client has it
    load_errors = ("process_exited",)  # the router is one of the processes that are replaced

    def start(self):
        self.run(["uwsgi", "--plugins", "python3,http", "--http", f"127.0.0.1:{self.port}", "--http-keepalive", "--http-auto-chunked",
                  "--master", "--processes", "3", "--die-on-term", "--need-app", "--listen", "100", "--socket-timeout", "60",
                  "--chdir", servers.SCRIPTS, "--wsgi-file", "flask_app.py", "--callable", "app", "--logto", self.access_log])
        self._wait_for_all(set())

    def _wait_for_all(self, before):
        """Until it has new workers and a new router: that is started last, and a reload before that would not end it."""
        wait_until(lambda: len(set(self.workers()) - before) == 4, what="uWSGI's workers and router")

    def reload(self):
        before = set(self.workers())
        self.reload_by(signal.SIGHUP)
        self._wait_for_all(before)

    def kill_worker(self):
        self.kill_one()


class UwsgiTest(server_matrix.ServerTest):
    server_class = Uwsgi

    def is_meant(self, span):
        """The router's; the workers have their own of each request, see test_gateways.py."""
        return "network.protocol.name" not in span["attributes"]


if __name__ == "__main__":
    unittest.main(verbosity=2)
