# SPDX-License-Identifier: Apache-2.0
"""Runs of crashing programs: several at once, each in a folder of its own, with what they left behind."""

import concurrent.futures
import contextlib
import ctypes
import dataclasses
import os
import resource
import shutil
import subprocess
from pathlib import Path

from processes import wait_until

ADDR_NO_RANDOMIZE = 0x0040000
AT_ONCE = 3
TIME_LIMIT_S = 60


@dataclasses.dataclass
class Run:
    """A program that has ended."""

    pid: int
    argv: list
    directory: Path
    wait_status: int
    out: bytes
    err: bytes

    @property
    def end(self):
        """How it ended, in words."""
        if os.WIFSIGNALED(self.wait_status):
            return f"signal {os.WTERMSIG(self.wait_status)}{', core' if os.WCOREDUMP(self.wait_status) else ''}"
        return f"status {os.WEXITSTATUS(self.wait_status)}"

    @property
    def core(self):
        """The core file, or None."""
        return next(iter(sorted(self.directory.glob("core*"))), None)


@contextlib.contextmanager
def settled_layout(cores=True):
    """Programs started meanwhile have their stacks, heaps and own code at the same addresses each time, and may leave cores."""
    libc = ctypes.CDLL(None)
    persona = libc.personality(0xffffffff)
    limits = resource.getrlimit(resource.RLIMIT_CORE)
    libc.personality(persona | ADDR_NO_RANDOMIZE)
    resource.setrlimit(resource.RLIMIT_CORE, (limits[1] if cores else 0, limits[1]))
    try:
        yield
    finally:
        libc.personality(persona)
        resource.setrlimit(resource.RLIMIT_CORE, limits)


def cores_missing():
    """Why there are no cores to look at; empty when there are."""
    pattern = Path("/proc/sys/kernel/core_pattern").read_text().strip()
    if "/" in pattern or "|" in pattern:
        return f"cores go elsewhere: {pattern}"
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
        return "no cores are allowed here"
    return ""


def run_row(row, directory, env, agent=None):
    """Run a row of the table; if it needs to be known to the agent, that is waited for."""
    def between(pid):
        if agent:
            wait_until(lambda: agent.knows(pid), what="the agent knows it")

    return run(row.argv, directory, env, row.copied, between if row.known else None)


def run(argv, directory, env, copied=False, between=None, **options):
    """Run a program to its end, in a new folder. One that waits to be told is told after between(pid)."""
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    if copied:
        argv = [shutil.copy(argv[0], directory), *argv[1:]]
    with open(directory / "stdout", "wb") as out, open(directory / "stderr", "wb") as err:
        process = subprocess.Popen(argv, cwd=directory, env=env, stdin=subprocess.PIPE, stdout=out, stderr=err, **options)
        with process.stdin:
            if between:
                wait_until((directory / "stdout").read_bytes, what=f"{argv} is ready")
                between(process.pid)
                process.stdin.write(b"\n")
        wait_status = _wait(process)
    return Run(process.pid, argv, directory, wait_status, *(_without_number(directory / name, process.pid) for name in ("stdout", "stderr")))


def _without_number(path, pid):
    """What it wrote, without its own number: some runtimes show that."""
    return path.read_bytes().replace(b"(%d)" % pid, b"(PID)")


def _wait(process):
    """The wait status as the kernel gives it: subprocess doesn't keep whether there was a core."""
    found = []

    def wait():
        found.append(os.waitpid(process.pid, 0)[1])

    with concurrent.futures.ThreadPoolExecutor(1) as waiting:
        end = waiting.submit(wait)
        try:
            end.result(TIME_LIMIT_S)
        except concurrent.futures.TimeoutError:
            process.kill()
    process.returncode = os.waitstatus_to_exitcode(found[0])
    return found[0]


def in_parallel(work, items):
    """The results of work(item), in order; a few at a time."""
    with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(work, items))
