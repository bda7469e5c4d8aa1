# SPDX-License-Identifier: Apache-2.0
"""The shim's half of a crash: what the program sees of signals is its own, what is written down is what happened, and
the process is held only as long as the agent wants."""

import os
import re
import resource
import shutil
import signal
import subprocess
import time
import unittest

import crash_agent
from crash_agent import CrashAgent
from harness import APPS, PYTHON, SOURCE, ShimTest
from processes import wait_until

FAULT, HANDLED, EXITED = 0, crash_agent.HANDLED, crash_agent.HANDLED | crash_agent.EXITED
STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
PATIENT = {"SPANSHIM_CRASH_TIMEOUT": "60000"}  # of a program whose crash the test looks at, however late it gets to it
CAUGHT = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT, signal.SIGTRAP, signal.SIGSYS}


class SignalTest(ShimTest):
    """Programs under a shim that a test plays the agent for."""

    def setUp(self):
        super().setUp()
        self.path = self.directory / "crash-agent.sock"

    def listen(self, **options):
        """An agent for the next program."""
        self.path.unlink(missing_ok=True)
        agent = CrashAgent(self.path, **options)
        self.addCleanup(agent.close)
        return agent

    def shimmed(self, **settings):
        """The environment of the next program."""
        return self.spanshim.env(SPANSHIM_AGENT=self.path, **{"SPANSHIM_CRASH": "always", **settings})

    def start(self, *arguments, **settings):
        """Start the program that crashes as it is told."""
        argv = [str(APPS / "crasher"), *arguments]
        return self.run_program(argv, self.shimmed(**{**PATIENT, **settings}))


class ViewTest(SignalTest):
    """What the program asks libc for is answered as without us."""

    def _both(self, *argv, **settings):
        bare = subprocess.run(argv, env=self.spanshim.env(preload=False), capture_output=True, timeout=60, check=True)
        agent = self.listen()
        env = self.shimmed(SPANSHIM_CRASH_TIMEOUT="10", **settings)  # nobody looks at its crashes
        shimmed = subprocess.run(argv, env=env, capture_output=True, timeout=60, check=True)
        self.assertTrue(agent.taken(), "the shim has not been there")
        self.assertEqual(bare.stdout.decode().splitlines(), shimmed.stdout.decode().splitlines())
        self.assertEqual(bare.stderr, shimmed.stderr)
        return bare.stdout

    def test_from_the_start(self):
        self.assertGreater(self._both(APPS / "signal_view").count(b"\n"), 500)

    def test_from_the_first_socket(self):
        self._both(APPS / "signal_view", "late", SPANSHIM_CRASH="auto")

    @unittest.skipUnless(shutil.which("go"), "no Go here")
    def test_go(self):
        """Its runtime insists on its own alternate stacks, which it sets past libc."""
        program = self.directory / "handled"
        env = {**os.environ, "GOCACHE": str(self.directory / "cache"), "GOPROXY": "off", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "1"}
        subprocess.run(["go", "build", "-o", program, SOURCE / "test-apps" / "crash" / "handled.go"], cwd=self.directory, env=env,
                       timeout=100, check=True)
        self.assertEqual(20, self._both(program).count(b"recovered"))
        ends = []
        for env in (self.spanshim.env(preload=False), self.shimmed()):
            self.listen()
            ended = subprocess.run([program, "crash"], env=env, capture_output=True, timeout=60, check=False)
            ends.append((ended.returncode, ended.stdout, ended.stderr.split(b"\n")[0]))
        self.assertEqual(*ends)

    def test_handlers_are_there_and_not_seen(self):
        """The kernel knows of handlers that the program doesn't, unless capture is off."""
        show = [PYTHON, "-c", "import signal; print(signal.getsignal(signal.SIGSEGV), open('/proc/self/status').read())"]
        for mode, expected in (("always", CAUGHT), ("auto", set()), ("off", set())):
            with self.subTest(mode=mode):
                self.listen()
                shown = subprocess.run(show, env=self.shimmed(SPANSHIM_CRASH=mode), capture_output=True, timeout=60, check=True)
                self.assertTrue(shown.stdout.startswith(b"0 "), shown.stdout[:80])
                caught = int(re.search(rb"SigCgt:\s+([0-9a-f]+)", shown.stdout).group(1), 16)
                self.assertEqual(expected, {number for number in CAUGHT if caught >> (number - 1) & 1})


class DeathTest(SignalTest):
    """Each signal ends a process as it does without us."""

    def test_every_signal(self):
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        numbers = [number for number in range(1, 65) if number not in STOPPING and number not in (32, 33)]
        for wanted in (True, False):
            with self.subTest(wanted=wanted):
                for number in numbers:
                    ends = []
                    agent = self.listen(wanted=wanted)
                    for env in (self.spanshim.env(preload=False), self.shimmed(SPANSHIM_CRASH_TIMEOUT="10")):
                        pid = os.posix_spawn(PYTHON, ["python3", "-c", f"import os; os.kill(os.getpid(), {number})"], env,
                                             file_actions=[(os.POSIX_SPAWN_OPEN, 2, "/dev/null", os.O_WRONLY, 0)])
                        ends.append(os.waitpid(pid, 0)[1])
                    self.assertEqual(*ends, f"signal {number}")
                    self.assertEqual(number in CAUGHT, len(agent.crashes()) == 1, f"signal {number}")
                    agent.close()


