# SPDX-License-Identifier: Apache-2.0
"""`spanshim doctor`: what it says about real and crafted programs, and that what it says is so."""

import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest
from pathlib import Path

import servers
from harness import APPS, LAUNCHER, LIBRARY, PYTHON, ShimTest, Traffic, base_environment
from processes import free_port, wait_until

YES, NO, PERHAPS = ("yes", 0), ("no", 1), ("perhaps", 2)
SOMEBODY = 61241

# Members of the answer, and their types. None: may be null.
PROGRAM = {"path": str, "image": str, "script": bool, "architecture": (str, None), "bits": (int, None),
           "linking": (str, None), "libc": (str, None), "glibc_needed": (str, None), "language": (str, None),
           "privileges": list, "tls": list, "libraries": list, "missing_libraries": list, "hooked": list}
PROCESS = {"pid": int, "preloaded": bool, "handed_over": (bool, None), "seccomp": bool, "threads": int}
BECAUSE = {"static", "architecture", "broken", "go", "privileged", "unknown", "shell", "no_server", "stdio", "io_uring",
           "not_preloaded", "not_handed_over", "agent_silent"}
NOTES = {"tls", "http2", "php_extensions", "aio", "dprintf", "seccomp", "missing_library", "musl", "privileged_for_others", "replaced"}


def elf_header(bits=64, machine=62, kind=2):
    """The first bytes of an executable without segments."""
    ident = b"\x7fELF" + bytes((2 if bits == 64 else 1, 1, 1)) + bytes(9)
    if bits == 64:
        return ident + struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, 0x400000, 0, 0, 0, 64, 56, 0, 64, 0, 0)
    return ident + struct.pack("<HHIIIIIHHHHHH", kind, machine, 1, 0x400000, 0, 0, 0, 52, 32, 0, 40, 0, 0)


class DoctorTest(unittest.TestCase):
    """Calls of the command."""

    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="doctor-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o755)
        self.env = base_environment(self.directory)
        self.env.update(SPANSHIM_SYSTEM_ENV="none", SPANSHIM_RUNTIME_DIR=str(self.directory / "run"))

    def call(self, *arguments, **options):
        """The finished command, which must not have been killed."""
        result = subprocess.run([str(LAUNCHER), "doctor", *map(str, arguments)], env=self.env, capture_output=True, text=True,
                                timeout=60, check=False, **options)
        self.assertGreaterEqual(result.returncode, 0, f"killed: {arguments}")
        return result

    def ask(self, *arguments, **options):
        """The answer as JSON, of the documented form."""
        result = self.call("--json", *arguments, **options)
        answer = json.loads(result.stdout)
        self.assertIn((answer["traced"], result.returncode), (YES, NO, PERHAPS))
        self.check_form(answer)
        return answer

    def check_members(self, actual, expected):
        self.assertEqual(set(expected), set(actual))
        for name, types in expected.items():
            types = types if isinstance(types, tuple) else (types,)
            types = tuple(type(None) if one is None else one for one in types)
            self.assertIsInstance(actual[name], types, name)

    def check_form(self, answer):
        self.assertEqual({"schema", "traced", "because", "notes", "program", "process"}, set(answer))
        self.assertEqual(1, answer["schema"])
        self.check_members(answer["program"], PROGRAM)
        if answer["process"]:
            self.check_members(answer["process"], PROCESS)
        self.assertLessEqual({reason["code"] for reason in answer["because"]}, BECAUSE)
        self.assertLessEqual({reason["code"] for reason in answer["notes"]}, NOTES)
        self.assertEqual(answer["traced"] == "yes", not answer["because"])

    def needs(self, *programs):
        """Skip without them; SPANSHIM_TEST_NO_SKIP=1 makes that a failure."""
        ShimTest.needs_programs(self, *programs)

    def write(self, name, content, mode=0o755):
        path = self.directory / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        path.chmod(mode)
        return path

    def compile(self, name, source, *options, compiler="gcc"):
        path = self.directory / name
        subprocess.run([compiler, "-x", "c", "-", "-o", path, *options], input=source.encode(), check=True, timeout=60)
        return path

    def check(self, program, verdict, because=None, language=None, **options):
        """Verdict, the code of its reason and the language; the answer."""
        answer = self.ask(program, **options)
        self.assertEqual(verdict[0], answer["traced"], answer)
        codes = {reason["code"] for reason in answer["because"]}
        self.assertEqual({because} if because else set(), codes, answer)
        if language:
            self.assertEqual(language, answer["program"]["language"])
        return answer


