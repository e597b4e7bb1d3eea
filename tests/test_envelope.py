"""The signed envelope: what another program makes of it, and that there is no second way to spell one."""

import base64
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from securesystemslib import dsse, exceptions
from securesystemslib.signer import SSlibKey

from auditor import envelope, signing
from auditor.errors import InputError

NOW = datetime(2026, 11, 20, 10, 0, 5, 999, tzinfo=UTC)
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the group that Ed25519 signs in: a signature whose second half has it added is another spelling of the same."""


@pytest.fixture(scope="module")
def signer(tmp_path_factory):
    return signing.load(tmp_path_factory.mktemp("keys") / "signing.key")


@pytest.fixture(scope="module")
def content(signer):
    contents = {"report.html": b"<p>", "report-pages/1.html": b"<b>"}
    return envelope.seal(contents, run="r1", version="0.1", signer=signer, now=NOW)


def spelled(document):
    return (json.dumps(document, indent=1) + "\n").encode()


def statement_of(content):
    return json.loads(base64.b64decode(json.loads(content)["payload"]))


def resigned(signer, statement, **changes):
    """An envelope that really is signed, over a statement of somebody's own."""
    payload = statement if isinstance(statement, bytes) else json.dumps(statement, separators=(",", ":")).encode()
    kind = changes.pop("payloadType", envelope.PAYLOAD_TYPE)
    signature = base64.b64encode(signer.sign(envelope.pae(payload, kind))).decode()
    document = {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": kind,
        "signatures": [{"keyid": signer.key_id, "sig": signature}],
    }
    return spelled({**document, **changes})


def test_what_was_sealed_is_what_is_opened(content, signer):
    sealed = envelope.opened(content, "e")
    assert list(sealed.files) == ["report.html", "report-pages/1.html"]
    assert sealed.signed_at == NOW.replace(microsecond=0)
    assert (sealed.run, sealed.version, sealed.key_id) == ("r1", "0.1", signer.key_id)
    assert envelope.is_genuine(sealed, signer.public)


def test_another_program_verifies_it(content, signer):
    """securesystemslib is what in-toto's own tools verify with."""
    key = SSlibKey(signer.key_id, "ed25519", "ed25519", {"public": signer.public.hex()})
    other = dsse.Envelope.from_dict(json.loads(content))
    assert other.pae() == envelope.opened(content, "e").message
    assert other.verify([key], 1) == {signer.key_id: key}
    other.payload += b" "
    with pytest.raises(exceptions.VerificationError):
        other.verify([key], 1)


def test_the_statement_is_in_totos(content):
    statement = statement_of(content)
    assert list(statement) == ["_type", "subject", "predicateType", "predicate"]
    assert statement["_type"] == "https://in-toto.io/Statement/v1"
    assert all(
        set(subject) == {"name", "digest"} and set(subject["digest"]) == {"sha256"} for subject in statement["subject"]
    )


def test_a_key_of_somebody_else_is_not_the_signers(content, tmp_path):
    other = signing.load(tmp_path / "signing.key")
    assert not envelope.is_genuine(envelope.opened(content, "e"), other.public)


def test_the_encoding_is_that_of_the_specification():
    assert envelope.pae(b"hello world", "http://example.com/HelloWorld") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(place=st.integers(0, 5_000), change=st.integers(1, 255))
def test_no_byte_can_be_another(content, signer, place, change):
    altered = bytearray(content)
    altered[place % len(altered)] ^= change
    try:
        sealed = envelope.opened(bytes(altered), "e")
    except InputError:
        return
    assert not envelope.is_genuine(sealed, signer.public)


@given(place=st.integers(0, 5_000), piece=st.binary(max_size=3))
def test_nothing_can_be_put_in_or_taken_out(content, signer, place, piece):
    at = place % len(content)
    for altered in {content[:at] + piece + content[at:], content[:at] + content[at + 1 :]} - {content}:
        try:
            sealed = envelope.opened(altered, "e")
        except InputError:
            continue
        assert not envelope.is_genuine(sealed, signer.public)


