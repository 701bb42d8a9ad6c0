#!/usr/bin/env python3
"""A client of the Fenqi partner API: signs requests, checks answers and callbacks, in RSA-SHA256 or SM2-with-SM3.

    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt call GET http://host/api/v1/me
    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt list http://host/api/v1/platform-keys
    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt events http://host 0
    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt platform-keys http://host
    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt fetch-day http://host 2026-03-02 FOLDER
    python3 fenqi.py --platform-keys keys.txt verify-callback POST /your/path "$AUTHORIZATION" < body
    python3 fenqi.py --platform-keys keys.txt listen 127.0.0.1:9300 heard.txt mer_…
    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt decide 127.0.0.1:9400 undecided.txt http://host
    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt core 127.0.0.1:9600 events.txt

`keys.txt` is what `fenqi partner platform-key list` prints, or later `platform-keys` here. Needs Python 3.8 and the package
`cryptography` for RSA; SM2 is written out below and needs an OpenSSL with SM3, as every current one has it. How long it takes
depends on the key: where others can measure that, sign by a library or a device of yours instead.
"""

import argparse
import base64
import csv
import datetime
import gzip
import hashlib
import http.client
import http.server
import json
import os
import re
import secrets
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

SKEW_SECONDS_MAX = 300
# Larger than any call of the platform: what strangers send is not to fill the memory before it is refused.
BODY_BYTES_MAX = 40 << 20
# For the whole of an answer.
ANSWER_SECONDS_MAX = 20
# So much of a file comes in time over any line.
PIECE_BYTES = 1 << 20
# After each attempt of which nothing is known.
RETRY_SECONDS = (1, 2, 4, 8, 16, 32, 60)
RSA, SM2 = "FENQI-RSA-SHA256", "FENQI-SM2-SM3"


# SM2, GB/T 32918: the curve sm2p256v1, and the usual distinguishing identifier.
P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
A = P - 3
B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
IDENTIFIER = b"1234567812345678"
SM2_PREFIX = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")


def sm3(data):
    return hashlib.new("sm3", data).digest()


def add(left, right):
    if left is None:
        return right
    if right is None:
        return left
    if left[0] == right[0]:
        if (left[1] + right[1]) % P == 0:
            return None
        slope = (3 * left[0] * left[0] + A) * pow(2 * left[1], -1, P) % P
    else:
        slope = (right[1] - left[1]) * pow(right[0] - left[0], -1, P) % P
    x = (slope * slope - left[0] - right[0]) % P
    return x, (slope * (left[0] - x) - left[1]) % P


def times(number, point):
    result = None
    while number:
        if number & 1:
            result = add(result, point)
        point = add(point, point)
        number >>= 1
    return result


def sm2_digest(public, message):
    numbers = (A, B, *G, *public)
    identity = len(IDENTIFIER * 8).to_bytes(2, "big") + IDENTIFIER + b"".join(n.to_bytes(32, "big") for n in numbers)
    return int.from_bytes(sm3(sm3(identity) + message), "big")


def sm2_sign(private, public, message):
    digest = sm2_digest(public, message)
    while True:
        k = secrets.randbelow(N - 1) + 1
        r = (digest + times(k, G)[0]) % N
        if r == 0 or r + k == N:
            continue
        s = pow(1 + private, -1, N) * (k - r * private) % N
        if s:
            return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def sm2_verify(public, message, signature):
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    t = (r + s) % N
    if len(signature) != 64 or not (0 < r < N and 0 < s < N) or t == 0:
        return False
    point = add(times(s, G), times(t, public))
    return point is not None and (sm2_digest(public, message) + point[0]) % N == r


def pem_bytes(text):
    return base64.b64decode("".join(line for line in text.splitlines() if "-----" not in line))


