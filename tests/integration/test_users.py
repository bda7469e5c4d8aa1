# SPDX-License-Identifier: Apache-2.0
"""An agent of root that serves other users: only those it is told to, each apart from the others and within limits; and
all that a user who isn't root can do alone."""

import json
import os
import shutil
import socket
import struct
import subprocess
import time
import unittest
from pathlib import Path

import servers
from harness import AGENT, APPS, BUILD, LAUNCHER, ShimTest, Traffic, preload_environment
from otlp_sink import OtlpSink
from processes import Process, free_port, wait_until

ANNE, BERT, CARL = 61236, 61237, 61238
STATUS, STOP = 2, 5
MAGIC, VERSION = 0x4E415053, 2


def as_user(uid):
    """Options of a process that is this user's and nobody else's."""
    return {"user": uid, "group": uid, "extra_groups": []}


@unittest.skipIf(os.geteuid(), "only root can serve other users")
class ServedTest(ShimTest):
    """Two users who are served and one who is not."""

    def setUp(self):
        super().setUp()
        self.spanshim.stop()
        self.other = OtlpSink()
        self.addCleanup(self.other.close)
        self.place = self.directory / "served"
        self.socket = self.place / "agent.sock"

    def start(self, served, program=AGENT, **settings):
        options = ["--serve-uid", served] if served else []
        agent = Process([str(program), "--stay", "--socket", str(self.socket), "--log",
                         str(self.directory / "served.log"), *options], self.directory,
                        dict(self.spanshim.base_env(), **settings), name="served")
        self.started.append(agent)
        wait_until(lambda: self.socket.exists() and self.log().count("listens at"), what="the agent")
        return agent

    def log(self):
        path = self.directory / "served.log"
        return path.read_text() if path.exists() else ""

    def env(self, **settings):
        return self.spanshim.env(SPANSHIM_RUNTIME_DIR=None, SPANSHIM_AGENT=self.socket, **settings)

    def serve(self, uid, sink, **settings):
        """A request to a server of this user, whose spans go to this receiver."""
        server, port = servers.httpd(self, env=self.env(OTEL_EXPORTER_OTLP_ENDPOINT=sink.url, **settings), **as_user(uid))
        Traffic(port).once("GET", "/")
        return server

    def command(self, uid, *arguments):
        return subprocess.run([str(LAUNCHER), *arguments], env=self.env(preload=False), capture_output=True, text=True,
                              timeout=60, check=False, **as_user(uid))

    def status(self, uid):
        return json.loads(self.command(uid, "status", "--json").stdout)

    def ask_often(self, uid, count):
        """So many questions at once: how many were answered."""
        script = ("import socket, sys\n"
                  "answered = 0\n"
                  f"for _ in range({count}):\n"
                  "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                  "    s.connect(sys.argv[1])\n"
                  "    s.send(bytes.fromhex(sys.argv[2]))\n"
                  "    try: answered += len(s.recv(100)) > 0\n"
                  "    except ConnectionError: pass\n"
                  "print(answered)\n")
        message = struct.pack("<IHHIIQ", MAGIC, VERSION, STATUS, 1, 0, 0)
        return int(subprocess.run(["/usr/bin/python3", "-c", script, str(self.socket), message.hex()], check=True,
                                  capture_output=True, text=True, timeout=60, **as_user(uid)).stdout)

    def test_each_user_has_his_own_destination_and_sees_no_other(self):
        self.needs_spans()
        agent = self.start(f"{ANNE},{BERT}")
        servers_of = {uid: self.serve(uid, sink, OTEL_EXPORTER_OTLP_HEADERS=f"x-token=secret{uid}",
                                      OTEL_RESOURCE_ATTRIBUTES=f"of={uid}")
                      for uid, sink in ((ANNE, self.sink), (BERT, self.other))}
        for uid, sink in ((ANNE, self.sink), (BERT, self.other)):
            self.assertEqual(0, self.command(uid, "flush").returncode)
            sink.wait_for(1)
            self.assertEqual([str(uid)], [span["resource"]["of"] for span in sink.spans])
            self.assertEqual([str(uid)], [span["resource"]["process.owner"] for span in sink.spans])
            shown = self.command(uid, "status", "--json").stdout
            status = json.loads(shown)
            self.assertEqual([servers_of[uid].pid], [process["pid"] for process in status["processes"]])
            self.assertEqual(1, len(status["rings"]))
            self.assertEqual(1, status["totals"]["counts"]["requests"])
            self.assertEqual([sink.url + "/v1/traces"],
                             [exporter["target"] for one in status["destinations"] for exporter in one["exporters"]])
            self.assertNotIn("secret", shown)
        self.assertEqual(2, len(self.status(0)["processes"]))
        refused = self.command(ANNE, "stop")
        self.assertEqual(1, refused.returncode)
        self.assertRegex(refused.stderr, "only that user and root")
        self.assertIsNone(agent.popen.poll())

    def test_the_same_settings_are_two_destinations(self):
        self.needs_spans()
        self.start("all")
        for uid in (ANNE, BERT):
            self.serve(uid, self.sink)
        wait_until(lambda: len(self.status(0)["processes"]) == 2, what="both")
        self.assertEqual(2, len(self.status(0)["destinations"]))
        self.assertEqual(1, len(self.status(BERT)["destinations"]))

    def test_who_is_not_in_the_list_runs_untraced(self):
        self.needs_spans()
        self.start(str(ANNE))
        server = self.serve(CARL, self.sink)
        self.serve(ANNE, self.sink)
        self.assertIsNone(server.popen.poll())
        wait_until(lambda: self.status(0)["processes"], what="the one who is served")
        self.assertEqual(1, len(self.status(0)["processes"]))
        self.assertEqual(1, self.command(CARL, "status").returncode)

    def test_by_default_others_are_refused_and_counted(self):
        self.needs_spans()
        self.start(None)
        self.place.chmod(0o755)
        self.socket.chmod(0o666)
        self.serve(CARL, self.sink)
        wait_until(lambda: self.status(0)["users"] == [{"uid": CARL, "refused": 1, "limited": 0}], what="the refusal")
        self.assertRegex(self.command(0, "status").stdout, rf"(?m)^ *{CARL} +1 +0$")

    def test_one_user_asks_too_much_and_another_is_served(self):
        self.start(f"{ANNE},{BERT}")
        begun = time.monotonic()
        answered = self.ask_often(ANNE, 600)
        self.assertGreaterEqual(answered, 200)
        self.assertLessEqual(answered, 200 + 20 * (time.monotonic() - begun) + 1, "200 at once, and 20 a second")
        self.assertEqual(50, self.ask_often(BERT, 50))
        limited = {user["uid"]: user["limited"] for user in self.status(0)["users"]}
        self.assertEqual({ANNE: 600 - answered, BERT: 0}, limited)

    def test_silent_connections_of_one_user_take_no_room_from_another(self):
        self.start(f"{ANNE},{BERT}")
        script = ("import socket, sys\n"
                  "print('started', flush=True); sys.stdin.readline()\n"
                  "held = [socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) for _ in range(400)]\n"
                  "for s in held: s.connect(sys.argv[1])\n"
                  "print('ready', flush=True); sys.stdin.read()")
        greedy = self.run_program(["/usr/bin/python3", "-c", script, self.socket], stdin=subprocess.PIPE, **as_user(ANNE))
        wait_until(lambda: b"started" in greedy.out, what="the greedy one")
        quiet = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.addCleanup(quiet.close)
        quiet.connect(str(self.socket))
        greedy.popen.stdin.write(b"now\n")
        greedy.popen.stdin.flush()
        wait_until(lambda: b"ready" in greedy.out, what="its connections")  # who is silent for 5 s is hung up on
        quiet.send(struct.pack("<IHHIIQ", MAGIC, VERSION, STATUS, 1, 0, 0))
        self.assertIn(b"agent", quiet.recv(65536))
        greedy.popen.stdin.close()

    def test_no_file_is_written_for_another_user(self):
        self.needs_spans()
        self.start(str(ANNE))
        target = self.directory / "of-root"
        target.write_text("untouched\n")
        self.serve(ANNE, self.sink, OTEL_TRACES_EXPORTER="otlp,console", SPANSHIM_CONSOLE=target)
        self.command(ANNE, "flush")
        self.assertEqual("untouched\n", target.read_text())
        complaints = self.status(ANNE)["rings"][0]["complaints"]
        self.assertRegex(" ".join(complaints), "SPANSHIM_CONSOLE: not used")

    def test_a_users_crash_concerns_nobody_else(self):
        self.needs_spans()
        self.start("all")
        first = self.serve(ANNE, self.sink)
        self.serve(BERT, self.other)
        first.kill()
        self.assertEqual(0, self.command(BERT, "flush").returncode)
        self.other.wait_for(1)
        wait_until(lambda: len(self.status(0)["processes"]) == 1, what="the end of the first")

    def test_a_ring_that_crashes_the_worker_concerns_nobody_else(self):
        self.needs_spans()
        self.start(f"{ANNE},{BERT}", BUILD / "tests" / "crashing-agent", CRASH_OF_UID=str(ANNE))
        bert = self.serve(BERT, self.other)
        anne = self.serve(ANNE, self.sink)
        wait_until(lambda: self.status(0)["totals"]["given_up_rings"] == 1, what="the end of the ring")
        self.assertEqual([1, 0], [self.status(uid)["totals"]["given_up_rings"] for uid in (ANNE, BERT)])
        self.assertEqual(3, self.log().count(": a new one goes on"))
        Traffic(bert.announced_port()).once("GET", "/")
        Traffic(anne.announced_port()).once("GET", "/")
        self.assertEqual(0, self.command(BERT, "flush").returncode)
        self.other.wait_for(2)
        self.assertEqual(2, self.status(BERT)["totals"]["counts"]["requests"])
        self.assertEqual([], self.sink.spans)

    def run_as_anne(self, script):
        """A script of this user's that has the socket's path, goes on till the test's end, and says when it is ready."""
        program = self.run_program(["/usr/bin/python3", "-c", "import array, socket, struct, sys\n"
                                    "def connect():\n"
                                    "    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                                    "    s.connect(sys.argv[1])\n"
                                    "    return s\n"
                                    "def send(s, message, *fds):\n"
                                    "    fds = array.array('i', fds)\n"
                                    "    s.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])\n"
                                    "status = bytes.fromhex(sys.argv[2])\n"
                                    f"{script}"
                                    "print('ready', flush=True)\n"
                                    "sys.stdin.read()\n",
                                    self.socket, struct.pack("<IHHIIQ", MAGIC, VERSION, STATUS, 1, 0, 0).hex()],
                                   stdin=subprocess.PIPE, **as_user(ANNE))
        self.addCleanup(program.popen.stdin.close)
        wait_until(lambda: b"ready" in program.out, what="the script")
        return program

    def test_descriptors_that_take_long_to_close_are_not_waited_for(self):
        """The last close of a socket with SO_LINGER takes as long as its owner likes."""
        agent = self.start(f"{ANNE},{BERT}")
        self.run_as_anne("import threading\n"
                         "def lingering():\n"
                         "    listener = socket.socket()\n"
                         "    listener.bind(('127.0.0.1', 0))\n"
                         "    listener.listen()\n"
                         "    client = socket.create_connection(listener.getsockname())\n"
                         "    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 3600))\n"
                         "    client.setblocking(False)\n"
                         "    try:\n"
                         "        while True: client.send(bytes(65536))\n"
                         "    except BlockingIOError: pass\n"
                         "    return listener, client\n"
                         "listeners, lasting, messages = [], [], (status, b'nonsense', b'', status + bytes(30000))\n"
                         "for message in messages:\n"
                         "    listener, client = lingering()\n"
                         "    for _ in range(32):\n"
                         "        lasting.append(connect())\n"
                         "        lasting[-1].send(status)\n"
                         "    lasting.append(connect())\n"
                         "    send(lasting[-1], message, client.fileno())\n"
                         "    threading.Thread(target=client.close, daemon=True).start()\n"
                         "    listeners.append(listener)\n")
        self.assertEqual(5, self.ask_often(BERT, 5))
        agent.terminate()

    def test_descriptors_of_messages_that_are_none_are_closed(self):
        agent = self.start(f"{ANNE},{BERT}")
        self.run_as_anne("for message in (b'', b'nonsense'):\n"
                         "    for _ in range(40): send(connect(), message, 0, 1, 2)\n"
                         "for _ in range(40): send(connect(), status, *[0] * 253)\n")
        self.assertEqual(5, self.ask_often(BERT, 5))
        wait_until(lambda: len(os.listdir(f"/proc/{agent.pid}/fd")) < 30, what="the descriptors' end")

    def test_an_unknown_user_is_an_error(self):
        ended = subprocess.run([str(AGENT), "--socket", str(self.socket), "--serve-uid", "nobody,no-such-user"],
                               capture_output=True, text=True, timeout=60, check=False, env=self.spanshim.base_env())
        self.assertEqual(1, ended.returncode)
        self.assertRegex(ended.stderr, "there is no user no-such-user")


