# SPDX-License-Identifier: Apache-2.0
"""Processes that a test starts: each in a group of its own, its output in a file, ended by pid when the test ends; and
what /proc says of them."""

import ctypes
import functools
import itertools
import os
import random
import signal
import socket
import subprocess
import time
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
CLOCK_TICK = os.sysconf("SC_CLK_TCK")
# How long anything may take that a test waits for. Long, for a busy machine: what comes in time is not waited for longer.
PATIENCE_S = 60


def _heed_signals():
    """Whoever starts us in the background may have us ignore some signals, and what we start would inherit that: what has a
    handler is not inherited."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


_heed_signals()


def adopt_orphans():
    """Become the parent of what our children leave behind, so that nothing outlives the test unseen."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def wait_until(condition, timeout=PATIENCE_S, what="condition", interval=0.01):
    """Call `condition` until it answers something true, and return that. what: a text, or what makes it in the end."""
    deadline = time.monotonic() + timeout
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what() if callable(what) else what}: not within {timeout} s")
        time.sleep(interval)


class _Ports:
    """Ports for this test only. They are none that the kernel gives out by itself: such a port may be somebody's by the
    time that a server asks for it. Other tests see by an abstract socket's name that these are ours."""

    COUNT = 256

    def __init__(self):
        blocks = self._blocks()
        random.SystemRandom().shuffle(blocks)
        self._reservation = socket.socket(socket.AF_UNIX)
        first = next(block for block in blocks if self._reserve(block))
        self._ports = itertools.cycle(range(first, first + self.COUNT))

    def _blocks(self):
        first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
        below = range(max(first // 2, 1024), first - self.COUNT, self.COUNT)
        above = range(last + 1, 65536 - self.COUNT, self.COUNT)
        return [*below, *above] or list(range(first, last - self.COUNT, self.COUNT))  # it may give out nearly all of them

    def _reserve(self, block):
        try:
            self._reservation.bind(f"\0spanshim-test-ports-{block}")
        except OSError:
            return False
        return True

    def next(self):
        """The next that nobody listens on."""
        while True:
            port = next(self._ports)
            with socket.socket() as probe:
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            return port


_ports = functools.cache(_Ports)


def free_port():
    """A port that nobody listens on, now and until this test ends, but those who are told of it."""
    return _ports().next()


def listens(port):
    """Does anybody listen on this port of the loopback? Asked of the kernel's table: a probe would be a connection."""
    wanted = f":{port:04X}"
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):  # the second: unless the kernel has no IPv6
        for line in table.read_text().splitlines()[1:] if table.exists() else ():
            fields = line.split()
            if fields[1].endswith(wanted) and fields[3] == "0A":
                return True
    return False


def listens_at(path):
    """Does anybody listen at this unix socket? The file is there before."""
    rows = (line.split() for line in Path("/proc/net/unix").read_text().splitlines()[1:])
    return any(row[3] == "00010000" and row[7:] == [str(path)] for row in rows)


class Process:
    """A started program. Its output is in `out` and `err`, files that can be read at any time."""

    def __init__(self, argv, directory, env, name=None, stdin=subprocess.DEVNULL, **options):
        self.name = name or os.path.basename(argv[0])
        number = len(list(Path(directory).glob(f"{self.name}.*.out")))
        self.out_path = Path(directory) / f"{self.name}.{number}.out"
        self.err_path = Path(directory) / f"{self.name}.{number}.err"
        with open(self.out_path, "wb") as out, open(self.err_path, "wb") as err:
            self.popen = subprocess.Popen(argv, stdin=stdin, stdout=out, stderr=err, env=env, cwd=directory,
                                          start_new_session=True, **options)
        self.pid = self.popen.pid

    @property
    def out(self):
        """What it has written to standard output so far."""
        return self.out_path.read_bytes()

    @property
    def err(self):
        """What it has written to standard error so far."""
        return self.err_path.read_bytes()

    def announced_port(self):
        """The port that a program of ours prints when it is ready."""

        def look():
            if self.popen.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.popen.returncode}: {self.err.decode()}")
            line = self.out.decode().split("\n")[0]
            return int(line.split()[1]) if line.startswith("port ") and b"\n" in self.out else None

        return wait_until(look, what=f"{self.name} announces its port")

    def wait_listening(self, port):
        """Wait until somebody listens on `port`."""

        def look():
            if self.popen.poll() is not None:
                raise RuntimeError(f"{self.name} ended with {self.popen.returncode}: {self.err.decode()}")
            return listens(port)

        wait_until(look, what=f"{self.name} listens on {port}")
        return port

    def wait(self, timeout=PATIENCE_S):
        """Its exit status, as subprocess gives it."""
        return self.popen.wait(timeout)

    def send_when_caught(self, number):
        """Send this signal as soon as it would not end the program: many listen before they have a handler."""
        wait_until(lambda: catches(self.pid, number), what=f"{self.name}'s handler of signal {number}")
        self.popen.send_signal(number)

    def terminate(self, timeout=PATIENCE_S):
        """SIGTERM, then its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self):
        """End it and what stayed in its group. If it has ended, and there is a process of its number, that is somebody else's: a
        group keeps its number from being given out again, and this one has nobody left."""
        if self.popen.poll() is not None and os.path.exists(f"/proc/{self.pid}"):
            return
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()


def task_texts(pid, name):
    """The file of that name of each thread, without those that end meanwhile."""
    texts = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            texts.append((task / name).read_text())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return texts


def children(pid):
    """Pids of the direct children, in ascending order; one that is gone has none."""
    try:
        return sorted(int(child) for text in task_texts(pid, "children") for child in text.split())
    except (FileNotFoundError, ProcessLookupError):
        return []


def end_orphans():
    """Kill what was left to us, by pid; returns what it was, for a test to complain about."""
    left = []
    for _ in range(100):
        mine = children(os.getpid())
        if not mine:
            break
        for pid in mine:
            try:
                left.append((pid, command_line(pid)))
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError, FileNotFoundError):
                pass
    return left


def command_line(pid):
    """The arguments, joined by blanks; empty for a zombie, and for a process that is gone."""
    try:
        arguments = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return arguments.replace(b"\0", b" ").decode(errors="replace").strip()


def age_s(pid):
    """How long ago it was started, in seconds."""
    ticks = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / CLOCK_TICK


def cpu_seconds(pid):
    """User and system time of one process, its ended threads included, in clock ticks' resolution."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / CLOCK_TICK


