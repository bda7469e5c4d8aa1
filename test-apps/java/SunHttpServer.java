// SPDX-License-Identifier: Apache-2.0

import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

/**
 * A server on the JDK's own HTTP server with the paths of httpd.c; on the port that is its argument; prints a line for
 * each answer.
 */
public class SunHttpServer {
    public static void main(String[] arguments) throws IOException {
        HttpServer server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), Integer.parseInt(arguments[0])), 128);
        server.createContext("/", SunHttpServer::handle);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
    }

    private static void handle(HttpExchange exchange) throws IOException {
        String[] path = exchange.getRequestURI().getPath().split("/");
        int number = path.length > 2 ? Integer.parseInt(path[2]) : 0;
        switch (path[1]) {
            case "size" -> answer(exchange, 200, "x".repeat(number));
            case "chunked" -> chunked(exchange, number);
            case "delay" -> delay(exchange, number);
            case "status" -> answer(exchange, number, "status\n");
            case "echo" -> answer(exchange, 200, exchange.getRequestBody().readAllBytes().length + "\n");
            default -> answer(exchange, 404, "no such path\n");
        }
        exchange.close();
        System.out.println(exchange.getRequestMethod() + " " + exchange.getRequestURI());
    }

    private static void answer(HttpExchange exchange, int status, String body) throws IOException {
        boolean bare = exchange.getRequestMethod().equals("HEAD") || status == 204 || status == 304;
        if (bare && status == 200)
            exchange.getResponseHeaders().set("Content-Length", String.valueOf(body.length()));
        exchange.sendResponseHeaders(status, bare ? -1 : body.length());
        if (!bare)
            exchange.getResponseBody().write(body.getBytes());
    }

    private static void delay(HttpExchange exchange, int ms) throws IOException {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException stop) {
            Thread.currentThread().interrupt();
        }
        answer(exchange, 200, "late\n");
    }

    private static void chunked(HttpExchange exchange, int count) throws IOException {
        exchange.sendResponseHeaders(200, 0); // length 0 asks for chunks
        OutputStream body = exchange.getResponseBody();
        for (int left = count; left > 0; left -= 100_000)
            body.write("x".repeat(Math.min(left, 100_000)).getBytes());
        body.close();
    }
}
