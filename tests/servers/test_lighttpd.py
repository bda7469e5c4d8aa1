# SPDX-License-Identifier: Apache-2.0
"""lighttpd, alone and with workers: files, CGI, and a server behind it."""

import os
import signal
import unittest

import server_matrix
import servers
from harness import Traffic
from http_client import request_bytes
from processes import wait_until
from server import Server


class Lighttpd(Server):
    """One process."""

    programs = ("lighttpd",)
    workers_wanted = 0
    stream = 0  # an answer that comes from elsewhere is collected before it is passed on
    chunks = False
    network = "sendfile"
    targets = {**Server.targets, "chunked": "/cgi/10000000"}
    # epoll may tell it of the client's end before a write fails: it closes then without another read or write.
    left_amid = ("client_closed", "connection_reset", "response_incomplete")

    def start(self):
        config = self.fill_in("lighttpd/matrix.conf", ROOT=servers.matrix_files(self.folder), WORKERS=self.workers_wanted,
                              STREAM=self.stream, NETWORK=self.network,
                              CGI_BIN=servers.SCRIPTS / "cgi", BEHIND=self.backend())
        self.run(["/usr/sbin/lighttpd", "-D", "-f", config])

    def reload(self):
        """It starts anew in the same process, when the last connection is done."""
        before = self._starts()
        self.process.send_when_caught(signal.SIGUSR1)
        wait_until(lambda: self._starts() > before, what="lighttpd starts anew")

    def _starts(self):
        return (self.folder / "error.log").read_text().count("server started")


class LighttpdWorkers(Lighttpd):
    """A parent that does nothing but restart its two workers."""

    workers_wanted = 2
    reload = None
    stream = 1  # it is passed on as it comes
    left_before = ("answered", "client_closed", "response_incomplete")  # the head may be on its way before the last chunk
    chunks = True
    network = "writev"
    targets = Server.targets

    def start(self):
        super().start()
        wait_until(lambda: len(self.workers()) == 2, what="the workers")

    def kill_worker(self):
        self.kill_one()


class LighttpdFramingInFiles(LighttpdWorkers):
    """What it can't send at once goes to a file, with the lines that frame the chunks, and to the client by sendfile."""

    network = "sendfile"


class LighttpdTest(server_matrix.ServerTest):
    server_class = Lighttpd


class WorkersTest(server_matrix.ServerTest):
    server_class = LighttpdWorkers


class FramingInFilesTest(server_matrix.ShimTest):
    """Framing that goes by sendfile isn't seen: the next request shows that the answer has ended."""

    @staticmethod
    def _has_end(path):
        """Does this file have the answer's end?"""
        if path.stat().st_size < 4:
            return False
        with open(path, "rb") as file:
            file.seek(-4, os.SEEK_END)
            return file.read() == b"\r\n\r\n"

    def test_chunked(self):
        self.needs_spans()
        server = LighttpdFramingInFiles(self)
        server.start()
        traffic = Traffic(server.port)
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/size/1000")
            connection.send(request_bytes("GET", "/chunked/10000000", host=connection.host))
            wait_until(lambda: any(map(self._has_end, server.folder.glob("lighttpd-upload-*"))), what="the last chunk in a file")
            self.assertEqual(10_000_000, len(connection.read_response().body))
            traffic.request(connection, "GET", "/size/2000")
        unseen = [span for span in self.spans(3) if span["attributes"].get("spanshim.framing") == "unseen"]
        self.check_spans(traffic.exchanges, [span for span in self.spans() if span not in unseen])
        self.assertEqual([("/chunked/10000000", 200, None, None)],
                         [tuple(span["attributes"].get(name) for name in
                                ("url.path", "http.response.status_code", "error.type", "http.response.body.size"))
                          for span in unseen])
        self.assertEqual(0, self.spanshim.status()["totals"]["dropped"]["bad_framing"])


if __name__ == "__main__":
    unittest.main(verbosity=2)
