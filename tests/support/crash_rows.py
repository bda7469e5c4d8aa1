# SPDX-License-Identifier: Apache-2.0
"""The crashes of test-apps/crash that the tests go through: the command line, and what the report of it must say."""

import dataclasses
import os
import re

from harness import APPS

# Who isn't the parent learns a wait status from Linux 6.15 on (PIDFD_GET_INFO).
STATUS_IS_TOLD = tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (6, 15)


@dataclasses.dataclass(frozen=True)
class Row:
    """One crash. `frames` are functions that the crashed thread's stack shows in this order, the first of them on top, others
    between them allowed. `reports` is how many there are."""

    arguments: str
    title: str = ""
    frames: tuple = ()
    threads: int = 1
    reports: int = 1
    program: str = "crasher"
    known: bool = False    # crashes only when the agent knows the process: no handler will run
    copied: bool = False   # runs as a copy, which it may delete
    settled: bool = True   # is it the same thread, at the same instruction, each time?

    @property
    def name(self):
        """As it is typed."""
        return f"{self.program} {self.arguments}"

    @property
    def argv(self):
        """The command."""
        return [str(APPS / self.program), *["-w"][:self.known], *self.arguments.split()]


def _fault(name, title, *frames, **facts):
    """A fault in the main thread: on top there is the function of its name, unless others are named."""
    return Row(name, title, (*(frames or (name,)), "crash_fault", "main"), **facts)


def _place(place, *frames, fault="null_write", title="SIGSEGV in null_write: write to 0x0 (null pointer)", **facts):
    return Row(f"{fault} {place}", title, (fault, "crash_fault", *frames), **facts)


def _handler(handler, fault="null_write", title="SIGSEGV in null_write: write to 0x0 (null pointer)", **facts):
    return Row(f"{fault} main {handler}", title, (fault, "crash_fault", "main"), **facts)


def _death(arguments, title):
    """No handler can run: what is known is the wait status, to agents whose kernel tells."""
    return Row(arguments, title, threads=0, known=True, reports=int(STATUS_IS_TOLD))


def _sent(name, signal, *frames, **facts):
    return _fault(name, signal, *(frames or (name,)), **facts)


FAULTS = [
    _fault("null_read", "SIGSEGV in null_read: read of 0x0 (null pointer)"),
    _fault("null_write", "SIGSEGV in null_write: write to 0x0 (null pointer)"),
    _fault("null_call", "SIGSEGV", "call", "null_call"),
    _fault("heap_jump", "non-executable memory", "call", "heap_jump"),
    _fault("noncanonical_read", "SIGSEGV in noncanonical_read"),
    _fault("noncanonical_jump", "SIGSEGV", "call", "noncanonical_jump"),
    _fault("constant_write", "read-only"),
    Row("overflow", "stack overflow", ("overflow_deeper", "overflow_deeper")),
    Row("overflow thread", "stack overflow", ("overflow_deeper", "overflow_deeper"), threads=2),
    Row("smashed_return", "SIGSEGV in smashed_return", ("smashed_return",)),
    _fault("malloc_lock", "corrupted top size", "abort", "malloc", "malloc_lock", threads=2),
    _fault("double_free", "double free", "abort", "free", "double_free"),
    _fault("failed_assert", "one is zero", "abort", "failed_assert"),
    _fault("fortify", "buffer overflow detected", "abort", "fortify"),
    _fault("stack_protector", "stack smashing detected", "abort", "stack_protector"),
    _fault("divide", "SIGFPE in divide"),
    _fault("ud2", "SIGILL in ud2"),
    _fault("int3", "SIGTRAP in int3"),
    _fault("cut_file", "SIGBUS in cut_file"),
    _death("forbidden_call", "SIGSYS"),
    _fault("call_abort", "SIGABRT", "abort", "call_abort"),
    _sent("send_abort", "SIGABRT"),
    _sent("send_raise", "SIGSYS"),
    _sent("send_kill", "SIGBUS"),
    _sent("send_tgkill", "SIGFPE"),
    _sent("send_sigqueue", "SIGILL"),
    _sent("send_other_thread", "SIGTRAP", "send_other_thread", threads=2, settled=False),
    _sent("send_other_process", "SIGSEGV", "send_other_process", settled=False),
]

