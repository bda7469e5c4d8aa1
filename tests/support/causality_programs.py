# SPDX-License-Identifier: Apache-2.0
"""The programs whose outgoing requests are judged by causality.py: how each is started, and what is expected of it. A program
is a row of PROGRAMS."""

import dataclasses
import functools
import os
import shutil
from pathlib import Path
from typing import Callable

import gateways
import servers
from harness import PYTHON
from processes import free_port, wait_until

APPS = servers.SCRIPTS / "causality"
MODULES = "/usr/lib/apache2/modules"
ALL, NEARLY_ALL = 100.0, 99.0  # percent
FEW_WRONG = 0.2


@dataclasses.dataclass(frozen=True)
class Program:
    """How one program asks: `start` is called with the Stage and these arguments. `right` is how many of its outgoing
    requests must have the right parent, in percent and with 64 requests at once, or None where the number is only published;
    `wrong` how many may have a wrong one. Where it is known to fall short, `short` says why: then nothing is demanded of
    `right`. `alone` is what is demanded with one request at a time."""

    name: str
    start_with: Callable
    arguments: tuple = ()
    needs: tuple = ()
    right: float = None
    wrong: float = 0.0
    alone: float = ALL
    short: str = ""
    hops: int = 1  # programs under test that each request passes through
    calls: int = 1  # outgoing requests for each that comes in, of all of them
    is_tested: bool = True  # by test_causality.py too, not by the benchmark alone

    def start(self, stage):
        """Start it."""
        self.start_with(stage, *self.arguments)

    def judge(self, clients, count):
        """What is wrong with this count, or None."""
        wanted = self.alone if clients == 1 else None if self.short else self.right
        if count.missing:
            return f"{count.missing} spans are missing"
        if count.silent:
            return f"{count.silent} spans without a parent do not say why"
        if 100 * count.wrong > self.wrong * count.total:
            return f"more than {self.wrong} % wrong"
        if wanted and 100 * count.right < wanted * count.total:
            return f"less than {wanted} % right"
        return None


# Proxies

def fill_in(stage, template, **values):
    """A configuration of test-apps for this stage; its path."""
    return servers.fill_in(template, stage.directory / f"{os.path.basename(template)}.{stage.port}", PORT=stage.port, BEHIND=stage.behind,
                           DIR=stage.directory, **values)


def nginx(stage, template):
    """One worker."""
    config = fill_in(stage, template, WORKERS=1, USER=servers.nginx_user())
    stage.run("/usr/sbin/nginx", "-e", stage.directory / "error.log", "-p", stage.directory, "-c", config)


def haproxy(stage):
    """One thread, kept connections."""
    stage.run("/usr/sbin/haproxy", "-f", fill_in(stage, "haproxy/bench.cfg"))


def apache(stage):
    """mod_proxy under the event MPM: threads, and connections that they keep."""
    user = "User www-data\nGroup www-data" if os.getuid() == 0 else ""
    stage.run("/usr/sbin/apache2", "-f", fill_in(stage, "causality/apache.conf", MODULES=MODULES, USER=user), "-D", "FOREGROUND")


def varnish(stage):
    """Without its cache."""
    stage.run(*servers.varnish(stage.directory / "varnish", stage.port, fill_in(stage, "causality/pass.vcl")))


def squid(stage, template):
    """In front of one server, without its cache."""
    is_root = os.getuid() == 0
    common = fill_in(stage, "squid/common.conf", USER="cache_effective_user proxy" if is_root else "").read_text()
    config = fill_in(stage, template, COMMON=common)
    if is_root:
        shutil.chown(stage.directory, "proxy")
    stage.run("/usr/sbin/squid", "-N", "--foreground", "-n", f"test{stage.port}", "-f", config)


def lighttpd(stage):
    """mod_proxy."""
    stage.run("/usr/sbin/lighttpd", "-D", "-f", fill_in(stage, "causality/lighttpd.conf"))


# Applications

