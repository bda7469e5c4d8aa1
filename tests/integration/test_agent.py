# SPDX-License-Identifier: Apache-2.0
"""The agent by itself, against a program that acts as the shim (tests/support/handover.c): who may talk to it, what
outlives its worker, when it ends."""

import array
import errno
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

import processes
from harness import AGENT, BUILD, LAUNCHER, base_environment
from otlp_sink import OtlpSink
from processes import PATIENCE_S, Process, wait_until

HANDOVER = BUILD / "tests" / "handover"
MAGIC, VERSION = 0x4E415053, 2
STATUS, FLUSH, STOP = 2, 3, 5
SIGNED, HEAD_CUT = 3, 5  # enum wire_withhold
NOBODY = 65534
SECRET = "hny_0123456789"
NOW = "OTEL_BSP_SCHEDULE_DELAY=20"
PATIENT = "OTEL_EXPORTER_OTLP_TIMEOUT=600000"  # a receiver is given longer than any test


def numbers_of(spans):
    """The numbers that handover.c gave its requests, in order."""
    return sorted(struct.unpack("<Q", bytes.fromhex(span["trace_id"])[8:])[0] for span in spans)


def message(kind, text=b""):
    """A struct wire_message and its text."""
    return struct.pack("<IHHIIQ", MAGIC, VERSION, kind, os.getpid(), len(text), 0) + text


class Program:
    """handover.c at work."""

    def __init__(self, path, *settings):
        self.popen = subprocess.Popen([str(HANDOVER), str(path), *settings], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      text=True, bufsize=1)
        self.pid = int(self._answer())

    def _answer(self):
        line = self.popen.stdout.readline().split()
        if line[:1] != ["ok"]:
            self.end()
            raise AssertionError(f"handover ended with {self.popen.wait()}")
        return line[1]

    def do(self, *words):
        """One line of its input; what it answers."""
        self.popen.stdin.write(" ".join(str(word) for word in words) + "\n")
        return int(self._answer())

    def end(self):
        """No more input: it exits, as does a child that took over from it."""
        if self.popen.stdin.closed:
            return
        self.popen.stdin.close()
        self.popen.stdout.read()
        self.popen.wait()
        self.popen.stdout.close()

    def kill(self):
        self.popen.kill()
        self.end()


class AgentTest(unittest.TestCase):
    """A private folder and receiver."""

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="spanshim-agent-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.run_directory = self.directory / "run"
        self.run_directory.mkdir(mode=0o700)
        self.socket = self.run_directory / "agent.sock"
        self.sink = OtlpSink()
        self.addCleanup(self.sink.close)

    def environment(self, **settings):
        env = base_environment(self.directory)
        env.update(SPANSHIM_RUNTIME_DIR=str(self.run_directory), XDG_STATE_HOME=str(self.directory / "state"), **settings)
        return env

    def start(self, *options, **settings):
        """An agent that listens. One that ends when it is idle may have done so by now."""
        agent = Process([str(AGENT), *options], self.directory, self.environment(**settings), name="agent")
        self.addCleanup(agent.kill)
        wait_until(lambda: self.listens() or agent.popen.poll() is not None, what="the agent")
        return agent

    def start_to_serve(self, *settings):
        """An agent that ends when it has nothing to do, and a program that came before it did."""
        while True:
            agent = self.start()
            try:
                return agent, self.program(*settings)
            except AssertionError:
                agent.wait()

    def listens(self):
        """Does anybody answer? The socket's name is there a moment before."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def run_agent(self, *options, **settings):
        """An agent that is expected to end soon."""
        return subprocess.run([str(AGENT), *options], env=self.environment(**settings), capture_output=True, text=True,
                              timeout=PATIENCE_S, check=False)

    def program(self, *settings):
        program = Program(self.socket, f"OTEL_EXPORTER_OTLP_ENDPOINT={self.sink.url}", *settings)
        self.addCleanup(program.end)
        return program

    def connect(self):
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(connection.close)
        connection.settimeout(PATIENCE_S)
        connection.connect(str(self.socket))
        return connection

    def ask(self, kind, text=b""):
        """A command's answer; None when there was none."""
        connection = self.connect()
        connection.send(message(kind, text))
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        return json.loads(answer) if answer else None

    def log(self):
        return (self.directory / "state" / "spanshim" / "agent.log").read_text()

    def worker(self, agent):
        return wait_until(lambda: processes.children(agent.pid), what="a worker")[-1]

    def kill_worker(self, agent):
        """kill -9; returns when another one serves. One that dies soon after its start is started again ever later."""
        old = self.worker(agent)
        wait_until(lambda: processes.age_s(old) > 0.25, what="the worker's age")
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: [pid for pid in processes.children(agent.pid) if pid != old], what="another worker")


