# SPDX-License-Identifier: Apache-2.0
"""What gdb sees in core files. read() runs gdb, and gdb runs this file: it has an interpreter of its own.

Addresses differ between a bare and a shimmed process, since the shim's mapping moves the libraries. So they are named by
what they point at: a file and an offset, or the distance from the stack pointer."""

import json
import os
import subprocess
import sys

# Those that a called function keeps. The rest may hold what a hook has left there, or the stack protector's random word.
REGISTERS = "rbx rbp rsp r12 r13 r14 r15 rip".split()
NEAR_STACK = 2048
MODULE_TLS = 4096
FRAMES = 12
# Without the libraries' separate debug information: it takes most of the time to load.
SETTINGS = ["-ex", "set confirm off", "-ex", "set debug-file-directory /nonexistent"]


def read(cores):
    """[(executable, core)] -> for each {signal, code, address, registers, frames}: see above for how addresses look."""
    request = json.dumps([[str(executable), str(core)] for executable, core in cores])
    env = {name: value for name, value in os.environ.items() if name != "DEBUGINFOD_URLS"}
    result = subprocess.run(["gdb", "-batch", "-nx", *SETTINGS, "-x", __file__], input=request, env=env, text=True,
                            capture_output=True, check=False, timeout=300)
    lines = [line for line in result.stdout.splitlines() if line.startswith("CORES ")]
    if not lines:
        raise RuntimeError(f"gdb: {result.stdout[-2000:]} {result.stderr[-2000:]}")
    return json.loads(lines[0][len("CORES "):])


def _mappings():
    """[(start, end, offset, file)] of the mapped files."""
    found = []
    for line in gdb.execute("info proc mappings", to_string=True).splitlines():
        fields = line.split()
        if len(fields) >= 5 and fields[0].startswith("0x"):
            found.append((int(fields[0], 16), int(fields[1], 16), int(fields[3], 16), os.path.basename(fields[4])))
    return found


def _name(value, stack, mappings):
    """What an address points at; small numbers are what they are, but for the process's and the thread's."""
    if value in gdb.selected_thread().ptid:
        return "own number" if value else "0x0"
    for start, end, offset, file in mappings:
        if start <= value < end:
            return f"{file}+{value - start + offset:#x}"
    if abs(value - stack) < NEAR_STACK:  # further up there are things whose place depends on what is loaded
        return f"sp{value - stack:+#x}"
    if value > -MODULE_TLS % (1 << 64):
        return "thread-local offset"
    try:
        gdb.selected_inferior().read_memory(value, 1)
        return "memory"
    except gdb.MemoryError:
        return hex(value)


def _frames(stack, mappings):
    """The innermost calls: function and place in it."""
    frames = []
    frame = gdb.newest_frame()
    while frame and len(frames) < FRAMES:
        if frame.type() == gdb.SIGTRAMP_FRAME:  # whose code it is that a handler returns to tells nothing
            frames.append(["<signal handler called>", ""])
        else:
            frames.append([frame.name() or "?", _name(frame.pc(), stack, mappings)])
        try:
            frame = frame.older()
        except gdb.error:
            break
    return frames


def _look(executable, core):
    if gdb.current_progspace().filename != executable:
        gdb.execute(f"file {executable}", to_string=True)
    gdb.execute(f"core-file {core}", to_string=True)
    mappings = _mappings()
    value = lambda expression: int(gdb.parse_and_eval(expression)) % (1 << 64)
    stack = value("$rsp")
    code = int(gdb.parse_and_eval("$_siginfo.si_code"))
    return {
        "signal": value("$_siginfo.si_signo"),
        "code": code,
        # of one that was sent, it is the sender's number
        "address": _name(value("$_siginfo._sifields._sigfault.si_addr"), stack, mappings) if code > 0 else "sent",
        "registers": {name: _name(value(f"${name}"), stack, mappings) for name in REGISTERS},
        "frames": _frames(stack, mappings),
    }


def _main():
    found = []
    for executable, core in json.load(sys.stdin):
        try:
            found.append(_look(executable, core))
        except gdb.error as error:
            found.append({"error": str(error)})
    print("CORES " + json.dumps(found))


if __name__ == "__main__":
    import gdb  # pylint: disable=import-error
    _main()
