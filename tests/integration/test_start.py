# SPDX-License-Identifier: Apache-2.0
"""LD_PRELOAD alone: a program that finds no agent gets one started, and can't tell."""

import os
import resource
import unittest

import processes
import servers
from harness import AGENT, APPS, BARE, LIBRARY, PYTHON, ShimTest, Traffic, preload_environment
from processes import wait_until


@unittest.skipIf(BARE, "bare run")
class LateAgentTest(ShimTest):
    """The program that started the agent is gone before the agent listens."""

    DAEMON = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
print("port", listener.getsockname()[1], flush=True)
if os.fork():
    os._exit(0)
while True:
    connection, _ = listener.accept()
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nhi")
    connection.close()
"""

    def setUp(self):
        super().setUp()
        self.spanshim.stop()
        wait_until(lambda: not (self.spanshim.runtime / "agent.sock").exists(), what="the agent's end")
        place = self.directory / "late"
        place.mkdir()
        (place / LIBRARY.name).write_bytes(LIBRARY.read_bytes())
        self.start = self.directory / "start"
        agent = place / AGENT.name
        agent.write_text(f'#!/bin/sh\nuntil [ -e "{self.start}" ]; do :; done\nexec "{AGENT}" "$@"\n')
        agent.chmod(0o755)
        self.env = self.spanshim.env() | preload_environment(place / LIBRARY.name)

    def _let_agent_start(self):
        self.start.touch()
        wait_until((self.spanshim.runtime / "agent.sock").exists, what="the agent's socket")

    def test_program_that_ended(self):
        process, port = servers.httpd(self, env=self.env)
        traffic = Traffic(port)
        traffic.once("GET", "/size/10")
        traffic.once("GET", "/exit/0")
        self.assertEqual(0, process.wait())
        self._let_agent_start()
        self.check_spans(traffic.exchanges)

    def test_daemon(self):
        process = self.run_program([PYTHON, "-c", self.DAEMON], env=self.env)
        self.assertEqual(0, process.wait())
        traffic = Traffic(int(process.out.split()[1]))
        self._let_agent_start()
        traffic.once("GET", "/a")
        traffic.once("GET", "/b")
        self.check_spans(traffic.exchanges)


@unittest.skipIf(BARE, "bare run")
class StartTest(ShimTest):
    def setUp(self):
        super().setUp()
        self.spanshim.stop()  # there is none
        wait_until(lambda: not (self.spanshim.runtime / "agent.sock").exists(), what="the agent's end")

    def _agents(self):
        def is_agent(pid):
            try:
                return os.readlink(f"/proc/{pid}/exe") == str(AGENT.resolve())
            except FileNotFoundError:
                return False  # a starter that has ended

        return [pid for pid in processes.children(os.getpid()) if is_agent(pid)]

    def test_first_socket_starts_an_agent(self):
        process, port = servers.httpd(self)
        traffic = Traffic(port)
        for _ in range(10):
            traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)
        wait_until(lambda: len(self._agents()) == 1, what="one agent")
        self.assertEqual([], processes.children(process.pid))

    def test_two_programs_share_one(self):
        started = [servers.httpd(self) for _ in range(4)]
        exchanges = []
        for _, port in started:
            traffic = Traffic(port)
            traffic.once("GET", "/size/10")
            exchanges += traffic.exchanges
        self.check_spans(exchanges)
        wait_until(lambda: len(self._agents()) == 1, what="one agent: those that came too late end")

    def test_program_sees_no_child(self):
        """wait() answers as bare: the program forks nothing, so it has no child."""
        probe = ("import os, socket\n"
                 "s = socket.socket(); s.close()\n"
                 "try:\n    print(os.wait())\nexcept ChildProcessError as e:\n    print(e.errno)\n"
                 "print(sorted(map(int, os.listdir('/proc/self/fd')))[:3])\n")
        process = self.run_program(["/usr/bin/python3", "-c", probe])
        self.assertEqual(0, process.wait())
        self.assertEqual(b"10\n[0, 1, 2]\n", process.out)
        wait_until((self.spanshim.runtime / "agent.sock").exists, what="the agent that it started")

    def test_agent_leaves_the_program_s_limits(self):
        def limit():
            resource.setrlimit(resource.RLIMIT_FSIZE, (2 << 20, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
            os.umask(0o777)

        process, port = servers.httpd(self, preexec_fn=limit)
        traffic = Traffic(port)
        for _ in range(10):
            traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)
        self.assertIsNone(process.popen.poll())
        self.assertNotIn("ended by signal", self.spanshim.log())

    def test_agent_leaves_the_program_s_descriptors(self):
        """A pipe that the program was given ends with the program, while the agent that it started goes on."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, reader)
        process, port = servers.httpd(self, pass_fds=[writer])
        os.close(writer)
        traffic = Traffic(port)
        traffic.once("GET", "/size/10")
        self.check_spans(traffic.exchanges)
        process.kill()
        process.wait()
        wait_until(lambda: len(self._agents()) == 1, what="one agent: who started it ends")
        os.set_blocking(reader, False)
        self.assertEqual(b"", os.read(reader, 1))

    def test_none_inside_a_unit(self):
        process, port = servers.httpd(self, env=self.spanshim.env(INVOCATION_ID="0123456789abcdef"))
        Traffic(port).once("GET", "/size/10")
        self.assertFalse((self.spanshim.runtime / "agent.sock").exists())
        self.assertIsNone(process.popen.poll())

    def test_the_library_s_place_tells_the_agent_s(self):
        """A copy without an agent beside it: the program runs, and there is no tracing."""
        alone = self.directory / "alone"
        alone.mkdir()
        (alone / LIBRARY.name).write_bytes(LIBRARY.read_bytes())
        env = self.spanshim.env() | preload_environment(alone / LIBRARY.name)
        process = self.run_program([APPS / "httpd"], env=env)
        Traffic(process.announced_port()).once("GET", "/size/10")
        self.assertFalse((self.spanshim.runtime / "agent.sock").exists())
        self.assertEqual(b"", process.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