class PrivateKey:
    """PKCS #8 in PEM."""

    def __init__(self, pem):
        der = pem_bytes(pem)
        if bytes.fromhex("2a811ccf5501822d") in der:
            self.scheme = SM2
            # Inside stands an ECPrivateKey: version 1, then 32 bytes.
            at = der.index(bytes.fromhex("0201010420")) + 5
            self.number = int.from_bytes(der[at : at + 32], "big")
            self.public = times(self.number, G)
        else:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            self.scheme = RSA
            self.key = load_pem_private_key(pem.encode(), password=None)

    def sign(self, message):
        if self.scheme == SM2:
            signature = sm2_sign(self.number, self.public, message)
        else:
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric import padding

            signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()


class PublicKey:
    """SPKI in PEM."""

    # The platform signs no more by it, and others may have it.
    is_retired = False

    def __init__(self, pem):
        der = pem_bytes(pem)
        if der.startswith(SM2_PREFIX):
            self.scheme, point = SM2, der[len(SM2_PREFIX) :]
            self.point = int.from_bytes(point[:32], "big"), int.from_bytes(point[32:], "big")
        else:
            from cryptography.hazmat.primitives.serialization import load_pem_public_key

            self.scheme, self.key = RSA, load_pem_public_key(pem.encode())

    def verifies(self, message, signature):
        signature = base64.b64decode(signature)
        if self.scheme == SM2:
            return sm2_verify(self.point, message, signature)
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        try:
            self.key.verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
            return True
        except InvalidSignature:
            return False


def platform_keys(text):
    """What `fenqi partner platform-key list` prints, by serial number. A retired key is there for the manifests that it signed in its
    time; no answer and no callback is believed by it."""
    found = re.findall(r"^(\S+) \(\w+\) (\w+)\n(-----BEGIN PUBLIC KEY-----\n.*?-----END PUBLIC KEY-----)", text, re.M | re.S)
    keys = {}
    for serial, state, pem in found:
        keys[serial] = PublicKey(pem)
        keys[serial].is_retired = state == "retired"
    return keys


class NotBelieved(Exception):
    """An answer or callback that the platform did not sign, or that is not fresh. `status` is that of an answer that bears no
    signature: the platform did not believe you, or something between you answered; know nothing of what became of the request.
    Send the very same again under the same `idempotency_key`, as after `NoAnswer`."""

    def __init__(self, why, status=None):
        super().__init__(why)
        self.status, self.idempotency_key = status, None


class NoAnswer(Exception):
    """Nothing came back in time, or not the whole of it: the request may have been carried out, or not. Send the very same again
    under the same `idempotency_key`, and be told what came of it: one key, one outcome."""

    def __init__(self, why, idempotency_key=None):
        super().__init__(why)
        self.idempotency_key = idempotency_key


class Refused(Exception):
    """An answer that is believed and is not what was asked for; `headers` of a 429 tell in Retry-After when to go on."""

    def __init__(self, status, headers, answer):
        super().__init__(f"{status} {answer.decode()}")
        self.status, self.headers = status, headers


def check(keys, serial, timestamp, message, signature):
    if serial not in keys:
        raise NotBelieved(f"no key {serial} of the platform is known")
    if keys[serial].is_retired:
        raise NotBelieved(f"the platform's key {serial} is retired")
    try:
        is_fresh, is_right = abs(time.time() - int(timestamp)) <= SKEW_SECONDS_MAX, keys[serial].verifies(message, signature)
    except (TypeError, ValueError, OverflowError):
        raise NotBelieved("timestamp or signature are missing or not in their form") from None
    if not is_fresh:
        raise NotBelieved("the timestamp is more than five minutes away")
    if not is_right:
        raise NotBelieved("the signature is wrong")


