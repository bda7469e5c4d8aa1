# SPDX-License-Identifier: Apache-2.0
"""A server as the matrix (server_matrix.py) sees it: how to start it, what to ask it for, how to reload it and how to kill
one of its workers. Each family of servers is a subclass in its tests' file."""

import os
import signal
import threading
import time

import servers
from harness import SOURCE
from http_client import Connection
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
    late, late_s = "/delay/1500", 1.5  # slow enough that a client has left before the answer, on a busy machine too
    keeps_alive = True  # False: it closes after each answer, whatever the client asks for
    says_close = True  # and says so in the answer after which it closes
    chunks = True  # the long answer comes in chunks; False: counted, or up to the connection's end
    chunk_tries = 1  # more: an answer that it has all of before it begins to pass it on is counted; whether it has is chance
    log_mark = b"\n"  # what each request leaves in the access log once
    logs_all = True  # the access log has one line for each request that got an answer or was given up
    logs_given_up = True  # False: for those that got an answer only; None: for some of the others
    # How a request's span ends whose client left before the answer (server_matrix.py has the list).
    left_before = ("answered",)
    # The same for a client that left amid the long answer: its error.type.
    left_amid = ("client_closed", "connection_reset")
    # Other errors of requests under load.
    load_errors = ()

    def __init__(self, test):
        self.test = test
        self.port = free_port()
        self.folder = test.directory / f"{type(self).__name__.lower()}-{self.port}"
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.access_log = self.folder / "access.log"
        self.process = None

    def start(self):
        """Start it under the shim; return when it answers."""
        raise NotImplementedError

    def run(self, argv, env=None, **options):
        """Start this program as the server, and wait until it listens."""
        self.process = self.test.run_program(argv, env=env, **options)
        self.process.wait_listening(self.port)

    def log_by_output(self, mark):
        """Take its output, standard error included, as the access log, where each request leaves this once."""
        self.access_log = self.process.out_path
        self.log_mark = mark

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
        before = set(wait_until(self.workers, what="a worker"))  # it may listen, and hear signals, before it has one
        self.process.send_when_caught(number)
        wait_until(lambda: set(self.workers()) - before, what="new workers")

    # None: it has no workers whose death it survives. Otherwise a method that returns when another one is there.
    kill_worker = None

    def kill_one(self):
        """Kill the oldest worker and wait for the one that takes its place."""
        before = wait_until(self.workers, what="a worker")
        os.kill(before[0], signal.SIGKILL)
        wait_until(lambda: before[0] not in self.workers() and len(self.workers()) >= len(before), what="a new worker")

    def logged(self):
        """How many requests the access log counts, or None when there is none."""
        if not self.access_log.exists():
            return None
        return self.access_log.read_bytes().count(self.log_mark)


class Wrk:
    """wrk, running: it counts the answers that it read whole."""

    def __init__(self, test, port, target, connections, close=False):
        argv = ["wrk", "-t1", "-c", connections, "-d", "600s", "--timeout", "30s", "-s", WRK_PACE]
        if close:
            argv += ["-H", "Connection: close"]
        self.connections = connections
        self.process = test.run_program([*argv, f"http://127.0.0.1:{port}{target}"], env=test.spanshim.base_env())

    def stop(self):
        """No more requests; it reports what it has read."""
        self.process.popen.send_signal(signal.SIGINT)

    def finish(self):
        """Wait for its end: how many answers it counted."""
        if self.process.wait() != 0:
            raise RuntimeError(f"wrk failed: {self.process.err.decode()}")
        line = next(line for line in self.process.out.decode().splitlines() if " requests in " in line)
        return int(line.split()[0])


class Closing:
    """A client of ours in wrk's place, for servers that close a connection and don't say so before: wrk sends once more on
    it. One connection after the other, a request on each."""

    connections = 1

    def __init__(self, port, target):
        self._port, self._target, self._enough = port, target, threading.Event()
        self._read = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        while not self._enough.is_set():
            try:
                with Connection(self._port) as connection:
                    connection.request("GET", self._target, fields=[("Connection", "close")])
                    self._read += 1
            except (EOFError, OSError):  # the server is being disturbed
                time.sleep(0.002)

    def stop(self):
        """No more requests."""
        self._enough.set()

    def finish(self):
        """Wait for its end: how many answers it read whole."""
        self._thread.join()
        return self._read
