"""Lets Schemathesis call the partner API: every request is signed, by the partner whose path it takes, in SM2-with-SM3 and RSA-SHA256
in turn.

FUZZ_KEYS is a directory with `<partner>.<serial>.pem`, a key of each algorithm for each partner. At the end `signed.json` in it says
how many requests each algorithm signed.
"""

import atexit
import collections
import itertools
import json
import os
import pathlib
import secrets
import time

import fenqi
import schemathesis
from requests.auth import AuthBase

FOLDER = pathlib.Path(os.environ["FUZZ_KEYS"])
KEYS = collections.defaultdict(list)
for file in sorted(FOLDER.glob("*.pem")):
    owner, serial = file.stem.split(".")
    KEYS[owner].append((serial, fenqi.PrivateKey(file.read_text())))
TURNS = itertools.count()
SIGNED = collections.Counter()


class Signed(AuthBase):
    def __call__(self, request):
        url = request.path_url
        kind = url.removeprefix("/api/v1/").split("/")[0]
        partner = f"fuzz-{kind}" if f"fuzz-{kind}" in KEYS else "fuzz-funder"
        serial, key = KEYS[partner][next(TURNS) % len(KEYS[partner])]
        SIGNED[key.scheme] += 1
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        signature = key.sign(f"{request.method}\n{url}\n{timestamp}\n{nonce}\n".encode() + body + b"\n")
        request.headers["Authorization"] = (
            f'{key.scheme} mchid="{partner}",serial_no="{serial}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'signature="{signature}"'
        )
        return request


atexit.register(lambda: (FOLDER / "signed.json").write_text(json.dumps(SIGNED)))
schemathesis.auth.set_from_requests(Signed())