class RealProgramsTest(DoctorTest):
    """What Debian ships."""

    def test_servers_and_languages(self):
        cases = [("nginx", "C"), ("apache2", "C"), ("lighttpd", "C"), ("haproxy", "C"), ("redis-server", "C"),
                 ("uwsgi", "C"), ("varnishd", "C"), ("squid", "C++"), (PYTHON, "Python"), ("node", "Node.js"),
                 ("java", "Java"), ("php", "PHP"), ("ruby", "Ruby"), ("perl", "Perl")]
        for program, language in cases:
            with self.subTest(program):
                self.needs(program)
                answer = self.check(program, YES, language=language)["program"]
                self.assertEqual((64, "dynamic", "glibc"), (answer["bits"], answer["linking"], answer["libc"]))
                self.assertEqual([], answer["missing_libraries"])
                self.assertTrue(answer["glibc_needed"].startswith("2."))
                self.assertIn("write", answer["hooked"])

    def test_tls(self):
        cases = [("nginx", "OpenSSL 3"), ("node", "OpenSSL, inside the program"), ("java", "JSSE, inside Java"),
                 (PYTHON, "OpenSSL, by the module ssl")]
        for program, expected in cases:
            with self.subTest(program):
                self.needs(program)
                answer = self.ask(program)
                self.assertIn(expected, answer["program"]["tls"])
                self.assertTrue(any(expected in note["text"] for note in answer["notes"] if note["code"] == "tls"))

    def test_static(self):
        self.needs("busybox")
        answer = self.check("busybox", NO, "static")
        self.assertEqual(("static", None), (answer["program"]["linking"], answer["program"]["libc"]))

    def test_hooked_functions(self):
        self.needs("nginx")
        hooked = self.ask("nginx")["program"]["hooked"]
        self.assertLessEqual({"accept4", "recv", "writev", "sendfile64"}, set(hooked))
        self.assertNotIn("malloc", hooked)

    def test_what_takes_no_connections(self):
        self.check("true", PERHAPS, "no_server")
        self.check("bash", PERHAPS, "shell")

    @unittest.skipIf(os.geteuid(), "only root can become another user")
    def test_set_user_id(self):
        self.assertEqual("privileged_for_others", self.ask("su")["notes"][0]["code"])
        answer = self.check("su", NO, "privileged", user=SOMEBODY, group=SOMEBODY, extra_groups=[])
        self.assertEqual(["setuid"], answer["program"]["privileges"])

    def test_one_screen(self):
        for program in ("nginx", PYTHON, "php", "busybox"):
            with self.subTest(program):
                self.needs(program)
                lines = self.call(program).stdout.splitlines()
                self.assertIn("traced", lines[0])
                self.assertLessEqual(len(lines), 24)
                self.assertLessEqual(max(map(len, lines)), 110)


