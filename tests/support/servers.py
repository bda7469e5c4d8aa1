# SPDX-License-Identifier: Apache-2.0
"""The real servers, started unmodified: each function returns the process and the port it listens on."""

import os
import shutil
import signal
import subprocess
from pathlib import Path

from harness import APPS, PYTHON, SOURCE
from processes import children, free_port, wait_until

SCRIPTS = SOURCE / "test-apps"
TOMCAT = "/usr/share/tomcat10"
TOMCAT_PROGRAMS = ("java", "javac", f"{TOMCAT}/bin/catalina.sh")
JAVA_QUICK_START = "-XX:TieredStopAtLevel=1"  # the first of its compilers only
STATIC_SIZES = {"1k": 1000, "100k": 100_000, "empty": 0}


def fill_in(template, path, **values):
    """Write a configuration of test-apps to `path`, with @NAME@ replaced by each value."""
    text = (SCRIPTS / template).read_text()
    for name, value in values.items():
        text = text.replace(f"@{name}@", str(value))
    path.write_text(text)
    return path


def static_files(directory):
    """A folder with files of known sizes, named by them."""
    root = Path(directory) / "www"
    root.mkdir(exist_ok=True)
    root.chmod(0o755)
    for name, size in STATIC_SIZES.items():
        (root / name).write_bytes(b"x" * size)
    return root


def matrix_files(directory):
    """A folder with the files that the matrix asks for, for servers that serve files."""
    root = Path(directory) / "www"
    (root / "size").mkdir(parents=True)
    for size in (1000, 100_000):
        (root / "size" / str(size)).write_bytes(b"x" * size)
    return root


def httpd(test, *arguments, env=None, **options):
    """Our C server."""
    process = test.run_program([APPS / "httpd", *arguments], env=env, **options)
    return process, process.announced_port()


def nginx_user():
    """The directive by which root's workers stay root."""
    return "user root;" if os.getuid() == 0 else ""


def nginx(test, config="static.conf", workers=1, env=None, user=None, **values):
    """nginx with a configuration of test-apps/nginx, in the foreground."""
    root = static_files(test.directory)
    port = free_port()
    folder = test.directory / f"nginx-{port}"
    folder.mkdir()
    folder.chmod(0o755)
    values.update(PORT=port, ROOT=root, DIR=folder, WORKERS=workers,
                  USER=f"user {user};" if user and os.getuid() == 0 else nginx_user())
    fill_in(f"nginx/{config}", folder / "nginx.conf", **values)
    process = test.run_program(["/usr/sbin/nginx", "-e", folder / "error.log", "-p", folder, "-c", folder / "nginx.conf"],
                               env=env)
    process.wait_listening(port)
    wait_until(lambda: len(children(process.pid)) >= workers, what="nginx's workers")
    return process, port


def reload_nginx(process):
    """Replace the workers, as `nginx -s reload` does, and wait until the new ones are there."""
    before = set(children(process.pid))
    process.send_when_caught(signal.SIGHUP)
    wait_until(lambda: set(children(process.pid)) - before, what="new workers")


def gunicorn(test, kind="sync", workers=2, env=None, log=None):
    """gunicorn with the Flask application; kind is sync or gthread, log the access log's path."""
    port = free_port()
    arguments = ["--keep-alive", "60", "--timeout", "120", "-w", workers, "-k", kind, "-b", f"127.0.0.1:{port}", "--chdir", SCRIPTS, "flask_app:app"]
    if kind == "gthread":
        arguments = ["--threads", "4", *arguments]
    if log:
        arguments = ["--access-logfile", log, *arguments]
    process = test.run_program([PYTHON, "/usr/bin/gunicorn", *arguments], env=env)
    process.wait_listening(port)
    wait_until(lambda: len(children(process.pid)) == workers, what="gunicorn's workers")
    return process, port


