// SPDX-License-Identifier: Apache-2.0
// The JDK's own server and clients: asks the server behind it for the path it is asked for. `java Asking.java PORT [blocking]`:
// by HttpURLConnection, else by HttpClient, whose threads do the asking.

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.InputStream;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.concurrent.Executors;

public class Asking {
    static final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    static boolean blocking;

    static byte[] ask(URI behind) throws IOException {
        if (blocking) {
            try (InputStream answer = behind.toURL().openConnection().getInputStream()) {
                return answer.readAllBytes();
            }
        }
        try {
            return client.send(HttpRequest.newBuilder(behind).build(), HttpResponse.BodyHandlers.ofByteArray()).body();
        } catch (InterruptedException interrupted) {
            throw new IOException(interrupted);
        }
    }

    static void answer(HttpExchange exchange) throws IOException {
        byte[] body = ask(URI.create("http://127.0.0.1:" + System.getenv("BEHIND") + exchange.getRequestURI()));
        exchange.sendResponseHeaders(200, body.length);
        exchange.getResponseBody().write(body);
        exchange.close();
    }

    public static void main(String[] arguments) throws IOException {
        blocking = arguments.length > 1;
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[0])), 128);
        server.createContext("/", Asking::answer);
        server.setExecutor(Executors.newFixedThreadPool(64));
        server.start();
    }
}
