import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.SecureRandom;
import java.security.cert.X509Certificate;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManager;
import javax.net.ssl.X509ExtendedTrustManager;

/** A client of the JDK's own TLS: for each line it posts, and says which generation has answered. It sends no POST again. */
public class Judge {
    public static void main(String[] args) throws Exception {
        SSLContext tls = SSLContext.getInstance("TLSv1.3");
        tls.init(null, new TrustManager[] {new Anybody()}, new SecureRandom());
        HttpClient client = HttpClient.newBuilder().sslContext(tls).version(HttpClient.Version.valueOf(args[1])).build();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0] + "/echo")).POST(HttpRequest.BodyPublishers.ofString(line)).build();
            HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
            if (response.statusCode() != 200 || !response.body().equals(line) || response.version() != client.version()) {
                System.out.println("error: " + response + " " + response.version() + " " + response.body().length() + " bytes");
                return;
            }
            System.out.println(response.headers().firstValue("X-Gozd-Generation").orElse("error: no generation"));
        }
    }

    /** Anybody may be the server: the test is about what is in the records. */
    static class Anybody extends X509ExtendedTrustManager {
        public void checkClientTrusted(X509Certificate[] chain, String type) {}

        public void checkClientTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}

        public void checkClientTrusted(X509Certificate[] chain, String type, javax.net.ssl.SSLEngine engine) {}

        public void checkServerTrusted(X509Certificate[] chain, String type) {}

        public void checkServerTrusted(X509Certificate[] chain, String type, java.net.Socket socket) {}

        public void checkServerTrusted(X509Certificate[] chain, String type, javax.net.ssl.SSLEngine engine) {}

        public X509Certificate[] getAcceptedIssuers() {
            return new X509Certificate[0];
        }
    }
}
