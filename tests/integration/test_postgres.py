# SPDX-License-Identifier: Apache-2.0
"""PostgreSQL, which speaks no HTTP: the same answers, processes, descriptors and system calls as bare, and no span.

PostgreSQL refuses to be run by root: so does this test, which goes on as nobody."""

import os
import re
import signal
import subprocess
import sys
import unittest
from pathlib import Path

import system_calls
from processes import children, command_line, free_port, thread_states, wait_until
from untouched import UntouchedTest, idle_descriptors, open_sockets

PROGRAMS = max(Path("/usr/lib/postgresql").glob("*/bin"), default=Path("/usr/lib/postgresql"))

OPTIONS = ("listen_addresses=127.0.0.1", "fsync=off", "jit=off", "autovacuum=off")

STATEMENTS = """
CREATE TABLE t (id int PRIMARY KEY, name text);
INSERT INTO t SELECT n, 'GET /' || n || ' HTTP/1.1' FROM generate_series(1, 20000) n;
COPY t TO STDOUT;
COPY t FROM STDIN;
-1\tPOST / HTTP/1.1
-2\tHTTP/1.1 200 OK
\\.
SELECT count(*), min(id), max(name) FROM t;
BEGIN; UPDATE t SET name = 'x' WHERE id = 7; ROLLBACK;
SELECT nonsense;
LISTEN news; NOTIFY news, 'GET / HTTP/1.1';
VACUUM ANALYZE t;
SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF, BUFFERS OFF) SELECT sum(length(name)) FROM t;
"""


class PostgresTest(UntouchedTest):
    """Each test makes and runs a cluster twice, bare and shimmed, and compares."""

    programs = (PROGRAMS / "postgres", PROGRAMS / "psql", "setpriv")

    def _initialize(self, env):
        data = self.directory / f"data.{len(self.started)}"
        initdb = self.run_program([PROGRAMS / "initdb", "-A", "trust", "-U", "test", "--no-sync", "--no-locale", "-D", data], env=env)
        self.assertEqual(0, initdb.wait(), initdb.err)
        return data

    def _serve(self, env, strace=()):
        data, port = self._initialize(env), free_port()
        options = [word for option in OPTIONS for word in ("-c", option)]
        process = self.run_program([*strace, PROGRAMS / "postgres", "-D", data, "-p", port, "-k", data, *options], env=env,
                                   name="postgres")
        wait_until(lambda: self._psql(port, "SELECT 1").returncode == 0, what="postgres takes connections")
        return process, port

    def _psql(self, port, statements):
        argv = [PROGRAMS / "psql", "-X", "-A", "-t", "-h", "127.0.0.1", "-p", str(port), "-U", "test", "postgres"]
        return subprocess.run(argv, input=statements, capture_output=True, text=True, timeout=60, check=False,
                              env=self.spanshim.env(preload=False))

    def _transcript(self, port, statements):
        result = self._psql(port, statements)
        return result.returncode, *(re.sub(r"PID \d+", "PID", text) for text in (result.stdout, result.stderr))

    def test_statements(self):
        def run(env):
            process, port = self._serve(env)
            sockets = open_sockets(process.pid)
            transcript = self._transcript(port, STATEMENTS)
            return *transcript, idle_descriptors(process.pid, sockets), process.terminate()

        status, out, err, _, end = self.both(run)
        self.assertEqual((0, 0), (status, end))
        self.assertIn("Workers Launched: 2", out)
        self.assertIn("nonsense", err)
        self.check_nothing_told()

    def test_background_processes(self):
        """Each of them has the descriptors that it has as bare."""
        def run(env):
            process, _ = self._serve(env)
            pids = wait_until(lambda: resting(background_processes(process.pid)), what="the background processes at rest")
            return [idle_descriptors(pid, open_sockets(pid)) for pid in pids]

        self.both(run)
        self.check_nothing_told()

    def test_benchmark(self):
        def run(env):
            _, port = self._serve(env)
            common = ["-h", "127.0.0.1", "-p", port, "-U", "test"]
            for arguments in (["-i", "-q"], ["-n", "-c", 4, "-t", 50], ["-n", "-c", 4, "-t", 25, "-C", "-S"]):
                pgbench = self.run_program([PROGRAMS / "pgbench", *arguments, *common, "postgres"], env=env)
                self.assertEqual(0, pgbench.wait(), pgbench.err)
            return self._transcript(port, "SELECT count(*) FROM pgbench_history")

        self.assertEqual((0, "200\n", ""), self.both(run))
        self.check_nothing_told()

    def test_death_of_a_backend(self):
        """One backend dies by SIGKILL: the server ends all others, recovers, and takes connections again."""
        def run(env):
            process, port = self._serve(env)
            self._psql(port, "CREATE TABLE kept AS SELECT 5 AS number")
            sleeper = self.run_program([PROGRAMS / "psql", "-X", "-h", "127.0.0.1", "-p", port, "-U", "test", "postgres", "-c",
                                        "SELECT pg_sleep(60)"])
            backend = wait_until(lambda: children_saying(process.pid, "SELECT"), what="a backend that sleeps")[0]
            before = wait_until(lambda: background_processes(process.pid), what="the background processes")
            os.kill(backend, signal.SIGKILL)
            lost = sleeper.wait(), sleeper.err
            wait_until(lambda: not set(before) & set(background_processes(process.pid) or before), what="new processes")
            wait_until(lambda: self._psql(port, "SELECT 1").returncode == 0, what="postgres is back")
            return lost, self._transcript(port, "SELECT number FROM kept"), process.terminate()

        (_, kept, _) = self.both(run)
        self.assertEqual((0, "5\n", ""), kept)
        self.check_nothing_told()

    def test_system_calls(self):
        def run(env):
            log = self.directory / f"strace.{len(self.started)}"
            strace, plain = system_calls.strace(log, env)
            process, port = self._serve(plain, strace)
            for statements in ("SELECT 'mark-begin';", STATEMENTS, STATEMENTS, "SELECT 'mark-end';"):
                self._psql(port, statements)
            process.kill()
            return system_calls.between(log.read_text(errors="replace"), "mark-begin", "mark-end")

        self.same_calls(run, timed={"epoll_wait", "epoll_ctl", "pselect6", "recvfrom", "sendto"}, on="TCP:[")


def children_saying(pid, words):
    """Those of its children whose title contains these words."""
    return [child for child in children(pid) if words in command_line(child)]


def background_processes(pid):
    """Checkpointer, background writer, WAL writer and launchers, in the titles' order, or None while they come up."""
    titles = sorted((command_line(child), child) for child in children(pid))
    found = [child for title, child in titles if title.startswith("postgres: ") and "127.0.0.1" not in title]
    return found if len(found) == 4 else None


def resting(pids):
    """These processes if each of them waits for work, and so has opened what it needs."""
    return pids if pids and all(set(thread_states(pid).values()) == {"S"} for pid in pids) else None


def continue_as_nobody():
    """Start this test again without root's rights."""
    os.execvp("setpriv", ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, *sys.argv])


if __name__ == "__main__":
    if os.getuid() == 0:
        continue_as_nobody()
    unittest.main(verbosity=2)
