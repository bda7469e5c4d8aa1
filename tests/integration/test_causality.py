# SPDX-License-Identifier: Apache-2.0
"""Whose request caused an outgoing one. Each request has a path of its own, for which the server under test asks the server
behind it: so it is known which request a client's span belongs to. Its parent is that request (right), another one (wrong)
or none (orphan). Wrong never happens."""

import http.server
import os
import random
import re
import threading
import time
import unittest

import servers
from harness import PYTHON, SPAN_KIND_SERVER, ShimTest
from http_client import Connection
from processes import children, free_port, wait_until

APPS = servers.SCRIPTS / "causality"
SPAN_KIND_CLIENT = 3
MODULES = "/usr/lib/apache2/modules"
ONE, MANY = 1, 32  # clients at once
REQUESTS = {ONE: 60, MANY: 320}
TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-0[13]")


class Behind(http.server.BaseHTTPRequestHandler):
    """Answers after a moment, so that answers come in another order than requests."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self):  # pylint: disable=invalid-name
        headers = self.headers.get_all("traceparent") or []
        if len(headers) != 1 or not TRACEPARENT.fullmatch(headers[0]):
            self.server.strange.append((self.path, headers))
        time.sleep(random.uniform(0, 0.004))
        body = self.path.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


class BehindServer(http.server.ThreadingHTTPServer):
    request_queue_size = 128


class CausalityTest(ShimTest):
    """What all tests need: the server behind, clients, and the count."""

    def setUp(self):
        super().setUp()
        self.needs_spans()
        self.behind = BehindServer(("127.0.0.1", 0), Behind)
        self.behind.strange = []
        thread = threading.Thread(target=self.behind.serve_forever)
        thread.start()
        self.addCleanup(thread.join)
        self.addCleanup(self.behind.server_close)
        self.addCleanup(self.behind.shutdown)
        self.port = free_port()

    @property
    def behind_port(self):
        return self.behind.server_address[1]

    def start(self, argv, **settings):
        """Start the server under test, which listens on self.port."""
        process = self.run_program(argv, env=self.spanshim.env(BEHIND=self.behind_port, **settings), name=self.id().split(".")[-1])
        wait_until(lambda: self._answers(process), timeout=60, what="the server answers")

    def _answers(self, process):
        self.assertIsNone(process.popen.poll(), "the server has ended")
        try:
            with Connection(self.port) as connection:
                return connection.request("GET", "/warm-up").status == 200
        except (OSError, EOFError):
            return False

    def _ask(self, paths, fields):
        connection = None
        for path in paths:
            connection = connection or Connection(self.port)
            response = connection.request("GET", path, fields=fields(path))
            self.assertEqual((200, path.encode()), (response.status, response.body))
            if response.closes:
                connection.close()
                connection = None
        if connection:
            connection.close()

    def _ask_at_once(self, clients, fields):
        errors = []

        def run(client):
            try:
                self._ask([f"/{clients}-{client}-{n}" for n in range(REQUESTS[clients] // clients)], fields)
            except Exception as error:  # pylint: disable=broad-exception-caught
                errors.append(error)

        threads = [threading.Thread(target=run, args=(client,)) for client in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def count(self, clients, fields=lambda path: ()):
        """Make the requests; how many spans of the outgoing ones have the right parent, none, a wrong one."""
        begun = len(self.sink.spans)
        self._ask_at_once(clients, fields)
        want = REQUESTS[clients] // clients * clients
        mine = re.compile(rf"/({clients}-\d+-\d+)$")
        wait_until(lambda: self._count_of(mine, begun, SPAN_KIND_SERVER) >= want and
                   self._count_of(mine, begun, SPAN_KIND_CLIENT) >= want, what=f"{want} spans of each kind")
        paths = {span["span_id"]: mine.search(span["attributes"]["url.path"])
                 for span in self.sink.spans if span["kind"] == SPAN_KIND_SERVER}
        right = orphan = wrong = 0
        for span in self.sink.spans[begun:]:
            asked = span["kind"] == SPAN_KIND_CLIENT and mine.search(span["attributes"]["url.full"])
            if not asked:
                continue
            parent = paths.get(span["parent_span_id"])
            right += bool(parent and parent[1] == asked[1])
            orphan += span["parent_span_id"] == ""
            wrong += span["parent_span_id"] != "" and not (parent and parent[1] == asked[1])
        print(f"{self.id().split('.')[-1]}, {clients} at once: {right} right, {orphan} orphans, {wrong} wrong", flush=True)
        self.assertEqual(0, wrong)
        self.assertEqual(want, right + orphan)
        self.assertEqual([], [path for path, _ in self.behind.strange if mine.search(path)])
        return right, orphan

    def _count_of(self, mine, begun, kind):
        self.spanshim.flush()
        return sum(1 for span in self.sink.spans[begun:] if span["kind"] == kind and
                   mine.search(span["attributes"].get("url.path") or span["attributes"].get("url.full", "")))

    def check(self, all_right=(ONE,)):
        """Never wrong; all right with so many clients at once."""
        for clients in (ONE, MANY):
            _, orphans = self.count(clients)
            if clients in all_right:
                self.assertEqual(0, orphans)

    def check_passed_on(self):
        """A proxy that passes the client's header on says itself whose request it is."""
        def fields(path):
            trace = abs(hash(path)) % (1 << 60) + 1
            return [("traceparent", f"00-{trace:032x}-{trace:016x}-01")]

        _, orphans = self.count(MANY, fields)
        self.assertEqual(0, orphans)