def malleable(content):
    document = json.loads(content)
    payload, (signature,) = document["payload"], document["signatures"]
    raw = base64.b64decode(signature["sig"])
    greater = raw[:32] + (int.from_bytes(raw[32:], "little") + ORDER).to_bytes(32, "little")
    text = content.decode()
    return {
        "without the line end": content[:-1],
        "with a mark of UTF-8": b"\xef\xbb\xbf" + content,
        "in other words": json.dumps(document).encode(),
        "sorted": spelled(dict(sorted(document.items(), reverse=True))),
        "with a key twice": text.replace('"payloadType"', '"payloadType": "x",\n "payloadType"').encode(),
        "with a field more": spelled({**document, "more": 1}),
        "base64 without padding": spelled({**document, "payload": payload.rstrip("=")}),
        "base64 with line ends": spelled({**document, "payload": payload[:8] + "\n" + payload[8:]}),
        "base64 of the web": spelled(
            {**document, "signatures": [{**signature, "sig": base64.urlsafe_b64encode(raw).decode() + "="}]}
        ),
        "two signatures": spelled({**document, "signatures": [signature, signature]}),
        "a second one that fails": spelled({**document, "signatures": [signature, {"keyid": "x", "sig": "AAAA"}]}),
        "no signature": spelled({**document, "signatures": []}),
        "a signature with more": spelled({**document, "signatures": [{**signature, "cert": "x"}]}),
        "no key id": spelled({**document, "signatures": [{"sig": signature["sig"]}]}),
        "another key id": spelled({**document, "signatures": [{**signature, "keyid": "0" * 16}]}),
        "a longer signature": spelled(
            {**document, "signatures": [{**signature, "sig": base64.b64encode(raw + b"0").decode()}]}
        ),
        "the greater signature": spelled(
            {**document, "signatures": [{**signature, "sig": base64.b64encode(greater).decode()}]}
        ),
        "another type": spelled({**document, "payloadType": "application/json"}),
        "a list": b"[]\n",
        "nothing": b"",
        "too deep": b"[" * 100_000,
        "a long number": b'{"payload": ' + b"9" * 10_000 + b"}",
        "not text": b"\xff\xfe\x00",
    }


@pytest.mark.parametrize(
    "how", malleable(b'{"payload": "AA==", "payloadType": "", "signatures": [{"sig": "", "keyid": ""}]}\n')
)
def test_there_is_no_other_spelling(content, signer, how):
    try:
        sealed = envelope.opened(malleable(content)[how], "e")
    except InputError:
        return
    assert how in {"another key id", "the greater signature", "a longer signature"}
    assert not envelope.is_genuine(sealed, signer.public)


def test_a_signed_statement_that_is_none_of_ours(content, signer):
    good = statement_of(content)
    assert envelope.is_genuine(envelope.opened(resigned(signer, good), "e"), signer.public)
    said, subject = good["predicate"], good["subject"][0]
    wrong = [
        resigned(signer, good, payloadType="application/json"),
        resigned(signer, {**good, "_type": "https://in-toto.io/Statement/v0.1"}),
        resigned(signer, {**good, "predicateType": "https://slsa.dev/provenance/v1"}),
        resigned(signer, {**good, "subject": []}),
        resigned(signer, {**good, "subject": [subject, subject]}),
        resigned(signer, {**good, "subject": [{**subject, "digest": {}}]}),
        resigned(signer, {**good, "subject": [{**subject, "digest": {**subject["digest"], "md5": "0"}}]}),
        resigned(signer, {**good, "subject": [{**subject, "digest": {"sha256": "A" * 64}}]}),
        resigned(signer, {**good, "more": 1}),
        resigned(signer, {**good, "predicate": {**said, "more": 1}}),
        resigned(signer, {**good, "predicate": {**said, "signed_at": "2026-11-20 10:00"}}),
        resigned(signer, {**good, "predicate": {**said, "run": 5}}),
        resigned(signer, {**good, "predicate": {**said, "run": "x" * 1_000}}),
        resigned(signer, {**good, "predicate": {**said, "key_id": "0" * 16}}),
        resigned(signer, json.dumps(good).encode()),
        resigned(signer, json.dumps(good, separators=(",", ":")).replace("r1", "\\u0072\\u0031").encode()),
        *(
            resigned(signer, {**good, "subject": [{**subject, "name": name}]})
            for name in ("../report.html", "/etc/passwd", "a/../b", "", ".", "a//b", "a\\b", "a\x00b", "x" * 300)
        ),
    ]
    for altered in wrong:
        with pytest.raises(InputError):
            envelope.opened(altered, "e")
