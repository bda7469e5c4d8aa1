# SPDX-License-Identifier: Apache-2.0
"""PHP's clients: its streams, and the curl extension."""

import unittest

import client_matrix
from client import CLIENTS, Script


class Php(Script):
    """One of the libraries that test-apps/clients/php.php knows."""

    programs = ("php",)
    library = None

    def interpreter(self):
        return ["/usr/bin/php", "-n", *self.extensions, CLIENTS / "php.php", self.library]

    extensions = ()


class Streams(Php):
    library = "streams"
    without = ("moved",)  # it reads of the redirecting answer what happens to be there


class Curl(Php):
    library = "curl"
    by_curl = True
    extensions = ("-d", "extension=curl")


class StreamsTest(client_matrix.ClientTest):
    client_class = Streams


class CurlTest(client_matrix.ClientTest):
    client_class = Curl


if __name__ == "__main__":
    unittest.main(verbosity=2)
