#!/usr/bin/env python3
"""A client of the Fenqi partner API: signs requests, checks answers and callbacks, in RSA-SHA256 or SM2-with-SM3.

    python3 fenqi.py --partner P --serial S --key private.pem --platform-keys keys.txt call GET http://host/api/v1/me
    python3 fenqi.py --platform-keys keys.txt verify-callback POST /your/path "$AUTHORIZATION" < body

`keys.txt` is what `fenqi partner platform-key list` prints. Needs Python 3.8 and the package `cryptography` for RSA; SM2 is
written out below and needs an OpenSSL with SM3, as every current one has it.
"""

import argparse
import base64
import hashlib
import re
import secrets
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

SKEW_SECONDS_MAX = 300
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


def sm2_sign(private, message):
    digest = sm2_digest(times(private, G), message)
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
        else:
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            self.scheme = RSA
            self.key = load_pem_private_key(pem.encode(), password=None)

    def sign(self, message):
        if self.scheme == SM2:
            signature = sm2_sign(self.number, message)
        else:
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.asymmetric import padding

            signature = self.key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        return base64.b64encode(signature).decode()


class PublicKey:
    """SPKI in PEM."""

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
    """What `fenqi partner platform-key list` prints, by serial number."""
    found = re.findall(r"^(\S+) \(\w+\) \w+\n(-----BEGIN PUBLIC KEY-----\n.*?-----END PUBLIC KEY-----)", text, re.M | re.S)
    return {serial: PublicKey(pem) for serial, pem in found}


class NotBelieved(Exception):
    """An answer or callback that the platform did not sign, or that is not fresh."""


def check(keys, serial, timestamp, message, signature):
    if serial not in keys:
        raise NotBelieved(f"no key {serial} of the platform is known")
    if abs(time.time() - int(timestamp)) > SKEW_SECONDS_MAX:
        raise NotBelieved("the timestamp is more than five minutes away")
    if not keys[serial].verifies(message, signature):
        raise NotBelieved("the signature is wrong")


def verify_callback(keys, method, url, authorization, body):
    """Whether the platform sent this request; `url` is the path with its query. Keep nonces, and refuse one seen before."""
    fields = dict(re.findall(r'(\w+)="([^"]*)"', authorization))
    head = f"{method}\n{url}\n{fields['timestamp']}\n{fields['nonce_str']}\n"
    check(keys, fields["serial_no"], fields["timestamp"], head.encode() + body + b"\n", fields["signature"])
    return fields["nonce_str"]


class Client:
    def __init__(self, partner, serial, key, keys):
        self.partner, self.serial, self.key, self.keys = partner, serial, key, keys

    def call(self, method, address, body=b"", idempotency_key=None):
        """Status, headers and body of the answer, which is believed."""
        parts = urllib.parse.urlsplit(address)
        url = parts.path + ("?" + parts.query if parts.query else "")
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
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                status, headers, answer = response.status, response.headers, response.read()
        except urllib.error.HTTPError as error:
            status, headers, answer = error.code, error.headers, error.read()
        if status == 401:
            # Whoever is not believed is answered without a signature.
            return status, headers, answer
        stamp = f"{headers['Fenqi-Timestamp']}\n{headers['Fenqi-Nonce']}\n".encode()
        signature = headers["Fenqi-Signature"]
        check(self.keys, headers["Fenqi-Serial"], headers["Fenqi-Timestamp"], stamp + answer + b"\n", signature)
        return status, headers, answer


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--partner")
    parser.add_argument("--serial")
    parser.add_argument("--key")
    parser.add_argument("--platform-keys", required=True)
    parser.add_argument("--idempotency-key")
    parser.add_argument("action", choices=["call", "verify-callback"])
    parser.add_argument("words", nargs="+")
    given = parser.parse_args()
    with open(given.platform_keys) as file:
        keys = platform_keys(file.read())
    try:
        if given.action == "verify-callback":
            method, url, authorization = given.words
            verify_callback(keys, method, url, authorization, sys.stdin.buffer.read())
            print("believed")
            return 0
        with open(given.key) as file:
            client = Client(given.partner, given.serial, PrivateKey(file.read()), keys)
        method, address = given.words[:2]
        body = given.words[2].encode() if len(given.words) > 2 else b""
        status, _, answer = client.call(method, address, body, given.idempotency_key)
    except NotBelieved as error:
        print(f"not believed: {error}", file=sys.stderr)
        return 2
    print(answer.decode())
    return 0 if status < 400 else 1


if __name__ == "__main__":
    sys.exit(main())