class TurnTest(SignalTest):
    """The two halves' turns, as wire.h has them."""

    def test_is_held_until_the_agent_is_done(self):
        agent = self.listen()
        process = self.start("null_write", "thread")
        crash = agent.wait([crash_agent.READY])
        self.assertEqual((process.pid, signal.SIGSEGV, FAULT), (crash.pid, crash.death_signal, crash.flags))
        self.assertNotEqual(crash.tid, crash.pid)
        self.assertEqual((signal.SIGSEGV, 0, 1, 0), crash.siginfo)
        self.assertEqual(crash.registers[crash_agent.REGISTER_RSP] - 128, crash.stack_at)
        self.assertEqual(2048, len(crash.stack))
        with open(f"/proc/{process.pid}/mem", "rb", 0) as memory:  # it is there, and as it was
            self.assertEqual(crash.stack[128:], os.pread(memory.fileno(), 2048 - 128, crash.stack_at + 128))
        agent.move(crash_agent.READING)
        time.sleep(0.05)
        self.assertIsNone(process.popen.poll())
        agent.move(crash_agent.DONE)
        self.assertEqual(-signal.SIGSEGV, process.wait())

    def test_copies_its_stack_when_it_may_not_be_read(self):
        agent = self.listen()
        process = self.start("overflow")
        agent.wait([crash_agent.READY])
        agent.move(crash_agent.REFUSED)
        crash = agent.wait([crash_agent.COPIED])
        self.assertEqual((crash.stack_at, 1, 1), (crash.copy_at, crash.copy_number, agent.copy_owner(1)))
        self.assertEqual(crash_agent.COPIED_STACK, crash.copy_length)  # the rest is the maps
        copy = agent.copy(crash)
        self.assertEqual(crash.stack, copy[:len(crash.stack)])
        with open(f"/proc/{process.pid}/mem", "rb", 0) as memory:
            self.assertEqual(copy, os.pread(memory.fileno(), len(copy), crash.copy_at))
        agent.move(crash_agent.DONE)
        self.assertEqual(-signal.SIGSEGV, process.wait())

    def test_copies_to_the_end_of_the_stack(self):
        agent = self.listen()
        process = self.start("null_write")
        agent.wait([crash_agent.READY])
        agent.move(crash_agent.REFUSED)
        crash = agent.wait([crash_agent.COPIED])
        self.assertLess(crash.copy_length, crash_agent.COPY_SIZE)
        self.assertEqual(0, (crash.copy_at + crash.copy_length) % crash_agent.PAGE)
        agent.move(crash_agent.DONE)
        self.assertEqual(-signal.SIGSEGV, process.wait())

    def test_waits_no_longer_than_it_may(self):
        """Neither for an agent that does not look, nor for one that reads and does not end."""
        agent = self.listen()
        self.assertEqual(-signal.SIGSEGV, self.start("null_write", SPANSHIM_CRASH_TIMEOUT="200").wait())
        self.assertEqual(crash_agent.ALONE, agent.wait([crash_agent.ALONE]).state)
        wait_until(self.is_left_while_it_reads, what="an end while the agent reads")

    def is_left_while_it_reads(self):
        """Does a process end that is being read? False where we began to read when it had ended, as on a busy machine."""
        agent = self.listen()
        process = self.start("null_write", SPANSHIM_CRASH_TIMEOUT="1000")
        agent.wait([crash_agent.READY, crash_agent.ALONE])
        agent.move(crash_agent.READING)
        self.assertEqual(-signal.SIGSEGV, process.wait())
        return agent.state(0) == crash_agent.ALONE

    def test_waits_for_nobody_who_does_not_want_it(self):
        agent = self.listen(wanted=False)
        self.assertEqual(-signal.SIGSEGV, self.start("null_write", SPANSHIM_CRASH_TIMEOUT="60000").wait())
        self.assertIn(agent.state(0), (crash_agent.READY, crash_agent.ALONE))

    def test_no_other_thread_ends_a_process_that_crashes(self):
        """Its first thread returns from main while another one's crash is looked at."""
        code = ("import ctypes, threading, os, sys\n"
                "threading.Thread(target=ctypes.string_at, args=(8,)).start()\n"
                "sys.stdin.read(1)\n"
                "os._exit(0)\n")
        agent = self.listen()
        process = subprocess.Popen([PYTHON, "-c", code], env=self.shimmed(**PATIENT), stdin=subprocess.PIPE, cwd=self.directory)
        self.addCleanup(process.kill)
        agent.wait([crash_agent.READY])
        process.stdin.close()  # it reads the end, and goes for its exit
        time.sleep(0.2)
        self.assertIsNone(process.poll())
        agent.move(crash_agent.DONE)
        self.assertEqual(-signal.SIGSEGV, process.wait(60))


