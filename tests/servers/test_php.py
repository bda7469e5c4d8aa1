# SPDX-License-Identifier: Apache-2.0
"""PHP's own server: one process, and several."""

import unittest

import server_matrix
import servers
from server import Server


class Php(Server):
    """It serves one request at a time and closes after each."""

    programs = ("php",)
    keeps_alive = False
    logs_given_up = None  # a script that is ended while it writes has no line
    left_before = ("client_closed",)
    workers_setting = None

    def start(self):
        self.run(["php", "-S", f"127.0.0.1:{self.port}", servers.SCRIPTS / "php" / "router.php"],
                 env=self.test.spanshim.env(PHP_CLI_SERVER_WORKERS=self.workers_setting))
        self.access_log = self.process.err_path
        self.log_mark = b"GET /"


class PhpWorkers(Php):
    workers_setting = 3


class PhpTest(server_matrix.ServerTest):
    server_class = Php


class PhpWorkersTest(server_matrix.ServerTest):
    server_class = PhpWorkers


if __name__ == "__main__":
    unittest.main(verbosity=2)
