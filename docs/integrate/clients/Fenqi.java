import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpServer;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.math.BigDecimal;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.URISyntaxException;
import java.net.URLEncoder;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.GeneralSecurityException;
import java.security.KeyFactory;
import java.security.MessageDigest;
import java.security.PrivateKey;
import java.security.PublicKey;
import java.security.SecureRandom;
import java.security.Signature;
import java.security.SignatureException;
import java.security.spec.PKCS8EncodedKeySpec;
import java.security.spec.X509EncodedKeySpec;
import java.time.Duration;
import java.time.Instant;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Base64;
import java.util.HashMap;
import java.util.HashSet;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.StringJoiner;
import java.util.TreeSet;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.GZIPInputStream;

/**
 * A client of the Fenqi partner API: signs requests, checks answers and callbacks, in RSA-SHA256. JDK 17, nothing else.
 *
 * <pre>
 * java Fenqi.java call PARTNER SERIAL private.pem keys.txt GET http://host/api/v1/me [BODY [IDEMPOTENCY-KEY [IF-MATCH]]]
 * java Fenqi.java list PARTNER SERIAL private.pem keys.txt http://host/api/v1/platform-keys
 * java Fenqi.java events PARTNER SERIAL private.pem keys.txt http://host 0
 * java Fenqi.java platform-keys PARTNER SERIAL private.pem keys.txt http://host
 * java Fenqi.java fetch-day PARTNER SERIAL private.pem keys.txt http://host 2026-03-02 FOLDER
 * java Fenqi.java verify-callback keys.txt POST /your/path "$AUTHORIZATION" "$BODY"
 * java Fenqi.java listen keys.txt 127.0.0.1:9300 heard.txt mer_...
 * java Fenqi.java core PARTNER SERIAL private.pem keys.txt 127.0.0.1:9600 events.txt
 * </pre>
 *
 * <p>{@code keys.txt} is what {@code fenqi partner platform-key list} prints, or later {@code platform-keys} here. For SM2, under the
 * scheme FENQI-SM2-SM3, add BouncyCastle and sign and verify with its {@code new SM2Signer(PlainDSAEncoding.INSTANCE)}: what the
 * platform sends are r and s in 64 bytes. Its {@code Signature.getInstance("SM3withSM2")} makes DER, which the platform takes, but takes
 * nothing else: give it what {@code StandardDSAEncoding.INSTANCE.encode(n, r, s)} makes of the two halves. The identifier is
 * 1234567812345678, its default.
 *
 * <p>What is typed beyond ASCII needs a locale of UTF-8, such as {@code LC_ALL=C.UTF-8}: in another Java reads question marks. What is
 * printed is UTF-8 in any.
 */
public final class Fenqi {
    private static final String SCHEME = "FENQI-RSA-SHA256";
    private static final long SKEW_SECONDS_MAX = 300;
    private static final long ANSWER_SECONDS_MAX = 20;
    /** After each attempt of which nothing is known. */
    private static final List<Long> RETRY_SECONDS = List.of(1L, 2L, 4L, 8L, 16L, 32L, 60L);
    /** Larger than any call of the platform: what strangers send is not to fill the memory before it is refused. */
    private static final int BODY_BYTES_MAX = 40 << 20;
    /** So much of a file comes in time over any line. */
    private static final long PIECE_BYTES = 1 << 20;

    private final String partner;
    private final String serial;
    private final PrivateKey key;
    private final Map<String, PlatformKey> platformKeys;
    private final HttpClient http = HttpClient.newBuilder().connectTimeout(Duration.ofSeconds(5)).build();
    private final SecureRandom random = new SecureRandom();

    public Fenqi(String partner, String serial, PrivateKey key, Map<String, PlatformKey> platformKeys) {
        this.partner = partner;
        this.serial = serial;
        this.key = key;
        this.platformKeys = platformKeys;
    }

    /** An answer or callback that the platform did not sign, or that is not fresh. */
    public static final class NotBelieved extends Exception {
        /**
         * Of an answer that bears no signature, 0 of anything else: the platform did not believe you, or something between you
         * answered; know nothing of what became of the request.
         */
        public final int status;
        /** Under which to send the very same again, as after {@link NoAnswer}; null where nothing was to be changed. */
        public final String idempotencyKey;

        NotBelieved(String why) {
            this(why, 0, null);
        }

        NotBelieved(String why, int status, String idempotencyKey) {
            super(why);
            this.status = status;
            this.idempotencyKey = idempotencyKey;
        }
    }

    /**
     * Nothing came back in time, or not the whole of it: the request may have been carried out, or not. Send the very same again
     * under the same idempotency key, and be told what came of it: one key, one outcome.
     */
    public static final class NoAnswer extends Exception {
        /** Null where nothing was to be changed. */
        public final String idempotencyKey;

        NoAnswer(String idempotencyKey, IOException why) {
            super(why.toString(), why);
            this.idempotencyKey = idempotencyKey;
        }
    }

    /** An answer that is believed and is not what was asked for; the headers of a 429 tell in Retry-After when to go on. */
    public static final class Refused extends Exception {
        public final transient HttpResponse<?> answer;

