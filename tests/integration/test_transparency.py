# SPDX-License-Identifier: Apache-2.0
"""What a program does and shows is the same with and without the shim: output, exit status, errno, bytes on the wire,
system calls on its sockets."""

import os
import re
import resource
import shutil
import socket
import subprocess
import unittest

import servers
import system_calls
from harness import APPS, BARE, PYTHON, ShimTest, Traffic
from http_client import Connection, request_bytes
from processes import free_port, listens, wait_until


def descriptor_limit():
    """How many descriptors a process may have, raised as far as it goes."""
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (1 << 20, 1 << 20))
    except (ValueError, PermissionError):
        pass
    return resource.getrlimit(resource.RLIMIT_NOFILE)[1]


class OutputTest(ShimTest):
    """Programs that print what they saw."""

    def _both(self, argv, repeat=1, **options):
        """Run bare and shimmed; both must end alike. The bare run's completed process."""
        argv = [str(argument) for argument in argv]
        bare = subprocess.run(argv, env=self.spanshim.env(preload=False), capture_output=True, timeout=60, check=False,
                              cwd=self.directory, **options)
        for _ in range(repeat):
            shimmed = subprocess.run(argv, env=self.spanshim.env(), capture_output=True, timeout=60, check=False,
                                     cwd=self.directory, **options)
            self.assertEqual((bare.returncode, bare.stdout, bare.stderr),
                             (shimmed.returncode, shimmed.stdout, shimmed.stderr))
        return bare

    def test_errno_and_results(self):
        self.assertEqual(0, self._both([APPS / "errno_probe"]).returncode)

    def test_callers_before_main(self):
        result = self._both([APPS / "early"])
        self.assertEqual(b"preinit 5 of 5\nlibrary 10 of 10\nconstructor 10 of 10\nmain 10 of 10\n", result.stdout)

    def test_small_stacks(self):
        result = self._both([APPS / "small_stack"])
        self.assertEqual(b"coroutine: 9 of 9\nsignal stack: 9 of 9\nthread: 9 of 9\n", result.stdout)

    def test_cancellation(self):
        result = self._both([APPS / "cancel"])
        self.assertEqual(13, result.stdout.count(b"cancelled, cleaned up"))

    def test_names_of_its_own(self):
        self.assertEqual(b"called by others: 0\nown: 42\n", self._both([APPS / "own_names"]).stdout)

    def test_exits_while_threads_work(self):
        statuses = [self._both([APPS / "exit_storm", how], repeat=10).returncode
                    for how in ("return", "exit", "quick_exit", "_exit", "exit_group", "abort", "exec")]
        self.assertEqual([7, 3, 4, 5, 6, -6, 8], statuses)

    def test_shell_tools(self):
        self._both(["/bin/sh", "-c", "for i in 1 2 3; do echo $i | cat; done; (exit 9)"])
        self._both(["/bin/sh", "-c", "exec 3<&0; cat <&3; exec 3<&-; read x <&3; echo $?"], input=b"a\nb\n")
        self._both(["/bin/ls", "-l", "--time-style=+", "/proc/self/fd/0"], stdin=subprocess.DEVNULL)
        self._both(["/bin/sh", "-c", "kill -SEGV $$"])
        self._both(["/nonexistent-interpreter-test"], executable="/bin/false")

    def test_closed_standard_descriptors(self):
        script = "exec 0<&- 1>&- 2>&-; exec 5>result; ls -l /proc/self/fd | wc -l >&5; echo done >&5"
        for env in (self.spanshim.env(preload=False), self.spanshim.env()):
            subprocess.run(["/bin/sh", "-c", script], env=env, cwd=self.directory, check=False, timeout=60)
            shutil.move(self.directory / "result", self.directory / f"result.{'LD_PRELOAD' in env}")
        results = [path.read_text() for path in self.directory.glob("result.*")]
        self.assertEqual(1, len(set(results)), results)

    def test_subprocess_that_closes_everything(self):
        program = ("import socket, subprocess\n"
                   "a, b = socket.socketpair()\n"
                   "for _ in range(20):\n"
                   "    subprocess.run(['/bin/true'], close_fds=True, check=True)\n"
                   "    a.send(b'GET / HTTP/1.1\\r\\n\\r\\n'); print(b.recv(100))\n"
                   "print(subprocess.run(['/bin/sh', '-c', 'exit 5']).returncode)\n"
                   "print(sorted(__import__('os').listdir('/proc/self/fd')))\n")
        self.assertIn(b"\n5\n", self._both([PYTHON, "-c", program]).stdout)

    def test_limits_too_small_for_anything(self):
        for limit in ("-f 0", "-n 4", "-v 40000", "-l 0", "-c 0", "-s 64"):
            with self.subTest(limit=limit):
                self._both(["/bin/sh", "-c", f"ulimit {limit} && exec {APPS / 'early'}"])


