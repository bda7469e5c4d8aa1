// SPDX-License-Identifier: Apache-2.0
// Java's clients: java Requests.java LIBRARY STEP... (steps as in python.py). LIBRARY: client (java.net.http.HttpClient), url
// (HttpURLConnection).
import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.net.URL;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.MessageDigest;
import java.time.Duration;
import java.util.Arrays;

public class Requests {
    record Answer(int status, byte[] body) {}

    private static final HttpClient CLIENT =
            HttpClient.newBuilder().followRedirects(HttpClient.Redirect.NORMAL).build();

    private static Answer throughClient(String method, String url, byte[] body, int timeout) throws Exception {
        HttpRequest request = HttpRequest.newBuilder(URI.create(url)).timeout(Duration.ofMillis(timeout))
                .method(method, body == null ? BodyPublishers.noBody() : BodyPublishers.ofByteArray(body)).build();
        HttpResponse<byte[]> response = CLIENT.send(request, BodyHandlers.ofByteArray());
        return new Answer(response.statusCode(), response.body());
    }

    private static Answer throughUrl(String method, String url, byte[] body, int timeout) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        connection.setRequestMethod(method);
        connection.setReadTimeout(timeout);
        if (body != null) {
            connection.setDoOutput(true);
            connection.getOutputStream().write(body);
        }
        int status = connection.getResponseCode();
        try (InputStream in = status >= 400 ? connection.getErrorStream() : connection.getInputStream()) {
            return new Answer(status, in == null ? new byte[0] : in.readAllBytes());
        }
    }

    private static void step(String library, String step) throws Exception {
        String[] words = step.split(" ");
        String[] verb = words[0].split(":");
        byte[] body = null;
        if (verb.length > 1) {
            body = new byte[Integer.parseInt(verb[1])];
            Arrays.fill(body, (byte) 'b');
        }
        boolean isImpatient = verb[0].equals("timeout");
        String method = isImpatient ? "GET" : verb[0].toUpperCase();
        int timeout = isImpatient ? 3000 : 20000;
        try {
            Answer answer = library.equals("client") ? throughClient(method, words[1], body, timeout)
                    : throughUrl(method, words[1], body, timeout);
            byte[] digest = MessageDigest.getInstance("SHA-256").digest(answer.body());
            System.out.printf("%d %d %02x%02x%02x%02x%n", answer.status(), answer.body().length, digest[0], digest[1],
                    digest[2], digest[3]);
        } catch (IOException error) {
            System.out.println(error.getClass().getSimpleName());
        }
    }

    public static void main(String[] arguments) throws Exception {
        for (int i = 1; i < arguments.length; i++) {
            step(arguments[0], arguments[i]);
        }
        System.exit(0);
    }
}
