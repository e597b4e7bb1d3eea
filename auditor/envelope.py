"""A signed statement about the files of a report: a DSSE envelope around an in-toto statement of their hashes.

Knows bytes and signatures; whose keys count is not its business. An envelope has one spelling only: whatever would be
written differently was not written by this program, or was altered, and is refused before anything in it is believed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from auditor import signing
from auditor.errors import Fault, InputError
from auditor.signing import Signer
from auditor.values import frozen

SUFFIX = ".dsse.json"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:exchange-auditor:signed-report:1"
LARGEST = 8 * 2**20
_LONGEST_TEXT = 200
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_HEX = re.compile(r"[0-9a-f]{64}")
_SEGMENT = re.compile(r"(?!\.{1,2}\Z)[^/\\\x00-\x1f\x7f]{1,255}")


@frozen
class Sealed:
    """What an envelope says, still to be believed: `files` are names and SHA-256, the report first, then its pages."""

    files: dict[str, str]
    run: str
    version: str
    signed_at: datetime
    key_id: str
    signature: bytes

    @property
    def message(self) -> bytes:
        """The bytes that the signature is of."""
        return pae(_payload(self))


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """DSSE's pre-authentication encoding: type and payload with their lengths, so that neither can run into the other."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def seal(contents: Mapping[str, bytes], *, run: str, version: str, signer: Signer, now: datetime) -> bytes:
    """The envelope over files, by their names beside it; the report comes first. `now` is the moment that is signed."""
    hashes = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    return sealed(hashes, run=run, version=version, signer=signer, now=now)


def sealed(hashes: Mapping[str, str], *, run: str, version: str, signer: Signer, now: datetime) -> bytes:
    """The same of files whose SHA-256 is known."""
    moment = now.astimezone(UTC).replace(microsecond=0)
    open_ = Sealed(files=dict(hashes), run=run, version=version, signed_at=moment, key_id=signer.key_id, signature=b"")
    return _spelled(open_, signer.sign(open_.message))


def opened(content: bytes, file: str) -> Sealed:
    """What an envelope says. Raises InputError for one that is not spelled exactly as `seal` spells it."""
    problem = "it is not an envelope"
    try:
        sealed = _sealed(json.loads(content))
    except _WrongError as error:
        problem = str(error)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    else:
        if _spelled(sealed, sealed.signature) == content:
            return sealed
        problem = "it was altered, or was not written by auditor"
    hint = f"`--sign` writes such a file as REPORT{SUFFIX}"
    raise InputError([Fault(file=file, line=0, message=f"is refused: {problem}", hint=hint)])


class _WrongError(Exception):
    """What an envelope says is not what one of ours says."""


def is_genuine(sealed: Sealed, public: bytes) -> bool:
    """Whether the holder of this key signed it."""
    return sealed.key_id == signing.key_id(public) and signing.verify(public, sealed.message, sealed.signature)


def _sealed(envelope: dict[str, Any]) -> Sealed:
    if envelope["payloadType"] != PAYLOAD_TYPE:
        raise _WrongError("its payload is not an in-toto statement")
    if len(envelope["signatures"]) != 1:
        raise _WrongError("it has another number of signatures than one")
    signature = envelope["signatures"][0]
    statement = json.loads(base64.b64decode(envelope["payload"], validate=True))
    if (statement["_type"], statement["predicateType"]) != (STATEMENT, PREDICATE):
        raise _WrongError("it says something else than that a report was signed")
    said, subjects = statement["predicate"], statement["subject"]
    texts = (said["run"], said["version"], signature["keyid"])
    if not all(isinstance(text, str) and len(text) <= _LONGEST_TEXT for text in texts):
        raise _WrongError("it does not say of which run it is")
    files = {subject["name"]: subject["digest"]["sha256"] for subject in subjects}
    if not files or len(files) != len(subjects):
        raise _WrongError("it names no file, or one of them twice")
    if not all(_is_name(name) and _HEX.fullmatch(digest) for name, digest in files.items()):
        raise _WrongError("it names a file that lies elsewhere, or none")
    return Sealed(
        files=files,
        run=said["run"],
        version=said["version"],
        signed_at=datetime.strptime(said["signed_at"], _TIME).replace(tzinfo=UTC),
        key_id=signature["keyid"],
        signature=base64.b64decode(signature["sig"], validate=True),
    )


def _is_name(name: str) -> bool:
    """Whether a name stays beside the envelope or below it."""
    return all(_SEGMENT.fullmatch(part) for part in name.split("/"))


def _payload(sealed: Sealed) -> bytes:
    statement = {
        "_type": STATEMENT,
        "subject": [{"name": name, "digest": {"sha256": digest}} for name, digest in sealed.files.items()],
        "predicateType": PREDICATE,
        "predicate": {
            "run": sealed.run,
            "version": sealed.version,
            "signed_at": sealed.signed_at.strftime(_TIME),
            "key_id": sealed.key_id,
        },
    }
    return json.dumps(statement, separators=(",", ":")).encode()


def _spelled(sealed: Sealed, signature: bytes) -> bytes:
    envelope = {
        "payload": base64.b64encode(_payload(sealed)).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"keyid": sealed.key_id, "sig": base64.b64encode(signature).decode()}],
    }
    return (json.dumps(envelope, indent=1) + "\n").encode()