class ServerTest(ShimTest):
    """Servers that are hard on what a preload might keep; spans must be right as well."""

    def _gets(self, port, count, target="/size/10"):
        traffic = Traffic(port)
        for _ in range(count):
            traffic.once("GET", target)
        return traffic

    def test_daemon_that_closes_everything(self):
        expected = b"data file\n" + b"".join(b"connection %d on descriptor 2\n" % n for n in (1, 2, 3))
        exchanges = []
        for way in ("loop", "closefrom", "range", "syscall"):
            with self.subTest(way=way):
                data, port = self.directory / f"data.{way}", free_port()
                process = self.run_program([APPS / "close_all", way, data, port])
                self.assertEqual(0, process.wait())
                wait_until(lambda p=port: listens(p), what="the daemon listens")
                traffic = self._gets(port, 3)
                exchanges += traffic.exchanges
                wait_until(lambda d=data: d.read_bytes() == expected, what="the data file is exact")
        self.check_spans(exchanges)

    def test_vfork_between_request_and_answer(self):
        process = self.run_program([APPS / "vfork_close"])
        traffic = Traffic(process.announced_port())
        for _ in range(3):
            with traffic.connect() as connection:
                for _ in range(10):
                    traffic.request(connection, "GET", "/size/10")
        self.check_spans(traffic.exchanges)

    def test_vfork_child_that_exits(self):
        process = self.run_program([APPS / "vfork_exit"])
        self.check_spans(self._gets(process.announced_port(), 3).exchanges)

    def test_calls_past_the_plt(self):
        process = self.run_program([APPS / "httpd_no_plt"])
        self.check_spans(self._gets(process.announced_port(), 10).exchanges)

    def test_signal_storm(self):
        process = self.run_program([APPS / "signal_storm"])
        traffic = Traffic(process.announced_port())
        with traffic.connect() as connection:
            for _ in range(300):
                traffic.request(connection, "GET", "/size/3000")
            traffic.request(connection, "POST", "/echo", b"e" * 100_000)
        self.assertEqual(0, process.wait())
        self.assertIn(b"interrupted: yes, failures: 0\n", process.out)
        self.check_spans(traffic.exchanges)

    def test_descriptors_reused_all_around(self):
        process = self.run_program([APPS / "fd_race"])
        self.check_spans(self._gets(process.announced_port(), 500).exchanges)

    def test_far_descriptors(self):
        limit = descriptor_limit()
        numbers = [number for number in (1000, 1024, 19_000, 65_536, 262_144, 900_000) if number < limit]
        print(f"descriptors up to {numbers[-1]}, as the limit is {limit}")
        process = self.run_program([APPS / "high_fd", *numbers])
        traffic = self._gets(process.announced_port(), len(numbers))
        self.assertEqual(0, process.wait())
        self.check_spans(traffic.exchanges)

    def test_sockets_passed_to_another_process(self):
        process = self.run_program([APPS / "passed_socket"])
        self.check_spans(self._gets(process.announced_port(), 10).exchanges)

    def test_connection_as_standard_input(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            traffic = Traffic(port)
            with traffic.connect() as connection:
                served, _ = listener.accept()
                process = self.run_program([APPS / "httpd", "--inetd"], stdin=served)
                served.close()
                for _ in range(5):
                    traffic.request(connection, "GET", "/size/10")
            self.assertEqual(0, process.wait())
        self.check_spans(traffic.exchanges)

    def test_listener_from_a_service_manager(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            os.set_inheritable(listener.fileno(), True)
            script = f"exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec {APPS / 'httpd'} --activated"
            self.run_program(["/bin/sh", "-c", script], pass_fds=[listener.fileno()])
            self.check_spans(self._gets(port, 10).exchanges)


class WireTest(ShimTest):
    """Bytes on the wire, bare and shimmed."""

    REQUESTS = [request_bytes("GET", "/size/1000"), request_bytes("HEAD", "/size/1000"),
                request_bytes("GET", "/chunked/2500"), request_bytes("POST", "/echo", [b"a" * 10, b"b" * 20]),
                request_bytes("GET", "/hints"), request_bytes("GET", "/status/304"), request_bytes("GET", "/missing"),
                request_bytes("GET", "/sendfile/70000"), b"\r\nGET /size/1 HTTP/1.1\r\nhost:x\r\n\r\n",
                request_bytes("GET", "/close/5000")]

    def _conversation(self, env):
        process, port = servers.httpd(self, env=env)
        with Connection(port) as connection:
            connection.send(b"".join(self.REQUESTS))
            data = b""
            while part := connection.socket.recv(65536):
                data += part
        return data, process.terminate(), process.err

    def test_answers_byte_for_byte(self):
        bare = self._conversation(self.spanshim.env(preload=False))
        self.assertGreater(len(bare[0]), 75_000)
        self.assertEqual(bare, self._conversation(self.spanshim.env()))

    def test_answers_of_nginx_byte_for_byte(self):
        answers = []
        for env in (self.spanshim.env(preload=False), self.spanshim.env()):
            _, port = servers.nginx(self, env=env)
            with Connection(port) as connection:
                raw = b""
                for target in ("/1k", "/100k", "/short", "/missing", "/moved"):
                    raw += connection.request("GET", target, fields=[("X-Fill", "y" * 1000)]).raw
                connection.send(b"NONSENSE\r\n\r\n")
                while part := connection.socket.recv(65536):
                    raw += part
            answers.append(re.sub(rb"(Date|Last-Modified|ETag): [^\r]*", rb"\1", raw.replace(b"%d" % port, b"PORT")))
        self.assertEqual(*answers)


@unittest.skipIf(BARE, "bare run")
@unittest.skipUnless(shutil.which("strace"), "no strace here")
class StartTest(ShimTest):
    """The system calls of a program that only starts and ends: those that ARCHITECTURE names, and no more."""

    RESERVE = ["mmap", "madvise"]
    BEGIN = ["mmap", "madvise", "getpid", "getrandom", "getpid", "mmap", "mprotect", "sigaltstack"]
    END = ["getsockopt", "exit_group"]

    def _calls(self, system_env):
        """Names of the calls after the loader's last, which gives its list of libraries back."""
        log = self.directory / "strace.start"
        strace, env = system_calls.strace(log, self.spanshim.env(SPANSHIM_SYSTEM_ENV=system_env))
        subprocess.run([*strace, "/bin/true"], env=env, timeout=60, check=True)
        names = re.findall(r"^\d+\s+(\w+)\(", log.read_text(errors="replace"), re.MULTILINE)
        return names[len(names) - names[::-1].index("munmap"):]

    def test_start(self):
        settings = self.directory / "settings"
        settings.write_text("OTEL_SERVICE_NAME=any\n")
        for name, file, reading in (("none", "none", []), ("absent", self.directory / "absent", ["openat"]),
                                    ("present", settings, ["openat", "read", "close"])):
            with self.subTest(file=name):
                self.assertEqual(self.RESERVE + reading + self.BEGIN + self.END, self._calls(file))


@unittest.skipUnless(shutil.which("strace"), "no strace here")
class SystemCallTest(ShimTest):
    """The system calls of a server at work, bare and shimmed: the shim adds none but a sleeping agent's wake-up."""

    def _calls(self, name, env, start, work, timed):
        """Counts of system calls between two marks: the first answer, and the last."""
        log = self.directory / f"strace.{name}"
        process, port = start(*system_calls.strace(log, env))
        with Connection(port) as connection:
            connection.request("GET", "/mark-begin")
            work(connection)
            connection.request("GET", "/mark-end")
        process.kill()
        return system_calls.count(system_calls.between(log.read_text(errors="replace"), "mark-begin", "mark-end"), timed)

    def _compare(self, start, work, timed=frozenset()):
        """`timed` are calls whose number depends on how long it all takes."""
        bare_env, env = self.spanshim.env(preload=False), self.spanshim.env()
        bare = self._calls("bare", bare_env, start, work, timed)
        shimmed = self._calls("shimmed", env, start, work, timed)
        self.assertGreater(sum(bare.values()), 100)
        self.assertEqual(bare, shimmed)

    def test_httpd(self):
        def start(strace, env):
            process = self.run_program([*strace, APPS / "httpd"], env=env, name="httpd")
            return process, process.announced_port()

        def work(connection):
            for _ in range(50):
                connection.request("GET", "/size/1000")
            connection.request("GET", "/sendfile/20000")
            connection.request("POST", "/echo", [b"one", b"two"])

        self._compare(start, work)

    def test_python(self):
        def start(strace, env):
            argv = [*strace, PYTHON, "-u", servers.SCRIPTS / "http_handler.py"]
            process = self.run_program(argv, env=env, name="python")
            return process, process.announced_port()

        def work(connection):
            for _ in range(50):
                connection.request("GET", "/size/1000")

        self._compare(start, work, {"poll"})  # serve_forever looks up twice a second


if __name__ == "__main__":
    unittest.main(verbosity=2)