def gunicorn(stage, *options, **settings):
    """Flask and requests, by connections that are kept."""
    stage.run(PYTHON, "/usr/bin/gunicorn", "--keep-alive", 60, *options, "-b", f"127.0.0.1:{stage.port}", "--chdir", APPS,
              "wsgi_app:app", KEEP="1", **settings)


def uvicorn(stage):
    """An application of asyncio's."""
    stage.run("/usr/bin/uvicorn", "--port", stage.port, "--app-dir", APPS, "--no-access-log", "asgi_app:app")


def uwsgi(*options):
    """Four processes that are asked in its own protocol."""
    return ["/usr/bin/uwsgi", "--plugins", "python3,http", *options, "--master", "--processes", 4, "--die-on-term", "--need-app",
            "--listen", 100, "--disable-logging", "--chdir", APPS, "--wsgi-file", "wsgi_app.py", "--callable", "app"]


def uwsgi_with_router(stage):
    """Its own router in front."""
    stage.run(*uwsgi("--http", f"127.0.0.1:{stage.port}", "--http-keepalive", "--http-auto-chunked"))


def uwsgi_behind_nginx(stage):
    """nginx in front."""
    port = free_port()
    stage.run(*uwsgi("--socket", f"127.0.0.1:{port}"))
    stage.process.wait_listening(port)
    stage.port = gateways.nginx(stage.host, gateways.Behind(stage.process, "uwsgi", f"127.0.0.1:{port}"), stage.env())


def php_fpm(stage):
    """PHP-FPM with 16 workers behind nginx, by FastCGI."""
    program = gateways.php_fpm(stage.host, stage.env(), workers=16)
    stage.port = gateways.nginx(stage.host, dataclasses.replace(program, script=APPS / "router.php"), stage.env())


def script(stage, name, **settings):
    """A Python program that is told its port."""
    stage.run(PYTHON, APPS / name, stage.port, **settings)


def node(stage, how, before="nothing", times=1, **settings):
    """node.js has the lists."""
    start = DATABASES.get(before.partition("-")[0])
    stage.run("/usr/bin/node", APPS / "node.js", stage.port, how, before, times, DATABASE=start(stage) if start else None,
              **settings)


def redis(stage):
    """A database, empty."""
    port = free_port()
    stage.run_bare("/usr/bin/redis-server", "--bind", "127.0.0.1", "--port", port, "--save", "").wait_listening(port)
    return port


def postgres(stage):
    """A cluster; PostgreSQL refuses to be run by root."""
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"))
    data, port = stage.directory / "postgres", free_port()
    data.mkdir()
    as_nobody = []
    if os.getuid() == 0:
        shutil.chown(data, "nobody", "nogroup")
        as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    initdb = stage.run_bare(*as_nobody, programs / "initdb", "-A", "trust", "-U", "test", "--no-sync", "--no-locale", "-D", data)
    if initdb.wait() != 0:
        raise RuntimeError(initdb.err.decode())
    process = stage.run_bare(*as_nobody, programs / "postgres", "-D", data, "-p", port, "-k", data, "-c",
                             "listen_addresses=127.0.0.1", "-c", "fsync=off")
    wait_until(lambda: b"ready to accept connections" in process.err, what="PostgreSQL")  # it listens before
    return port


DATABASES = {"redis": redis, "postgres": postgres}


def java(stage, *arguments):
    """A program of one source file."""
    stage.run("/usr/bin/java", servers.JAVA_QUICK_START, APPS / "Asking.java", stage.port, *arguments)


def tomcat(stage):
    """A servlet that waits for its answer."""
    folder = stage.directory / "tomcat"
    argv, settings = servers.tomcat(folder, stage.port, "causality/AskingServlet.java")
    stage.run(*argv, **settings)
    servers.wait_for_tomcat(stage.process)


def puma(stage):
    """As it comes: a reactor, and threads."""
    stage.run("/usr/bin/puma", "--bind", f"tcp://127.0.0.1:{stage.port}", "--threads", "8:8", APPS / "config.ru")


def starman(stage):
    """Eight processes."""
    stage.run("/usr/bin/starman", "--workers", 8, "--port", stage.port, "--host", "127.0.0.1", APPS / "app.psgi")


