import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Base64;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * A client of the Fenqi partner API: signs requests, checks answers and callbacks, in RSA-SHA256. JDK 17, nothing else.
 *
 * <pre>
 * java Fenqi.java call PARTNER SERIAL private.pem keys.txt GET http://host/api/v1/me [BODY [IDEMPOTENCY-KEY]]
 * java Fenqi.java verify-callback keys.txt POST /your/path "$AUTHORIZATION" "$BODY"
 * </pre>
 *
 * <p>{@code keys.txt} is what {@code fenqi partner platform-key list} prints. For SM2 add a provider that has it, and sign with its
 * SM3WithSM2 under the scheme FENQI-SM2-SM3.
 */
public final class Fenqi {
    private static final String SCHEME = "FENQI-RSA-SHA256";
    private static final long SKEW_SECONDS_MAX = 300;

    private final String partner;
    private final String serial;
    private final PrivateKey key;
    private final Map<String, PublicKey> platformKeys;
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final SecureRandom random = new SecureRandom();

    public Fenqi(String partner, String serial, PrivateKey key, Map<String, PublicKey> platformKeys) {
        this.partner = partner;
        this.serial = serial;
        this.key = key;
        this.platformKeys = platformKeys;
    }

    /** An answer or callback that the platform did not sign, or that is not fresh. */
    public static final class NotBelieved extends Exception {
        NotBelieved(String why) {
            super(why);
        }
    }

    /** PKCS #8 in PEM. */
    public static PrivateKey privateKey(String pem) throws GeneralSecurityException {
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(bytes(pem)));
    }

    /** What {@code fenqi partner platform-key list} prints, by serial number; keys of other algorithms are left out. */
    public static Map<String, PublicKey> platformKeys(String text) throws GeneralSecurityException {
        Pattern listed = Pattern.compile(
                "^(\\S+) \\(rsa_sha256\\) \\w+\\R(-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----)",
                Pattern.MULTILINE | Pattern.DOTALL);
        Map<String, PublicKey> keys = new HashMap<>();
        Matcher found = listed.matcher(text);
        while (found.find()) {
            X509EncodedKeySpec spec = new X509EncodedKeySpec(bytes(found.group(2)));
            keys.put(found.group(1), KeyFactory.getInstance("RSA").generatePublic(spec));
        }
        return keys;
    }

    private static byte[] bytes(String pem) {
        return Base64.getDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", ""));
    }

    /** The answer, which is believed. Give the same idempotency key again when an answer was lost: one key, one outcome. */
    public HttpResponse<String> call(String method, URI address, String body, String idempotencyKey) throws Exception {
        String url = address.getRawPath() + (address.getRawQuery() == null ? "" : "?" + address.getRawQuery());
        String timestamp = Long.toString(Instant.now().getEpochSecond());
        byte[] unlikeAnyOther = new byte[16];
        random.nextBytes(unlikeAnyOther);
        String nonce = HexFormat.of().formatHex(unlikeAnyOther);
        String signature = sign(method + "\n" + url + "\n" + timestamp + "\n" + nonce + "\n" + body + "\n");
        HttpRequest.Builder request = HttpRequest.newBuilder(address)
                .timeout(Duration.ofSeconds(20))
                .header("Authorization", SCHEME + " mchid=\"" + partner + "\",serial_no=\"" + serial + "\",nonce_str=\"" + nonce
                        + "\",timestamp=\"" + timestamp + "\",signature=\"" + signature + "\"")
                .method(method, body.isEmpty()
                        ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofString(body));
        if (!method.equals("GET")) {
            request.header("Content-Type", "application/json");
            request.header("Idempotency-Key", idempotencyKey == null ? nonce : idempotencyKey);
        }
        HttpResponse<String> answer = http.send(request.build(), HttpResponse.BodyHandlers.ofString());
        if (answer.statusCode() == 401) {
            // Whoever is not believed is answered without a signature.
            return answer;
        }
        String signedAt = header(answer, "Fenqi-Timestamp");
        String message = signedAt + "\n" + header(answer, "Fenqi-Nonce") + "\n" + answer.body() + "\n";
        check(platformKeys, header(answer, "Fenqi-Serial"), signedAt, message, header(answer, "Fenqi-Signature"));
        return answer;
    }

    private String sign(String message) throws GeneralSecurityException {
        Signature signature = Signature.getInstance("SHA256withRSA");
        signature.initSign(key);
        signature.update(message.getBytes(StandardCharsets.UTF_8));
        return Base64.getEncoder().encodeToString(signature.sign());
    }

    private static String header(HttpResponse<?> answer, String name) throws NotBelieved {
        return answer.headers().firstValue(name).orElseThrow(() -> new NotBelieved("the answer has no " + name));
    }

    private static void check(
            Map<String, PublicKey> keys, String serial, String timestamp, String message, String signature)
            throws GeneralSecurityException, NotBelieved {
        PublicKey key = keys.get(serial);
        if (key == null) {
            throw new NotBelieved("no key " + serial + " of the platform is known");
        }
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > SKEW_SECONDS_MAX) {
            throw new NotBelieved("the timestamp is more than five minutes away");
        }
        Signature verifier = Signature.getInstance("SHA256withRSA");
        verifier.initVerify(key);
        verifier.update(message.getBytes(StandardCharsets.UTF_8));
        if (!verifier.verify(Base64.getDecoder().decode(signature))) {
            throw new NotBelieved("the signature is wrong");
        }
    }

    /**
     * Whether the platform sent this request; {@code url} is the path with its query.
     *
     * @return its nonce: keep it, and refuse one seen before
     */
    public static String verifyCallback(
            Map<String, PublicKey> keys, String method, String url, String authorization, String body)
            throws GeneralSecurityException, NotBelieved {
        Map<String, String> fields = new HashMap<>();
        Matcher field = Pattern.compile("(\\w+)=\"([^\"]*)\"").matcher(authorization);
        while (field.find()) {
            fields.put(field.group(1), field.group(2));
        }
        String timestamp = fields.get("timestamp");
        String nonce = fields.get("nonce_str");
        String message = method + "\n" + url + "\n" + timestamp + "\n" + nonce + "\n" + body + "\n";
        check(keys, fields.get("serial_no"), timestamp, message, fields.get("signature"));
        return nonce;
    }

    public static void main(String[] arguments) throws Exception {
        List<String> words = new ArrayList<>(List.of(arguments));
        String action = words.remove(0);
        try {
            if (action.equals("verify-callback")) {
                Map<String, PublicKey> keys = platformKeys(Files.readString(Path.of(words.get(0))));
                verifyCallback(keys, words.get(1), words.get(2), words.get(3), words.get(4));
                System.out.println("believed");
                return;
            }
            PrivateKey key = privateKey(Files.readString(Path.of(words.get(2))));
            Map<String, PublicKey> keys = platformKeys(Files.readString(Path.of(words.get(3))));
            Fenqi client = new Fenqi(words.get(0), words.get(1), key, keys);
            String body = words.size() > 6 ? words.get(6) : "";
            String idempotencyKey = words.size() > 7 ? words.get(7) : null;
            HttpResponse<String> answer = client.call(words.get(4), URI.create(words.get(5)), body, idempotencyKey);
            System.out.println(answer.body());
            System.exit(answer.statusCode() < 400 ? 0 : 1);
        } catch (NotBelieved error) {
            System.err.println("not believed: " + error.getMessage());
            System.exit(2);
        }
    }
}
