# SPDX-License-Identifier: Apache-2.0
"""`spanshim status` of root: the agents of all users, and of nobody who only sits where one would be."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import unittest
from pathlib import Path

from harness import AGENT, LAUNCHER, PYTHON, base_environment
from processes import Process, wait_until

STRANGER, SOMEBODY = 61234, 61235
USUAL = Path(f"/tmp/spanshim-{STRANGER}")
SQUATTED = Path("/tmp/spanshim-test-squatted")

# Binds as root, listens as another user: who asks is shown that other user.
SQUATTER = """
import os, socket, sys
listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
listener.bind(sys.argv[1])
os.setresuid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))
listener.listen(8)
print("ready", flush=True)
while True:
    connection = listener.accept()[0]
    connection.recv(65536)
    connection.send(b'{"agent": {"pid": 6666}}')
    connection.close()
"""


@unittest.skipIf(os.geteuid(), "needs root")
@unittest.skipIf(USUAL.exists() or SQUATTED.exists(), "somebody is at work there")
class StatusTest(unittest.TestCase):
    def setUp(self):
        self.directory = Path(tempfile.mkdtemp(prefix="status-of-root-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.chmod(0o777)

    def start_agent_of_stranger(self):
        env = dict(base_environment(self.directory), XDG_STATE_HOME=str(self.directory / "state"))
        self.addCleanup(shutil.rmtree, USUAL, ignore_errors=True)
        agent = Process([str(AGENT), "--stay"], self.directory, env, name="agent", user=STRANGER, group=STRANGER,
                        extra_groups=[])
        self.addCleanup(agent.kill)
        log = self.directory / "state" / "spanshim" / "agent.log"
        wait_until(lambda: log.exists() and "listens at" in log.read_text(), what="the agent")  # its socket is there before
        return agent

    def start_squatter(self, folder_owner, listener_uid):
        SQUATTED.mkdir(mode=0o755)
        self.addCleanup(shutil.rmtree, SQUATTED, ignore_errors=True)
        squatter = Process([PYTHON, "-c", SQUATTER, str(SQUATTED / "agent.sock"), str(listener_uid)], self.directory,
                           base_environment(self.directory), name="squatter")
        self.addCleanup(squatter.kill)
        wait_until(lambda: b"ready" in squatter.out, what="the squatter")
        os.chown(SQUATTED, folder_owner, -1)

    def status(self, *arguments, **settings):
        env = dict(base_environment(self.directory), XDG_RUNTIME_DIR=str(self.directory), **settings)
        return subprocess.run([str(LAUNCHER), "status", *arguments], env=env, capture_output=True, text=True, timeout=30,
                              check=False)

    def wait_for_pid(self, pid):
        """Until the agent with this number is shown. Who takes more than two seconds to answer is not waited for."""
        wait_until(lambda: pid in self.pids(), what=f"agent {pid} among {self.pids()}")

    def pids(self, **settings):
        return [json.loads(line)["agent"]["pid"] for line in self.status("--json", **settings).stdout.splitlines()]

    def test_root_sees_the_agent_of_another_user(self):
        agent = self.start_agent_of_stranger()
        self.wait_for_pid(agent.pid)
        shown = self.status()
        self.assertEqual(0, shown.returncode)
        self.assertRegex(shown.stdout, rf"(?m)^user {STRANGER}: spanshim-agent \S+, process {agent.pid},")

    def test_a_setting_names_one(self):
        self.start_agent_of_stranger()
        result = self.status(SPANSHIM_RUNTIME_DIR=str(self.directory))
        self.assertEqual((1, ""), (result.returncode, result.stdout))

    def test_a_socket_of_a_third_user_is_not_believed(self):
        self.start_squatter(folder_owner=SOMEBODY, listener_uid=STRANGER)
        self.assertNotIn(6666, self.pids())

    def test_a_socket_of_the_folders_owner_is(self):
        self.start_squatter(folder_owner=STRANGER, listener_uid=STRANGER)
        self.wait_for_pid(6666)

    def test_a_linked_folder_is_not_followed(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
            listener.bind(str(self.directory / "agent.sock"))
            listener.listen(1)
            SQUATTED.symlink_to(self.directory)
            self.addCleanup(SQUATTED.unlink)
            self.status()
            listener.setblocking(False)
            with self.assertRaises(BlockingIOError):
                listener.accept()


if __name__ == "__main__":
    unittest.main(verbosity=2)