@unittest.skipIf(os.geteuid(), "only root can serve other users")
@unittest.skipIf(subprocess.run(["unshare", "-m", "mount", "-t", "tmpfs", "none", "/run"], capture_output=True,
                                check=False).returncode, "mounts are not allowed here")
class UsualPlaceTest(ShimTest):
    """Without any setting: a user's program finds its own agent, or else root's."""

    def enter(self, *command):
        return ["nsenter", f"--mount=/proc/{self.agent.pid}/ns/mnt", *map(str, command)]

    def as_anne(self, *command):
        return self.enter("setpriv", f"--reuid={ANNE}", f"--regid={ANNE}", "--clear-groups", *command)

    def test_roots_agent_is_found(self):
        self.needs_spans()
        self.agent = self.run_program(
            ["unshare", "-m", "sh", "-c", 'mount -t tmpfs none /run && exec "$@"', "sh", AGENT, "--stay", "--log",
             self.directory / "usual.log", "--serve-uid", "all"],
            env=dict(self.spanshim.base_env(), SPANSHIM_RUNTIME_DIR=""))
        wait_until(lambda: "listens at /run/spanshim/agent.sock" in self.log(), what="the agent")
        env = self.spanshim.env(preload=False, SPANSHIM_RUNTIME_DIR=None)
        preload = [f"{name}={value}" for name, value in preload_environment().items()]
        server = self.run_program(self.as_anne("env", *preload, APPS / "httpd"), env=env, name="httpd")
        Traffic(server.announced_port()).once("GET", "/")
        for command in ("flush", "status"):
            ended = subprocess.run(self.as_anne(LAUNCHER, command), env=env, capture_output=True, text=True, timeout=60,
                                   check=False)
            self.assertEqual(0, ended.returncode, ended.stderr)
        self.assertIn("httpd", ended.stdout)
        self.sink.wait_for(1)
        self.assertFalse(os.path.exists(f"/tmp/spanshim-{ANNE}"))

    def log(self):
        path = self.directory / "usual.log"
        return path.read_text() if path.exists() else ""


