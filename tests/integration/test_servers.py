# SPDX-License-Identifier: Apache-2.0
"""Real servers, unmodified: for N requests exactly N spans, each saying exactly what was asked and answered."""

import os
import shutil
import threading
import unittest

import servers
from harness import ShimTest, Traffic, in_parallel
from processes import wait_until

ROUNDS = 20


def every_shape(traffic, posts=True):
    """Each kind of request that the application servers know, over one connection and over fresh ones."""
    with traffic.connect() as connection:
        for _ in range(ROUNDS):
            traffic.request(connection, "GET", "/size/1000")
        traffic.request(connection, "GET", "/size/0")
        traffic.request(connection, "HEAD", "/size/500")
        traffic.request(connection, "GET", "/size/100000?page=2&sort=up", fields=[("User-Agent", "spanshim-test/1.0")],
                        user_agent="spanshim-test/1.0")
        traffic.request(connection, "GET", "/status/204")
        traffic.request(connection, "GET", "/status/304")
        traffic.request(connection, "GET", "/status/404")
        traffic.request(connection, "GET", "/status/503")
    for _ in range(ROUNDS):
        traffic.once("GET", "/size/10")
    traffic.once("GET", "/delay/120", at_least=0.120)
    if posts:
        traffic.once("POST", "/echo", b"counted body")
        traffic.once("POST", "/echo", b"b" * 200_000)


def closing(traffic, posts=True):
    """The same for a server that closes after each answer."""
    for target in ("/size/1000", "/size/0", "/size/100000?page=2", "/status/204", "/status/304", "/status/404",
                   "/status/503") + ("/size/10",) * ROUNDS:
        traffic.once("GET", target)
    traffic.once("HEAD", "/size/500")
    traffic.once("GET", "/delay/120", at_least=0.120)
    if posts:
        traffic.once("POST", "/echo", b"counted body")
        traffic.once("POST", "/echo", b"b" * 200_000)


class HttpdTest(ShimTest):
    """Our C server in its three shapes, by each family of calls."""

    def _serve(self, *arguments):
        _, port = servers.httpd(self, *arguments)
        traffic = Traffic(port)
        every_shape(traffic)
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/chunked/2500")
            traffic.request(connection, "GET", "/sendfile/50000")
            traffic.request(connection, "GET", "/splice/50000")
            traffic.request(connection, "GET", "/hints")
            traffic.request(connection, "POST", "/echo", [b"one", b"two and three"])
            traffic.request(connection, "GET", "/close/3000")
        in_parallel(traffic, 4, every_shape)
        self.check_spans(traffic.exchanges)

    def test_poll_loop(self):
        self._serve("--poll")

    def test_thread_per_connection(self):
        self._serve("--threads")

    def test_process_per_connection(self):
        self._serve("--fork")

    def test_recv_and_send(self):
        self._serve("--calls", "socket")

    def test_readv_and_writev(self):
        self._serve("--calls", "vector")

    def test_recvmsg_and_sendmsg(self):
        self._serve("--calls", "message")

    def test_http_1_0(self):
        _, port = servers.httpd(self)
        traffic = Traffic(port)
        for _ in range(ROUNDS):
            traffic.once("GET", "/size/100", version="HTTP/1.0", fields=[("Connection", "close")])
        self.check_spans(traffic.exchanges)


