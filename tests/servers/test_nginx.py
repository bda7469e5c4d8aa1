# SPDX-License-Identifier: Apache-2.0
"""nginx: files, its own errors, and a server behind it."""

import os
import signal
import unittest

import servers
from harness import Traffic
from processes import children, wait_until
from server import Server
import server_matrix


class Nginx(Server):
    """Two workers."""

    programs = ("nginx",)
    # epoll tells it that the client left, and it closes without another read or write; amid the answer a write may fail
    # first.
    left_before = ("no_response",)
    left_amid = ("client_closed", "connection_reset", "response_incomplete")

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


class BothEndsTest(server_matrix.ShimTest):
    """nginx and the server behind it, both traced: each gives its own spans."""

    def test_spans_of_both(self):
        _, behind = servers.httpd(self, "--threads", env=self.spanshim.env(OTEL_SERVICE_NAME="behind"))
        _, port = servers.nginx(self, "proxy.conf", BEHIND=behind, env=self.spanshim.env(OTEL_SERVICE_NAME="front"))
        traffic = Traffic(port)
        with traffic.connect() as connection:
            for target in ("/size/1000", "/chunked/50000", "/status/404", "/status/500"):
                traffic.request(connection, "GET", target)
        of_service = {"front": [], "behind": []}
        for span in self.spans(8):
            of_service[span["resource"]["service.name"]].append(span)
        self.check_spans(traffic.exchanges, of_service["front"])
        seen = [[(span["attributes"]["url.path"], span["attributes"]["http.response.status_code"]) for span in spans]
                for spans in of_service.values()]
        self.assertEqual(sorted(seen[0]), sorted(seen[1]))


if __name__ == "__main__":
    unittest.main(verbosity=2)