@unittest.skipIf(os.geteuid(), "only root can become a user without a home")
class UnprivilegedTest(ShimTest):
    """All of it as a user who isn't root and owns nothing but /tmp: no home, no folder of the session."""

    def setUp(self):
        super().setUp()
        self.spanshim.stop()
        self.runtime = f"/tmp/spanshim-{CARL}"
        self.addCleanup(shutil.rmtree, self.runtime, ignore_errors=True)
        self.addCleanup(self.as_carl, "stop")

    def env(self):
        env = self.spanshim.env(preload=False, SPANSHIM_RUNTIME_DIR=None, XDG_STATE_HOME=None)
        return dict(env, HOME="/nonexistent")

    def as_carl(self, *arguments):
        return subprocess.run([str(LAUNCHER), *arguments], env=self.env(), capture_output=True, text=True, timeout=60,
                              check=False, **as_user(CARL))

    def start_nginx(self):
        """nginx on a high port, in a folder of this user's."""
        folder = self.directory / "nginx"
        folder.mkdir()
        os.chown(folder, CARL, CARL)
        port = free_port()
        text = (servers.SCRIPTS / "nginx" / "static.conf").read_text()
        for name, value in {"PORT": port, "ROOT": servers.static_files(self.directory), "DIR": folder, "WORKERS": 2,
                            "USER": ""}.items():
            text = text.replace(f"@{name}@", str(value))
        (folder / "nginx.conf").write_text(text)
        nginx = self.run_program([LAUNCHER, "run", "--", "/usr/sbin/nginx", "-e", folder / "error.log", "-p", folder, "-c",
                                  folder / "nginx.conf"], env=self.env(), **as_user(CARL))
        nginx.wait_listening(port)
        return nginx, port

    def test_run_status_flush_log_stop_purge(self):
        nginx, port = self.start_nginx()
        with Traffic(port).connect() as connection:
            for _ in range(5):
                connection.request("GET", "/1k")
        self.assertEqual(0, self.as_carl("flush").returncode)
        self.sink.wait_for(5)
        self.assertEqual({str(CARL)}, {span["resource"]["process.owner"] for span in self.sink.spans})
        status = self.as_carl("status")
        self.assertEqual((0, ""), (status.returncode, status.stderr))
        self.assertRegex(status.stdout, r"/usr/sbin/nginx")
        nginx.terminate()
        self.assertEqual(0, self.as_carl("stop").returncode)
        self.assertEqual(1, self.as_carl("status").returncode)
        purged = self.as_carl("purge", "--yes")
        self.assertEqual(0, purged.returncode, purged.stderr)
        self.assertFalse(os.path.exists(self.runtime))

    def test_no_file_of_the_users_is_roots(self):
        """What the agent leaves behind belongs to who started it, and to nobody else."""
        self.start_nginx()
        self.assertEqual(0, self.as_carl("status").returncode)
        for path in Path(self.runtime).rglob("*"):
            self.assertEqual((CARL, 0), (path.lstat().st_uid, path.lstat().st_mode & 0o077), path)


if __name__ == "__main__":
    unittest.main(verbosity=2)