def verify_callback(keys, method, url, authorization, body):
    """Whether the platform sent this request; `url` is the path with its query. Keep nonces, and refuse one seen before."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', authorization))
    timestamp, nonce = fields.get("timestamp"), fields.get("nonce_str")
    head = f"{method}\n{url}\n{timestamp}\n{nonce}\n"
    check(keys, fields.get("serial_no"), timestamp, head.encode() + body + b"\n", fields.get("signature"))
    return nonce


class Called(http.server.BaseHTTPRequestHandler):
    """A server of yours that the platform calls: it believes what the platform signed, once."""

    protocol_version = "HTTP/1.1"
    # Who signs what is answered, where the platform wants it signed.
    client = None
    keys, nonces, one_by_one = {}, {}, threading.Lock()

    def do_POST(self):
        length = self.headers.get("Content-Length", "")
        if not re.fullmatch("[0-9]{1,9}", length) or int(length) > BODY_BYTES_MAX:
            # Nothing of it is read, so that what follows on the connection is no request.
            self.close_connection = True
            return self.answer(413 if length else 411, {"code": "TOO_LARGE", "message": "the body is too large, or of no known length"})
        body = self.rfile.read(int(length))
        try:
            nonce = verify_callback(self.keys, "POST", self.path, self.headers.get("Authorization", ""), body)
            with self.one_by_one:
                self.nonce_once(nonce, time.time())
        except NotBelieved as error:
            return self.answer(401, {"code": "SIGN_ERROR", "message": str(error)})
        with self.one_by_one:
            self.called(body)

    @classmethod
    def nonce_once(cls, nonce, now):
        """A nonce counts as long as a timestamp may be away, in both directions."""
        for old in [old for old, seen in cls.nonces.items() if now - seen > 2 * SKEW_SECONDS_MAX]:
            del cls.nonces[old]
        if nonce in cls.nonces:
            raise NotBelieved("the nonce was used before")
        cls.nonces[nonce] = now

    def answer(self, status, body, headers=()):
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def answer_signed(self, body, status=200):
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        signature = self.client.key.sign(f"{timestamp}\n{nonce}\n{json.dumps(body)}\n".encode())
        stamp = [("Fenqi-Timestamp", timestamp), ("Fenqi-Nonce", nonce)]
        self.answer(status, body, [*stamp, ("Fenqi-Serial", self.client.serial), ("Fenqi-Signature", signature)])

    def log_message(self, *_):
        pass


class Listener(Called):
    """A cashier that keeps each notification once in a file, also after it was started anew, and answers as the platform wants it."""

    heard, merchant, numbers = "heard.txt", None, set()

    @classmethod
    def remember(cls, heard, merchant):
        cls.heard, cls.merchant = heard, merchant
        if os.path.exists(heard):
            with open(heard) as file:
                cls.numbers = {json.loads(json.loads(line)["body"])["event_no"] for line in file}

    def called(self, body):
        event = json.loads(body)
        if event.get("merchant_id") != self.merchant:
            # Signed by the platform, but to another merchant, who sent it on to you.
            return self.answer(400, {"code": "NOT_OURS", "message": "this is for another merchant"})
        authorization = self.headers["Authorization"]
        # It may come again under the same number: process it once, and say yes again.
        if event["event_no"] not in self.numbers:
            with open(self.heard, "a") as file:
                file.write(json.dumps({"path": self.path, "authorization": authorization, "body": body.decode()}) + "\n")
            self.numbers.add(event["event_no"])
        self.answer(200, {"code": "SUCCESS", "message": None})


class Core(Called):
    """A funder's core: keeps each event once in a file, whatever comes again, also after it was started anew, and signs its answers.
    Events in the house's form come to /events; one in your own words comes to its template's path, a call for each."""

    taken, numbers = "events.txt", set()
    # In your own words: what your templates call an event's number, and what `taken_when` looks for.
    own_number, own_answer = "seqNo", {"retCode": "0000"}

    @classmethod
    def remember(cls, taken):
        cls.taken = taken
        if os.path.exists(taken):
            with open(taken) as file:
                cls.numbers = {cls.number(json.loads(line)) for line in file}

    @classmethod
    def number(cls, event):
        """By either form apart, so that one event can be tried in both. In earnest a number is processed once in whatever form."""
        name = "event_no" if "event_no" in event else cls.own_number
        return name, event[name]

    def called(self, body):
        said = json.loads(body)
        if self.path.endswith("/events"):
            return self.answer_signed({"results": [self.take(event) for event in said["events"]]})
        if self.own_number not in said:
            return self.answer_signed({"code": "NO_NUMBER", "message": f"an event has its number in {self.own_number}"}, 400)
        self.take(said)
        self.answer_signed(self.own_answer)

    def take(self, event):
        """Your books stand here: the event and its number are kept together, or neither."""
        number = self.number(event)
        if number in self.numbers:
            return {"event_no": number[1], "result": "duplicate"}
        with open(self.taken, "a") as file:
            file.write(json.dumps(event) + "\n")
        self.numbers.add(number)
        return {"event_no": number[1], "result": "accepted"}


class Decider(Called):
    """A risk partner's endpoint: decides by a rule, answers the same question as before, and signs. What it cannot decide at once it
    leaves out and keeps in a file, and answers late, at the house's address, if it was given one. Keep what you answered where it
    outlives the process: here it is forgotten with it."""

    house, undecided, decided = None, "undecided.txt", {}
    # A purchase of so much is looked at more closely, if there is somebody to call back.
    large_fen = 1_000_000

    def called(self, body):
        asked = json.loads(body)
        if asked.get("version") != 1:
            return self.answer(400, {"code": "VERSION_UNKNOWN", "message": "version 1 is spoken here"})
        if self.path.endswith("/applications"):
            answers = (self.once(one["application_id"], one, self.decide_application) for one in asked["applications"])
            return self.answer_signed({"answers": [answer for answer in answers if answer]})
        if self.path.endswith("/purchases"):
            purchase = asked["purchase"]
            answer = self.once(purchase["question_id"], purchase, self.decide_purchase)
            # Without an answer the call stays open until the house hangs up: any other answer would be silence at once.
            return self.answer_signed(answer) if answer else None
        self.answer(404, {"code": "NOT_FOUND", "message": "nothing stands at this path"})

    def once(self, name, asked, decide):
        if name not in self.decided:
            self.decided[name] = decide(asked)
        return self.decided[name]

    def decide_application(self, asked):
        """Your rule stands here."""
        history, limit = asked.get("card_history"), asked.get("limit_requested_fen")
        named = {"application_id": asked["application_id"]}
        if not history and not limit:
            with open(self.undecided, "a") as file:
                file.write(json.dumps(asked) + "\n")
            if self.house:
                threading.Timer(1, self.answer_late, [asked]).start()
            return None
        if not history:
            return {**named, "decision": "refer", "reason": "no_history"}
        if any(month["repay_status"] >= 2 for month in history["months"]):
            return {**named, "decision": "refuse", "reason": "paid_late"}
        return {**named, "decision": "approve", "grade": "B", "limit_fen": 1_000_000}

    def answer_late(self, asked):
        """Somebody has looked at it meanwhile."""
        body = {"application_id": asked["application_id"], "borrower_id": asked["borrower_id"]}
        body.update({"decision": "approve", "grade": "C", "limit_fen": 500_000})
        self.call_back("decisions", body, asked["application_id"])

    def call_back(self, path, body, name):
        """What the house answers is final: 409 says that it was decided meanwhile."""
        try:
            address = f"{self.house}/api/v1/risk/{path}"
            status, _, answer = self.client.call_until_answered("POST", address, json.dumps(body).encode(), f"late-{name}")
            print("answered late:", status, answer.decode(), flush=True)
        except (NotBelieved, NoAnswer) as error:
            print("answered late, and not heard:", error, flush=True)

    def decide_purchase(self, asked):
        """And here."""
        named = {"question_id": asked["question_id"]}
        if asked["purchases_today"] >= 20:
            return {**named, "decision": "refuse", "reason": "velocity"}
        if self.house and asked["amount_fen"] >= self.large_fen:
            threading.Timer(0.2, self.answer_purchase_late, [asked]).start()
            return None
        return {**named, "decision": "allow"}

    def answer_purchase_late(self, asked):
        """Your closer look, while the purchase waits."""
        answer = {"question_id": asked["question_id"], "decision": "refuse", "reason": "amount_unusual"}
        with self.one_by_one:
            # The same question again is answered so at once.
            self.decided[asked["question_id"]] = answer
        self.call_back("purchase-decisions", {**answer, "line_id": asked["line_id"]}, asked["question_id"])


class Server(http.server.ThreadingHTTPServer):
    # Twenty purchases may be asked about at once.
    request_queue_size = 64
    daemon_threads = True

    def handle_error(self, request, client_address):
        # Whoever did not wait for an answer has hung up.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(called, address):
    host, _, port = address.rpartition(":")
    try:
        server = Server((host, int(port)), called)
    except (OSError, OverflowError, ValueError) as error:
        raise Mistyped(f"cannot listen at {address}: {error}") from None
    server.serve_forever()


class NoRedirect(urllib.request.HTTPRedirectHandler):
    """The platform sends nobody elsewhere: whoever does is told nothing, and what was signed for one address is for no other."""

    def redirect_request(self, *_):
        return None


OPENER = urllib.request.build_opener(NoRedirect)


def whole_answer(request):
    try:
        with OPENER.open(request, timeout=ANSWER_SECONDS_MAX) as response:
            return response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def answered(request):
    """Status, headers and body of whatever is answered, in time. The limit of a connection is for each piece that comes: whoever sends
    a byte now and then would hold you for ever, and so holds a thread that is not yours."""
    ended = []

    def ask():
        try:
            ended.append(whole_answer(request))
        except Exception as error:
            ended.append(error)

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(ANSWER_SECONDS_MAX)
    if not ended:
        raise TimeoutError(f"not the whole answer within {ANSWER_SECONDS_MAX} seconds")
    if isinstance(ended[0], Exception):
        raise ended[0]
    return ended[0]


class Client:
    def __init__(self, partner, serial, key, keys):
        self.partner, self.serial, self.key, self.keys = partner, serial, key, keys

    def signed(self, method, address, body=b"", idempotency_key=None):
        """The request, signed."""
        parts = urllib.parse.urlsplit(address)
        url = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        message = f"{method}\n{url}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        authorization = (
            f'{self.key.scheme} mchid="{self.partner}",serial_no="{self.serial}",nonce_str="{nonce}",'
            f'timestamp="{timestamp}",signature="{self.key.sign(message)}"'
        )
        request = urllib.request.Request(address, method=method, data=body or None)
        request.add_header("Authorization", authorization)
        if method != "GET":
            request.add_header("Content-Type", "application/json")
            # Give the same key again when an answer was lost: one key, one outcome.
            request.add_header("Idempotency-Key", idempotency_key or nonce)
        return request

    def call(self, method, address, body=b"", idempotency_key=None, if_match=None):
        """Status, headers and body of the answer, which is believed: 429 tells in Retry-After when to go on. Name a key of yours for
        what you send again after 5xx and 429. To change what two may edit, give as `if_match` the ETag among the headers with which
        it was read."""
        key = idempotency_key or secrets.token_hex(16)
        again = None if method == "GET" else key
        try:
            request = self.signed(method, address, body, key)
            if if_match:
                request.add_header("If-Match", if_match)
            status, headers, answer = answered(request)
        except (OSError, http.client.HTTPException) as error:
            raise NoAnswer(str(error), again) from error
        try:
            self.believe(status, headers, answer)
        except NotBelieved as error:
            error.idempotency_key = again
            raise
        return status, headers, answer

    def call_until_answered(self, method, address, body=b"", idempotency_key=None, if_match=None):
        """As `call`, and the very same again, signed anew and under one key, as long as nothing is known of it, it is under way, or there
        were too many. Ends with what came of the eighth attempt: the pauses are two minutes together, unless the platform names others.
        Keep the key with what is to be done: then it is done once, also if you are started anew in between."""
        key = idempotency_key or secrets.token_hex(16)
        for pause in RETRY_SECONDS:
            try:
                status, headers, answer = self.call(method, address, body, key, if_match)
                if not (status >= 500 or status == 429 or status == 409 and b'"idempotency_in_progress"' in answer):
                    return status, headers, answer
                told = headers["Retry-After"] or ""
                # A minute's rate is new within a minute; headers are not signed.
                pause = min(int(told), 60) if re.fullmatch("[0-9]{1,4}", told) else pause
            except NoAnswer:
                pass
            except NotBelieved as error:
                # It is you who are not believed: no repetition mends that.
                if error.status == 401:
                    raise
            time.sleep(pause)
        return self.call(method, address, body, key, if_match)

    def items(self, address):
        """Each item of a list, page after page; `address` may bear parameters, but no cursor."""
        page = address
        while True:
            status, headers, answer = self.call_until_answered("GET", page)
            if status != 200:
                raise Refused(status, headers, answer)
            said = json.loads(answer)
            yield from said["items"]
            if said["next_cursor"] is None:
                return
            page = f"{address}{'&' if '?' in address else '?'}cursor={urllib.parse.quote(said['next_cursor'], safe='')}"

    def events(self, host, after):
        """Each event after that number, in order, as far as there are any now. Keep the `event_no` of the last one with what it did, and
        go on from there the next time."""
        while True:
            status, headers, answer = self.call_until_answered("GET", f"{host}/api/v1/events?after={after}&limit=200")
            if status != 200:
                raise Refused(status, headers, answer)
            page = json.loads(answer)
            yield from page["items"]
            # A page may be empty, and more be there behind it.
            after = page["next_after"]
            if not page["has_more"]:
                return

    def list_platform_keys(self, host):
        """All keys of the platform as it tells them now, in the form that `platform_keys` reads: ask each day, and believe by these."""
        text = ""
        for one in self.items(f"{host}/api/v1/platform-keys?limit=200"):
            end = one["retired_at"] and datetime.datetime.fromisoformat(one["retired_at"]).timestamp()
            state = "retired" if end and end <= time.time() else "believed"
            text += f"{one['serial_no']} ({one['algorithm']}) {state}\n{one['public_key']}"
        return text

    def believe(self, status, headers, answer):
        """Raises unless the platform signed the answer."""
        if headers["Fenqi-Signature"] is None:
            raise NotBelieved(f"{status} without a signature: {answer.decode(errors='replace')}", status)
        stamp = f"{headers['Fenqi-Timestamp']}\n{headers['Fenqi-Nonce']}\n".encode()
        signature = headers["Fenqi-Signature"]
        check(self.keys, headers["Fenqi-Serial"], headers["Fenqi-Timestamp"], stamp + answer + b"\n", signature)

    def funder(self, host):
        """The code of the funder whose core we are; None for another partner."""
        status, headers, answer = self.call("GET", f"{host}/api/v1/me")
        if status != 200:
            raise Refused(status, headers, answer)
        myself = json.loads(answer)
        if myself["partner"] != self.partner:
            raise NotBelieved(f"this was told to {myself['partner']}")
        return myself["funder"]

    def fetch_day(self, host, day, folder):
        """Downloads a day's files and believes them: signature, whose day, hashes, rows, sums and footings. Returns the manifest."""
        address = f"{host}/api/v1/funder/days/{day}"
        status, headers, answer = self.call("GET", f"{address}/manifest")
        if status != 200:
            raise Refused(status, headers, answer)
        manifest = believed_manifest(self.keys, json.loads(answer))
        # What signs an answer does not name what was asked for: somebody on the way could give you another day's, or another's day.
        if manifest["business_day"] != day:
            raise NotBelieved(f"the manifest is of {manifest['business_day']}")
        if manifest["funder"] != self.funder(host):
            raise NotBelieved(f"the manifest is of {manifest['funder']}")
        os.makedirs(folder, exist_ok=True)
        figures = {}
        for file in manifest["files"]:
            path = os.path.join(folder, file["name"])
            self.download(f"{address}/files/{file['name']}", path, file)
            figures.update(sum_file(path, file))
        check_figures(manifest, figures)
        with open(os.path.join(folder, "manifest.json"), "wb") as kept:
            # With its signatures, for whoever asks later.
            kept.write(answer)
        return manifest

    def download(self, address, path, file):
        """The answer is not signed: what counts is the hash in the manifest. Goes on where it was interrupted."""
        have = os.path.getsize(path) if os.path.exists(path) else 0
        while have < file["bytes"]:
            request = self.signed("GET", address)
            request.add_header("Range", f"bytes={have}-{have + PIECE_BYTES - 1}")
            try:
                status, headers, answer = answered(request)
            except (OSError, http.client.HTTPException) as error:
                # What has come is kept: called again, it goes on.
                raise NoAnswer(f"{file['name']} broke off: {error}") from error
            if status not in (200, 206):
                # Not a piece of the file: it says why there is none, and is signed.
                self.believe(status, headers, answer)
                raise Refused(status, headers, answer)
            # 206 goes on where the file ends; 200 is the whole of it.
            with open(path, "ab" if status == 206 else "wb") as kept:
                kept.write(answer)
            if os.path.getsize(path) <= have:
                raise NoAnswer(f"{file['name']} broke off")
            have = os.path.getsize(path)
        for name in ("sha256", "sm3"):
            digest = hashlib.new(name)
            with open(path, "rb") as kept:
                while piece := kept.read(1 << 16):
                    digest.update(piece)
            if digest.hexdigest() != file[name]:
                raise NotBelieved(f"{file['name']} is not what was signed; remove it and fetch it again")


