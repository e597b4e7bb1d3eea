"""Coinbase as its documentation describes it: a bearer token per request, signed with the key (ES256 or EdDSA), bound to the
verb, host and path, and valid for two minutes.

Source: https://docs.cdp.coinbase.com/get-started/authentication/jwt-authentication and the pages of the two endpoints.
"""

from __future__ import annotations

import base64
import binascii
import json
import time
from collections.abc import Callable
from functools import cache
from ipaddress import ip_address, ip_network
from typing import Any

from aiohttp import web
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from auditor.twin._base import Refusal, Refused, Spoken, TwinKey, TwinVenue

_LONGEST_LIFE = 120
_LEEWAY = 30
_ISSUERS = {"cdp", "coinbase-cloud"}
_HALF = 32
"""Bytes of each of the two numbers of a P-256 signature, and of an Ed25519 seed."""
_V2 = {
    Refusal.BAD_KEY: (401, "authentication_error", "invalid api key"),
    Refusal.BAD_SIGNATURE: (401, "invalid_token", "The access token is invalid"),
    Refusal.FOREIGN_IP: (401, "authentication_error", "IP blocked"),
    Refusal.RATE_LIMIT: (429, "rate_limit_exceeded", "Too many requests"),
}


class Twin(TwinVenue):
    """A portfolio tracker's key that may send funds (ECDSA), a key that only reads and a bot's (Ed25519), one user."""

    id = "coinbase"
    account_name = "main-coinbase"
    further = (
        Spoken(401, {"errors": [{"id": "authentication_error", "message": "request timestamp expired"}]}),
        Spoken(500, {"errors": [{"id": "internal_server_error", "message": "Internal server error"}]}),
        Spoken(403, {"errors": [{"id": "identity_verification_required", "message": "Verify your identity"}]}),
    )

    def __init__(self) -> None:
        super().__init__()
        self.bare = False
        """Whether a refused key is told 'Unauthorized' in plain text and nothing else, as Advanced Trade does."""
        self.user = _user()
        self.signed = {
            ("GET", "/api/v3/brokerage/key_permissions"): lambda _request, key: dict(key.about),
            ("GET", "/v2/user"): lambda _request, _key: {"data": self.user},
        }

    def sample_keys(self) -> list[TwinKey]:
        tracker = {"can_view": True, "can_trade": False, "can_transfer": True, "can_receive": True}
        reader = {"can_view": True, "can_trade": False, "can_transfer": False, "can_receive": False}
        bot = {"can_view": True, "can_trade": True, "can_transfer": False, "can_receive": False}
        named = "organizations/0d3m0000-0000-4000-8000-000000000001/apiKeys/0d3m0000-0000-4000-8000-00000000000"
        return [
            _key(f"{named}a", _ecdsa_pem("tracker"), tracker),
            _key(f"{named}b", _ed25519_text("reader"), reader, ips=("198.51.100.7",)),
            _key("0d3m0000-0000-4000-8000-00000000000c", _ed25519_text("bot"), bot),
        ]

    def attested(self) -> dict[str, Any]:
        return {
            "account": {
                "login_weakest_factor": "sms",
                "step_up_weakest_factor": "sms",
                "enrolled_factors": ["sms", "totp", "passkey"],
                "withdrawal_allowlist_enabled": False,
                "email_second_factor": "totp",
                "keys_counted": 3,
            }
        }

    def authenticate(self, request: web.Request, body: str) -> TwinKey:
        del body
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        head, claims, signature, signed = _parts(token) if scheme == "Bearer" else _refuse()
        key = self.keys.get(str(head.get("kid")))
        if key is None or claims.get("sub") != key.api_key:
            raise Refused(Refusal.BAD_KEY)
        if not _verifies(key.secret, str(head.get("alg")), signature, signed) or claims.get("iss") not in _ISSUERS:
            raise Refused(Refusal.BAD_SIGNATURE)
        # The token names "GET host/path"; a client that cuts "https://" off its URL leaves the "http://" of a loopback.
        place = f"{request.host}{request.path}"
        named = {f"{request.method} {place}", f"{request.method} http://{place}"}
        uris = claims["uris"] if isinstance(claims.get("uris"), list) else [claims.get("uri")]
        if not named & {str(uri) for uri in uris}:
            raise Refused(Refusal.BAD_SIGNATURE)
        _check_time(claims)
        if key.ips and not any(ip_address(self.caller) in ip_network(entry) for entry in key.ips):
            raise Refused(Refusal.FOREIGN_IP)
        return key

    def refuse(self, refusal: Refusal) -> web.Response:
        """One spelling for all paths; the v3 one where a right is missing, for `/v2/user` needs none."""
        if refusal is Refusal.BAD_TIMESTAMP or (self.bare and _V2.get(refusal, (0,))[0] == 401):  # noqa: PLR2004
            return web.Response(status=401, text="Unauthorized\n")
        if refusal is Refusal.MAINTENANCE:
            return web.Response(status=503, text="Service Unavailable")
        if refusal is Refusal.MISSING_PERMISSION:
            denied = {"error": "PERMISSION_DENIED", "message": "Missing required scopes", "error_details": ""}
            return web.json_response(denied, status=403)
        status, code, message = _V2[refusal]
        return web.json_response({"errors": [{"id": code, "message": message}]}, status=status)