def php(stage):
    """PHP's own server: one process."""
    stage.run("/usr/bin/php", "-S", f"127.0.0.1:{stage.port}", APPS / "router.php")


TURNS = "it serves many requests in turns, and no system call shows to which of them it has turned"
POOL = "a thread that reads no request asks; what the threads hand to each other lies in memory"
TASKS = "a whole batch of requests is read before the first of them goes on, as a task of its own"
LATER = "what it sends goes out a turn of the loop later, when the kernel has said that there is room"
OTHER_HOST = "what it sends names another host than what it got, and no system call shows which request it is"
QUEUE = "what waits for a connection is sent when another request's answer frees one"
SHARED = "answers to several requests come over one connection, and in one read"

GUNICORN, NODE = ("gunicorn",), ("node",)
PACKAGES = "/usr/lib/python3/dist-packages/"
GEVENT, EVENTLET = (*GUNICORN, f"{PACKAGES}gevent"), (*GUNICORN, f"{PACKAGES}eventlet")
GEVENT_WORKER, EVENTLET_WORKER = ("-w", 1, "-k", "gevent"), ("-w", 1, "-k", "eventlet")
NPM = (*NODE, str(APPS / "node_modules" / "pg"))
REDIS, POSTGRES = (*NPM, "redis-server"), (*NPM, "/usr/lib/postgresql")


def row(name, *start_with, needs=(), **rest):
    """A program: its name, its start function and that one's arguments."""
    function, *arguments = start_with
    return Program(name, functools.partial(function, **rest.pop("settings", {})), tuple(arguments), needs, **rest)


