# SPDX-License-Identifier: Apache-2.0
"""Programs under strace, and what its log counts."""

import collections
import re

# What the shim may add once a program runs: waking the agent, and reading the clock where there is no vDSO.
ALLOWED = {"futex", "clock_gettime"}


def strace(log, env):
    """The start of a command line that traces a program into `log`, and the environment for strace itself: the preload
    is for the program only."""
    env = dict(env)
    preload = [f"-ELD_PRELOAD={env.pop('LD_PRELOAD')}"] if "LD_PRELOAD" in env else []
    return ["/usr/bin/strace", "-f", "-qq", "-yy", "-o", str(log), *preload], env


def between(text, begin, end):
    """The lines of a log from the first that has `begin` to the first after it that has `end`."""
    start = text.index(begin)
    return text[start:text.index(end, start)].splitlines()


def count(lines, without=frozenset(), on=""):
    """How often each system call was begun, by name; `on` leaves only calls whose arguments say that."""
    calls = collections.Counter()
    for line in lines:
        found = re.match(r"\d+\s+(\w+)\(", line)
        if found and found.group(1) not in ALLOWED | without and on in line:
            calls[found.group(1)] += 1
    return calls
