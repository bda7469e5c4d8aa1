# SPDX-License-Identifier: Apache-2.0
"""git clone over HTTP: by git's own protocol, and from a server that only serves files."""

import os
import subprocess
import unittest

import client_matrix
from client import Client
from exact_server import ExactServer
from harness import base_environment

BACKEND = "/usr/lib/git-core/git-http-backend"


class GitServer(ExactServer):
    """Serves the repository at `root`: /smart/... by git's program for servers, /files/... as it stands."""

    root = None

    def answer(self, connection, request, words):
        if words[0] == "smart":
            return self._run_backend(connection, request)
        path = self.root / "/".join(words[1:])
        if not path.is_file():
            return connection.send_plain(request, 404, b"no such file\n")
        return connection.send_plain(request, 200, path.read_bytes(), "Content-Type: text/plain")

    def _run_backend(self, connection, request):
        path, _, query = request.target.removeprefix("/smart").partition("?")
        env = {**base_environment(self.root), "GIT_PROJECT_ROOT": str(self.root), "GIT_HTTP_EXPORT_ALL": "1",
               "PATH_INFO": path, "QUERY_STRING": query, "REQUEST_METHOD": request.method,
               "CONTENT_TYPE": "".join(request.values("content-type")), "CONTENT_LENGTH": str(request.length),
               "HTTP_CONTENT_ENCODING": "".join(request.values("content-encoding")),
               "GIT_PROTOCOL": "".join(request.values("git-protocol"))}
        answer = subprocess.run([BACKEND], input=request.body, env=env, stdout=subprocess.PIPE, check=True).stdout
        head, _, body = answer.partition(b"\r\n\r\n")
        fields = [line for line in head.decode().split("\r\n") if not line.startswith("Status:")]
        return connection.send_plain(request, 200, body, *fields)


class Git(Client):
    """git-remote-http does the work, by libcurl."""

    programs = ("git", BACKEND)
    is_crowd = True
    by_curl = True
    # Which of its handles is free for an object, and so with what options, varies.
    wire_masks = ((rb"\r\nAccept-Encoding: [^\r]*", b""),)


class GitTest(client_matrix.ClientTest):
    client_class = Git
    server_class = GitServer

    def setUp(self):
        super().setUp()
        self.server.root = self.directory / "served"
        work, bare = self.directory / "work", self.server.root / "repository.git"
        env = {**base_environment(self.directory), "GIT_CONFIG_NOSYSTEM": "1",
               **{f"GIT_{who}_{what}": f"{what}@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}}
        commands = [["init", "-q", "-b", "main", work]]
        work.mkdir()
        for number in range(3):
            (work / f"file{number}").write_bytes(os.urandom(100_000))
            commands += [["-C", work, "add", f"file{number}"], ["-C", work, "commit", "-q", "-m", f"number {number}"]]
        commands += [["clone", "-q", "--bare", work, bare], ["-C", bare, "update-server-info"]]
        for command in commands:
            subprocess.run(["git", *command], env=env, check=True)

    def test_each_case(self):
        """One clone each way, and what was cloned. One request at a time: otherwise which handle git makes a request with,
        and so which fields it has, varies."""
        for way, least in (("smart", 2), ("files", 10)):
            with self.subTest(way=way):
                url = f"http://127.0.0.1:{self.server.port}/{way}/repository.git"
                clone = "git -c http.maxRequests=1 clone -q \"$1\" clone && git -C clone log --format=%H%s && rm -r clone"
                self.check_run(["sh", "-c", clone, "sh", url], at_least=least)


if __name__ == "__main__":
    unittest.main(verbosity=2)
