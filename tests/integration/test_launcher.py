# SPDX-License-Identifier: Apache-2.0
"""`spanshim run` as its user meets it: exit statuses, signals, LD_PRELOAD, warnings, as the first process. What it says
to an agent is test_launcher_agent.py's."""

import os
import pty
import signal
import subprocess
import sys
import time
import unittest
from pathlib import Path

from launcher import LIBRARY, LauncherTest
from processes import PATIENCE_S, children, wait_until

# Says when it is ready, when each of COUNT signals has come, and at the end which came, one too many included.
COUNT_SIGNALS = """
import signal, sys, time
seen = []
signal.signal(getattr(signal, sys.argv[1]), lambda number, frame: seen.append(signal.Signals(number).name))
print("ready", flush=True)
for count in range(1, int(sys.argv[2]) + 1):
    while len(seen) < count:
        time.sleep(0.01)
    print("got", count, flush=True)
end = time.monotonic() + 0.3
while time.monotonic() < end:
    time.sleep(0.01)
print(",".join(seen), flush=True)
"""


def can_make_pid_namespace():
    return subprocess.run(["unshare", "-pf", "--mount-proc", "true"], capture_output=True, check=False).returncode == 0


class ExitStatusTest(LauncherTest):
    """Both ways to run, as the program itself (exec) and as its parent (--init), answer alike."""

    def both(self, *args, **settings):
        by_exec = self.run_command("run", "--", *args, **settings)
        as_parent = self.run_command("run", "--init", "--", *args, **settings)
        self.assertEqual(by_exec.returncode, as_parent.returncode)
        self.assertEqual(by_exec.stdout, as_parent.stdout)
        return by_exec

    def test_exit_status_is_the_programs(self):
        for status in 0, 1, 42, 125, 255:
            self.assertEqual(self.both("sh", "-c", f"exit {status}").returncode, status)

    def test_death_by_signal_is_the_programs(self):
        for name in "TERM", "KILL", "SEGV", "ABRT", "USR1", "PIPE":
            result = self.both("sh", "-c", f"kill -{name} $$")
            self.assertEqual(result.returncode, -getattr(signal, "SIG" + name), name)

    def test_mirrored_crash_leaves_no_core_of_the_launcher(self):
        result = subprocess.run(["sh", "-c", f"ulimit -c unlimited; cd {self.folder}; "
                                 f"exec {self.bin}/spanshim run --init -- sh -c 'ulimit -c 0; kill -SEGV $$'"],
                                env=self.env, check=False, timeout=PATIENCE_S)
        self.assertEqual(result.returncode, -signal.SIGSEGV)
        self.assertEqual([path.name for path in self.folder.iterdir() if "core" in path.name], [])

    def test_missing_program_is_127(self):
        for name in "no-such-program", "/no/such/program", "./no-such-program":
            result = self.both(name)
            self.assertEqual(result.returncode, 127)
            self.assertIn("not found", result.stderr)

    def test_program_that_cannot_be_executed_is_126(self):
        plain = self.folder / "plain"
        plain.write_text("#!/bin/sh\n")
        for name in plain, self.folder, "/etc/passwd":
            self.assertEqual(self.both(name).returncode, 126)
        broken = self.folder / "broken"
        broken.write_bytes(b"\x7fELF" + bytes(60))
        broken.chmod(0o755)
        self.assertIn(self.both(broken).returncode, (126, 127, 2))

    def test_script_without_interpreter_line_is_run_by_the_shell(self):
        script = self.folder / "script"
        script.write_text('echo "$1 $#"\n')
        script.chmod(0o755)
        self.assertEqual(self.both(script, "a", "b").stdout, "a 2\n")

    def test_own_failure_is_125(self):
        for args in ["run"], ["run", "--"], ["run", "--wrong", "true"], ["run", "--service"], \
                ["run", "--env-file", "/nonexistent", "true"]:
            result = self.run_command(*args)
            self.assertEqual(result.returncode, 125, args)
            self.assertTrue(result.stderr.startswith("spanshim: "), result.stderr)
            self.assertEqual(len(result.stderr.splitlines()), 1)

    def test_missing_library_is_125(self):
        (self.bin / "libspanshim.so").unlink()
        self.assertEqual(self.run_program("true").returncode, 125)

    def test_program_keeps_pid_input_and_output(self):
        process = subprocess.Popen(self.argv("run", "--", "sh", "-c", "echo $$; cat"), env=self.env, text=True,
                                   stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, _ = process.communicate("input\n", timeout=PATIENCE_S)
        self.assertEqual(out, f"{process.pid}\ninput\n")

    def test_descriptors_of_the_caller_reach_the_program_and_no_others(self):
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        for option in [], ["--init"]:
            result = subprocess.run(self.argv("run", *option, "--", "ls", "/proc/self/fd"), env=self.env, text=True,
                                    pass_fds=[write], stdout=subprocess.PIPE, check=True, timeout=PATIENCE_S)
            # one more: ls's own, of the folder it lists
            self.assertEqual(len(result.stdout.split()), 5, result.stdout)
            self.assertIn(str(write), result.stdout.split())

    def test_closed_standard_descriptors_stay_closed(self):
        listing = self.folder / "listing"
        program = f"import os; open('{listing}', 'w').write(' '.join(sorted(os.listdir('/proc/self/fd'))))"

        def close_all():
            os.closerange(0, 3)

        def listed(argv):
            listing.unlink(missing_ok=True)
            subprocess.run(argv, env={**self.env, "OTEL_TRACES_EXPORTER": "console"}, preexec_fn=close_all, timeout=PATIENCE_S,
                           check=True)
            return listing.read_text()

        python = ["/usr/bin/python3", "-c", program]
        bare = listed(python)
        self.assertEqual(listed(self.argv("run", "--", *python)), bare)
        self.assertEqual(listed(self.argv("run", "--init", "--", *python)), bare)
        self.assertEqual([message for message in self.messages() if message["type"] == "console"], [])

    def test_a_warning_that_nobody_reads_does_not_stop_the_program(self):
        self.env["OTEL_TRACES_EXPORTER"] = "otlp"
        (self.bin / "spanshim-agent").unlink()
        read, write = os.pipe()
        os.close(read)
        result = subprocess.run(self.argv("run", "--", "sh", "-c", "exit 6"), env=self.env, stderr=write, timeout=PATIENCE_S,
                                check=False)
        os.close(write)
        self.assertEqual(result.returncode, 6)

    def test_usage_errors_of_commands_are_2(self):
        for args in [], ["stats"], ["status", "--wrong"], ["flush", "--timeout", "x"], ["log", "-n", "x"], ["lib", "x"]:
            self.assertEqual(self.run_command(*args).returncode, 2, args)
        self.assertIn("did you mean 'spanshim status'?", self.run_command("stats").stderr)

    def test_help_and_version(self):
        for args in ["--help"], ["run", "--help"], ["status", "-h"], ["help", "log"]:
            result = self.run_command(*args)
            self.assertEqual((result.returncode, result.stderr), (0, ""))
            self.assertIn("usage: spanshim", result.stdout)
        self.assertRegex(self.run_command("--version").stdout, r"^spanshim \d+\.\d+\.\d+\n$")
        self.assertEqual(self.run_program("/usr/bin/printf", "%s", "--help").stdout, "--help")


class EnvironmentTest(LauncherTest):
    def preload_of(self, **settings):
        return self.run_program("printenv", "LD_PRELOAD", **settings).stdout.strip()

    def setUp(self):
        super().setUp()
        self.ours = os.path.realpath(self.bin / "libspanshim.so")

    def test_preload_is_ours_first(self):
        self.assertEqual(self.preload_of(), self.ours)
        self.assertEqual(self.preload_of(LD_PRELOAD="libm.so.6 libz.so.1"), f"{self.ours}:libm.so.6:libz.so.1")
        self.assertEqual(self.preload_of(LD_PRELOAD=f"{self.ours}"), self.ours)

    def test_preload_is_added_once_by_nested_launchers(self):
        result = self.run_program(*self.argv("run", "--", "printenv", "LD_PRELOAD"))
        self.assertEqual(result.stdout.strip(), self.ours)

    def test_lib_prints_the_path(self):
        self.assertEqual(self.run_command("lib").stdout, self.ours + "\n")

    def test_disabled_changes_nothing(self):
        result = self.run_program("sh", "-c", "env; echo $$", SPANSHIM_DISABLED="1", OTEL_TRACES_EXPORTER=None)
        self.assertNotIn("LD_PRELOAD", result.stdout)
        self.assertNotIn("SPANSHIM_EXPORTERS", result.stdout)
        self.assertFalse(self.runtime.exists())

    def test_service_and_env_file(self):
        settings = self.folder / "settings"
        settings.write_text('# a comment\nOTEL_SERVICE_NAME="from file"\nFROM_FILE=a\\\nb\nGIVEN=file\n')
        result = self.run_command("run", "--env-file", settings, "--", "sh", "-c",
                                  'echo "$OTEL_SERVICE_NAME|$FROM_FILE|$GIVEN"', GIVEN="environment")
        self.assertEqual(result.stdout, "from file|ab|environment\n")
        result = self.run_command("run", "--service", "by option", "--env-file", settings, "printenv",
                                  "OTEL_SERVICE_NAME", OTEL_SERVICE_NAME="environment")
        self.assertEqual(result.stdout, "by option\n")

    def test_broken_env_file_names_the_line_and_no_value(self):
        settings = self.folder / "settings"
        settings.write_text("A=1\nSECRET 'hunter2\nB=2\n")
        result = self.run_command("run", "--env-file", settings, "--", "sh", "-c", 'echo "$A$B"')
        self.assertEqual((result.returncode, result.stdout), (0, "12\n"))
        self.assertIn("line 2", result.stderr)
        self.assertNotIn("hunter2", result.stderr)

    def test_missing_env_file_is_125_unless_it_may_be_missing(self):
        missing = self.folder / "missing"
        self.assertEqual(self.run_command("run", "--env-file", missing, "true").returncode, 125)
        self.assertEqual(self.run_command("run", "--env-file", f"-{missing}", "true").returncode, 0)

    def test_path_of_the_env_file_finds_the_program(self):
        tool = self.folder / "tools" / "only-here"
        tool.parent.mkdir()
        tool.write_text("#!/bin/sh\necho found\n")
        tool.chmod(0o755)
        settings = self.folder / "settings"
        settings.write_text(f"PATH={tool.parent}:/usr/bin:/bin\n")
        env = {name: value for name, value in self.env.items() if name != "PATH"}
        result = subprocess.run(self.argv("run", "--env-file", settings, "only-here"), env=env, text=True,
                                capture_output=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(result.stdout, "found\n")


class WarningTest(LauncherTest):
    """Programs that no preload reaches run, after one line."""

    def compile(self, name, *flags):
        source = self.folder / "program.c"
        source.write_text("int main(void) { return 7; }\n")
        subprocess.run(["gcc", *flags, "-o", self.folder / name, source], check=True)
        return self.folder / name

    def assert_warned(self, program, text):
        result = self.run_program(program)
        self.assertEqual(result.returncode, 7)
        self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
        self.assertIn(text, result.stderr)

    def test_dynamic_program_is_not_warned_of(self):
        result = self.run_program(self.compile("dynamic"))
        self.assertEqual((result.returncode, result.stderr), (7, ""))

    def test_static_program(self):
        self.assert_warned(self.compile("static", "-static"), "static")
        self.assert_warned(self.compile("static-pie", "-static-pie"), "static")

    def test_static_interpreter_of_a_script(self):
        interpreter = self.compile("static", "-static")
        script = self.folder / "script"
        script.write_text(f"#!{interpreter}\n")
        script.chmod(0o755)
        self.assert_warned(script, "static")

    def test_go_program(self):
        program = self.compile("gone")
        section = self.folder / "buildinfo"
        section.write_bytes(b"\xff Go buildinf:")
        subprocess.run(["objcopy", "--add-section", f".go.buildinfo={section}", program], check=True)
        self.assert_warned(program, "Go program")

    @unittest.skipUnless(os.geteuid() == 0, "only root can make a program that is set-user-id to somebody else")
    def test_setuid_program(self):
        program = self.compile("setuid")
        os.chown(program, 65534, 65534)
        program.chmod(0o4755)
        if os.statvfs(program).f_flag & os.ST_NOSUID:
            self.skipTest("the temporary folder is mounted nosuid")
        self.folder.chmod(0o755)
        self.assert_warned(program, "set-user-id")

    def test_sanitized_program_finds_its_runtime_first(self):
        source = self.folder / "program.c"
        source.write_text("int main(void) { return 7; }\n")
        built = subprocess.run(["gcc", "-fsanitize=address", "-o", self.folder / "sanitized", source], check=False)
        if built.returncode != 0:
            self.skipTest("gcc has no AddressSanitizer here")
        result = self.run_program(self.folder / "sanitized", ASAN_OPTIONS="detect_leaks=0")
        self.assertEqual((result.returncode, result.stderr), (7, ""))


class SignalTest(LauncherTest):
    def start_counting(self, name, count=1):
        process = self.start("run", "--init", "--", "/usr/bin/python3", "-c", COUNT_SIGNALS, name, count, start_new_session=True)
        self.assertEqual(process.stdout.readline(), "ready\n")
        return process

    def assert_seen(self, process, *names):
        """It has got these, and no others."""
        last = process.communicate(timeout=PATIENCE_S)[0].splitlines()[-1]
        self.assertEqual((",".join(names), 0), (last, process.returncode))

    def test_signals_are_forwarded(self):
        for name in "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGCONT", "SIGALRM":
            with self.subTest(name):
                process = self.start_counting(name)
                process.send_signal(getattr(signal, name))
                self.assert_seen(process, name)

    def test_group_signals_come_once(self):
        for name in "SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1":
            with self.subTest(name):
                process = self.start_counting(name)
                os.killpg(process.pid, getattr(signal, name))
                self.assert_seen(process, name)

    def test_signals_by_pid_and_group_at_once_come_once(self):
        """As timeout(1) sends them: within 20 ms, which a busy machine may exceed here."""
        def send():
            process = self.start_counting("SIGTERM")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            os.killpg(process.pid, signal.SIGTERM)
            return process if time.monotonic() - began < 0.01 else process.communicate(timeout=PATIENCE_S) and None

        self.assert_seen(wait_until(send, what="both signals at once"), "SIGTERM")

    def test_group_signals_come_once_on_a_busy_machine(self):
        """Who knows that the group was meant is late to say so."""
        process = self.start_counting("SIGTERM")
        witness = next(pid for pid in children(process.pid) if Path(f"/proc/{pid}/comm").read_text() == "signal-witness\n")
        os.kill(witness, signal.SIGSTOP)
        os.killpg(process.pid, signal.SIGTERM)
        self.assertEqual(process.stdout.readline(), "got 1\n")
        time.sleep(0.5)  # that late
        os.kill(witness, signal.SIGCONT)
        self.assert_seen(process, "SIGTERM")

    def test_every_signal_of_a_series_is_forwarded(self):
        process = self.start_counting("SIGUSR1", 3)
        for count in range(1, 4):
            process.send_signal(signal.SIGUSR1)
            self.assertEqual(process.stdout.readline(), f"got {count}\n")  # two at once would be one to the kernel
        self.assert_seen(process, "SIGUSR1", "SIGUSR1", "SIGUSR1")

    def test_signals_from_the_same_group_are_forwarded(self):
        """A script without job control and its children share a group."""
        script = f'{self.argv()[0]} run --init -- sh -c ">up; exec sleep 60" & until [ -e up ]; do :; done; kill $!; wait $!; echo $?'
        result = subprocess.run(["sh", "-c", script], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
        self.assertEqual(result.stdout, "143\n")

    def test_killed_launcher_takes_the_program_along(self):
        process = self.start("run", "--init", "--", "sh", "-c", "echo $$; exec sleep 60")
        pid = int(process.stdout.readline())
        process.kill()
        process.wait()
        wait_until(lambda: not Path(f"/proc/{pid}/exe").exists())

    def test_ignored_signals_and_mask_reach_the_program_as_they_were(self):
        program = "import signal; print(signal.getsignal(signal.SIGHUP), signal.getsignal(signal.SIGCHLD), " \
                  "sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])))"

        def prepare():
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_IGN)
            signal.pthread_sigmask(signal.SIG_SETMASK, [signal.SIGUSR2])

        bare = subprocess.run(["/usr/bin/python3", "-c", program], env=self.env, text=True, stdout=subprocess.PIPE,
                              preexec_fn=prepare, check=True)
        for option in [], ["--init"]:
            seen = subprocess.run(self.argv("run", *option, "--", "/usr/bin/python3", "-c", program), env=self.env,
                                  text=True, stdout=subprocess.PIPE, preexec_fn=prepare, check=True)
            self.assertEqual(seen.stdout, bare.stdout)

    def test_stop_and_continue_from_a_terminal(self):
        """Ctrl-Z stops program and launcher, `fg` continues both, and the program gets each signal once."""
        self.env.update(OTEL_TRACES_EXPORTER="console")
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(self.bin / "spanshim", self.argv("run", "--", "/usr/bin/python3", "-c", COUNT_SIGNALS, "SIGINT", "1"),
                      self.env)
        self.addCleanup(os.close, terminal)
        output = b""
        while b"ready" not in output:
            output += os.read(terminal, 1000)
        os.write(terminal, b"\x1a")
        # the leader of a session's only group has no shell to continue it: the kernel discards its stop signal
        time.sleep(0.1)
        os.write(terminal, b"\x03")
        deadline = time.monotonic() + PATIENCE_S
        try:
            while time.monotonic() < deadline:
                output += os.read(terminal, 1000)
        except OSError:
            pass
        _, status = os.waitpid(pid, 0)
        self.assertEqual(os.waitstatus_to_exitcode(status), 0)
        self.assertEqual(output.count(b"SIGINT"), 1, output)

    def test_a_stopped_program_stops_the_launcher(self):
        script = """
            set -m
            {launcher} run -- sh -c 'echo $$ > {folder}/pid; kill -STOP $$; exit 3' &
            while ! jobs | grep -q Stopped; do sleep 0.01; done
            echo stopped; bg >/dev/null; wait %1; echo $?
        """.format(launcher=self.argv()[0], folder=self.folder)
        self.env.update(OTEL_TRACES_EXPORTER="console")
        result = subprocess.run(["bash", "-c", script], env=self.env, capture_output=True, text=True, timeout=PATIENCE_S,
                                start_new_session=True, check=False)
        self.assertEqual(result.stdout, "stopped\n3\n", result.stderr)


@unittest.skipUnless(can_make_pid_namespace(), "needs the right to make a pid namespace")
class FirstProcessTest(LauncherTest):
    def run_as_first(self, *args, **settings):
        return subprocess.run(["unshare", "-pf", "--mount-proc", *self.argv("run", "--", *args)],
                              env={**self.env, **settings}, capture_output=True, text=True, timeout=PATIENCE_S, check=False)

    def test_exit_status_and_signals(self):
        self.assertEqual(self.run_as_first("sh", "-c", "exit 6").returncode, 6)
        self.assertEqual(self.run_as_first("sh", "-c", "kill -SEGV $$").returncode, 128 + signal.SIGSEGV)

    def test_program_is_a_child_of_the_first_process(self):
        self.assertEqual(self.run_as_first("sh", "-c", "echo $PPID").stdout, "1\n")

    def test_orphans_are_reaped(self):
        program = "orphan=$(sleep 0.05 >/dev/null & echo $!); while kill -0 $orphan 2>/dev/null; do sleep 0.05; done; echo reaped"
        self.assertEqual(self.run_as_first("sh", "-c", program).stdout, "reaped\n")

    def test_first_process_forwards_and_delivers(self):
        """The shell signals process 1, as `docker stop` does."""
        program = "trap 'echo got; exit 9' TERM; kill -TERM 1; while :; do sleep 0.05; done"
        result = self.run_as_first("sh", "-c", program, OTEL_TRACES_EXPORTER="otlp")
        self.assertEqual((result.returncode, result.stdout), (9, "got\n"))
        self.assertEqual([message["type"] for message in self.messages()], ["flush"])

    def test_wait_of_the_program_sees_no_agent(self):
        program = "import os\ntry: print(os.wait())\nexcept ChildProcessError: print('none')"
        result = self.run_as_first("/usr/bin/python3", "-c", program, OTEL_TRACES_EXPORTER="otlp")
        self.assertEqual(result.stdout, "none\n")


if __name__ == "__main__":
    if not LIBRARY.exists():
        sys.exit(f"{LIBRARY} is not built")
    unittest.main()
