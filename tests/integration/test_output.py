# SPDX-License-Identifier: Apache-2.0
"""Every program of test-apps/, bare and with its logs taken: what it prints, its exit status, the files that it writes and the
answers that it gives are the same. A program that has no row here fails the test."""

import concurrent.futures
import contextlib
import json
import os
import re
import socket
import subprocess
import unittest

import servers
from exact_server import ExactServer
from harness import APPS, PYTHON, ShimTest
from http_client import Connection, request_bytes
from processes import PATIENCE_S, Process, free_port, wait_until

LOGS = {"OTEL_LOGS_EXPORTER": "otlp", "SPANSHIM_LOGS": "stdout,stderr,syslog", "SPANSHIM_LOG_FILES": "/*"}
SCRIPT_KINDS = (".py", ".js", ".rb", ".pl", ".php", ".sh", ".psgi", ".ru", ".java", ".go")
INTERPRETERS = {".py": PYTHON, ".js": "/usr/bin/node", ".rb": "/usr/bin/ruby", ".pl": "/usr/bin/perl", ".php": "/usr/bin/php",
                ".sh": "/bin/sh"}
NO_HEADERS = {"OTEL_PROPAGATORS": "none"}  # of programs that show what they were sent, by themselves
URL_BEHIND = {"BEHIND": "{url}"}  # of those that don't ask for its port
JAVA = ("/usr/bin/java", "-XX:TieredStopAtLevel=1", "-cp", "{classes}")
GUNICORN = (PYTHON, "/usr/bin/gunicorn", "-w", "1", "-b", "127.0.0.1:{port}", "--chdir", "{home}")
STARMAN = ("/usr/bin/starman", "--workers", "1", "--host", "127.0.0.1", "--port", "{port}", "{program}")
PHP = ("/usr/bin/php", "-S", "127.0.0.1:{port}", "{program}")
UVICORN = ("/usr/bin/uvicorn", "--port", "{port}", "--app-dir", "{home}")
PUMA_RUNS = b"Use Ctrl-C"  # it answers before it says so
PUMA = ("/usr/bin/puma", "--bind", "tcp://127.0.0.1:{port}", "--threads", "1:1", "{program}")
STEPS = ("get {url}/size/1000", "get {url}/status/404", "post:100 {url}/echo")


class Run:
    """A program that ends by itself: its arguments, and by what it is run if not as its name's end says. In these, and in
    files and variables, stand {program}, {home} (its folder), {folder} (an empty one), {port} (a free one), {url} and {behind}
    (of a server to ask, and its port), {classes} (Java's). sort: its threads write in any order; numbers: it prints times or ids;
    done: a file that it goes on to write in the background, and how that ends."""

    def __init__(self, *argv, by=(), stdin=b"", files=None, env=None, sort=False, numbers=False, done=None):
        self.argv, self.by, self.stdin, self.files, self.env = argv, by, stdin, files or {}, env or {}
        self.sort, self.numbers, self.done = sort, numbers, done

    def comparable(self, text, places):
        """Of what was printed, that which is the same each time."""
        text = text.replace(places["folder"].encode(), b"FOLDER").replace(places["port"].encode(), b"PORT")
        if self.numbers:
            text = re.sub(rb"0x[0-9a-f]+|\d+", b"N", text)
        return b"\n".join(sorted(text.split(b"\n"))) if self.sort else text

    def play(self, _test, argv, env, folder):
        """Exit status, standard output and error, the files that it wrote."""
        end = subprocess.run(argv, env=env, cwd=folder, input=self.stdin, capture_output=True, timeout=PATIENCE_S, check=False)
        if self.done:
            name, mark = self.done
            wait_until(lambda: (folder / name).exists() and (folder / name).read_bytes().endswith(mark), what=f"{argv} is done")
        files = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        return end.returncode, end.stdout, end.stderr, files