class ReportTest(SignalTest):
    """What is written down: once, at the fault."""

    # crasher's arguments -> flags, signal of the fault, signal of the death
    ONCE = {
        ("null_write",): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("overflow",): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("overflow", "thread"): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "small_thread"): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "small_signal_stack"): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "coroutine"): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("null_call", "destructor"): (FAULT, signal.SIGSEGV, signal.SIGSEGV),
        ("failed_assert",): (FAULT, signal.SIGABRT, signal.SIGABRT),
        ("int3",): (FAULT, signal.SIGTRAP, signal.SIGTRAP),
        ("divide", "at_once"): (FAULT, signal.SIGFPE, signal.SIGFPE),
        ("send_sigqueue",): (FAULT, None, None),
        ("null_write", "main", "raise"): (HANDLED, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "main", "raise_nodefer"): (HANDLED, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "main", "raise_on_stack"): (HANDLED, signal.SIGSEGV, signal.SIGSEGV),
        ("overflow", "thread", "raise_on_stack"): (None, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "main", "once"): (None, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "main", "reset"): (None, signal.SIGSEGV, signal.SIGSEGV),
        ("null_write", "main", "abort"): (HANDLED, signal.SIGSEGV, signal.SIGABRT),
        ("null_write", "main", "quick_exit"): (EXITED, signal.SIGSEGV, 0),
        ("null_write", "thread", "quick_exit"): (EXITED, signal.SIGSEGV, 0),
        ("null_write", "main", "exit"): (EXITED, signal.SIGSEGV, 0),
    }

    def test_once(self):
        for arguments, (flags, fault, death) in self.ONCE.items():
            with self.subTest(" ".join(arguments)):
                agent = self.listen()
                process = self.start(*arguments)
                crash = agent.wait([crash_agent.READY])
                agent.move(crash_agent.DONE)
                process.wait()
                self.assertEqual(1, len(agent.crashes()))
                if fault is not None:
                    self.assertEqual((fault, death), (crash.siginfo[0], crash.death_signal))
                if flags is not None:
                    self.assertEqual(flags, crash.flags)
                    self.assertEqual(flags != FAULT, crash.handler != 0)
                if crash.siginfo[0] == signal.SIGABRT:
                    self.assertIn("Assertion", crash.text)
                agent.close()

    def test_in_a_child_that_borrows_its_parents_memory(self):
        agent = self.listen()
        process = self.start("null_write", "vfork")
        crash = agent.wait([crash_agent.READY])
        self.assertEqual(crash_agent.VFORK_CHILD, crash.flags)
        self.assertNotEqual(process.pid, crash.pid)
        agent.move(crash_agent.DONE)
        process.wait()

    def test_pythons_faulthandler(self):
        """It puts back what was set before it, and raises the signal anew."""
        agent = self.listen()
        process = self.run_program([PYTHON, "-X", "faulthandler", "-c", "import ctypes; ctypes.string_at(8)"],
                                   self.shimmed(**PATIENT))
        crash = agent.wait([crash_agent.READY])
        agent.move(crash_agent.DONE)
        self.assertEqual(-signal.SIGSEGV, process.wait())
        self.assertEqual((HANDLED, (signal.SIGSEGV, 0, 1, 8)), (crash.flags, crash.siginfo))
        self.assertIn(b"Fatal Python error: Segmentation fault", process.err)

    def test_nothing_of_faults_that_are_handled(self):
        for arguments in (["jump", "1000"], ["mend", "1000"]):
            with self.subTest(arguments[0]):
                agent = self.listen()
                process = self.run_program([APPS / "crasher_handled", *arguments], self.shimmed())
                self.assertEqual(0, process.wait())
                self.assertEqual([], agent.crashes())

    def test_nothing_of_an_exit_after_a_handler(self):
        """The frame that the kernel made for the handler is still in memory, and the exit comes from below it."""
        for way in ("return", "jump", "switch"):
            with self.subTest(way):
                agent = self.listen()
                self.assertEqual(7, self.run_program([APPS / "signal_exit", way], self.shimmed()).wait())
                self.assertEqual([], agent.crashes())

    def test_nothing_of_ordinary_ends(self):
        for code in ("pass", "import os; os._exit(3)", "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
                     "import subprocess; subprocess.run(['true'], check=True)"):
            with self.subTest(code):
                agent = self.listen()
                subprocess.run([PYTHON, "-c", code], env=self.shimmed(), timeout=60, check=False)
                self.assertEqual([], agent.crashes())


if __name__ == "__main__":
    unittest.main(verbosity=2)
