# SPDX-License-Identifier: Apache-2.0
"""libcurl's easy and multi interfaces, by pycurl."""

import unittest

import client_matrix
from client import CLIENTS, Script
from harness import PYTHON


class Pycurl(Script):
    """One of the ways that test-apps/clients/pycurl_client.py knows."""

    programs = ("/usr/lib/python3/dist-packages/curl/__init__.py",)
    by_curl = True
    way = None

    def interpreter(self):
        return [PYTHON, CLIENTS / "pycurl_client.py", self.way]


class Easy(Pycurl):
    way = "easy"


class Multi(Pycurl):
    way = "multi"


class EasyTest(client_matrix.ClientTest):
    client_class = Easy


class MultiTest(client_matrix.ClientTest):
    client_class = Multi


if __name__ == "__main__":
    unittest.main(verbosity=2)
