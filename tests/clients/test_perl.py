# SPDX-License-Identifier: Apache-2.0
"""Perl's clients: LWP and HTTP::Tiny."""

import unittest

import client_matrix
from client import CLIENTS, Script


class Perl(Script):
    """One of the libraries that test-apps/clients/perl.pl knows."""

    programs = ("perl", "/usr/share/perl5/LWP/UserAgent.pm")
    environment = {"PERL_HASH_SEED": "0"}  # the order of fields
    library = None

    def interpreter(self):
        return ["/usr/bin/perl", CLIENTS / "perl.pl", self.library]


class Lwp(Perl):
    without = ("hints",)  # 103 is a final answer to it
    library = "lwp"


class Tiny(Perl):
    library = "tiny"


class LwpTest(client_matrix.ClientTest):
    client_class = Lwp


class TinyTest(client_matrix.ClientTest):
    client_class = Tiny


if __name__ == "__main__":
    unittest.main(verbosity=2)