class LifeTest(AgentTest):
    """Start and end."""

    def test_it_ends_when_idle(self):
        agent = self.start()
        self.assertEqual(0, agent.wait())
        self.assertFalse(self.socket.exists())

    def test_it_stays_when_told(self):
        agent = self.start("--stay")
        with self.assertRaises(subprocess.TimeoutExpired):
            agent.popen.wait(timeout=3)

    def test_it_serves_while_a_program_runs_and_ends_after_it(self):
        agent, program = self.start_to_serve(NOW)
        with self.assertRaises(subprocess.TimeoutExpired):
            agent.popen.wait(timeout=3)
        program.do("write", 0, 3)
        program.end()
        self.assertEqual(0, agent.wait())
        self.assertEqual([0, 1, 2], numbers_of(self.sink.spans))

    def test_a_second_agent_is_not_started(self):
        self.start("--stay")
        again = self.run_agent()
        self.assertEqual(1, again.returncode)
        self.assertIn("running already", again.stderr)
        quiet = self.run_agent("--if-absent", "--background")
        self.assertEqual((0, "", ""), (quiet.returncode, quiet.stdout, quiet.stderr))

    def test_background_returns_when_it_listens(self):
        started = self.run_agent("--background", "--stay")
        self.assertEqual((0, ""), (started.returncode, started.stderr))
        pid = self.ask(STATUS)["agent"]["pid"]
        self.assertEqual("/", os.readlink(f"/proc/{pid}/cwd"))
        self.assertEqual("/dev/null", os.readlink(f"/proc/{pid}/fd/2"))
        self.assertEqual({"result": "ok"}, self.ask(STOP))
        wait_until(lambda: not processes.command_line(pid), what="the agent's end")  # who reaps it is not our affair

    def test_sigterm_delivers_first(self):
        agent = self.start("--stay")
        program = self.program()
        program.do("write", 0, 100)
        agent.popen.terminate()
        self.assertEqual(0, agent.wait())
        self.assertEqual(list(range(100)), numbers_of(self.sink.spans))

    def test_sigterm_delivers_what_came_before_it_is_heard(self):
        agent = self.start("--stay")
        self.ask(STATUS)
        agent.popen.send_signal(signal.SIGSTOP)
        agent.popen.terminate()
        program = self.program()
        program.do("write", 0, 100)
        agent.popen.send_signal(signal.SIGCONT)
        self.assertEqual(0, agent.wait())
        self.assertEqual(list(range(100)), numbers_of(self.sink.spans))

    def test_sigterm_leaves_no_socket_behind(self):
        """However early it comes: the name is there a moment before anybody serves it."""
        for _ in range(40):
            agent = Process([str(AGENT), "--stay"], self.directory, self.environment(), name="agent")
            self.addCleanup(agent.kill)
            wait_until(self.socket.exists, what="the agent's socket", interval=0)
            self.assertEqual(0, agent.terminate())
            self.assertFalse(self.socket.exists())

    def test_sigterm_does_not_wait_for_a_dead_receiver(self):
        """Who waits for a flush is told so."""
        agent = self.start("--stay")
        self.sink.set_mode("hang")
        self.program(PATIENT).do("write", 0, 100)
        waiting = self.connect()
        waiting.send(message(FLUSH))
        wait_until(lambda: self.ask(STATUS)["destinations"][0]["exporters"][0]["state"] == "sending", what="an attempt")
        agent.popen.terminate()
        answer = json.loads(waiting.recv(1 << 16))
        self.assertEqual(("failed", ["the agent stopped"]), (answer["result"], answer["errors"]))
        self.assertEqual(0, agent.wait())

    def test_a_worker_that_is_slow_at_the_end_is_given_time(self):
        """Who kills it loses what it has in memory."""
        agent = self.start("--stay")
        self.program().do("write", 0, 100)
        worker = self.worker(agent)
        os.kill(worker, signal.SIGSTOP)
        agent.popen.terminate()
        with self.assertRaises(subprocess.TimeoutExpired):
            agent.popen.wait(timeout=6)
        os.kill(worker, signal.SIGCONT)
        self.assertEqual(0, agent.wait())
        self.assertEqual(list(range(100)), numbers_of(self.sink.spans))

    def test_closed_standard_descriptors_are_not_reused(self):
        script = f'exec "{AGENT}" --stay <&- >&- 2>&-'
        agent = Process(["/bin/sh", "-c", script], self.directory, self.environment(), name="agent")
        self.addCleanup(agent.kill)
        wait_until(self.socket.exists, what="the agent's socket")
        for pid in (agent.pid, self.worker(agent)):
            found = processes.descriptors(pid)
            self.assertEqual(["/dev/null"] * 3, [found[fd] for fd in range(3)])

    def test_log_that_is_no_file_is_left_alone(self):
        """A FIFO that nobody reads: an open for writing would wait for ever."""
        os.mkfifo(self.directory / "fifo")
        agent = Process([str(AGENT), "--stay", "--log", str(self.directory / "fifo")], self.directory,
                        self.environment(), name="agent")
        self.addCleanup(agent.kill)
        self.assertGreater(self.worker(agent), 0)

    def test_nobody_is_lost_at_the_end(self):
        """Hand-overs around the moment at which an idle agent leaves: served, or told that nobody listens."""
        served = 0
        for _ in range(4):
            agent = self.start()
            time.sleep(1.9 + random.random() * 0.25)
            try:
                program = self.program(NOW)
            except AssertionError:
                agent.wait()
                continue
            program.do("write", served, 1)
            program.end()
            agent.wait()
            served += 1
        self.assertEqual(list(range(served)), numbers_of(self.sink.spans))

    def test_a_passed_socket_is_used_and_left_alone(self):
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(listener.close)
        listener.bind(str(self.socket))
        listener.listen(16)
        script = f'exec 3<&{listener.fileno()}; LISTEN_FDS=1 LISTEN_PID=$$ exec "{AGENT}"'
        agent = Process(["/bin/sh", "-c", script], self.directory, self.environment(), name="agent",
                        pass_fds=(listener.fileno(),))
        self.addCleanup(agent.kill)
        self.assertEqual(agent.pid, self.ask(STATUS)["agent"]["pid"])
        agent.popen.terminate()
        self.assertEqual(0, agent.wait())
        self.assertTrue(self.socket.exists())

    def test_a_removed_socket_comes_back(self):
        """Cleaners of /tmp remove what looks old: the socket, the lock, the whole folder."""
        agent = self.start("--stay")
        lock = self.socket.with_suffix(".lock")

        def answers():
            try:
                return self.ask(STATUS)
            except OSError:
                return None

        def remove_folder():
            """All of it, before the agent looks: else it may be back in a folder that is just being removed."""
            agent.popen.send_signal(signal.SIGSTOP)
            shutil.rmtree(self.run_directory)
            agent.popen.send_signal(signal.SIGCONT)

        for remove in (self.socket.unlink, lambda: (lock.unlink(), self.socket.unlink()), remove_folder):
            remove()
            self.assertEqual(agent.pid, wait_until(answers, what="an answer")["agent"]["pid"])
        self.assertIn("already", self.run_agent("--stay").stderr)
        self.assertEqual(0, agent.terminate())
        self.assertFalse(self.socket.exists())

    def test_another_agents_socket_is_left_alone(self):
        """One that came while the name was missing: the first goes on with what it has."""
        first = self.start("--stay")
        first.popen.send_signal(signal.SIGSTOP)
        shutil.rmtree(self.run_directory)
        second = self.start("--stay")
        first.popen.send_signal(signal.SIGCONT)
        wait_until(lambda: self.socket.exists() and self.ask(STATUS), what="an answer")
        first.terminate()
        self.assertEqual(second.pid, self.ask(STATUS)["agent"]["pid"])

    def test_another_agents_socket_is_left_alone_at_the_end_of_work(self):
        """As above, for one that ends by itself when its last program is gone."""
        first, program = self.start_to_serve(NOW)
        program.do("write", 0, 1)
        self.sink.wait_for(1)
        first.popen.send_signal(signal.SIGSTOP)
        shutil.rmtree(self.run_directory)
        second = self.start("--stay")
        socket_of_second = self.socket.stat().st_ino
        first.popen.send_signal(signal.SIGCONT)
        program.end()
        self.assertEqual(0, first.wait())
        self.assertEqual(socket_of_second, self.socket.stat().st_ino)
        self.assertEqual(second.pid, self.ask(STATUS)["agent"]["pid"])

    @unittest.skipIf(b"__tsan_init" in AGENT.read_bytes(), "ThreadSanitizer has a thread that wakes up")
    def test_an_idle_agent_sleeps(self):
        agent = self.start("--stay")
        program = self.program(NOW)
        program.do("write", 0, 10)
        self.sink.wait_for(10)
        worker = self.worker(agent)
        wait_until(lambda: all(ring["asleep"] for ring in self.ask(STATUS)["rings"]), what="sleep")

        def still():
            """No switch in two seconds, of the keeper and all threads of the worker; connections take a while to end."""
            before = processes.context_switches(agent.pid), processes.context_switches(worker)
            time.sleep(2)
            return before == (processes.context_switches(agent.pid), processes.context_switches(worker))

        wait_until(still, timeout=60, what="two seconds without a wake-up")
        program.do("write", 10, 1)
        self.sink.wait_for(11)