class CraftedProgramsTest(DoctorTest):
    """What isn't to be had, or is broken."""

    def test_architecture(self):
        answer = self.check(self.write("i386", elf_header(32, 3)), NO, "architecture")
        self.assertEqual(("i386", 32), (answer["program"]["architecture"], answer["program"]["bits"]))
        answer = self.check(self.write("s390x", elf_header(64, 22)), NO, "architecture")
        self.assertEqual("s390x", answer["program"]["architecture"])

    def test_go(self):
        program = self.compile("plain", "int main(void) { return 0; }")
        section = self.write("section", b"\xff Go buildinf:")
        subprocess.run(["objcopy", f"--add-section=.go.buildinfo={section}", program, self.directory / "gopher"], check=True)
        self.check(self.directory / "gopher", NO, "go", "Go")

    def test_musl(self):
        self.needs("musl-gcc")
        source = "#include <sys/socket.h>\n#include <unistd.h>\nint main(void) { return read(accept(0, 0, 0), 0, 0); }"
        answer = self.check(self.compile("musl", source, compiler="musl-gcc"), YES)
        self.assertEqual("musl", answer["program"]["libc"])
        self.assertIn("musl", {note["code"] for note in answer["notes"]})

    def test_languages_by_bytes(self):
        text = '#include <sys/socket.h>\n#include <unistd.h>\n' \
               'const char text[] = "%s"; int main(void) { return read(accept(0, 0, 0), 0, text[0]); }'
        self.check(self.compile("rusty", text % "/rustc/9fc6b431/library/std"), YES, language="Rust")
        self.check(self.compile("dotty", text % "hostfxr_main"), YES, language=".NET")
        answer = self.check(self.compile("boring", text % "third_party/boringssl/src"), YES)
        self.assertEqual(["BoringSSL, inside the program"], answer["program"]["tls"])

    def test_stdio(self):
        source = "#include <stdio.h>\n#include <sys/socket.h>\n" \
                 "int main(void) { return fgetc(fdopen(accept(0, 0, 0), \"r\")); }"
        self.check(self.compile("streams", source), PERHAPS, "stdio")

    def test_io_uring(self):
        source = "#include <liburing.h>\n#include <sys/socket.h>\n#include <unistd.h>\n" \
                 "int main(void) { struct io_uring r; return read(accept(0, 0, 0), 0, io_uring_queue_init(1, &r, 0)); }"
        self.check(self.compile("ring", source, "-luring"), PERHAPS, "io_uring")

    def test_libraries(self):
        """By RUNPATH, by LD_LIBRARY_PATH, and not at all; a library's functions count."""
        library = self.compile("libserve.so", "#include <sys/socket.h>\nint serve(void) { return accept(0, 0, 0); }",
                               "-shared", "-fPIC")
        source = "int serve(void); int main(void) { return serve(); }"
        with_path = self.compile("with", source, f"-L{self.directory}", "-lserve", "-Wl,-rpath,$ORIGIN")
        without = self.compile("without", source, f"-L{self.directory}", "-lserve")
        self.assertIn(str(library), self.check(with_path, YES)["program"]["libraries"])
        missing = self.ask(without)
        self.assertEqual(["libserve.so"], missing["program"]["missing_libraries"])
        self.assertIn("missing_library", {note["code"] for note in missing["notes"]})
        self.env["LD_LIBRARY_PATH"] = str(self.directory)
        self.check(without, YES)

    def test_scripts(self):
        python = self.write("app", f"#!{PYTHON}\n")
        answer = self.check(python, YES, language="Python")["program"]
        self.assertEqual((True, str(python), PYTHON), (answer["script"], answer["path"], answer["image"]))
        self.check(self.write("wrapper", "#!/bin/sh\nexec nginx\n"), PERHAPS, "shell")
        self.check(self.write("by_env", "#!/usr/bin/env perl\n"), YES, language="Perl")
        self.check(self.write("loop", f"#!{self.directory}/loop\n"), PERHAPS, "unknown")
        self.check(self.write("nothing", "#!/nonexistent/interpreter\n"), PERHAPS, "unknown")
        self.check(self.write("text", "exec nginx\n"), PERHAPS, "unknown")
        self.check(self.write("empty", ""), PERHAPS, "unknown")

    def test_what_cannot_be_run(self):
        self.assertEqual(127, self.call("no-such-program").returncode)
        self.assertEqual(127, self.call(self.directory / "missing").returncode)
        self.assertEqual(126, self.call(self.directory).returncode)
        self.assertEqual(126, self.call(self.write("plain", "x", mode=0o644)).returncode)
        self.assertEqual(125, self.call("--nonsense").returncode)
        self.assertEqual(125, self.call("--pid", "x").returncode)
        self.assertEqual(125, self.call("--pid", "999999999").returncode)
        self.assertEqual(125, self.call("--pid", "1", "true").returncode)

    def test_arguments_are_the_programs(self):
        self.assertEqual(self.call("bash").stdout, self.call("bash", "--json", "-c", "nginx").stdout)

    def test_names_do_not_steer_the_terminal(self):
        program = self.write("\033[31m\nred", "#!/bin/sh\n")
        output = self.call(program).stdout
        self.assertNotIn("\033", output)
        self.assertIn("?[31m?red", output)
        self.assertEqual(str(program), self.ask(program)["program"]["path"])
        broken = self.directory / os.fsdecode(b"\xff")
        broken.write_text("#!/bin/sh\n")
        broken.chmod(0o755)
        self.ask(broken)

    def test_cut_anywhere(self):
        """A small real program, cut at every byte of its headers and at some of the rest, and with bytes turned over."""
        whole = self.compile("small", "int main(void) { return 0; }", "-s").read_bytes()
        cut = self.directory / "cut"
        for length in [*range(0, 800, 7), *range(800, len(whole), 499)]:
            self.write("cut", whole[:length])
            self.ask(cut)
        for at in range(0, 64):
            self.write("cut", whole[:at] + bytes((whole[at] ^ 0xff,)) + whole[at + 1:])
            self.ask(cut)