class NginxTest(ShimTest):
    """nginx with sendfile on."""

    def _serve(self, workers, user=None):
        process, port = servers.nginx(self, workers=workers, user=user)
        traffic = Traffic(port)

        def work(part):
            with part.connect() as connection:
                for _ in range(ROUNDS):
                    part.request(connection, "GET", "/1k")
                    part.request(connection, "GET", "/100k")
                part.request(connection, "HEAD", "/100k")
                part.request(connection, "GET", "/empty")
                part.request(connection, "GET", "/short")
                part.request(connection, "GET", "/missing")
                part.request(connection, "GET", "/teapot?kind=earl+grey")
                part.request(connection, "GET", "/moved")
                part.request(connection, "GET", "/broken")
                part.request(connection, "GET", "/short")
            for _ in range(ROUNDS):
                part.once("GET", "/1k")
            part.once("POST", "/short", b"p" * 5000)

        work(traffic)
        in_parallel(traffic, 4, work)
        self.check_spans(traffic.exchanges)
        return process

    def test_one_worker(self):
        self._serve(1)

    def test_four_workers(self):
        self._serve(4)

    @unittest.skipUnless(os.getuid() == 0, "changing the user needs root")
    def test_workers_of_another_user(self):
        self._serve(2, user="www-data")

    def test_reload_under_load(self):
        process, port = servers.nginx(self, workers=2)
        traffic = Traffic(port)
        enough, parts = threading.Event(), []

        def work(part):
            parts.append(part.exchanges)
            while not enough.is_set():
                # A worker that is shutting down closes idle connections: one request each.
                part.once("GET", "/1k", fields=[("Connection", "close")])

        def reload_often():
            for times in range(1, 6):
                servers.reload_nginx(process)
                wait_until(lambda least=20 * times: sum(map(len, parts)) >= least, what="requests between reloads")
            enough.set()

        reloader = threading.Thread(target=reload_often)
        reloader.start()
        in_parallel(traffic, 3, work)
        reloader.join()
        self.assertGreaterEqual(len(traffic.exchanges), 100)
        self.check_spans(traffic.exchanges)

    def test_proxy(self):
        _, behind = servers.httpd(self, "--threads", env=self.spanshim.env(preload=False))
        _, port = servers.nginx(self, "proxy.conf", BEHIND=behind)
        traffic = Traffic(port)
        every_shape(traffic)
        in_parallel(traffic, 4, every_shape)
        self.check_spans(traffic.exchanges)


class PythonTest(ShimTest):
    """gunicorn with Flask, and http.server."""

    def _gunicorn(self, kind, shape):
        _, port = servers.gunicorn(self, kind)
        traffic = Traffic(port)
        shape(traffic)
        in_parallel(traffic, 3, shape)
        self.check_spans(traffic.exchanges)

    def test_gunicorn_sync(self):
        self._gunicorn("sync", closing)

    def test_gunicorn_threads(self):
        self._gunicorn("gthread", every_shape)

    def test_http_server_files(self):
        _, port = servers.http_server(self)
        traffic = Traffic(port)
        for target in ("/1k", "/100k", "/empty", "/missing", "/1k?cached=no") + ("/1k",) * ROUNDS:
            traffic.once("GET", target)
        traffic.once("HEAD", "/100k")
        traffic.once("POST", "/1k", b"refused")
        self.check_spans(traffic.exchanges)

    def test_http_handler(self):
        _, port = servers.http_handler(self)
        traffic = Traffic(port)
        every_shape(traffic)
        in_parallel(traffic, 3, every_shape)
        self.check_spans(traffic.exchanges)


class NodeTest(ShimTest):
    """Node's http module."""

    def _serve(self, binary):
        _, port = servers.node(self, binary)
        traffic = Traffic(port)
        every_shape(traffic)
        with traffic.connect() as connection:
            traffic.request(connection, "GET", "/chunked/2500")
            traffic.request(connection, "POST", "/echo", [b"one", b"two and three"])
        in_parallel(traffic, 3, every_shape)
        self.check_spans(traffic.exchanges)

    @unittest.skipUnless(shutil.which("node"), "no node here")
    def test_node(self):
        self._serve("node")

    def test_node_18(self):
        binary = os.environ.get("SPANSHIM_NODE18")
        if not binary:
            self.skipTest("SPANSHIM_NODE18 doesn't name Debian's node 18: scripts/setup fetches it")
        self._serve(binary)


if __name__ == "__main__":
    unittest.main(verbosity=2)