def http_server(test, env=None):
    """Python's own http.server, serving files."""
    port = free_port()
    root = static_files(test.directory)
    process = test.run_program([PYTHON, "-m", "http.server", "--bind", "127.0.0.1", "-d", root, port], env=env)
    return process, process.wait_listening(port)


def http_handler(test, env=None):
    """A script on http.server's classes with handlers of its own."""
    process = test.run_program([PYTHON, "-u", SCRIPTS / "http_handler.py"], env=env)
    return process, process.announced_port()


def node(test, binary="node", env=None):
    """Node's http module; `binary` is a path or a name."""
    process = test.run_program([shutil.which(binary) or binary, SCRIPTS / "node_server.js"], env=env, name="node")
    return process, process.announced_port()


def tomcat(folder, port, servlet="tomcat/PathsServlet.java", connector="Http11NioProtocol"):
    """A folder for a Tomcat with this servlet of test-apps for all paths: the command that starts it, by its own script, and
    the settings that this needs. wait_for_tomcat() tells when it can answer."""
    classes = folder / "webapps" / "ROOT" / "WEB-INF" / "classes"
    for part in (classes, folder / "conf", folder / "logs", folder / "temp", folder / "work"):
        part.mkdir(parents=True)
    fill_in("tomcat/server.xml", folder / "conf" / "server.xml", PORT=port, DIR=folder, CONNECTOR=connector)
    fill_in("tomcat/web.xml", classes.parent / "web.xml", SERVLET=Path(servlet).stem)
    subprocess.run(["javac", "-cp", f"{TOMCAT}/lib/servlet-api.jar", "-d", classes, SCRIPTS / servlet], check=True)
    return [f"{TOMCAT}/bin/catalina.sh", "run"], {"CATALINA_HOME": TOMCAT, "CATALINA_BASE": folder, "CATALINA_OPTS": JAVA_QUICK_START}


def varnish(folder, port, config, *options):
    """The command for a Varnish with this VCL, which keeps its things in this folder."""
    return ["/usr/sbin/varnishd", "-F", "-j", "none", "-n", folder, "-a", f"127.0.0.1:{port}", "-f", config, "-s", "malloc,64m",
            "-T", "127.0.0.1:0", "-p", "thread_pool_min=50", "-p", "timeout_idle=60", *options]


PHP_FPM = str(max(Path("/usr/sbin").glob("php-fpm*"), default="/usr/sbin/php-fpm"))  # the version is in the name


def wait_for_tomcat(process):
    """It listens before it can answer."""
    wait_until(lambda: b"Server startup in" in process.out + process.err, what="tomcat answers")


class Load:
    """Our load generator, running: every request is accounted for."""

    def __init__(self, test, port, connections=8, milliseconds=1000, path="/size/100"):
        argv = [APPS / "load", port, connections, milliseconds, path]
        self.path = path
        self.process = test.run_program(argv, env=test.spanshim.env(preload=False))

    def finish(self, timeout=60):
        """Wait for its end: how many requests were answered."""
        status = self.process.wait(timeout)
        if status != 0:
            raise RuntimeError(f"load ended with {status}: {self.process.err.decode()}")
        return int(self.process.out.split()[1])

    def rate(self):
        """Answers per second."""
        words = self.process.out.split()
        return int(words[1]) / float(words[3])

    def answered_paths(self):
        """The paths that were answered, when each has its own."""
        paths = []
        for line in self.process.out.decode().splitlines()[1:]:
            words = line.split()
            paths += [f"{self.path[:-1]}{words[1]}-{number}" for number in range(int(words[3]))]
        return paths

    def last_answered_paths(self):
        """Of those, each connection's last."""
        return {path for path in self.answered_paths() if self._is_last(path)}

    def _is_last(self, path):
        connection, _, number = path[len(self.path) - 1:].partition("-")
        return f"connection {connection} answered {int(number) + 1}" in self.process.out.decode().splitlines()