PLACES = [
    _place("thread", "in_thread", threads=2),
    _place("small_thread", "in_thread", threads=2),
    _place("coroutine"),
    _place("small_signal_stack", "main", title="SIGSEGV"),
    _place("small_signal_stack", "main", fault="divide", title="SIGFPE"),
    _place("fork", "main"),
    _place("vfork", "main"),
    _place("qsort", "compare", "main"),
    _place("constructor", "before_main"),
    _place("destructor", "after_main"),
    _place("atexit", "at_exit"),
    _place("thread_exit", "end_of_thread", threads=2),
    _place("dlopen", "main", threads=2),
    _place("at_once", "in_step", settled=False, threads=64),
    _place("crowd", "main", threads=200),
    _death("null_write blocked", "SIGSEGV"),
    _death("null_write ignored", "SIGSEGV"),
    _place("deleted", "main", copied=True),
    Row("send_kill ignored", reports=0),
    _death("call_abort ignored", "SIGABRT"),
    Row("null_write qsort", "SIGSEGV", program="crasher_stripped"),
]

HANDLERS = [
    _handler("raise"),
    _handler("raise_nodefer"),
    _handler("raise_on_stack"),
    Row("overflow main raise_on_stack", "stack overflow", ("overflow_deeper",)),
    _handler("once"),
    _handler("reset"),
    _handler("quick_exit"),
    _handler("exit"),
    _handler("abort"),
    _death("null_write main crash", "SIGSEGV"),  # which blocks the second one's signal
    _handler("divide"),
    _handler("plain"),
    Row("null_write main jump", reports=0),
    _handler("raise", fault="send_kill", title="SIGBUS"),
    Row("int3 main once", reports=0),  # goes on behind the trap
    _handler("quick_exit", fault="divide", title="SIGFPE in divide"),
    _handler("log", fault="call_abort", title="SIGABRT in call_abort"),  # libc's abort() ends what its handler doesn't
    _handler("once", fault="failed_assert", title="one is zero"),
    _handler("reset", fault="double_free", title="double free"),
    _handler("log_and_abort"),
    Row("call_abort thread log", "SIGABRT in call_abort", ("abort", "call_abort", "crash_fault", "in_thread"), threads=2),
    Row("send_abort main log", reports=0),  # raise() returns
]

LANGUAGES = [
    Row("out_of_range", "std::out_of_range", ("abort", "out_of_range", "main"), program="crasher_cxx"),
    Row("refused", "shop::Refused", ("abort", "refused", "main"), program="crasher_cxx"),
    Row("number", "int", ("abort", "number", "main"), program="crasher_cxx"),
    Row("in_thread", "shop::Refused", ("abort", "refused"), threads=2, program="crasher_cxx"),
    Row("in_noexcept", "shop::Refused", ("abort", "in_noexcept", "main"), program="crasher_cxx"),
    Row("null_member", "SIGSEGV in null_member", ("null_member", "main"), program="crasher_cxx"),
    Row("terminate", "SIGABRT", ("abort", "main"), program="crasher_cxx"),
    Row("panic", "panic in panic::price", ("abort", "price", "main"), program="crasher_rust"),
    Row("words", "panic in panic::refuse", ("abort", "refuse", "main"), program="crasher_rust"),
    Row("overflow", "stack overflow", ("deeper",), program="crasher_rust"),
    Row("null", "SIGSEGV", ("main",), program="crasher_rust"),
]

SILENT = [Row("none", reports=0), Row("send_term", reports=0, known=True), _death("send_sigkill", "SIGKILL")]

ROWS = FAULTS + PLACES + HANDLERS + LANGUAGES + SILENT
