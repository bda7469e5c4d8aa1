# SPDX-License-Identifier: Apache-2.0
"""Python's clients, of its own library and of others."""

import unittest

import client_matrix
from client import CLIENTS, Script
from harness import PYTHON

PACKAGES = "/usr/lib/python3/dist-packages"


class Python(Script):
    """One of the libraries that test-apps/clients/python.py knows."""

    library = None

    def interpreter(self):
        return [PYTHON, CLIENTS / "python.py", self.library]


class Urllib(Python):
    without = ("hints",)  # 103 is a final answer to http.client, which reads of the next what happens to be there
    library = "urllib"


class HttpClient(Python):
    without = ("hints",)  # 103 is a final answer to http.client, which reads of the next what happens to be there
    library = "http_client"


class Requests(Python):
    without = ("hints",)  # 103 is a final answer to http.client, which reads of the next what happens to be there
    programs = (f"{PACKAGES}/requests",)
    library = "requests"


class Urllib3(Python):
    without = ("hints",)  # 103 is a final answer to http.client, which reads of the next what happens to be there
    programs = (f"{PACKAGES}/urllib3",)
    library = "urllib3"


class Httpx(Python):
    programs = (f"{PACKAGES}/httpx",)
    library = "httpx"


class Aiohttp(Python):
    without = ("moved",)  # it reads of the redirecting answer what happens to be there
    is_crowd = True
    programs = (f"{PACKAGES}/aiohttp",)
    library = "aiohttp"


class UrllibTest(client_matrix.ClientTest):
    client_class = Urllib


class HttpClientTest(client_matrix.ClientTest):
    client_class = HttpClient


class RequestsTest(client_matrix.ClientTest):
    client_class = Requests


class Urllib3Test(client_matrix.ClientTest):
    client_class = Urllib3


class HttpxTest(client_matrix.ClientTest):
    client_class = Httpx


class AiohttpTest(client_matrix.ClientTest):
    client_class = Aiohttp


if __name__ == "__main__":
    unittest.main(verbosity=2)