class Serve(Run):
    """A server, which is asked once and then told to end. It listens on {port}, or prints its port. says: what it prints,
    maybe after the answer; what it prints twice stands there twice. ends: it ends by itself; sends: what it is asked by where
    it speaks no HTTP."""

    def __init__(self, *argv, path="/size/10", says=(), ends=False, sends=None, **options):
        super().__init__(*argv, sort=True, numbers=True, **options)
        self.path, self.says, self.ends, self.sends = path, says, ends, sends
        self.has_port = any("{port}" in argument for argument in (*self.by, *argv))

    def announced_port(self, process):
        """In whatever line it prints it."""
        return int(wait_until(lambda: re.search(rb"^port (\d+)\n", process.out, re.MULTILINE), what=f"{process.name}'s port")[1])

    def ask(self, port):
        """The answer, or how there was none."""
        with Connection(port) as connection:
            try:
                if self.sends is None:
                    response = connection.request("GET", self.path)
                    self.leave(connection)
                    return response.status, response.body
                connection.send(self.sends)
                return b"".join(iter(lambda: connection.socket.recv(65536), b""))
            except (EOFError, OSError) as error:
                return type(error)

    @staticmethod
    def leave(connection):
        """Close it, and wait until the server has: one that is told to end amid that may say something of it."""
        with contextlib.suppress(ConnectionError):
            connection.socket.shutdown(socket.SHUT_WR)
            while connection.socket.recv(65536):
                pass

    def play(self, test, argv, env, folder):
        """Exit status, standard output and error, the answer."""
        process = Process(argv, folder, env, name=folder.parts[-3])
        test.started.append(process)
        port = process.wait_listening(int(env["PORT"])) if self.has_port else self.announced_port(process)
        answer = self.ask(port)
        wait_until(lambda: all((process.out + process.err).count(mark) >= self.says.count(mark) for mark in self.says),
                   what=f"{argv} says {self.says}")
        status = process.wait() if self.ends else process.terminate()
        return status, process.out, process.err, answer


SCGI_HEAD = b"CONTENT_LENGTH\0000\0SCGI\0001\0REQUEST_METHOD\0GET\0REQUEST_URI\0/size/10\0"
# What Serve asks, of a server whose port has five digits.
SERVER_SCRIPT = json.dumps([[[0, ""], [len(request_bytes("GET", "/size/10", host="localhost:12345")),
                                       "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"]]])
CLIENT_SCRIPT = ('[{{"port": {behind}, "data": "GET /size/5 HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n", "steps": [["send", 20], ["write", 17]],'
                 ' "answers": 1}}]')

