"""Lets Schemathesis call the partner API: every request is signed, by the partner whose path it takes.

FUZZ_KEYS is a directory with `<partner>.pem`, the RSA key of each partner.
"""

import base64
import os
import pathlib
import secrets
import time

import schemathesis
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from requests.auth import AuthBase

KEYS = {
    path.stem: load_pem_private_key(path.read_bytes(), password=None)
    for path in pathlib.Path(os.environ["FUZZ_KEYS"]).glob("*.pem")
}


class Signed(AuthBase):
    def __call__(self, request):
        url = request.path_url
        kind = url.removeprefix("/api/v1/").split("/")[0]
        partner = f"fuzz-{kind}" if f"fuzz-{kind}" in KEYS else "fuzz-funder"
        body = request.body or b""
        body = body.encode() if isinstance(body, str) else body
        timestamp, nonce = str(int(time.time())), secrets.token_hex(16)
        message = f"{request.method}\n{url}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64encode(KEYS[partner].sign(message, padding.PKCS1v15(), hashes.SHA256())).decode()
        request.headers["Authorization"] = (
            f'FENQI-RSA-SHA256 mchid="{partner}",serial_no="F-1",nonce_str="{nonce}",timestamp="{timestamp}",'
            f'signature="{signature}"'
        )
        return request


schemathesis.auth.set_from_requests(Signed())