class VerdictTest(ShimTest):
    """What the doctor says is what happens."""

    def doctor(self, *arguments):
        result = self.spanshim.command("doctor", "--json", *map(str, arguments))
        return json.loads(result.stdout)

    def by_port(self, *argv):
        """A server that takes its port as an argument, PORT."""
        port = free_port()
        process = self.run_program([port if argument == "PORT" else str(argument).replace("PORT", str(port))
                                    for argument in argv], env=self.spanshim.env())
        process.wait_listening(port)
        return process, port

    def servers(self):
        """Programs, and how to start them as a server."""
        root = servers.static_files(self.directory)
        scripts = servers.SCRIPTS
        return [
            ("nginx", lambda: servers.nginx(self)),
            (PYTHON, lambda: servers.http_server(self)),
            ("node", lambda: servers.node(self)),
            ("gunicorn", lambda: servers.gunicorn(self)),
            ("php", lambda: self.by_port("php", "-S", "127.0.0.1:PORT", "-t", root)),
            ("java", lambda: self.by_port("java", scripts / "java" / "BlockingServer.java", "PORT")),
            ("perl", lambda: self.by_port("perl", scripts / "perl" / "http_daemon.pl", "PORT")),
            ("busybox", lambda: self.by_port("busybox", "httpd", "-f", "-p", "127.0.0.1:PORT", "-h", root)),
        ]

    def test_what_is_said_is_so(self):
        """A request is seen where the doctor says yes and isn't where it says no, and the running process says the same."""
        self.needs_spans()
        for program, start in self.servers():
            with self.subTest(program):
                self.needs_programs(program)
                said = self.doctor(program)["traced"]
                process, port = start()
                self.sink.clear()
                Traffic(port).once("GET", "/1k")
                self.assertEqual({"yes": 1, "no": 0}[said], len(self.spans(1 if said == "yes" else None)))
                if said == "yes":
                    wait_until(lambda pid=process.pid: self.doctor("--pid", pid)["traced"] == "yes", what="a yes of --pid")
                else:
                    self.assertEqual("no", self.doctor("--pid", process.pid)["traced"])
                process.kill()

    def test_handed_over(self):
        self.needs_spans()
        process, port = servers.httpd(self)
        Traffic(port).once("GET", "/")
        self.assertEqual(1, len(self.spans(1)))
        answer = self.doctor("--pid", process.pid)
        self.assertEqual("yes", answer["traced"])
        self.assertTrue(answer["process"]["preloaded"] and answer["process"]["handed_over"])
        self.assertIn(str(LIBRARY), answer["program"]["libraries"])

    def test_not_preloaded(self):
        bare = self.run_program([APPS / "httpd"], env=self.spanshim.env(preload=False))
        bare.announced_port()
        answer = self.doctor("--pid", bare.pid)
        self.assertEqual(("no", ["not_preloaded"]), (answer["traced"], [one["code"] for one in answer["because"]]))

    def test_not_handed_over(self):
        self.needs_spans()
        process = self.run_program(["/bin/cat"], stdin=subprocess.PIPE)
        wait_until(lambda: str(LIBRARY) in Path(f"/proc/{process.pid}/maps").read_text(), what="the start")
        codes = [reason["code"] for reason in self.doctor("--pid", process.pid)["because"]]
        self.assertIn("not_handed_over", codes)
        process.popen.stdin.close()