PROGRAMS = {
    # C and C++, by the name of what was built
    "behind": [Serve()],
    "cancel": [Run()],
    "cgi_program": [Run(env={"QUERY_STRING": how}) for how in ("status", "pieces", "child", "kill", "exit", "moved", "else")],
    "close_all": [Run("loop", "{folder}/data", "{port}", done=("data", b"data file\n"))],
    "crash_server": [Serve(), Serve(path="/null", ends=True), Serve(path="/abort", ends=True)],
    "crasher": [Run("null_write"), Run("failed_assert", "thread"), Run("divide", "fork"), Run("none", "destructor")],
    "crasher_cxx": [Run("refused"), Run("in_thread"), Run("out_of_range"), Run("terminate")],
    "crasher_handled": [Run("jump", "100", numbers=True), Run("mend", "100", numbers=True)],
    "crasher_rust": [Run("panic", numbers=True), Run("words", numbers=True), Run("overflow", numbers=True, sort=True)],
    "crasher_stripped": [Run("null_read"), Run("call_abort")],
    "curl_lives": [Run("{url}", "lists", "own_header", "copies", "resets", "callbacks", "multi_perform", "others")],
    "curl_plugins": [Run("{url}/size/10", "{home}/libcurl_plugin_openssl.so")],
    "dlopen_probe": [Run()],
    "dlopen_probe_php": [Run(env={"SPANSHIM_DEEPBIND": "keep"})],
    "early": [Run()],
    "errno_probe": [Run()],
    "exit_storm": [Run(how) for how in ("return", "exit", "quick_exit", "_exit", "exit_group", "abort", "exec")],
    "fd_bytes": [Run(env=NO_HEADERS)],
    "fd_lives": [Run(env=NO_HEADERS)],
    "fd_race": [Serve()],
    "fd_unseen": [Run(env=NO_HEADERS)],
    "first_process": [Serve(path="/exit/3", ends=True), Serve(path="/kill/9", ends=True)],
    "high_fd": [Serve("900", ends=True)],
    "httpd": [Serve(), Serve("--threads"), Serve("--fork")],
    "httpd_no_plt": [Serve()],
    "inetd_stdio": [Run(stdin=b"GET / HTTP/1.1\r\n\r\n")],
    "load": [Run("{behind}", "2", "50", "/size/10", numbers=True)],
    "log_daemon": [Run("daemon", "{folder}/log"), Run("hand", "{folder}/log", done=("log", b"done\n")),
                   Run("pipe", "{folder}/log", done=("log", b"done\n")), Run("data", "{folder}/log")],
    "log_files": [Run("{folder}/log", "{folder}/data")],
    "log_flood": [Run("5000", "0", "4", sort=True, numbers=True)],
    "log_streams": [Run()],
    "log_threads": [Run("printf", "50", sort=True), Run("stderr", "50", sort=True), Run("write", "50", sort=True)],
    "own_iterate": [Run()],
    "own_names": [Run()],
    "pass_on": [Serve("{behind}")],
    "passed_socket": [Serve()],
    "signal_exit": [Run(how) for how in ("return", "jump", "switch")],
    "signal_storm": [Serve(path="/delay/100", ends=True)],
    "signal_view": [Run(), Run("late")],
    "small_stack": [Run()],
    "vfork_close": [Serve()],
    "vfork_exit": [Serve()],
    # Scripts, by their paths
    "aiohttp_app.py": [Serve("{port}", says=(b"GET /",))],
    "caller.py": [Run("blocking", "127.0.0.1", "{behind}", stdin=b"\n\n"), Serve("{port}", path="/waiting/127.0.0.1/1")],
    "causality/Asking.java": [Serve("Asking", "{port}", by=JAVA)],
    "causality/aiohttp_app.py": [Serve("{port}")],
    "causality/app.psgi": [Serve(by=STARMAN)],
    "causality/asgi_app.py": [Serve("asgi_app:app", by=UVICORN, says=(b"GET /",))],
    "causality/config.ru": [Serve(by=PUMA, says=(PUMA_RUNS,))],
    "causality/hand_over.py": [Serve("{port}")],
    "causality/handler.py": [Serve("{port}")],
    "causality/node.js": [Serve("{port}", "agent"), Serve("{port}", "fetch")],
    "causality/own_requests.py": [Serve("{port}")],
    "causality/router.php": [Serve(by=PHP, says=(b"Closing",))],
    "causality/tornado_app.py": [Serve("{port}")],
    "causality/twisted_app.py": [Serve("{port}")],
    "causality/watcher.py": [Serve("{port}", says=(b"404: Any Reason\n",))],
    "causality/wsgi_app.py": [Serve("{port}", says=(b"GET /",))],
    "cgi/answer.sh": [Run(env={"REQUEST_URI": "/size/10", "REQUEST_METHOD": "GET"})],
    "cgi/become.sh": [Run(env={"BEHIND": "{url}/size/10", "PROGRAM": "/bin/true"})],
    "cgi/child.sh": [Run(env={"BEHIND": "{url}/size/10"})],
    "cgi/delay.sh": [Run(env={"PATH_INFO": "/1"})],
    "cgi/long.sh": [Run(env={"PATH_INFO": "/100000"})],
    "cgi/python.py": [Run(env={"BEHIND": "{url}/size/10"})],
    "chain/app.py": [Serve("app:app", by=GUNICORN, env={"NEXT": "{url}"})],
    "chain/pass_on.js": [Serve("{behind}")],
    "chain/xray_sdk_app.py": [Serve("xray_sdk_app:app", by=GUNICORN, env={"NEXT": "{url}", "AWS_XRAY_SDK_ENABLED": "false"})],
    "cherrypy_app.py": [Serve("{port}", says=(b"Bus STARTED", b"GET /"))],
    "children/Server.java": [Serve("Server", "{port}", by=JAVA, path="/start", env=URL_BEHIND)],
    "children/handler.py": [Serve("{port}", path="/run", env=URL_BEHIND)],
    "children/node.js": [Serve("{port}", path="/file", env=URL_BEHIND)],
    "children/router.php": [Serve(by=PHP, path="/shell", says=(b"Closing",), env=URL_BEHIND)],
    "children/server.pl": [Serve("{port}", path="/backticks", env=URL_BEHIND)],
    "children/server.rb": [Serve("{port}", path="/backticks", env=URL_BEHIND)],
    "clients/Requests.java": [Run("Requests", "client", *STEPS, by=JAVA)],
    "clients/node.js": [Run("agent", *STEPS), Run("fetch", *STEPS)],
    "clients/perl.pl": [Run("lwp", *STEPS), Run("tiny", *STEPS)],
    "clients/php.php": [Run("streams", *STEPS)],
    "clients/pycurl_client.py": [Run("easy", *STEPS), Run("multi", *STEPS)],
    "clients/python.py": [Run("requests", *STEPS)],
    "clients/ruby.rb": [Run("kept", *STEPS)],
    "clients/scripted.py": [Run("{folder}/script", files={"script": CLIENT_SCRIPT})],
    "crash/NullChecks.java": [Run("NullChecks", by=JAVA)],
    "crash/wasm.js": [Run()],
    "curl/relay.py": [Serve("{url}")],
    "flask_app.py": [Serve("--access-logfile", "-", "flask_app:app", by=GUNICORN, says=(b"GET /",))],
    "gateway/server.py": [Serve("scgi", sends=b"%d:%s," % (len(SCGI_HEAD), SCGI_HEAD))],
    "http_handler.py": [Serve(by=(PYTHON, "-u", "{program}"))],
    "java/BlockingServer.java": [Serve("BlockingServer", "{port}", by=JAVA, says=(b"GET /",))],
    "java/SunHttpServer.java": [Serve("SunHttpServer", "{port}", by=JAVA, says=(b"GET /",))],
    "node_cluster.js": [Serve("{port}", says=(b"port ", b"port "))],
    "node_server.js": [Serve()],
    "perl/app.psgi": [Serve(by=STARMAN)],
    "perl/http_daemon.pl": [Serve("{port}", says=(b"GET /",))],
    "php/answer.php": [Serve(by=PHP, says=(b"Closing",))],
    "php/router.php": [Serve(by=PHP, says=(b"Closing",))],
    "ruby/config.ru": [Serve(by=PUMA, says=(PUMA_RUNS,))],
    "scripted.py": [Serve("{folder}/script", files={"script": SERVER_SCRIPT}, ends=True)],
    "throwing/ThrowingServer.java": [Serve("ThrowingServer", by=JAVA, says=(b"PriceException",))],
    "throwing/app.psgi": [Serve(by=STARMAN, says=(b"no price",))],
    "throwing/config.ru": [Serve(by=PUMA, says=(PUMA_RUNS, b"PriceError"))],
    "throwing/flask_app.py": [Serve("flask_app:app", by=GUNICORN, path="/price/b", says=(b"PriceError",))],
    "throwing/node_server.js": [Serve(says=(b"PriceError",))],
    "throwing/router.php": [Serve(by=("/usr/bin/php", "-d", "log_errors=1", *PHP[1:]), says=(b"PriceError", b"Closing"))],
    "throwing/sinatra.ru": [Serve(by=(*PUMA, "-e", "production"), path="/price/b", says=(PUMA_RUNS, b"PriceError"))],
}