ROWS = (
    row("nginx, new connections", nginx, "causality/nginx.conf", needs=("nginx",), right=ALL),
    row("nginx, kept connections", nginx, "nginx/proxy.conf", needs=("nginx",), right=ALL),
    row("HAProxy", haproxy, needs=("haproxy",), right=ALL),
    row("Apache", apache, needs=("apache2",), right=ALL),
    row("Varnish", varnish, needs=("varnishd", "gcc"), right=ALL),
    row("Squid", squid, "causality/squid.conf", needs=("squid",), right=ALL),
    row("Squid, another host behind", squid, "squid/reverse.conf", needs=("squid",), alone=0, short=OTHER_HOST, is_tested=False),
    row("lighttpd", lighttpd, needs=("lighttpd",), right=ALL),
    row("gunicorn, processes", gunicorn, "-w", 4, needs=GUNICORN, right=ALL),
    row("gunicorn, threads", gunicorn, "-w", 1, "-k", "gthread", "--threads", 16, needs=GUNICORN, right=ALL),
    row("gunicorn, gevent", gunicorn, *GEVENT_WORKER, needs=GEVENT, right=ALL),
    row("gunicorn, eventlet", gunicorn, *EVENTLET_WORKER, needs=EVENTLET, right=ALL, is_tested=False),
    row("gunicorn, gevent, a pool of greenlets asks", gunicorn, *GEVENT_WORKER, needs=GEVENT, settings={"POOL": "1"}, alone=0, short=POOL, is_tested=False),
    row("Flask, threads", script, "wsgi_app.py", right=ALL),
    row("Flask, a pool of threads asks", script, "wsgi_app.py", settings={"POOL": "1"}, alone=0, short=POOL),
    row("http.server, threads", script, "handler.py", right=ALL),
    row("uWSGI with its router", uwsgi_with_router, needs=("uwsgi",), right=ALL, hops=2, calls=2),
    row("uWSGI behind nginx", uwsgi_behind_nginx, needs=("uwsgi", "nginx"), right=ALL, hops=2, calls=2),
    row("aiohttp, kept connections", script, "aiohttp_app.py", settings={"KEEP": "1"}, alone=0, wrong=FEW_WRONG, short=TASKS),
    row("aiohttp, new connections", script, "aiohttp_app.py", alone=0, wrong=FEW_WRONG, short=TASKS),
    row("aiohttp, after a wait", script, "aiohttp_app.py", settings={"SLEEP_MS": "3"}, alone=0, wrong=FEW_WRONG, short=TASKS, is_tested=False),
    row("aiohttp, httpx asks", script, "aiohttp_app.py", settings={"CLIENT": "httpx"}, alone=0, wrong=FEW_WRONG, short=TASKS, is_tested=False),
    row("aiohttp, to_thread", script, "aiohttp_app.py", settings={"CLIENT": "to_thread"}, alone=0, wrong=FEW_WRONG, short=POOL),
    row("uvicorn, httpx asks", uvicorn, needs=("uvicorn",), alone=0, wrong=FEW_WRONG, short=TASKS, is_tested=False),
    row("Tornado", script, "tornado_app.py", needs=(f"{PACKAGES}tornado",), alone=0, wrong=FEW_WRONG, short=TASKS, is_tested=False),
    row("Twisted", script, "twisted_app.py", needs=(f"{PACKAGES}twisted",), alone=0, wrong=FEW_WRONG, short=LATER, is_tested=False),
    row("Node, kept connections", node, "agent", needs=NODE, right=NEARLY_ALL),
    row("Node, new connections", node, "none", needs=NODE, right=NEARLY_ALL),
    row("Node, fetch", node, "fetch", needs=NODE, right=NEARLY_ALL),
    row("Node, three at once", node, "agent", "nothing", 3, needs=NODE, right=NEARLY_ALL, calls=3),
    row("Node, fetch, three at once", node, "fetch", "nothing", 3, needs=NODE, right=NEARLY_ALL, calls=3, is_tested=False),
    row("Node, redis before, own connection", node, "agent", "redis-own", needs=REDIS, right=NEARLY_ALL),
    row("Node, redis before, pool", node, "agent", "redis-pool", needs=REDIS, right=NEARLY_ALL),
    row("Node, redis before, pool, three at once", node, "agent", "redis-pool", 3, needs=REDIS, right=NEARLY_ALL, calls=3),
    row("Node, redis before, pool, fetch", node, "fetch", "redis-pool", needs=REDIS, right=NEARLY_ALL, is_tested=False),
    row("Node, postgres before, pool", node, "agent", "postgres-pool", needs=POSTGRES, right=NEARLY_ALL),
    row("Node, postgres before, pool, large answers", node, "agent", "postgres-rows", needs=POSTGRES, right=NEARLY_ALL),
    row("Node, postgres before, pool, fetch, three at once", node, "fetch", "postgres-pool", 3, needs=POSTGRES, right=NEARLY_ALL, calls=3),
    row("Node, redis before, one connection for all", node, "agent", "redis-shared", needs=REDIS, alone=0, wrong=FEW_WRONG, short=SHARED),
    row("Node, postgres before, one connection for all", node, "agent", "postgres-shared", needs=POSTGRES, alone=0, wrong=FEW_WRONG, short=SHARED),
    row("Node, queue for 4 kept connections", node, "queue", needs=NODE, wrong=FEW_WRONG, short=QUEUE),
    row("Node, queue for 4 connections", node, "few", needs=NODE, wrong=FEW_WRONG, short=QUEUE, is_tested=False),
    row("Node, after a timer", node, "timer", needs=NODE, alone=0, wrong=FEW_WRONG, short=TURNS),
    row("Node, by name", node, "lookup", needs=NODE, alone=0, wrong=FEW_WRONG, short=POOL),
    row("Tomcat, a servlet waits", tomcat, needs=servers.TOMCAT_PROGRAMS, right=ALL),
    row("Java's own server, its handler waits", java, "blocking", needs=("java",), right=ALL),
    row("Java's own server, HttpClient", java, needs=("java",), alone=0, wrong=FEW_WRONG, short=POOL),
    row("Puma", puma, needs=("puma",), right=ALL),
    row("Starman", starman, needs=("starman",), right=ALL),
    row("PHP's own server", php, needs=("php",), right=ALL),
    row("PHP-FPM behind nginx", php_fpm, needs=("nginx", servers.PHP_FPM), right=ALL, hops=2, calls=2),
)
PROGRAMS = {program.name: program for program in ROWS}
