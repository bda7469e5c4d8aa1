# SPDX-License-Identifier: Apache-2.0
"""A server as the matrix (server_matrix.py) sees it: how to start it, what to ask it for, how to reload it and how to kill
one of its workers. Each family of servers is a subclass in its tests' file."""

import os
import shutil
import signal
import subprocess

import servers
from harness import SOURCE
from processes import children, free_port, wait_until

WRK_PACE = SOURCE / "tests" / "support" / "wrk_pace.lua"


class Server:
    """One server, with a folder and a port of its own. The attributes say what differs from most servers."""

    programs = ()  # paths or names without which it can't be started
    targets = {  # the case -> what is asked for; as test-apps/http_answer.c knows it
        "small": "/size/1000",
        "large": "/size/100000",
        "chunked": "/chunked/10000000",
        "head": "/size/1000",
        "missing": "/status/404",
        "failing": "/status/500",
        "slow": "/delay/200",
    }
    keeps_alive = True  # False: it closes after each answer, whatever the client asks for
    chunks = True  # the long answer comes in chunks; False: counted, or up to the connection's end
    logs_all = True  # the access log has one line for each request that got an answer or was given up
    kill_signal = signal.SIGKILL  # that a worker may die of
    # How a request's span ends whose client left before the answer (server_matrix.py has the list).
    left_before = ("answered",)
    # The same for a client that left amid the long answer: its error.type.
    left_amid = ("client_closed", "connection_reset")

    def __init__(self, test):
        self.test = test
        self.port = free_port()
        self.folder = test.directory / f"{type(self).__name__.lower()}-{self.port}"
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.access_log = self.folder / "access.log"
        self.process = None

    @classmethod
    def missing_programs(cls):
        """Those of `programs` that aren't here."""
        return [name for name in cls.programs if not shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin")]

    def start(self):
        """Start it under the shim; return when it answers."""
        raise NotImplementedError

    def run(self, argv, env=None, **options):
        """Start this program as the server, and wait until it listens."""
        self.process = self.test.run_program(argv, env=env, **options)
        self.process.wait_listening(self.port)

    def backend(self):
        """The port of a bare server that knows all targets, for servers that pass requests on."""
        _, port = servers.httpd(self.test, "--threads", env=self.test.spanshim.env(preload=False))
        return port

    def fill_in(self, template, **values):
        """A configuration of test-apps with PORT, DIR and the given values filled in; its path."""
        return servers.fill_in(template, self.folder / os.path.basename(template), PORT=self.port, DIR=self.folder,
                               **values)

    def workers(self):
        """Pids of the workers, any of which may die."""
        return children(self.process.pid)

    # None: it can't be reloaded. Otherwise a method that returns when the reload has taken effect.
    reload = None

    def reload_by(self, number):
        """Send the signal that replaces the workers and wait for the first new one."""
        before = set(self.workers())
        self.process.popen.send_signal(number)
        wait_until(lambda: set(self.workers()) - before, what="new workers")

    # None: it has no workers whose death it survives. Otherwise a method that returns when another one is there.
    kill_worker = None

    def kill_one(self):
        """Kill the oldest worker and wait for the one that takes its place."""
        before = self.workers()
        os.kill(before[0], self.kill_signal)
        wait_until(lambda: before[0] not in self.workers() and len(self.workers()) >= len(before), what="a new worker")

    def logged(self):
        """How many requests the access log counts, or None when there is none."""
        if not self.access_log.exists():
            return None
        return self.access_log.read_bytes().count(b"\n")


class Wrk:
    """wrk, running: it counts the answers that it read whole."""

    def __init__(self, test, port, target, connections, seconds, close=False):
        argv = ["wrk", "-t1", "-c", connections, "-d", f"{seconds}s", "--timeout", "30s", "-s", WRK_PACE]
        if close:
            argv += ["-H", "Connection: close"]
        self.connections = connections
        self.process = test.run_program([*argv, f"http://127.0.0.1:{port}{target}"], env=test.spanshim.base_env())

    def ends_within(self, seconds):
        """Wait as long for its end: has it come?"""
        try:
            self.process.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def finish(self):
        """Wait for its end: how many answers it counted."""
        if self.process.wait(120) != 0:
            raise RuntimeError(f"wrk failed: {self.process.err.decode()}")
        line = next(line for line in self.process.out.decode().splitlines() if " requests in " in line)
        return int(line.split()[0])