EXCEPTIONS = {
    "causality/AskingServlet.java": "prints nothing; what Tomcat prints is not the same twice",
    "crash/handled.go": "is built by test_signals.py, and compared there; Go's runtime writes past libc",
    "gateway/answer.py": "is a part of gateway/server.py",
    "gateway/ask_at_once.py": "asks gateway/server.py; prints nothing unless an answer is wrong",
    "lock_memory": "prints how much memory is locked, and the shim has some: test_memory.py",
    "log_ways": "test_logs_capture.py compares each of its ways",
    "start_ways": "answers with its environment, and the shim is in that: test_environment.py",
    "throwing/rails.ru": "numbers its requests by chance, and no two alike",
    "tomcat/PathsServlet.java": "prints nothing; what Tomcat prints is not the same twice",
}


def programs():
    """All of them: what was built, and the scripts."""
    built = [path.name for path in APPS.iterdir() if path.is_file() and os.access(path, os.X_OK) and path.suffix != ".so"]
    scripts = [str(path.relative_to(servers.SCRIPTS)) for path in servers.SCRIPTS.rglob("*")
               if path.suffix in SCRIPT_KINDS and not {"__pycache__", "node_modules"} & {*path.parts}]
    return built + scripts


class ProgramsTest(ShimTest):
    """All rows, a few at once."""

    def setUp(self):
        self.needs_programs("java", "javac", "node", "perl", "php", "puma", "ruby", "starman", "/usr/bin/gunicorn")
        super().setUp()
        self.behind = ExactServer()
        self.addCleanup(self.behind.close)

    def _compile(self):
        """All that is of Java, at once."""
        sources = [servers.SCRIPTS / name for name in PROGRAMS if name.endswith(".java")]
        subprocess.run(["javac", "-d", self.directory / "classes", *sources], check=True)

    def _play(self, name, row, folder, is_shimmed):
        """One run of a row, in a folder of its own."""
        program = servers.SCRIPTS / name if "." in name else APPS / name
        folder.mkdir(parents=True)
        port = str(free_port())
        places = {"program": str(program), "home": str(program.parent), "folder": str(folder), "port": port,
                  "url": f"http://127.0.0.1:{self.behind.port}", "behind": str(self.behind.port),
                  "classes": str(self.directory / "classes")}
        for file, text in row.files.items():
            (folder / file).write_text(text.format(**places) if "{behind}" in text else text)
        settings = {**LOGS, "PORT": port, "BEHIND": places["behind"]}
        settings.update({key: value.format(**places) for key, value in row.env.items()})
        by = row.by or (*filter(None, [INTERPRETERS.get(program.suffix)]), "{program}")
        argv = [argument.format(**places) for argument in (*by, *row.argv)]
        status, out, err, more = row.play(self, argv, self.spanshim.env(preload=is_shimmed, **settings), folder)
        return status, row.comparable(out, places), row.comparable(err, places), more

    def _play_both(self, name, number):
        folder = self.directory / "runs" / name / str(number)
        return [self._play(name, PROGRAMS[name][number], folder / form, form == "taken") for form in ("bare", "taken")]

    def test_each_program_has_a_row(self):
        self.assertEqual(sorted(programs()), sorted([*PROGRAMS, *EXCEPTIONS]), "a program wants a row above")

    def test_all_is_as_bare(self):
        self._compile()
        rows = [(name, number) for name in PROGRAMS for number in range(len(PROGRAMS[name]))]
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            plays = {row: pool.submit(self._play_both, *row) for row in rows}
        for (name, number), play in plays.items():
            with self.subTest(program=name, argv=PROGRAMS[name][number].argv):
                bare, taken = play.result()
                self.assertEqual(bare, taken)
        self.assertGreater(self.spanshim.status()["totals"]["counts"]["log_events"], 1000)


if __name__ == "__main__":
    unittest.main(verbosity=2)
