# SPDX-License-Identifier: Apache-2.0
"""Java's clients: java.net.http.HttpClient and HttpURLConnection."""

import subprocess
import unittest

import client_matrix
from client import CLIENTS, Script


class Java(Script):
    """One of the libraries that test-apps/clients/Requests.java knows."""

    programs = ("java", "javac")
    library = None

    def prepare(self):
        subprocess.run(["javac", "-d", self.folder, CLIENTS / "Requests.java"], check=True)

    def interpreter(self):
        return ["java", "-XX:TieredStopAtLevel=1", "-cp", self.folder, "Requests", self.library]


class HttpClient(Java):
    library = "client"


class HttpUrlConnection(Java):
    # It waits for ever for what follows 103, and reads of a redirecting answer what happens to be there.
    without = ("hints", "moved")
    library = "url"


class HttpClientTest(client_matrix.ClientTest):
    client_class = HttpClient


class HttpUrlConnectionTest(client_matrix.ClientTest):
    client_class = HttpUrlConnection


if __name__ == "__main__":
    unittest.main(verbosity=2)
