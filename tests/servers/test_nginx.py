# SPDX-License-Identifier: Apache-2.0
"""nginx: files, its own errors, and a server behind it."""

import os
import signal
import unittest

import servers
from processes import children, wait_until
from server import Server
import server_matrix


class Nginx(Server):
    """Two workers."""

    programs = ("nginx",)
    left_before = ("no_response",)  # epoll tells it that the client left: it closes without reading that

    def start(self):
        config = self.fill_in("nginx/matrix.conf", ROOT=servers.matrix_files(self.folder), BEHIND=self.backend(),
                              USER="user root;" if os.getuid() == 0 else "")
        self.run(["/usr/sbin/nginx", "-e", self.folder / "error.log", "-p", self.folder, "-c", config])
        wait_until(lambda: len(children(self.process.pid)) == 2, what="nginx's workers")

    def reload(self):
        self.reload_by(signal.SIGHUP)

    def kill_worker(self):
        self.kill_one()


class NginxTest(server_matrix.ServerTest):
    server_class = Nginx


if __name__ == "__main__":
    unittest.main(verbosity=2)