class ShortageTest(AgentTest):
    """One half of the agent can't receive what the other sends, for want of memory or for another reason."""

    def start_to_fail(self):
        """Returns the agent and the folder that says which half fails."""
        self.addCleanup(shutil.rmtree, faults := Path(tempfile.mkdtemp(prefix="spanshim-faults-")))
        agent = self.start("--stay", FAILING_RECEIVE=str(faults), LD_PRELOAD=str(BUILD / "tests" / "libshort_of_memory.so"),
                           ASAN_OPTIONS="verify_asan_link_order=0")
        return agent, faults

    def wait_for_log(self, words):
        wait_until(lambda: words in self.log(), what=f"'{words}' in the log")

    def test_a_worker_without_memory_goes_on_later(self):
        agent, faults = self.start_to_fail()
        worker = self.worker(agent)
        self.ask(STATUS)
        (faults / "spanshim-worker").write_text(str(errno.ENOMEM))
        program = self.program()
        program.do("write", 0, 10)
        self.wait_for_log("the keeper can't be heard: Cannot allocate memory")
        (faults / "spanshim-worker").unlink()
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        self.assertEqual(list(range(10)), numbers_of(self.sink.spans))
        self.assertEqual(worker, self.worker(agent))

    def test_a_keeper_without_memory_goes_on_later(self):
        """What the worker says meanwhile is heard: the journal is held, and outlives the worker."""
        agent, faults = self.start_to_fail()
        self.ask(STATUS)
        (faults / "spanshim-agent").write_text(str(errno.ENOMEM))
        program = self.program("OTEL_BSP_SCHEDULE_DELAY=600000")
        program.do("write", 0, 10)
        self.wait_for_log("the worker can't be heard: Cannot allocate memory")
        wait_until(lambda: program.do("tail") >= 10, what="what was read")
        (faults / "spanshim-agent").unlink()
        wait_until(lambda: any("spanshim-journal" in what for what in processes.descriptors(agent.pid).values()),
                   what="the journal")
        self.kill_worker(agent)
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        self.assertEqual(list(range(10)), numbers_of(self.sink.spans))

    def test_a_half_that_hears_nothing_more_is_made_anew(self):
        """What a worker has taken goes with it if the keeper did not hear of that: then nothing is written until there is
        another. One that can't hear has not got the ring."""
        for number, (half, other) in enumerate((("spanshim-worker", "keeper"), ("spanshim-agent", "worker"))):
            with self.subTest(half):
                agent, faults = self.start_to_fail()
                worker = self.worker(agent)
                self.ask(STATUS)
                (faults / half).write_text(str(errno.EIO))
                program, early = self.program(), 5 if half == "spanshim-worker" else 0
                program.do("write", number * 10, early)
                self.wait_for_log(f"the {other} can't be heard: Input/output error")
                (faults / half).unlink()
                self.ask(STATUS)
                program.do("write", number * 10 + early, 10 - early)
                self.assertEqual("ok", self.ask(FLUSH)["result"])
                self.assertNotEqual(worker, self.worker(agent))
                self.assertEqual(list(range(number * 10 + 10)), numbers_of(self.sink.spans))
                self.assertEqual(0, agent.terminate())


