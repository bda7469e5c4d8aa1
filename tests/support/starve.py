# SPDX-License-Identifier: Apache-2.0
"""Run a command on a machine that is busy at the wrong moments: starve.py [--seed N] -- COMMAND...

While the command runs, every 0.2 to 0.5 s one process beneath it, or one of its threads, gets no processor for 50 to 800 ms.
What a test supposes about time comes out.

The victim is bound to one processor, which this process keeps busy meanwhile at a real-time priority: that needs root, or
CAP_SYS_NICE. No signal is sent: a stopped process would be seen by its parent, and its system calls would end with EINTR.
Of several that run at the same time only one starves at once, so that a second processor stays for all others.

The seed says who is chosen and for how long, not what it is doing at that moment: it repeats a run in kind only. The exit
status is the command's."""

import argparse
import os
import random
import signal
import socket
import subprocess
import sys
import time

from processes import adopt_orphans, children, command_line, thread_ids

PAUSE_S = (0.2, 0.5)
STARVED_S = (0.05, 0.8)
GONE = (FileNotFoundError, ProcessLookupError)


def descendants(pid):
    """All processes beneath this one."""
    found = []
    try:
        for child in children(pid):
            found += [child, *descendants(child)]
    except GONE:
        pass
    return found


def choose(chance):
    """A process beneath this one and those of its threads that shall starve."""
    processes = descendants(os.getpid())
    if not processes:
        return 0, []
    pid = chance.choice(sorted(processes))
    try:
        threads = thread_ids(pid)
    except GONE:
        return pid, []
    return pid, threads if chance.random() < 0.7 else [chance.choice(threads)]


def bind(thread, processors):
    """Let the thread run on these processors only; those it could run on before, or None if it has ended."""
    try:
        before = os.sched_getaffinity(thread)
        os.sched_setaffinity(thread, processors)
    except (*GONE, PermissionError):  # the last: another user's, for one who is not root
        return None
    return before


def starve(threads, processor, seconds):
    """Bind the threads to this processor, and keep it busy for so long. What they start inherits nothing: from the moment
    they are bound they do not run."""
    end = time.monotonic() + seconds
    everywhere = bind(0, {processor})
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    try:
        bound = [(thread, bind(thread, {processor})) for thread in threads]
        while time.monotonic() < end:
            pass
        for thread, before in bound:
            if before is not None:
                bind(thread, before)
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        bind(0, everywhere)


def try_turn():
    """Only one of us starves at once: a socket that holds the turn until it is closed, or None."""
    turn = socket.socket(socket.AF_UNIX)
    try:
        turn.bind("\0spanshim-test-starve")
    except OSError:
        turn.close()
        return None
    return turn


def reap(command):
    """Collect the orphans that have come to us and ended; the command's status once it has ended."""
    for pid in set(children(os.getpid())) - {command.pid}:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass
    return command.poll()


def run(argv, chance, is_loud):
    """Run the command, starving what is beneath it; its status as subprocess gives it."""
    adopt_orphans()
    processors = sorted(os.sched_getaffinity(0))
    command = subprocess.Popen(argv)  # pylint: disable=consider-using-with
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command ends by it, and we then
    while (status := reap(command)) is None:
        turn = try_turn()
        if turn:
            with turn:
                pid, threads = choose(chance)
                seconds = chance.uniform(*STARVED_S)
                if is_loud:
                    print(f"starve: {time.strftime('%T')} {seconds:.2f} s {pid} {threads} {command_line(pid)[:100]}",
                          file=sys.stderr)
                starve(threads, chance.choice(processors), seconds)
        time.sleep(chance.uniform(*PAUSE_S))
    return status


def is_permitted():
    """May this process take a real-time priority?"""
    try:
        starve([], min(os.sched_getaffinity(0)), 0)
    except PermissionError:
        return False
    return True


def main():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0], usage="%(prog)s [--seed N] [--loud] -- COMMAND...")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    parser.add_argument("--loud", action="store_true", help="say who starves")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if not is_permitted():
        sys.exit("starve: no real-time priority is permitted: needs root or CAP_SYS_NICE")
    print(f"starve: seed {options.seed}", file=sys.stderr)
    status = run(options.command, random.Random(options.seed), options.loud)
    sys.exit(status if status >= 0 else 128 - status)


if __name__ == "__main__":
    main()
