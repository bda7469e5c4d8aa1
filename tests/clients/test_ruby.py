# SPDX-License-Identifier: Apache-2.0
"""Ruby's Net::HTTP, with a connection for each request and with kept ones."""

import unittest

import client_matrix
from client import CLIENTS, Script


class Ruby(Script):
    """One of the ways that test-apps/clients/ruby.rb knows; redirects are the caller's business."""

    programs = ("ruby",)
    library = None

    def interpreter(self):
        return ["/usr/bin/ruby", CLIENTS / "ruby.rb", self.library]


class Once(Ruby):
    library = "once"


class Kept(Ruby):
    library = "kept"


class OnceTest(client_matrix.ClientTest):
    client_class = Once


class KeptTest(client_matrix.ClientTest):
    client_class = Kept


if __name__ == "__main__":
    unittest.main(verbosity=2)