def believed_manifest(keys, envelope):
    """The manifest, if one of the platform's keys that we know signed its very text: in its time, which may be over."""
    text = envelope["manifest"].encode()
    for signed in envelope["signatures"]:
        key = keys.get(signed["serial_no"])
        if key and key.verifies(text, signed["signature"]):
            return json.loads(text)
    raise NotBelieved("no key that is known signed the manifest")


def sum_file(path, file):
    """The rows and the sums of a file, by the names that the manifest gives them."""
    table = file["name"].split(".")[0]
    figures = {f"{table}.rows": 0}

    def add(name, fen):
        figures[f"{table}.{name}"] = figures.get(f"{table}.{name}", 0) + fen

    with gzip.open(path, "rt", encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines) if ".csv" in file["name"] else map(json.loads, lines):
            add("rows", 1)
            for column, value in row.items():
                if column.endswith("_fen"):
                    add(column, int(value))
            if table == "plans":
                add(f"principal_fen.{row['reason']}", int(row["principal_fen"]))
            if table == "ledger":
                for side in ("debit", "credit"):
                    account = row[f"{side}_account"]
                    add(f"{side}_fen.{account}", int(row["amount_fen"]))
                    add(f"{side}_fen.{account}.{row['event']}", int(row["amount_fen"]))
    if figures[f"{table}.rows"] != file["rows"]:
        raise NotBelieved(f"{file['name']} has other rows than the manifest says")
    return figures