class PeerTest(AgentTest):
    """Who may talk to it, and where it may listen."""

    @unittest.skipIf(os.geteuid(), "needs root")
    def test_another_user_is_refused(self):
        self.start("--stay")
        for path in (self.directory, self.run_directory):
            path.chmod(0o755)
        self.socket.chmod(0o777)
        script = ("import socket,sys; s=socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET); s.connect(sys.argv[1]);\n"
                  "try: s.send(bytes.fromhex(sys.argv[2])); print(len(s.recv(100)))\n"
                  "except OSError: print(0)")
        answer = subprocess.run(["/usr/bin/python3", "-c", script, str(self.socket), message(STATUS).hex()], user=NOBODY,
                                group=NOBODY, extra_groups=[], capture_output=True, text=True, check=True)
        self.assertEqual("0", answer.stdout.strip())
        self.assertIsNotNone(self.ask(STATUS))

    def _refused(self, pattern):
        ended = self.run_agent()
        self.assertEqual(1, ended.returncode)
        self.assertRegex(ended.stderr, pattern)

    def test_a_squatted_path_is_refused(self):
        self.socket.write_text("somebody's")
        self._refused("not a socket of ours: refused")
        self.assertEqual("somebody's", self.socket.read_text())

    @unittest.skipIf(os.geteuid(), "needs root")
    def test_a_folder_of_somebody_else_is_refused(self):
        os.chown(self.run_directory, NOBODY, NOBODY)
        self._refused("belongs to user 65534: refused")

    def test_a_folder_that_others_write_to_is_refused(self):
        self.run_directory.chmod(0o777)
        self._refused("chmod go-w")

    def test_a_linked_folder_is_refused(self):
        self.run_directory.rmdir()
        (self.directory / "elsewhere").mkdir()
        self.run_directory.symlink_to(self.directory / "elsewhere")
        self._refused("refused")

    def test_a_dead_agents_socket_is_replaced(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as stale:
            stale.bind(str(self.socket))
        agent = Process([str(AGENT), "--stay"], self.directory, self.environment(), name="agent")
        self.addCleanup(agent.kill)
        wait_until(self._answers, what="the agent")

    def _answers(self):
        try:
            return self.ask(STATUS)
        except OSError:
            return None

    def test_nonsense_is_survived(self):
        self.start("--stay")
        rng = random.Random(1)
        silent = [self.connect() for _ in range(300)]
        for _ in range(300):
            connection = self.connect()
            bytes_ = bytearray(message(rng.choice((0, 1, 2, 3, 4, 6, 99)), rng.randbytes(rng.randrange(0, 200))))
            for _ in range(rng.randrange(0, 4)):
                bytes_[rng.randrange(len(bytes_))] = rng.randrange(6, 256)  # not STOP
            fds = [os.memfd_create("x") for _ in range(rng.randrange(0, 4))]
            try:
                connection.sendmsg([bytes_], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else [])
            except OSError:
                pass
            finally:
                for fd in fds:
                    os.close(fd)
                connection.close()
        self.assertEqual([], self.ask(STATUS)["rings"])
        del silent

    def test_a_ring_of_huge_pages_is_refused(self):
        """Reading it would end the worker by SIGBUS where the system has none left."""
        agent = self.start("--stay")
        worker = self.worker(agent)
        fds = [os.memfd_create("x", os.MFD_HUGETLB | os.MFD_ALLOW_SEALING) for _ in range(2)]
        for fd in fds:
            os.ftruncate(fd, 2 << 20)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
        self.connect().sendmsg([message(1)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        wait_until(lambda: "its hand-over was refused" in self.log(), what="a refusal")
        self.assertEqual(worker, self.worker(agent))
        for fd in fds:
            os.close(fd)

    def test_secrets_stay_inside(self):
        agent = self.start("--stay")
        program = self.program(f"OTEL_EXPORTER_OTLP_HEADERS=x-honeycomb-team={SECRET}")
        program.do("write", 0, 1)
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        self.assertNotIn(SECRET, json.dumps(self.ask(STATUS)))
        self.assertNotIn(SECRET, self.log())
        for pid in (agent.pid, self.worker(agent)):
            self.assertNotIn(SECRET, processes.command_line(pid))
        mode = (self.directory / "state" / "spanshim" / "agent.log").stat().st_mode
        self.assertEqual(0o600, stat.S_IMODE(mode))
        self.assertRegex(self.log(), re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z info \[\d+\] ", re.M))


class RecordTest(AgentTest):
    """What becomes of records."""

    def test_flush_delivers_everything(self):
        self.start("--stay")
        program = self.program()
        program.do("write", 0, 5000)
        answer = self.ask(FLUSH)
        self.assertEqual(("ok", 0), (answer["result"], answer["failed"]))
        self.assertEqual(list(range(5000)), numbers_of(self.sink.spans))
        self.assertEqual([], self.sink.violations)
        self.assertEqual(5000, self.ask(STATUS)["rings"][0]["counts"]["taken"])

    def test_memory_goes_back_when_all_is_quiet(self):
        """The ring's is charged to the target, the journal's to the agent."""
        agent = self.start("--stay")
        program = self.program()
        worker = self.worker(agent)
        self.assertEqual("ok", self.ask(FLUSH)["result"])  # the worker knows the ring
        os.kill(worker, signal.SIGSTOP)
        program.do("write", 0, 400)  # which has room in the ring

        def held(kind):
            """Bytes that the keeper's memfds of one kind hold."""
            return sum(os.stat(f"/proc/{agent.pid}/fd/{fd}").st_blocks * 512
                       for fd, what in processes.descriptors(agent.pid).items() if kind in what)

        self.assertGreater(held("wire-writer"), 150000)
        os.kill(worker, signal.SIGCONT)
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        wait_until(lambda: held("wire-writer") < 75000, what="less memory of the ring")
        wait_until(lambda: held("spanshim-journal") < 100000, what="less memory of the journal")
        program.do("write", 400, 1000)
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        self.assertEqual(list(range(1400)), numbers_of(self.sink.spans))

    def test_open_requests_of_a_killed_process_end_as_errors(self):
        self.start("--stay")
        program = self.program("OTEL_BSP_SCHEDULE_DELAY=50")
        program.do("write", 0, 10)
        program.do("open", 10, 5)
        program.kill()
        self.sink.wait_for(15)
        self.assertEqual(list(range(15)), numbers_of(self.sink.spans))
        errors = [span for span in self.sink.spans if span["attributes"].get("error.type") == "process_exited"]
        self.assertEqual(list(range(10, 15)), numbers_of(errors))
        self.assertEqual(5, self.ask(STATUS)["totals"]["counts"]["abandoned"])

    def test_a_child_that_claims_late_is_served(self):
        """A daemon: who handed the ring over is dead before its child is in a lane."""
        agent, program = self.start_to_serve(NOW)
        program.do("write", 0, 1)
        child = program.do("fork")
        self.assertNotEqual(child, program.pid)
        program.do("write", 1, 5)
        program.end()
        self.assertEqual(0, agent.wait())
        self.assertEqual(list(range(6)), numbers_of(self.sink.spans))
        self.assertEqual(2, len({span["resource"]["service.instance.id"] for span in self.sink.spans}))

    def test_a_process_that_claims_many_lanes_takes_one_descriptor(self):
        agent = self.start("--stay")
        program = self.program(NOW)
        program.do("write", 0, 1)
        self.sink.wait_for(1)
        before = self._pidfds()
        program.do("lanes")
        program.do("write", 1, 5)
        self.sink.wait_for(6)
        self.assertEqual(before, self._pidfds())
        program.end()
        wait_until(lambda: not self.ask(STATUS)["rings"], what="the ring's end")
        agent.terminate()

    def _pidfds(self):
        """Processes that the worker watches."""
        worker = self.ask(STATUS)["agent"]["worker_pid"]
        return sum("pidfd" in what for what in processes.descriptors(worker).values())

    def test_a_killed_worker_loses_nothing_and_doubles_nothing(self):
        """A batch is never under way here: the delay is longer than the test."""
        agent = self.start("--stay")
        programs = [self.program("OTEL_BSP_SCHEDULE_DELAY=600000", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2048") for _ in range(2)]
        for round_ in range(10):
            for index, program in enumerate(programs):
                program.do("write", index * 100000 + round_ * 50, 50)
            self.kill_worker(agent)
        programs[0].do("open", 50000, 3)
        programs[0].kill()
        self.kill_worker(agent)
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        expected = [*range(500), *range(50000, 50003), *range(100000, 100500)]
        self.assertEqual(expected, numbers_of(self.sink.spans))
        self.assertEqual([], self.sink.violations)
        self.assertEqual(2, len({span["resource"]["service.instance.id"] for span in self.sink.spans}))
        self.assertIn("a new one goes on", self.log())

    def test_requests_without_our_header_are_counted_by_reason(self):
        """In the rings that are there, in those that were, and by the next worker."""
        agent = self.start("--stay")
        gone, program = self.program(), self.program()
        gone.do("withhold", SIGNED, 2)
        gone.end()
        program.do("withhold", SIGNED, 1)
        program.do("withhold", HEAD_CUT, 4)

        def counted():
            withheld = self.ask(STATUS)["totals"]["withheld"]
            return {cause: count for cause, count in withheld.items() if count} == {"signed": 3, "head_cut": 4}

        wait_until(lambda: len(self.ask(STATUS)["rings"]) == 1, what="the end of one")
        wait_until(counted, what="both counts")
        worker = self.worker(agent)
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: worker not in processes.children(agent.pid) and counted(), what="the counts of another worker")
        shown = subprocess.run([str(LAUNCHER), "status"], env=self.environment(), capture_output=True, text=True,
                               timeout=PATIENCE_S, check=False).stdout
        self.assertRegex(shown, r"made without a trace header\n.*\n +3 +signed +the request is signed.*\n +4 +head_cut ")

    def test_a_damaged_ring_does_not_spoil_the_sums(self):
        self.start("--stay")
        damaged, program = self.program(), self.program()
        damaged.do("withhold", SIGNED, 2**63)
        damaged.end()
        program.do("withhold", SIGNED, 3)
        wait_until(lambda: len(self.ask(STATUS)["rings"]) == 1, what="the end of one")
        self.assertEqual(3, self.ask(STATUS)["totals"]["withheld"]["signed"])

    def test_records_of_a_gone_process_outlive_the_worker(self):
        self.sink.set_mode("503")
        agent, program = self.start_to_serve("OTEL_SERVICE_NAME=gone", NOW)
        program.do("write", 0, 20)
        program.end()
        wait_until(lambda: not self.ask(STATUS)["rings"], what="the ring's end")
        self.kill_worker(agent)
        self.sink.set_mode("ok")
        self.sink.wait_for(20)
        self.assertEqual(list(range(20)), numbers_of(self.sink.spans))
        self.assertEqual({"gone"}, {span["resource"]["service.name"] for span in self.sink.spans})
        self.assertEqual(0, agent.wait())

    def test_two_destinations_are_not_mixed(self):
        self.start("--stay")
        other = OtlpSink()
        self.addCleanup(other.close)
        first = self.program("OTEL_SERVICE_NAME=first", "OTEL_EXPORTER_OTLP_HEADERS=x-key=one")
        second = self.program(f"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT={other.url}/v1/traces", "OTEL_SERVICE_NAME=second",
                              "OTEL_EXPORTER_OTLP_HEADERS=x-key=two")
        first.do("write", 0, 100)
        second.do("write", 100, 100)
        self.assertEqual("ok", self.ask(FLUSH)["result"])
        self.assertEqual(list(range(100)), numbers_of(self.sink.spans))
        self.assertEqual(list(range(100, 200)), numbers_of(other.spans))


if __name__ == "__main__":
    unittest.main(verbosity=2)