def _key(api_key: str, secret: str, rights: dict[str, bool], ips: tuple[str, ...] = ()) -> TwinKey:
    portfolio = {"portfolio_uuid": "7c0d1e2f-0000-4000-8000-0000000d3m00", "portfolio_type": "DEFAULT"}
    return TwinKey(api_key=api_key, secret=secret, ips=ips, about={**rights, **portfolio})


@cache
def _ecdsa_pem(_name: str) -> str:
    """A key pair made for this process and forgotten with it, as Coinbase hands it out."""
    made = ec.generate_private_key(ec.SECP256R1())
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )
    return pem.decode()


@cache
def _ed25519_text(_name: str) -> str:
    """Seed and public half, 64 bytes as Base64: the form of the download."""
    made = ed25519.Ed25519PrivateKey.generate()
    return base64.b64encode(made.private_bytes_raw() + made.public_key().public_bytes_raw()).decode()


def _refuse() -> Any:
    raise Refused(Refusal.BAD_KEY)


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Head, claims, signature, and what was signed."""
    pieces = token.split(".")
    try:
        head, claims = (json.loads(_unpadded(piece)) for piece in pieces[:2])
        signature = _unpadded(pieces[2])
    except (ValueError, IndexError):
        raise Refused(Refusal.BAD_KEY) from None
    if not isinstance(head, dict) or not isinstance(claims, dict):
        raise Refused(Refusal.BAD_KEY)
    return head, claims, signature, ".".join(pieces[:2]).encode()


def _unpadded(piece: str) -> bytes:
    try:
        return base64.b64decode(piece + "=" * (-len(piece) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def _verifies(secret: str, algorithm: str, signature: bytes, signed: bytes) -> bool:
    checks: dict[str, Callable[[str, bytes, bytes], None]] = {"ES256": _check_es256, "EdDSA": _check_eddsa}
    if algorithm != ("ES256" if secret.startswith("-----BEGIN") else "EdDSA"):
        return False
    try:
        checks[algorithm](secret, signature, signed)
    except InvalidSignature:
        return False
    return True


def _check_es256(pem: str, signature: bytes, signed: bytes) -> None:
    """RFC 7518 3.4: the two numbers of the signature one after the other, 32 bytes each."""
    key = serialization.load_pem_private_key(pem.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or len(signature) != 2 * _HALF:
        raise InvalidSignature
    numbers = (int.from_bytes(half, "big") for half in (signature[:_HALF], signature[_HALF:]))
    key.public_key().verify(encode_dss_signature(*numbers), signed, ec.ECDSA(hashes.SHA256()))


def _check_eddsa(secret: str, signature: bytes, signed: bytes) -> None:
    ed25519.Ed25519PublicKey.from_public_bytes(base64.b64decode(secret)[_HALF:]).verify(signature, signed)


def _check_time(claims: dict[str, Any]) -> None:
    begins, ends, now = claims.get("nbf"), claims.get("exp"), time.time()
    if not isinstance(begins, int) or not isinstance(ends, int) or ends - begins > _LONGEST_LIFE:
        raise Refused(Refusal.BAD_TIMESTAMP)
    if not begins - _LEEWAY <= now <= ends:
        raise Refused(Refusal.BAD_TIMESTAMP)


def _user() -> dict[str, Any]:
    return {
        "id": "0d3m0000-0000-5000-8000-0000000000u1",
        "name": "Sample Person",
        "username": None,
        "resource": "user",
        "resource_path": "/v2/user",
        "time_zone": "UTC",
        "native_currency": "EUR",
        "country": {"code": "DE", "name": "Germany"},
        "created_at": "2021-02-03T04:05:06Z",
        "email": "person@example.org",
    }