def check_figures(manifest, figures):
    """What was summed is what the manifest says, and it foots."""
    told = manifest["figures"]
    for name, fen in figures.items():
        if told.get(name, 0) != fen:
            raise NotBelieved(f"{name} is {fen} in the files and {told.get(name, 0)} in the manifest")
    for footing in manifest["footings"]:
        left, right = (
            sum(-told.get(name[1:], 0) if name.startswith("-") else told.get(name, 0) for name in footing[side])
            for side in ("left", "right")
        )
        if left != right:
            raise NotBelieved(f"{footing['name']} does not foot: {left} and {right}")


# What each action takes, and how many words at least.
TAKES = {
    "call": (2, "METHOD ADDRESS [BODY]"),
    "list": (1, "ADDRESS"),
    "events": (2, "HOST AFTER"),
    "platform-keys": (1, "HOST"),
    "fetch-day": (3, "HOST DAY FOLDER"),
    "verify-callback": (3, "METHOD URL AUTHORIZATION"),
    "listen": (3, "HOST:PORT FILE MERCHANT"),
    "decide": (2, "HOST:PORT FILE [HOUSE]"),
    "core": (2, "HOST:PORT FILE"),
}


class Mistyped(Exception):
    """What was typed cannot be done: the command ends with 64."""


class Parser(argparse.ArgumentParser):
    def error(self, message):
        # Its own way out would be 2, which says that an answer is not believed.
        raise Mistyped(f"{self.format_usage()}{message}")