class InstallationTest(ShimTest):
    """Without a program."""

    def check_state(self, expected, in_order=True, **settings):
        """The states of the named checks, and the verdict; all texts by name."""
        env = self.spanshim.env(preload=False, SPANSHIM_SYSTEM_ENV="none", **settings)
        result = subprocess.run([str(LAUNCHER), "doctor", "--json"], env=env, capture_output=True, text=True, timeout=60,
                                check=False)
        answer = json.loads(result.stdout)
        self.assertEqual({"schema", "in_order", "checks"}, set(answer))
        self.assertEqual((in_order, 0 if in_order else 1), (answer["in_order"], result.returncode), answer)
        states = {check["name"]: check["state"] for check in answer["checks"]}
        self.assertEqual(expected, {name: states[name] for name in expected}, answer)
        return {check["name"]: check["text"] for check in answer["checks"]}

    def test_in_order(self):
        self.needs_spans()
        before = sorted(self.directory.rglob("*"))
        texts = self.check_state({"library": "ok", "agent": "ok", "folder": "ok", "running": "ok", "settings": "ok",
                                  "target": "ok", "kernel": "ok"})
        self.assertEqual(str(LIBRARY), texts["library"])
        self.assertIn("answers", texts["running"])
        self.assertEqual(f"otlp {self.spanshim.endpoint}/v1/traces", texts["target"])
        self.assertEqual(before, sorted(self.directory.rglob("*")))
        self.assertEqual([], self.sink.spans)

    def test_no_agent_yet(self):
        folder = self.directory / "other"
        texts = self.check_state({"folder": "ok", "running": "ok"}, SPANSHIM_RUNTIME_DIR=folder)
        self.assertIn("no agent yet", texts["running"])
        self.assertFalse(folder.exists())

    def test_folders_that_an_agent_refuses(self):
        self.check_state({"folder": "failed"}, False, SPANSHIM_RUNTIME_DIR=self.directory / "a" / "b")
        file, open_folder = self.directory / "file", self.directory / "open"
        file.write_text("")
        self.check_state({"folder": "failed"}, False, SPANSHIM_RUNTIME_DIR=file)
        open_folder.mkdir()
        open_folder.chmod(0o777)
        texts = self.check_state({"folder": "failed"}, False, SPANSHIM_RUNTIME_DIR=open_folder)
        self.assertIn("chmod go-w", texts["folder"])
        if os.geteuid() == 0:
            os.chown(open_folder, SOMEBODY, -1)
            texts = self.check_state({"folder": "failed"}, False, SPANSHIM_RUNTIME_DIR=open_folder)
            self.assertIn(str(SOMEBODY), texts["folder"])

    def send(self, **settings):
        """The check of the delivery, and the exit status."""
        env = self.spanshim.env(preload=False, SPANSHIM_SYSTEM_ENV="none", **settings)
        result = subprocess.run([str(LAUNCHER), "doctor", "--json", "--send"], env=env, capture_output=True, text=True, timeout=90,
                                check=False)
        self.assertEqual("", result.stderr)
        return json.loads(result.stdout)["checks"][-1], result.returncode

    def test_send(self):
        self.needs_spans()
        check, status = self.send(OTEL_TRACES_SAMPLER="always_off", SPANSHIM_IGNORE_PATHS="*")
        self.assertEqual(("delivery", "ok", 0), (check["name"], check["state"], status), check)
        [span] = self.spans()
        self.assertEqual(("/spanshim-doctor", "spanshim-doctor"),
                         (span["attributes"]["url.path"], span["resource"]["service.name"]))

    def test_the_terminal_where_no_setting_says_where_else(self):
        terminal = "the terminal: no setting says where else"
        rollbar = {"ROLLBAR_ACCESS_TOKEN": "t", "ROLLBAR_ENDPOINT": "http://127.0.0.1:9/api/1/item/"}
        logs = {"SPANSHIM_CLOUDWATCH_LOG_GROUP": "shop", "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
        for extra, expected in (({}, [terminal]), (rollbar, [terminal, "rollbar http://127.0.0.1:9/api/1/item/"]),
                                (logs | {"SPANSHIM_EXPORTERS": "cloudwatch"}, [terminal, "cloudwatch shop"]),
                                ({"SPANSHIM_CONSOLE": "/srv/traces"}, ["console /srv/traces"])):
            with self.subTest(extra=extra):
                env = self.spanshim.env(preload=False, SPANSHIM_SYSTEM_ENV="none", OTEL_TRACES_EXPORTER=None,
                                        OTEL_EXPORTER_OTLP_ENDPOINT=None, **extra)
                result = subprocess.run([str(LAUNCHER), "doctor", "--json"], env=env, capture_output=True, text=True,
                                        timeout=60, check=False)
                checks = json.loads(result.stdout)["checks"]
                self.assertEqual(expected, [check["text"] for check in checks if check["name"] == "target"])

    def test_send_to_the_terminal(self):
        self.needs_spans()
        env = self.spanshim.env(preload=False, SPANSHIM_SYSTEM_ENV="none", OTEL_TRACES_EXPORTER=None,
                                OTEL_EXPORTER_OTLP_ENDPOINT=None)
        result = subprocess.run([str(LAUNCHER), "doctor", "--send"], env=env, capture_output=True, text=True, timeout=90,
                                check=False)
        self.assertEqual(0, result.returncode, result.stdout)
        self.assertIn("GET /spanshim-doctor", result.stderr)

    def test_send_to_nobody(self):
        self.needs_spans()
        endpoint = f"http://127.0.0.1:{free_port()}"
        check, status = self.send(OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, OTEL_EXPORTER_OTLP_TIMEOUT="500")
        self.assertEqual(("failed", 1), (check["state"], status), check)
        self.assertIn("no span was delivered", check["text"])

    def test_settings(self):
        texts = self.check_state({"settings": "warning"}, SPANSHIM_QUERY="hide")
        self.assertTrue(texts["settings"].startswith("SPANSHIM_QUERY"))
        self.check_state({"settings": "warning"}, SPANSHIM_DISABLED="1")
        self.check_state({"target": "warning"}, OTEL_TRACES_EXPORTER="none")
        self.check_state({"target": "warning"}, OTEL_TRACES_EXPORTER=None, OTEL_SDK_DISABLED="true")
        texts = self.check_state({"target": "ok"}, OTEL_TRACES_EXPORTER="none", OTEL_LOGS_EXPORTER="otlp_file",
                                 SPANSHIM_OTLP_LOGS_FILE="/srv/logs.jsonl")
        self.assertEqual("otlp_logs_file /srv/logs.jsonl", texts["target"])
        texts = self.check_state({"target": "ok"}, AWS_XRAY_DAEMON_ADDRESS="tcp:a:1 udp:b:2", OTEL_TRACES_EXPORTER="xray")
        self.assertEqual("xray udp b:2", texts["target"])
        texts = self.check_state({"target": "ok"}, OTEL_TRACES_EXPORTER="otlp_file", SPANSHIM_OTLP_FILE="/srv/traces.jsonl")
        self.assertEqual("otlp_file /srv/traces.jsonl", texts["target"])
        texts = self.check_state({"target": "ok"}, OTEL_EXPORTER_OTLP_ENDPOINT="http://user:geheim@host:1?t=geheim")
        self.assertNotIn("geheim", json.dumps(texts))


if __name__ == "__main__":
    unittest.main()