class ProxyTest(CausalityTest):
    """Proxies, with and without a trace header of the client's."""

    def _nginx(self, template):
        user = "user root;" if os.getuid() == 0 else ""
        config = servers.fill_in(template, self.directory / "nginx.conf", USER=user, WORKERS=1, PORT=self.port,
                                 DIR=self.directory, BEHIND=self.behind_port)
        self.start(["/usr/sbin/nginx", "-e", self.directory / "error.log", "-p", self.directory, "-c", config])

    def test_nginx_new_connections(self):
        self.needs_programs("nginx")
        self._nginx("causality/nginx.conf")
        self.check(all_right=(ONE, MANY))

    def test_nginx_passes_on(self):
        self.needs_programs("nginx")
        self._nginx("causality/nginx.conf")
        self.check_passed_on()

    def test_nginx_kept_connections(self):
        self.needs_programs("nginx")
        self._nginx("nginx/proxy.conf")
        self.check(all_right=(ONE,))

    def _haproxy(self):
        self.needs_programs("haproxy")
        config = servers.fill_in("haproxy/bench.cfg", self.directory / "haproxy.cfg", PORT=self.port, BEHIND=self.behind_port)
        self.start(["/usr/sbin/haproxy", "-f", config])

    def test_haproxy(self):
        self._haproxy()
        self.check()

    def test_haproxy_passes_on(self):
        self._haproxy()
        self.check_passed_on()

    def _apache(self):
        self.needs_programs("apache2")
        user = "User www-data\nGroup www-data" if os.getuid() == 0 else ""
        config = servers.fill_in("causality/apache.conf", self.directory / "apache.conf", PORT=self.port,
                                 BEHIND=self.behind_port, DIR=self.directory, MODULES=MODULES, USER=user)
        self.start(["/usr/sbin/apache2", "-f", config, "-D", "FOREGROUND"])

    def test_apache(self):
        self._apache()
        self.check(all_right=(ONE, MANY))

    def test_apache_passes_on(self):
        self._apache()
        self.check_passed_on()


class PythonTest(CausalityTest):
    """Threads, processes and an event loop."""

    def _gunicorn(self, *options):
        self.needs_programs("gunicorn")
        self.start([PYTHON, "/usr/bin/gunicorn", *options, "-b", f"127.0.0.1:{self.port}", "--chdir", APPS, "wsgi_app:app"],
                   KEEP="1")

    def test_gunicorn_processes(self):
        self._gunicorn("-w", "4")
        self.check(all_right=(ONE, MANY))

    def test_gunicorn_threads(self):
        self._gunicorn("-w", "1", "-k", "gthread", "--threads", "16")
        self.check(all_right=(ONE,))

    def test_flask_threads(self):
        self.start([PYTHON, APPS / "wsgi_app.py", self.port])
        self.check(all_right=(ONE, MANY))

    def test_flask_with_a_pool_of_threads(self):
        self.start([PYTHON, APPS / "wsgi_app.py", self.port], POOL="1")
        self.check(all_right=())

    def test_http_server(self):
        self.start([PYTHON, APPS / "handler.py", self.port])
        self.check(all_right=(ONE, MANY))

    def test_gunicorn_gevent(self):
        self.needs_programs("/usr/lib/python3/dist-packages/gevent")
        self._gunicorn("-w", "1", "-k", "gevent")
        self.check(all_right=())

    def test_aiohttp_kept_connections(self):
        self.start([PYTHON, APPS / "aiohttp_app.py", self.port], KEEP="1")
        self.check(all_right=())  # a task goes on in the loop's next turn

    def test_aiohttp_new_connections(self):
        self.start([PYTHON, APPS / "aiohttp_app.py", self.port])
        self.check(all_right=())

    def test_aiohttp_after_a_wait(self):
        self.start([PYTHON, APPS / "aiohttp_app.py", self.port], SLEEP_MS="3")
        self.check(all_right=())


class NodeTest(CausalityTest):
    """Each way of Node's to ask."""

    def _node(self, how, all_right):
        self.needs_programs("node")
        self.start(["/usr/bin/node", APPS / "node.js", self.port, how])
        self.check(all_right)

    def test_kept_connections(self):
        self._node("agent", (ONE,))

    def test_queue_for_kept_connections(self):
        self._node("queue", (ONE,))

    def test_queue_for_connections(self):
        self._node("few", (ONE,))

    def test_new_connections(self):
        self._node("none", (ONE, MANY))

    def test_fetch(self):
        self._node("fetch", (ONE,))

    def test_after_a_timer(self):
        self._node("timer", ())

    def test_after_a_name_was_looked_up(self):
        self._node("lookup", ())


class OthersTest(CausalityTest):
    """Java, Ruby, Perl, PHP."""

    def test_java(self):
        self.needs_programs("java")
        self.start(["/usr/bin/java", "-XX:TieredStopAtLevel=1", APPS / "Asking.java", self.port])
        self.check(all_right=())

    def test_puma(self):
        self.needs_programs("puma")
        self.start(["/usr/bin/puma", "--bind", f"tcp://127.0.0.1:{self.port}", "--threads", "8:8", APPS / "config.ru"])
        self.check(all_right=())  # by chance its reactor reads a request, which is an orphan then, or a thread of the pool

    def test_starman(self):
        self.needs_programs("starman")
        self.start(["/usr/bin/starman", "--workers", "8", "--port", self.port, "--host", "127.0.0.1", APPS / "app.psgi"])
        self.check(all_right=(ONE, MANY))

    def test_php(self):
        self.needs_programs("php")
        self.start(["/usr/bin/php", "-S", f"127.0.0.1:{self.port}", APPS / "router.php"])
        self.check(all_right=(ONE,))


if __name__ == "__main__":
    unittest.main(verbosity=2)
