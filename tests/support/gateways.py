# SPDX-License-Identifier: Apache-2.0
"""Web servers and the programs that they ask by FastCGI, SCGI and uwsgi: each of real ones, started unmodified.

A program is started by a function that returns a Behind: in which protocol and where it is asked. A front is started by a
function that takes the Behind and returns the port of the web server."""

import dataclasses
import os

import servers
from harness import PYTHON
from processes import children, free_port, listens_at, wait_until

APPS = servers.SCRIPTS / "gateway"
MODULES = "/usr/lib/apache2/modules"


@dataclasses.dataclass
class Behind:
    """A program behind a web server."""

    process: object
    protocol: str
    address: str  # "127.0.0.1:port", or a socket's path
    script: object = ""

    @property
    def is_unix(self):
        return self.address.startswith("/")


def folder_of(test, name):
    folder = test.directory / f"{name}-{free_port()}"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


def address_in(folder, is_unix):
    return str(folder / "socket") if is_unix else f"127.0.0.1:{free_port()}"


def wait_for(process, address):
    if address.startswith("/"):
        wait_until(lambda: listens_at(address), what="the socket")
    else:
        process.wait_listening(int(address.partition(":")[2]))


def php_fpm(test, env=None, is_unix=False, workers=2, script=servers.SCRIPTS / "php" / "answer.php"):
    """PHP-FPM, which keeps a worker for each connection."""
    folder = folder_of(test, "fpm")
    address = address_in(folder, is_unix)
    config = servers.fill_in("php/fpm.conf", folder / "fpm.conf", DIR=folder, LISTEN=address, WORKERS=workers)
    as_root = ["-R"] if os.getuid() == 0 else []
    process = test.run_program([servers.PHP_FPM, "-F", "-n", "-y", config, *as_root], env=env)
    wait_until(lambda: len(children(process.pid)) == workers, what="PHP-FPM's workers")
    return Behind(process, "fastcgi", address, script)


def fcgiwrap(test, env=None, is_unix=False, workers=2):
    """fcgiwrap, which runs a CGI program for each request, and passes its standard error on (-f)."""
    folder = folder_of(test, "fcgiwrap")
    address = address_in(folder, is_unix)
    where = f"unix:{address}" if is_unix else f"tcp:{address}"
    process = test.run_program(["/usr/sbin/fcgiwrap", "-f", "-c", workers, "-s", where], env=env)
    wait_for(process, address)
    return Behind(process, "fastcgi", address, servers.SCRIPTS / "cgi" / "answer.sh")


def uwsgi(test, env=None, is_unix=False, workers=2):
    """uWSGI in its own protocol, with processes."""
    folder = folder_of(test, "uwsgi")
    address = address_in(folder, is_unix)
    process = test.run_program(["uwsgi", "--plugins", "python3", "--socket", address, "--master", "--processes", workers,
                                "--die-on-term", "--need-app", "--listen", "100", "--chdir", APPS, "--wsgi-file", "answer.py",
                                "--logto", folder / "log"], env=env)
    wait_for(process, address)
    wait_until(lambda: len(children(process.pid)) >= workers, what="uWSGI's workers")
    return Behind(process, "uwsgi", address)


def plain(protocol):
    """The server of test-apps, a thread per connection."""

    def start(test, env=None, record=None):
        process = test.run_program([PYTHON, APPS / "server.py", protocol, *([record] if record else [])], env=env)
        return Behind(process, protocol, f"127.0.0.1:{process.announced_port()}")

    return start


def nginx(test, behind, env=None, keeps=False, workers=1):
    """nginx, which tells the request's header fields as they came."""
    lines = [f"include /etc/nginx/{behind.protocol}_params;", f"{behind.protocol}_pass behind;"]
    if behind.script:
        lines.append(f"{behind.protocol}_param SCRIPT_FILENAME {behind.script};")
    if keeps:
        lines.append("fastcgi_keep_conn on;")
    address = f"unix:{behind.address}" if behind.is_unix else behind.address
    _, port = servers.nginx(test, "gateway.conf", workers=workers, env=env, BEHIND=address, PASS="\n".join(lines),
                            KEEPALIVE="keepalive 4;" if keeps else "")
    return port


def apache(test, behind, env=None, keeps=False):
    """Apache with a thread per request."""
    scheme = {"fastcgi": "fcgi"}.get(behind.protocol, behind.protocol)
    url = f"unix:{behind.address}|{scheme}://localhost/" if behind.is_unix else f"{scheme}://{behind.address}/"
    lines = [f'ProxyPass "/" "{url}"{" enablereuse=on" if keeps else ""}']
    if behind.script:
        lines.append(f'ProxyFCGISetEnvIf "true" SCRIPT_FILENAME "{behind.script}"')
    return run_front(test, ["/usr/sbin/apache2", "-D", "FOREGROUND", "-f"], "apache/gateway.conf", env, MODULES=MODULES,
                     PASS="\n".join(lines), USER="User www-data\nGroup www-data" if os.getuid() == 0 else "")


def lighttpd(test, behind, env=None):
    """lighttpd, one thread."""
    host, _, number = behind.address.partition(":")
    lines = (f'{behind.protocol}.server = ( "/" => (( "host" => "{host}", "port" => {number}, "check-local" => "disable" )) )')
    return run_front(test, ["/usr/sbin/lighttpd", "-D", "-f"], "lighttpd/gateway.conf", env, PASS=lines)


def run_front(test, argv, template, env, **values):
    folder = folder_of(test, "front")
    port = free_port()
    config = servers.fill_in(template, folder / "conf", DIR=folder, PORT=port, **values)
    test.run_program([*argv, config], env=env).wait_listening(port)
    return port