        Refused(HttpResponse<?> answer, String body) {
            super(answer.statusCode() + " " + body);
            this.answer = answer;
        }
    }

    /** PKCS #8 in PEM. */
    public static PrivateKey privateKey(String pem) throws GeneralSecurityException {
        return KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(bytes(pem)));
    }

    /** A key by which the platform signs, or signed. By a retired one, which others may have, no answer and no callback is believed. */
    public record PlatformKey(PublicKey key, boolean isRetired) {
    }

    /**
     * What {@code fenqi partner platform-key list} prints, by serial number; keys of other algorithms are left out. Retired ones are
     * there for the manifests that they signed in their time.
     */
    public static Map<String, PlatformKey> platformKeys(String text) throws GeneralSecurityException {
        Pattern listed = Pattern.compile(
                "^(\\S+) \\(rsa_sha256\\) (\\w+)\\R(-----BEGIN PUBLIC KEY-----.*?-----END PUBLIC KEY-----)",
                Pattern.MULTILINE | Pattern.DOTALL);
        Map<String, PlatformKey> keys = new HashMap<>();
        Matcher found = listed.matcher(text);
        while (found.find()) {
            X509EncodedKeySpec spec = new X509EncodedKeySpec(bytes(found.group(3)));
            PublicKey key = KeyFactory.getInstance("RSA").generatePublic(spec);
            keys.put(found.group(1), new PlatformKey(key, found.group(2).equals("retired")));
        }
        return keys;
    }

    private static byte[] bytes(String pem) {
        return Base64.getDecoder().decode(pem.replaceAll("-----[A-Z ]+-----", "").replaceAll("\\s", ""));
    }

    private HttpRequest.Builder signed(String method, URI address, String body, String idempotencyKey) throws Exception {
        String path = address.getRawPath().isEmpty() ? "/" : address.getRawPath();
        String url = path + (address.getRawQuery() == null ? "" : "?" + address.getRawQuery());
        String timestamp = Long.toString(Instant.now().getEpochSecond());
        String nonce = nonce();
        String signature = sign(method + "\n" + url + "\n" + timestamp + "\n" + nonce + "\n" + body + "\n");
        HttpRequest.Builder request = HttpRequest.newBuilder(address)
                .header("Authorization", SCHEME + " mchid=\"" + partner + "\",serial_no=\"" + serial + "\",nonce_str=\"" + nonce
                        + "\",timestamp=\"" + timestamp + "\",signature=\"" + signature + "\"")
                .method(method, body.isEmpty()
                        ? HttpRequest.BodyPublishers.noBody()
                        : HttpRequest.BodyPublishers.ofString(body));
        if (!method.equals("GET")) {
            request.header("Content-Type", "application/json");
            request.header("Idempotency-Key", idempotencyKey == null ? nonce : idempotencyKey);
        }
        return request;
    }

    private String nonce() {
        byte[] unlikeAnyOther = new byte[16];
        random.nextBytes(unlikeAnyOther);
        return HexFormat.of().formatHex(unlikeAnyOther);
    }

    /**
     * The answer, which is believed: 429 tells in Retry-After when to go on. Give the same idempotency key again when an answer
     * was lost: one key, one outcome. Name one of yours for what you send again after 5xx and 429.
     */
    public HttpResponse<String> call(String method, URI address, String body, String idempotencyKey) throws Exception {
        return call(method, address, body, idempotencyKey, null);
    }

    /** The same, to change what two may edit: {@code ifMatch} is the ETag among the headers with which it was read. */
    public HttpResponse<String> call(String method, URI address, String body, String idempotencyKey, String ifMatch)
            throws Exception {
        String key = idempotencyKey == null ? nonce() : idempotencyKey;
        String again = method.equals("GET") ? null : key;
        HttpRequest.Builder signed = signed(method, address, body, key);
        if (ifMatch != null) {
            signed.header("If-Match", ifMatch);
        }
        HttpRequest request = signed.build();
        HttpResponse<String> answer;
        try {
            answer = answered(request, HttpResponse.BodyHandlers.ofString(StandardCharsets.UTF_8));
        } catch (IOException why) {
            throw new NoAnswer(again, why);
        }
        try {
            believe(answer, answer.body());
        } catch (NotBelieved doubt) {
            throw new NotBelieved(doubt.getMessage(), doubt.status, again);
        }
        return answer;
    }

    /**
     * As {@code call}, and the very same again, signed anew and under one key, as long as nothing is known of it, it is under way,
     * or there were too many. Ends with what came of the eighth attempt: the pauses are two minutes together, unless the platform
     * names others. Keep the key with what is to be done: then it is done once, also if you are started anew in between.
     */
    public HttpResponse<String> callUntilAnswered(
            String method, URI address, String body, String idempotencyKey, String ifMatch) throws Exception {
        String key = idempotencyKey == null ? nonce() : idempotencyKey;
        for (long pause : RETRY_SECONDS) {
            long seconds = pause;
            try {
                HttpResponse<String> answer = call(method, address, body, key, ifMatch);
                int status = answer.statusCode();
                boolean isUnderWay = status == 409 && answer.body().contains("\"idempotency_in_progress\"");
                if (status < 500 && status != 429 && !isUnderWay) {
                    return answer;
                }
                String told = answer.headers().firstValue("Retry-After").orElse("");
                // A minute's rate is new within a minute; headers are not signed.
                seconds = told.matches("[0-9]{1,4}") ? Math.min(Long.parseLong(told), 60) : pause;
            } catch (NoAnswer unknown) {
                // It may have been carried out, or not.
            } catch (NotBelieved doubt) {
                // Of 401 it is you who are not believed: no repetition mends that.
                if (doubt.status == 401) {
                    throw doubt;
                }
            }
            TimeUnit.SECONDS.sleep(seconds);
        }
        return call(method, address, body, key, ifMatch);
    }

    /** Every item of a list, page after page; {@code address} may bear parameters, but no cursor. */
    public List<Object> items(String address) throws Exception {
        List<Object> items = new ArrayList<>();
        String page = address;
        while (true) {
            HttpResponse<String> answer = callUntilAnswered("GET", URI.create(page), "", null, null);
            if (answer.statusCode() != 200) {
                throw new Refused(answer, answer.body());
            }
            Map<String, Object> said = object(Json.read(answer.body()));
            items.addAll(list(said.get("items")));
            String cursor = (String) said.get("next_cursor");
            if (cursor == null) {
                return items;
            }
            page = address + (address.contains("?") ? "&" : "?") + "cursor=" + URLEncoder.encode(cursor, StandardCharsets.UTF_8);
        }
    }

    /**
     * Every event after that number, in order, as far as there are any now. Keep the {@code event_no} of the last one with what it
     * did, and go on from there the next time.
     */
    public List<Object> events(String host, long after) throws Exception {
        List<Object> events = new ArrayList<>();
        long from = after;
        while (true) {
            URI page = URI.create(host + "/api/v1/events?after=" + from + "&limit=200");
            HttpResponse<String> answer = callUntilAnswered("GET", page, "", null, null);
            if (answer.statusCode() != 200) {
                throw new Refused(answer, answer.body());
            }
            Map<String, Object> said = object(Json.read(answer.body()));
            events.addAll(list(said.get("items")));
            // A page may be empty, and more be there behind it.
            from = (Long) said.get("next_after");
            if (!(Boolean) said.get("has_more")) {
                return events;
            }
        }
    }

    /**
     * All keys of the platform as it tells them now, in the form that {@code platformKeys} reads: ask each day, and believe by
     * these.
     */
    public String listPlatformKeys(String host) throws Exception {
        StringBuilder text = new StringBuilder();
        for (Object one : items(host + "/api/v1/platform-keys?limit=200")) {
            Map<String, Object> listed = object(one);
            String end = (String) listed.get("retired_at");
            boolean isRetired = end != null && !OffsetDateTime.parse(end).toInstant().isAfter(Instant.now());
            text.append(listed.get("serial_no")).append(" (").append(listed.get("algorithm")).append(") ")
                    .append(isRetired ? "retired" : "believed").append("\n").append(listed.get("public_key"));
        }
        return text.toString();
    }

    /** The whole answer, in time: a timeout of the request itself would end with the answer's headers. */
    private <T> HttpResponse<T> answered(HttpRequest request, HttpResponse.BodyHandler<T> body)
            throws IOException, InterruptedException {
        CompletableFuture<HttpResponse<T>> coming = http.sendAsync(request, body);
        try {
            return coming.get(ANSWER_SECONDS_MAX, TimeUnit.SECONDS);
        } catch (TimeoutException late) {
            throw new IOException("not the whole answer within " + ANSWER_SECONDS_MAX + " seconds");
        } catch (ExecutionException failed) {
            throw failed.getCause() instanceof IOException why ? why : new IOException(failed.getCause());
        } finally {
            coming.cancel(true);
        }
    }

    private void believe(HttpResponse<?> answer, String body) throws GeneralSecurityException, NotBelieved {
        if (answer.headers().firstValue("Fenqi-Signature").isEmpty()) {
            throw new NotBelieved(answer.statusCode() + " without a signature: " + body, answer.statusCode(), null);
        }
        String signedAt = header(answer, "Fenqi-Timestamp");
        String message = signedAt + "\n" + header(answer, "Fenqi-Nonce") + "\n" + body + "\n";
        check(platformKeys, header(answer, "Fenqi-Serial"), signedAt, message, header(answer, "Fenqi-Signature"));
    }

    /** The code of the funder whose core we are; null for another partner. */
    private String funder(String host) throws Exception {
        HttpResponse<String> answer = call("GET", URI.create(host + "/api/v1/me"), "", null);
        if (answer.statusCode() != 200) {
            throw new Refused(answer, answer.body());
        }
        Map<String, Object> myself = object(Json.read(answer.body()));
        if (!partner.equals(myself.get("partner"))) {
            throw new NotBelieved("this was told to " + myself.get("partner"));
        }
        return (String) myself.get("funder");
    }

    /** Downloads a day's files and believes them: signature, whose day, hashes, rows, sums and footings. Returns the manifest. */
    public Map<String, Object> fetchDay(String host, String day, Path folder) throws Exception {
        String address = host + "/api/v1/funder/days/" + day;
        HttpResponse<String> answer = call("GET", URI.create(address + "/manifest"), "", null);
        if (answer.statusCode() != 200) {
            throw new Refused(answer, answer.body());
        }
        Map<String, Object> manifest = believedManifest(platformKeys, object(Json.read(answer.body())));
        // What signs an answer does not name what was asked for: somebody on the way could give you another day's, or another's day.
        if (!day.equals(manifest.get("business_day"))) {
            throw new NotBelieved("the manifest is of " + manifest.get("business_day"));
        }
        if (!String.valueOf(manifest.get("funder")).equals(funder(host))) {
            throw new NotBelieved("the manifest is of " + manifest.get("funder"));
        }
        Files.createDirectories(folder);
        Map<String, Long> figures = new HashMap<>();
        for (Object listed : list(manifest.get("files"))) {
            Map<String, Object> file = object(listed);
            Path path = folder.resolve((String) file.get("name"));
            try {
                download(URI.create(address + "/files/" + file.get("name")), path, file);
            } catch (IOException why) {
                // What has come is kept: called again, it goes on.
                throw new NoAnswer(null, why);
            }
            if (path.toString().endsWith(".csv.gz")) {
                figures.putAll(sumCsv(path, file));
            }
        }
        checkFigures(manifest, figures);
        Files.writeString(folder.resolve("manifest.json"), answer.body());
        return manifest;
    }

    /** The answer is not signed: what counts is the hash in the manifest. Goes on where it was interrupted. */
    private void download(URI address, Path path, Map<String, Object> file) throws Exception {
        long have = Files.exists(path) ? Files.size(path) : 0;
        while (have < (Long) file.get("bytes")) {
            String range = "bytes=" + have + "-" + (have + PIECE_BYTES - 1);
            HttpRequest request = signed("GET", address, "", null).header("Range", range).build();
            HttpResponse<byte[]> answer = answered(request, HttpResponse.BodyHandlers.ofByteArray());
            if (answer.statusCode() != 200 && answer.statusCode() != 206) {
                // Not a piece of the file: it says why there is none, and is signed.
                String why = new String(answer.body(), StandardCharsets.UTF_8);
                believe(answer, why);
                throw new Refused(answer, why);
            }
            // 206 goes on where the file ends; 200 is the whole of it.
            StandardOpenOption where = answer.statusCode() == 206
                    ? StandardOpenOption.APPEND : StandardOpenOption.TRUNCATE_EXISTING;
            Files.write(path, answer.body(), StandardOpenOption.CREATE, StandardOpenOption.WRITE, where);
            if (Files.size(path) <= have) {
                throw new IOException(file.get("name") + " broke off");
            }
            have = Files.size(path);
        }
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        try (InputStream bytes = Files.newInputStream(path)) {
            byte[] piece = new byte[1 << 16];
            for (int read = bytes.read(piece); read >= 0; read = bytes.read(piece)) {
                digest.update(piece, 0, read);
            }
        }
        if (!HexFormat.of().formatHex(digest.digest()).equals(file.get("sha256"))) {
            throw new NotBelieved(file.get("name") + " is not what was signed; remove it and fetch it again");
        }
    }

    /** The manifest, if one of the platform's keys that we know signed its very text: in its time, which may be over. */
    private static Map<String, Object> believedManifest(Map<String, PlatformKey> keys, Map<String, Object> envelope)
            throws GeneralSecurityException, NotBelieved {
        String text = (String) envelope.get("manifest");
        for (Object one : list(envelope.get("signatures"))) {
            Map<String, Object> signed = object(one);
            PlatformKey known = keys.get((String) signed.get("serial_no"));
            if (known != null && verifies(known.key(), text, (String) signed.get("signature"))) {
                return object(Json.read(text));
            }
        }
        throw new NotBelieved("no key that is known signed the manifest");
    }

    /** The rows and the sums of a file's amounts, by the names that the manifest gives them. */
    private static Map<String, Long> sumCsv(Path path, Map<String, Object> file) throws IOException, NotBelieved {
        String table = ((String) file.get("name")).split("\\.")[0];
        Map<String, Long> figures = new HashMap<>();
        long rows = 0;
        try (BufferedReader lines = new BufferedReader(
                new InputStreamReader(new GZIPInputStream(Files.newInputStream(path)), StandardCharsets.UTF_8))) {
            String[] columns = lines.readLine().split(",", -1);
            for (String line = lines.readLine(); line != null; line = lines.readLine()) {
                String[] values = line.split(",(?=(?:[^\"]*\"[^\"]*\")*[^\"]*$)", -1);
                rows++;
                Map<String, String> row = new HashMap<>();
                for (int at = 0; at < columns.length; at++) {
                    row.put(columns[at], values[at]);
                    if (columns[at].endsWith("_fen")) {
                        figures.merge(table + "." + columns[at], Long.parseLong(values[at]), Math::addExact);
                    }
                }
                if (table.equals("plans")) {
                    long fen = Long.parseLong(row.get("principal_fen"));
                    figures.merge("plans.principal_fen." + row.get("reason"), fen, Math::addExact);
                }
                if (table.equals("ledger")) {
                    long fen = Long.parseLong(row.get("amount_fen"));
                    for (String side : List.of("debit", "credit")) {
                        String account = "ledger." + side + "_fen." + row.get(side + "_account");
                        figures.merge(account, fen, Math::addExact);
                        figures.merge(account + "." + row.get("event"), fen, Math::addExact);
                    }
                }
            }
        }
        if (rows != (Long) file.get("rows")) {
            throw new NotBelieved(file.get("name") + " has other rows than the manifest says");
        }
        return figures;
    }

    /** What was summed is what the manifest says, and it foots. */
    private static void checkFigures(Map<String, Object> manifest, Map<String, Long> figures) throws NotBelieved {
        Map<String, Object> told = object(manifest.get("figures"));
        for (Map.Entry<String, Long> figure : figures.entrySet()) {
            // What is not there is zero.
            Object inManifest = told.getOrDefault(figure.getKey(), 0L);
            if (!figure.getValue().equals(inManifest)) {
                throw new NotBelieved(figure + " in the files and " + inManifest + " in the manifest");
            }
        }
        for (Object one : list(manifest.get("footings"))) {
            Map<String, Object> footing = object(one);
            if (total(told, list(footing.get("left"))) != total(told, list(footing.get("right")))) {
                throw new NotBelieved(footing.get("name") + " does not foot");
            }
        }
    }

    private static long total(Map<String, Object> told, List<?> names) {
        long total = 0;
        for (Object listed : names) {
            String name = (String) listed;
            boolean isTakenAway = name.startsWith("-");
            long fen = (Long) told.getOrDefault(isTakenAway ? name.substring(1) : name, 0L);
            total = isTakenAway ? Math.subtractExact(total, fen) : Math.addExact(total, fen);
        }
        return total;
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Object value) {
        return (Map<String, Object>) value;
    }

    private static List<?> list(Object value) {
        return (List<?>) value;
    }

    /** Just enough JSON: objects, lists, texts, numbers, true, false and null. */
    private static final class Json {
        private final String text;
        private int at;

        private Json(String text) {
            this.text = text;
        }

        static Object read(String text) {
            return new Json(text).value();
        }

        private Object value() {
            char first = peek();
            if (first == '{') {
                Map<String, Object> fields = new LinkedHashMap<>();
                for (boolean more = opens('}'); more; more = goesOn('}')) {
                    String name = string();
                    peek();
                    at++;
                    fields.put(name, value());
                }
                return fields;
            }
            if (first == '[') {
                List<Object> items = new ArrayList<>();
                for (boolean more = opens(']'); more; more = goesOn(']')) {
                    items.add(value());
                }
                return items;
            }
            if (first == '"') {
                return string();
            }
            Matcher word = Pattern.compile("[-\\w.+]+").matcher(text).region(at, text.length());
            word.lookingAt();
            at = word.end();
            return switch (word.group()) {
                case "true" -> true;
                case "false" -> false;
                case "null" -> null;
                default -> number(word.group());
            };
        }

        /** A {@code Long} where it is a whole number that fits. */
        private static Object number(String text) {
            return text.matches("-?[0-9]{1,18}") ? (Object) Long.parseLong(text) : new BigDecimal(text);
        }

        static String write(Object value) {
            if (value instanceof Map) {
                StringJoiner fields = new StringJoiner(",", "{", "}");
                object(value).forEach((name, field) -> fields.add(quoted(name) + ":" + write(field)));
                return fields.toString();
            }
            if (value instanceof List) {
                StringJoiner items = new StringJoiner(",", "[", "]");
                list(value).forEach(item -> items.add(write(item)));
                return items.toString();
            }
            return value instanceof String ? quoted((String) value) : String.valueOf(value);
        }

        private static String quoted(String text) {
            StringBuilder quoted = new StringBuilder("\"");
            for (char next : text.toCharArray()) {
                if (next == '"' || next == '\\') {
                    quoted.append('\\').append(next);
                } else if (next < ' ') {
                    quoted.append(String.format("\\u%04x", (int) next));
                } else {
                    quoted.append(next);
                }
            }
            return quoted.append('"').toString();
        }

        private boolean opens(char end) {
            at++;
            if (peek() != end) {
                return true;
            }
            at++;
            return false;
        }

        private boolean goesOn(char end) {
            return peek() == end ? at++ < 0 : at++ >= 0;
        }

        private char peek() {
            while (Character.isWhitespace(text.charAt(at))) {
                at++;
            }
            return text.charAt(at);
        }

        private String string() {
            peek();
            StringBuilder found = new StringBuilder();
            for (at++; text.charAt(at) != '"'; at++) {
                char next = text.charAt(at);
                if (next != '\\') {
                    found.append(next);
                    continue;
                }
                next = text.charAt(++at);
                if (next == 'u') {
                    found.append((char) Integer.parseInt(text.substring(at + 1, at + 5), 16));
                    at += 4;
                } else {
                    int known = "nrtbf".indexOf(next);
                    found.append(known < 0 ? next : "\n\r\t\b\f".charAt(known));
                }
            }
            at++;
            return found.toString();
        }
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
            Map<String, PlatformKey> keys, String serial, String timestamp, String message, String signature)
            throws GeneralSecurityException, NotBelieved {
        PlatformKey known = keys.get(serial);
        if (known == null) {
            throw new NotBelieved("no key " + serial + " of the platform is known");
        }
        if (known.isRetired()) {
            throw new NotBelieved("the platform's key " + serial + " is retired");
        }
        if (timestamp == null || !timestamp.matches("[0-9]{1,18}") || signature == null) {
            throw new NotBelieved("timestamp or signature are missing or not in their form");
        }
        if (Math.abs(Instant.now().getEpochSecond() - Long.parseLong(timestamp)) > SKEW_SECONDS_MAX) {
            throw new NotBelieved("the timestamp is more than five minutes away");
        }
        if (!verifies(known.key(), message, signature)) {
            throw new NotBelieved("the signature is wrong");
        }
    }

    private static boolean verifies(PublicKey key, String message, String signature) throws GeneralSecurityException {
        Signature verifier = Signature.getInstance("SHA256withRSA");
        verifier.initVerify(key);
        verifier.update(message.getBytes(StandardCharsets.UTF_8));
        try {
            return verifier.verify(Base64.getDecoder().decode(signature));
        } catch (SignatureException | IllegalArgumentException malformed) {
            // Of another length than the key's, or not in base64.
            return false;
        }
    }

    /**
     * Whether the platform sent this request; {@code url} is the path with its query.
     *
     * @return its nonce: keep it, and refuse one seen before
     */
    public static String verifyCallback(
            Map<String, PlatformKey> keys, String method, String url, String authorization, String body)
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

    /** A server of yours that the platform calls: it believes what the platform signed, once. */
    private abstract static class Called {
        private final Map<String, PlatformKey> keys;
        private final Map<String, Long> nonces = new HashMap<>();

        Called(Map<String, PlatformKey> keys) {
            this.keys = keys;
        }

        /** What is believed is taken, one call after the other. */
        abstract void take(HttpExchange call, String body) throws IOException;

        final void called(HttpExchange call) throws IOException {
            try (call) {
                byte[] bytes = call.getRequestBody().readNBytes(BODY_BYTES_MAX + 1);
                if (bytes.length > BODY_BYTES_MAX) {
                    answer(call, 413, "{\"code\": \"TOO_LARGE\", \"message\": \"the body is too large\"}");
                    return;
                }
                String body = new String(bytes, StandardCharsets.UTF_8);
                String authorization = call.getRequestHeaders().getFirst("Authorization");
                String url = call.getRequestURI().toString();
                try {
                    String said = authorization == null ? "" : authorization;
                    once(verifyCallback(keys, call.getRequestMethod(), url, said, body));
                } catch (NotBelieved | GeneralSecurityException | RuntimeException error) {
                    answer(call, 401, "{\"code\": \"SIGN_ERROR\", \"message\": \"not believed\"}");
                    return;
                }
                synchronized (this) {
                    take(call, body);
                }
            }
        }

        /** A nonce counts as long as a timestamp may be away, in both directions. */
        private synchronized void once(String nonce) throws NotBelieved {
            long now = Instant.now().getEpochSecond();
            nonces.values().removeIf(seen -> now - seen > 2 * SKEW_SECONDS_MAX);
            if (nonces.putIfAbsent(nonce, now) != null) {
                throw new NotBelieved("the nonce was used before");
            }
        }

        /** What an earlier life kept, a line each. */
        static List<Map<String, Object>> kept(Path file) throws IOException {
            List<Map<String, Object>> kept = new ArrayList<>();
            if (Files.exists(file)) {
                for (String line : Files.readAllLines(file)) {
                    kept.add(object(Json.read(line)));
                }
            }
            return kept;
        }

        static void keep(Path file, String line) throws IOException {
            Files.writeString(file, line + "\n", StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        }

        static void answer(HttpExchange call, int status, String text) throws IOException {
            byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
            call.getResponseHeaders().set("Content-Type", "application/json");
            call.sendResponseHeaders(status, bytes.length);
            call.getResponseBody().write(bytes);
        }
    }

    /** A cashier that keeps each notification once as a line of a file, also after it was started anew, and answers. */
    private static final class Listener extends Called {
        private final Path heard;
        private final String merchant;
        private final Set<Object> numbers = new HashSet<>();

        Listener(Map<String, PlatformKey> keys, Path heard, String merchant) throws IOException {
            super(keys);
            this.heard = heard;
            this.merchant = merchant;
            for (Map<String, Object> event : kept(heard)) {
                numbers.add(event.get("event_no"));
            }
        }

        /** It may come again under the same number: process it once, and say yes again. */
        @Override
        void take(HttpExchange call, String body) throws IOException {
            Map<String, Object> event = object(Json.read(body));
            if (!merchant.equals(event.get("merchant_id"))) {
                // Signed by the platform, but to another merchant, who sent it on to you.
                answer(call, 400, "{\"code\": \"NOT_OURS\", \"message\": \"this is for another merchant\"}");
                return;
            }
            Object number = event.get("event_no");
            if (number == null || !numbers.contains(number)) {
                keep(heard, body);
                numbers.add(number);
            }
            answer(call, 200, "{\"code\": \"SUCCESS\", \"message\": null}");
        }
    }

    /**
     * A funder's core: keeps each event once as a line of a file, whatever comes again, also after it was started anew, and signs its
     * answers. Events in the house's form come to /events; one in your own words comes to its template's path, a call for each.
     */
    private static final class Core extends Called {
        /** In your own words: what your templates call an event's number, and what {@code taken_when} looks for. */
        private static final String OWN_NUMBER = "seqNo";
        private static final String OWN_ANSWER = "{\"retCode\":\"0000\"}";

        private final Fenqi client;
        private final Path taken;
        private final Set<Object> numbers = new HashSet<>();

        Core(Fenqi client, Path taken) throws IOException {
            super(client.platformKeys);
            this.client = client;
            this.taken = taken;
            for (Map<String, Object> event : kept(taken)) {
                numbers.add(number(event));
            }
        }

        @Override
        void take(HttpExchange call, String body) throws IOException {
            Map<String, Object> said = object(Json.read(body));
            if (call.getRequestURI().getPath().endsWith("/events")) {
                List<Object> results = new ArrayList<>();
                for (Object event : list(said.get("events"))) {
                    results.add(take(object(event)));
                }
                answerSigned(call, 200, Json.write(Map.of("results", results)));
            } else if (said.get(OWN_NUMBER) == null) {
                String why = "an event has its number in " + OWN_NUMBER;
                answerSigned(call, 400, Json.write(Map.of("code", "NO_NUMBER", "message", why)));
            } else {
                take(said);
                answerSigned(call, 200, OWN_ANSWER);
            }
        }

        /** By either form apart, so that one event can be tried in both. In earnest a number is processed once in whatever form. */
        private static List<Object> number(Map<String, Object> event) {
            String name = event.containsKey("event_no") ? "event_no" : OWN_NUMBER;
            return List.of(name, event.get(name));
        }

        /** Your books stand here: the event and its number are kept together, or neither. */
        private Map<String, Object> take(Map<String, Object> event) throws IOException {
            List<Object> number = number(event);
            if (numbers.contains(number)) {
                return Map.of("event_no", number.get(1), "result", "duplicate");
            }
            keep(taken, Json.write(event));
            numbers.add(number);
            return Map.of("event_no", number.get(1), "result", "accepted");
        }

        private void answerSigned(HttpExchange call, int status, String text) throws IOException {
            String timestamp = Long.toString(Instant.now().getEpochSecond());
            String nonce = client.nonce();
            try {
                String signature = client.sign(timestamp + "\n" + nonce + "\n" + text + "\n");
                call.getResponseHeaders().set("Fenqi-Timestamp", timestamp);
                call.getResponseHeaders().set("Fenqi-Nonce", nonce);
                call.getResponseHeaders().set("Fenqi-Serial", client.serial);
                call.getResponseHeaders().set("Fenqi-Signature", signature);
            } catch (GeneralSecurityException error) {
                throw new IOException(error);
            }
            answer(call, status, text);
        }
    }

    /** Serves until it is ended, and says where. */
    private static void serve(Called called, String address) throws Mistyped {
        String[] parts = address.split(":");
        HttpServer server;
        try {
            server = HttpServer.create(new InetSocketAddress(parts[0], Integer.parseInt(parts[1])), 0);
        } catch (IOException | RuntimeException why) {
            throw new Mistyped("cannot listen at " + address + ": " + why.getMessage());
        }
        server.createContext("/", called::called);
        server.setExecutor(Executors.newCachedThreadPool());
        server.start();
        // For port 0 the system has chosen one.
        System.out.println("listens at " + parts[0] + ":" + server.getAddress().getPort());
        System.out.flush();
    }

    /** What was typed cannot be done: the command ends with 64. */
    private static final class Mistyped extends Exception {
        Mistyped(String why) {
            super(why);
        }
    }

    /** What each action takes, of which what stands in brackets may be left out. */
    private static final Map<String, String> TAKES = Map.of(
            "call", "PARTNER SERIAL private.pem keys.txt METHOD ADDRESS [BODY] [IDEMPOTENCY-KEY] [IF-MATCH]",
            "list", "PARTNER SERIAL private.pem keys.txt ADDRESS",
            "events", "PARTNER SERIAL private.pem keys.txt HOST AFTER",
            "platform-keys", "PARTNER SERIAL private.pem keys.txt HOST",
            "fetch-day", "PARTNER SERIAL private.pem keys.txt HOST DAY FOLDER",
            "verify-callback", "keys.txt METHOD URL AUTHORIZATION BODY",
            "listen", "keys.txt HOST:PORT FILE MERCHANT",
            "core", "PARTNER SERIAL private.pem keys.txt HOST:PORT FILE");

    private static void checkTyped(List<String> arguments) throws Mistyped {
        String takes = arguments.isEmpty() ? null : TAKES.get(arguments.get(0));
        if (takes == null) {
            throw new Mistyped("an action is one of " + String.join(", ", new TreeSet<>(TAKES.keySet())));
        }
        long least = Arrays.stream(takes.split(" ")).filter(word -> !word.startsWith("[")).count();
        if (arguments.size() - 1 < least) {
            throw new Mistyped(arguments.get(0) + " takes " + takes);
        }
    }

    private static String read(String file) throws Mistyped {
        try {
            return Files.readString(Path.of(file));
        } catch (IOException | InvalidPathException why) {
            throw new Mistyped("cannot read " + file + ": " + why);
        }
    }

    private static PrivateKey readKey(String file) throws Mistyped {
        try {
            return privateKey(read(file));
        } catch (GeneralSecurityException | IllegalArgumentException why) {
            throw new Mistyped(file + " holds no private key of RSA in PEM, as PKCS #8");
        }
    }

    private static Map<String, PlatformKey> readPlatformKeys(String file) throws Mistyped {
        Map<String, PlatformKey> keys;
        try {
            keys = platformKeys(read(file));
        } catch (GeneralSecurityException | IllegalArgumentException why) {
            throw new Mistyped(file + " has a public key that cannot be read: " + why.getMessage());
        }
        if (keys.isEmpty()) {
            throw new Mistyped(file + " holds no key of RSA as fenqi partner platform-key list prints them");
        }
        return keys;
    }

    private static URI address(String text) throws Mistyped {
        try {
            URI address = new URI(text);
            boolean isHttp = "http".equals(address.getScheme()) || "https".equals(address.getScheme());
            if (address.getHost() != null && isHttp) {
                return address;
            }
        } catch (URISyntaxException malformed) {
            // As is said of any other text.
        }
        throw new Mistyped(text + " is no address such as http://127.0.0.1:8080/api/v1/me");
    }

    private static long eventNumber(String text) throws Mistyped {
        if (!text.matches("[0-9]{1,18}")) {
            throw new Mistyped(text + " is no event's number");
        }
        return Long.parseLong(text);
    }

    private static String under(String idempotencyKey) {
        return idempotencyKey == null ? "" : "; send the same again under the idempotency key " + idempotencyKey;
    }

    public static void main(String[] arguments) throws Exception {
        // In the locale of a bare container names would be question marks.
        System.setOut(new PrintStream(System.out, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(System.err, true, StandardCharsets.UTF_8));
        List<String> words = new ArrayList<>(List.of(arguments));
        try {
            checkTyped(words);
            String action = words.remove(0);
            if (action.equals("verify-callback")) {
                Map<String, PlatformKey> keys = readPlatformKeys(words.get(0));
                verifyCallback(keys, words.get(1), words.get(2), words.get(3), words.get(4));
                System.out.println("believed");
                return;
            }
            if (action.equals("listen")) {
                Map<String, PlatformKey> keys = readPlatformKeys(words.get(0));
                serve(new Listener(keys, Path.of(words.get(2)), words.get(3)), words.get(1));
                return;
            }
            PrivateKey key = readKey(words.get(2));
            Map<String, PlatformKey> keys = readPlatformKeys(words.get(3));
            Fenqi client = new Fenqi(words.get(0), words.get(1), key, keys);
            if (action.equals("core")) {
                serve(new Core(client, Path.of(words.get(5))), words.get(4));
                return;
            }
            if (action.equals("list")) {
                client.items(address(words.get(4)).toString()).forEach(item -> System.out.println(Json.write(item)));
                return;
            }
            if (action.equals("events")) {
                long after = eventNumber(words.get(5));
                client.events(address(words.get(4)).toString(), after).forEach(event -> System.out.println(Json.write(event)));
                return;
            }
            if (action.equals("platform-keys")) {
                System.out.print(client.listPlatformKeys(address(words.get(4)).toString()));
                return;
            }
            if (action.equals("fetch-day")) {
                Map<String, Object> manifest = client.fetchDay(
                        address(words.get(4)).toString(), words.get(5), Path.of(words.get(6)));
                int files = list(manifest.get("files")).size();
                System.out.println(words.get(5) + ": " + files + " files; every hash, sum and footing holds");
                return;
            }
            String body = words.size() > 6 ? words.get(6) : "";
            String idempotencyKey = words.size() > 7 ? words.get(7) : client.nonce();
            String ifMatch = words.size() > 8 ? words.get(8) : null;
            HttpResponse<String> answer = client.call(words.get(4), address(words.get(5)), body, idempotencyKey, ifMatch);
            System.out.println(answer.body());
            answer.headers().firstValue("ETag").ifPresent(tag -> System.err.println("ETag: " + tag));
            answer.headers().firstValue("Retry-After").ifPresent(seconds -> System.err.println("Retry-After: " + seconds));
            if (answer.statusCode() >= 400 && !words.get(4).equals("GET")) {
                System.err.println("Idempotency-Key: " + idempotencyKey);
            }
            System.exit(answer.statusCode() < 400 ? 0 : 1);
        } catch (Mistyped error) {
            System.err.println(error.getMessage());
            System.exit(64);
        } catch (NotBelieved error) {
            System.err.println("not believed: " + error.getMessage() + under(error.idempotencyKey));
            System.exit(2);
        } catch (NoAnswer error) {
            System.err.println("no answer: " + error.getMessage() + under(error.idempotencyKey));
            System.exit(3);
        } catch (Refused error) {
            System.err.println("refused: " + error.getMessage());
            System.exit(1);
        }
    }
}
