// SPDX-License-Identifier: Apache-2.0
// The JDK's own server and client: asks the server behind it for the path it is asked for. `java Asking.java PORT`

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.Executors;

public class Asking {
    static final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();

    static void answer(HttpExchange exchange) throws IOException {
        URI behind = URI.create("http://127.0.0.1:" + System.getenv("BEHIND") + exchange.getRequestURI());
        try {
            byte[] body = client.send(HttpRequest.newBuilder(behind).build(),
                                      HttpResponse.BodyHandlers.ofByteArray()).body();
            exchange.sendResponseHeaders(200, body.length);
            exchange.getResponseBody().write(body);
        } catch (InterruptedException interrupted) {
            throw new IOException(interrupted);
        }
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 0);
        server.createContext("/", Asking::answer);
        server.setExecutor(Executors.newFixedThreadPool(32));
        server.start();
    }
}
