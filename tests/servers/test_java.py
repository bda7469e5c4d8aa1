# SPDX-License-Identifier: Apache-2.0
"""Java: Tomcat with both of its connectors, the JDK's own server, and blocking sockets with a thread for each connection."""

import subprocess
import unittest

import server_matrix
import servers
from processes import wait_until
from server import Server

TOMCAT = "/usr/share/tomcat10"
QUICK_START = "-XX:TieredStopAtLevel=1"  # the first of its compilers only


class Tomcat(Server):
    """Tomcat by its own start script, with everything it writes in a folder of its own."""

    programs = ("java", "javac", f"{TOMCAT}/bin/catalina.sh")
    connector = None

    def start(self):
        classes = self.folder / "webapps" / "ROOT" / "WEB-INF" / "classes"
        for folder in (classes, self.folder / "conf", self.folder / "logs", self.folder / "temp", self.folder / "work"):
            folder.mkdir(parents=True)
        self.fill_in("tomcat/server.xml", CONNECTOR=self.connector).rename(self.folder / "conf" / "server.xml")
        self.fill_in("tomcat/web.xml").rename(classes.parent / "web.xml")
        subprocess.run(["javac", "-cp", f"{TOMCAT}/lib/servlet-api.jar", "-d", classes,
                        servers.SCRIPTS / "tomcat" / "PathsServlet.java"], check=True)
        self.run([f"{TOMCAT}/bin/catalina.sh", "run"],
                 env=self.test.spanshim.env(CATALINA_HOME=TOMCAT, CATALINA_BASE=self.folder, CATALINA_OPTS=QUICK_START))
        wait_until(lambda: b"Server startup in" in self.process.out + self.process.err, timeout=60,
                   what="tomcat, which listens before it can answer")


class TomcatNio(Tomcat):
    connector = "Http11NioProtocol"


class TomcatNio2(Tomcat):
    connector = "Http11Nio2Protocol"


class SourceFile(Server):
    """A program of one source file, compiled as it starts."""

    programs = ("java", "javac")
    source = None
    says_close = False
    logs_given_up = False

    def start(self):
        self.run(["java", QUICK_START, servers.SCRIPTS / "java" / self.source, self.port], name=self.source)
        self.log_by_output(b"GET /")


class SunHttpServer(SourceFile):
    left_before = ("client_closed",)  # the head is taken, the body no more
    source = "SunHttpServer.java"


class BlockingServer(SourceFile):
    source = "BlockingServer.java"


class TomcatNioTest(server_matrix.ServerTest):
    server_class = TomcatNio


class TomcatNio2Test(server_matrix.ServerTest):
    server_class = TomcatNio2


class SunHttpServerTest(server_matrix.ServerTest):
    server_class = SunHttpServer


class BlockingServerTest(server_matrix.ServerTest):
    server_class = BlockingServer


if __name__ == "__main__":
    unittest.main(verbosity=2)
