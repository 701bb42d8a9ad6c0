"""Lets Schemathesis call the partner API: half of what a path names is there, and every request is signed, by the partner whose path it
takes, in SM2-with-SM3 and RSA-SHA256 in turn.

FUZZ_FOLDER is a directory with `<partner>.<serial>.pem`, a key of each algorithm for each partner, and `names.json`: by audience
(`funder` or `merchant`) and path parameter, everything that it may name. At the end `signed.json` in it says how many requests
each algorithm signed, and `answered.json` how often each path was read with which status.
"""

import atexit
import collections
import hashlib
import itertools
import json
import os
import pathlib
import re
import secrets
import time

import fenqi
import schemathesis
from requests.auth import AuthBase

FOLDER = pathlib.Path(os.environ["FUZZ_FOLDER"])
NAMES = json.loads((FOLDER / "names.json").read_text())
KEYS = collections.defaultdict(list)
for file in sorted(FOLDER.glob("*.pem")):
    owner, serial = file.stem.split(".")
    KEYS[owner].append((serial, fenqi.PrivateKey(file.read_text())))
TURNS = itertools.count()
SIGNED = collections.Counter()
ANSWERED = collections.defaultdict(collections.Counter)


def kind_of(path):
    """The first word of a path or of its template, such as `merchant`."""
    return path.removeprefix("/api/v1/").split("/")[0]


def drawn(case):
    """A number that is the same whenever the case is: what failed is found again, and can be made smaller."""
    text = repr((case.method, case.path, case.path_parameters, case.query, case.body))
    return int.from_bytes(hashlib.sha256(text.encode(errors="backslashreplace")).digest(), "big")


# What frames a message is HTTP's own: wrong, it is answered before any operation is met, without a word.
FRAMING = {"connection", "content-length", "expect", "host", "te", "trailer", "transfer-encoding", "upgrade"}


@schemathesis.hook
def before_call(context, case, kwargs):
    """Random names find nothing, so half of all cases, and every example, name something that is there. Signing comes later."""
    if case.headers:
        case.headers = {name: value for name, value in case.headers.items() if name.lower() not in FRAMING}
    names = re.findall(r"{(\w+)}", case.path)
    known = NAMES["merchant" if kind_of(case.path) == "merchant" else "funder"]
    if not names or not all(name in known for name in names):
        return
    number, stays = divmod(drawn(case), 2)
    if stays and not (case.meta and case.meta.phase.name == "examples"):
        return
    chosen = {}
    for name in names:
        number, place = divmod(number, len(known[name]))
        chosen[name] = known[name][place]
    # Not written into the old one, which other cases may share.
    case.path_parameters = chosen


@schemathesis.hook
def after_call(context, case, response):
    if case.method.upper() == "GET":
        ANSWERED[case.path][response.status_code] += 1


class Signed(AuthBase):
    def __call__(self, request):
        url = request.path_url
        kind = kind_of(url)
        partner = f"fuzz-{kind}" if f"fuzz-{kind}" in KEYS else "fuzz-funder"
        turn = next(TURNS)
        serial, key = KEYS[partner][turn % len(KEYS[partner])]
        SIGNED[key.scheme] += 1
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        signature = key.sign(f"{request.method}\n{url}\n{timestamp}\n{nonce}\n".encode() + body + b"\n")
        request.headers["Authorization"] = (
            f'{key.scheme} mchid="{partner}",serial_no="{serial}",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'signature="{signature}"'
        )
        # Where too many calls of one address are not believed, none is looked at for a while.
        request.headers["X-Forwarded-For"] = f"203.{turn >> 16 & 255}.{turn >> 8 & 255}.{turn & 255}"
        return request


def tell():
    (FOLDER / "signed.json").write_text(json.dumps(SIGNED))
    (FOLDER / "answered.json").write_text(json.dumps(ANSWERED))


atexit.register(tell)
schemathesis.auth.set_from_requests(Signed())
