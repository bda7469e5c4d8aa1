# SPDX-License-Identifier: Apache-2.0
"""A client as the matrix (client_matrix.py) sees it: how to start it for a case, and what of its output varies from run to
run. Each family of clients is a subclass in its tests' file."""

import re

from servers import SCRIPTS

CLIENTS = SCRIPTS / "clients"


class Client:
    """One client program. The attributes say what differs from most clients."""

    programs = ()  # paths or names without which it can't be started
    without = ()  # cases that it has no way to make
    masks = ()  # pairs for re.sub: what varies in its output
    wire_masks = ()  # the same, in its requests
    is_crowd = False  # which connection makes which request varies
    environment = {}  # settings that it needs
    by_curl = False  # its requests are seen by libcurl's interface, which does not tell all that bytes do
    at_once = False  # one process makes all cases
    # error.type of a request that it waits for in vain: it closes the connection itself, which may mean anything.
    gave_up = ("timeout", "no_response")

    def __init__(self, test):
        self.test = test
        self.folder = test.directory / type(self).__name__.lower()
        self.folder.mkdir()

    def prepare(self):
        """Whatever has to be there before the first run."""

    def command(self, verb, urls):
        """The arguments that make one request for each URL, on one connection if that can be. The verb: get, head, post:N
        (a body of N bytes), timeout (get, but wait no longer than three seconds)."""
        raise NotImplementedError

    def output(self, data):
        """Output without what varies."""
        return self._masked(data, self.masks)

    def request(self, data):
        """A request without what varies."""
        return self._masked(data, self.wire_masks)

    @staticmethod
    def _masked(data, masks):
        for pattern, replacement in masks:
            data = re.sub(pattern, replacement, data)
        return data


class Script(Client):
    """A script of test-apps/clients: it is told steps, a verb and a URL each, and makes them all in one process."""

    at_once = True

    def interpreter(self):
        """The arguments before the steps."""
        raise NotImplementedError

    def command(self, verb, urls):
        return self.steps([(verb, url) for url in urls])

    def steps(self, steps):
        """The arguments that make all these steps."""
        return [*self.interpreter(), *[f"{verb} {url}" for verb, url in steps]]