def read_key(path, read):
    """What `read` makes of a file with keys."""
    try:
        with open(path) as file:
            return read(file.read())
    except OSError as error:
        raise Mistyped(f"cannot read {path}: {error.strerror}") from None
    except ImportError:
        raise Mistyped(f"{path} has a key of RSA, which needs the package cryptography") from None
    except (TypeError, ValueError) as error:
        raise Mistyped(f"{path} holds no key in PEM that can be read: {error}") from None


def main():
    try:
        return run()
    except Mistyped as error:
        print(error, file=sys.stderr)
        return 64


def run():
    parser = Parser()
    parser.add_argument("--partner")
    parser.add_argument("--serial")
    parser.add_argument("--key")
    parser.add_argument("--platform-keys", required=True)
    parser.add_argument("--idempotency-key")
    parser.add_argument("--if-match")
    parser.add_argument("action", choices=list(TAKES))
    parser.add_argument("words", nargs="+")
    given = parser.parse_args()
    least, takes = TAKES[given.action]
    if len(given.words) < least:
        raise Mistyped(f"{given.action} takes {takes}")
    if given.action not in ("verify-callback", "listen") and None in (given.partner, given.serial, given.key):
        raise Mistyped(f"{given.action} signs: name --partner, --serial and --key")
    address = {"call": 1, "list": 0, "events": 0, "platform-keys": 0, "fetch-day": 0}.get(given.action)
    if address is not None and not re.match("https?://[^/?#]", given.words[address]):
        raise Mistyped(f"{given.words[address]} is no address such as http://127.0.0.1:8080/api/v1/me")
    if given.action == "events" and not re.fullmatch("[0-9]{1,18}", given.words[1]):
        raise Mistyped(f"{given.words[1]} is no event's number")
    keys = read_key(given.platform_keys, platform_keys)
    if not keys:
        raise Mistyped(f"{given.platform_keys} holds no key as `fenqi partner platform-key list` prints them")
    try:
        if given.action == "verify-callback":
            method, url, authorization = given.words[:3]
            verify_callback(keys, method, url, authorization, sys.stdin.buffer.read())
            print("believed")
            return 0
        if given.action == "listen":
            address, heard, merchant = given.words[:3]
            Called.keys = keys
            Listener.remember(heard, merchant)
            return serve(Listener, address)
        client = Client(given.partner, given.serial, read_key(given.key, PrivateKey), keys)
        if given.action == "decide":
            address, Decider.undecided, *house = given.words
            Called.keys, Called.client, Decider.house = keys, client, house[0] if house else None
            return serve(Decider, address)
        if given.action == "core":
            address, taken = given.words[:2]
            Called.keys, Called.client = keys, client
            Core.remember(taken)
            return serve(Core, address)
        if given.action == "fetch-day":
            host, day, folder = given.words[:3]
            files = client.fetch_day(host, day, folder)["files"]
            print(f"{day}: {len(files)} files, {sum(file['rows'] for file in files) // 2} rows; every hash, sum and footing holds")
            return 0
        if given.action in ("list", "events"):
            for item in client.items(given.words[0]) if given.action == "list" else client.events(*given.words[:2]):
                print(json.dumps(item, ensure_ascii=False, separators=(",", ":")))
            return 0
        if given.action == "platform-keys":
            print(client.list_platform_keys(given.words[0]), end="")
            return 0
        method, address = given.words[:2]
        body = given.words[2].encode() if len(given.words) > 2 else b""
        key = given.idempotency_key or secrets.token_hex(16)
        status, headers, answer = client.call(method, address, body, key, given.if_match)
    except (NotBelieved, NoAnswer) as error:
        what, code = ("not believed", 2) if isinstance(error, NotBelieved) else ("no answer", 3)
        again = f"; send the same again under the idempotency key {error.idempotency_key}" if error.idempotency_key else ""
        print(f"{what}: {error}{again}", file=sys.stderr)
        return code
    except Refused as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    print(answer.decode())
    if headers["ETag"]:
        print(f"ETag: {headers['ETag']}", file=sys.stderr)
    if headers["Retry-After"]:
        print(f"Retry-After: {headers['Retry-After']}", file=sys.stderr)
    if status >= 400 and method != "GET":
        print(f"Idempotency-Key: {key}", file=sys.stderr)
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