def cpu_nanoseconds(pid):
    """Time on a processor of all live threads, in nanoseconds (schedstat)."""
    return sum(int(text.split()[0]) for text in task_texts(pid, "schedstat"))


def status_field(pid, name):
    """A field of /proc/PID/status, as text."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.partition(":")[2].strip()
    raise KeyError(name)


def catches(pid, number):
    """Has it a handler for this signal?"""
    return bool(int(status_field(pid, "SigCgt"), 16) >> (number - 1) & 1)


def resident_bytes(pid):
    """Resident set, in bytes."""
    return int(status_field(pid, "VmRSS").split()[0]) * 1024


def thread_states(pid):
    """Each thread's state by its number ("S": asleep), without those that end meanwhile."""
    fields = [dict(line.split(":", 1) for line in text.splitlines()) for text in task_texts(pid, "status")]
    return {int(status["Pid"]): status["State"].split()[0] for status in fields}


def thread_ids(pid):
    """Its threads."""
    return sorted(int(task.name) for task in Path(f"/proc/{pid}/task").iterdir())


def descriptors(pid):
    """Its open descriptors: number -> what it is."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found[int(entry.name)] = os.readlink(entry)
        except FileNotFoundError:
            pass
    return found


def context_switches(pid):
    """Voluntary context switches of all threads: how often it went to sleep, and so was woken."""
    return sum(int(line.split()[1]) for text in task_texts(pid, "status") for line in text.splitlines()
               if line.startswith("voluntary_ctxt_switches"))
