"""Canaries in every place where a secret can be, and a look at everything a run leaves behind: none may come out.

The venue itself is hostile here: it writes the key and the secret it knows into messages and labels.
"""

from __future__ import annotations

import base64
import importlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web

from auditor import demo
from auditor.exchanges import _signer
from auditor.twin._base import Refusal, Route, TwinKey, TwinVenue
from tests import stage

VENUES = [one.id for one in demo.venues()]
MAIL, PHONE = "victim.of.theft@mail.invalid", "+49 151 23456789"


@pytest.fixture
def mine(tmp_path: Path) -> stage.Stage:
    return stage.Stage(tmp_path)


@pytest.fixture(autouse=True)
def _hurried() -> Iterator[None]:
    with stage.hurried():
        yield


def spellings(secret: str) -> set[str]:
    """What a careless line of code turns a secret into."""
    raw = secret.encode()
    return {
        secret,
        quote(secret, safe=""),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        raw.hex(),
        secret[:-1],
        secret[1:],
    }


def leaks(secrets: Iterable[str], *texts: str) -> list[str]:
    return [
        f"{spelled[:12]}... in {text[:60]!r}"
        for text in texts
        for secret in secrets
        for spelled in spellings(secret)
        if spelled in text
    ]


def written(mine: stage.Stage, *but: str) -> list[str]:
    """Everything in the user's folders except what the test itself put there."""
    return [raw.decode("utf-8", "replace") for name, raw in mine.files().items() if Path(name).name not in but]


def everything(mine: stage.Stage, *but: str) -> list[str]:
    """All that an audit, a collection and a rendering print and write, as loud as can be."""
    said = []
    for args in (
        ("audit", "-v", "-f", "json", "-f", "html", "-f", "text", "-o", "reports"),
        ("collect", "-o", "evidence.json"),
        ("report", "reports/report.json", "-v"),
    ):
        ran = mine.run(*args)
        said += [ran.out, ran.err]
        assert ran.code != 1, ran.err
    return [*said, *written(mine, "auditor.yaml", "identity.key", *but)]


def test_nothing_comes_out_of_a_healthy_run(mine: stage.Stage) -> None:
    with stage.twins() as served:
        sent = listened(served.values())
        mine.config(*served.values())
        texts = everything(mine)
    for twin in served.values():
        assert not leaks([*twin.sample_credentials().values(), *twin.keys], *texts)
    ids = set(re.findall(r'"(?:apiKey|api_key)": "([A-Za-z0-9-]{12,})"', " ".join(sent)))
    assert ids and not leaks(ids, *texts)
    people = set(re.findall(r"[A-Za-z0-9._+-]+@[A-Za-z0-9.-]+", " ".join(sent)))
    assert people and not [text[:80] for text in texts for one in people if one in text]
    assert not [text[:80] for text in texts if re.search(r"[A-Za-z0-9._-]{2,}@[a-z0-9-]+\.[a-z]", text)]


def listened(twins: Iterable[TwinVenue]) -> list[str]:
    """Every answer the twins give from now on."""
    sent: list[str] = []
    for twin in twins:
        for place, route in list(twin.signed.items()):

            def noted(request: web.Request, key: TwinKey, route: Route = route) -> Any:
                answer = route(request, key)
                sent.append(json.dumps(answer))
                return answer

            twin.signed[place] = noted
    return sent


def test_nothing_comes_out_where_the_secrets_are_wrong(mine: stage.Stage) -> None:
    canaries, files = set(), set()
    with stage.twins() as served:
        table = json.loads(mine.config(*served.values()).read_text())
        for row in table["accounts"]:
            for at, field in enumerate(row["credentials"]):
                value = base64.b64encode(f"canary-{row['name']}-{field}-0123456789".encode()).decode()
                name = f"{row['name']}-{field}.txt"
                mine.write(name, value)
                mine.environ[f"CANARY_{at}_{row['exchange']}".upper()] = value
                kinds = (
                    f"env:CANARY_{at}_{row['exchange']}".upper().replace("ENV:", "env:"),
                    f"file:{name}",
                    f"cmd:/bin/cat {name}",
                )
                row["credentials"][field] = kinds[at % 3]
                canaries.add(value)
                files.add(name)
        mine.write("auditor.yaml", json.dumps(table))
        texts = everything(mine, *files)
    assert len(canaries) > len(VENUES) and not leaks(canaries, *texts)
    assert any("does not accept this key" in text or "cannot sign" in text for text in texts)


@pytest.mark.parametrize("venue", VENUES)
def test_a_venue_that_repeats_what_it_was_sent(mine: stage.Stage, venue: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every message of the venue quotes the key, the secret, a mail address and a telephone number."""
    with stage.twins(venue) as served:
        twin = served[venue]
        held = twin.sample_credentials()
        usual = twin.refuse

        def loud(refusal: Refusal) -> web.Response:
            text = (usual(refusal).text or "").replace(
                '"msg": "', '"msg": "' + " ".join([*held.values(), MAIL, PHONE]) + " "
            )
            parrot = json.loads(text)
            for name in ("msg", "retMsg", "message"):
                if name in parrot:
                    parrot[name] = f"{parrot[name]} {' '.join(held.values())} {MAIL} {PHONE}"
            if isinstance(parrot.get("error"), list):
                parrot["error"] = [f"{one} {' '.join(held.values())} {MAIL}" for one in parrot["error"]]
            return web.json_response(parrot, status=usual(refusal).status, headers={"Retry-After": held["secret"]})

        monkeypatch.setattr(twin, "refuse", loud)
        mine.config(twin)
        for refusal in Refusal:
            twin.troubles.clear()
            twin.fail(refusal)
            ran = mine.run("audit", "-v", "-f", "json", "-f", "text", "-o", "out")
            assert ran.code != 1 and not leaks(
                [*held.values(), MAIL, PHONE], ran.err, *written(mine, "auditor.yaml")
            ), refusal


def label(twin: TwinVenue, text: str) -> None:
    """Every label the twin serves becomes `text`."""
    import dataclasses

    def spoiled(value):
        if isinstance(value, dict):
            return {
                key: text if key in _LABELS and isinstance(child, str) else spoiled(child)
                for key, child in value.items()
            }
        return [spoiled(child) for child in value] if isinstance(value, list) else value

    twin.keys = {name: dataclasses.replace(key, about=spoiled(dict(key.about))) for name, key in twin.keys.items()}
    for place, route in list(twin.signed.items()):
        twin.signed[place] = lambda request, key, route=route: spoiled(route(request, key))


_LABELS = {"label", "note", "apiName", "remark", "key_name", "name", "api_key_name", "apikey_name", "addressRemark"}


@pytest.mark.parametrize("kind", ["secret", "apiKey", "mail", "phone"])
def test_a_label_that_holds_what_it_should_not(mine: stage.Stage, kind: str) -> None:
    values = set()
    with stage.twins() as served:
        for twin in served.values():
            value = {"mail": MAIL, "phone": PHONE, **twin.sample_credentials()}[kind]
            label(twin, f"x {value} y")
            values.add(value)
        mine.config(*served.values())
        texts = everything(mine)
    assert any("x " in text and " y" in text for text in texts)
    assert not leaks(values, *texts)


def test_a_key_that_is_named_after_its_own_id(mine: stage.Stage) -> None:
    with stage.twins("okx") as served:
        twin = served["okx"]
        for row in (row for rows in twin.sub_keys.values() for row in rows):  # type: ignore[attr-defined]
            row["label"] = row["apiKey"]
        mine.config(twin)
        texts = everything(mine)
    assert not leaks([row["apiKey"] for rows in twin.sub_keys.values() for row in rows], *texts)  # type: ignore[attr-defined]


@pytest.mark.parametrize("error", [ValueError, KeyError, RuntimeError, TypeError])
def test_a_connector_that_fails_with_the_secret_in_its_words(
    mine: stage.Stage, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    with stage.twins("okx") as served:
        held = served["okx"].sample_credentials()

        async def burst(_door, _sheet) -> None:
            raise error(f"{held['apiKey']} {held['secret']} {held['password']} {MAIL}")

        monkeypatch.setattr(importlib.import_module("auditor.exchanges.okx"), "collect", burst)
        mine.config(served["okx"])
        texts = everything(mine)
    assert not leaks([*held.values(), MAIL], *texts)
    assert any("our reader failed" in text for text in texts)


def test_a_signer_that_fails_with_the_secret_in_its_words(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    with stage.twins("okx") as served:
        held = served["okx"].sample_credentials()

        def burst(*_args, **_kwargs):
            raise ZeroDivisionError(f"{held['secret']}")

        monkeypatch.setattr(_signer, "_signed", burst)
        mine.config(served["okx"])
        texts = everything(mine)
    assert not leaks(held.values(), *texts)


def test_our_own_bug_is_confessed_without_the_secret(mine: stage.Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from auditor import collect

    with stage.twins("okx") as served:
        held = served["okx"].sample_credentials()

        def burst(_snapshots):
            raise LookupError(f"{held['secret']}\n\x1b[31m{held['apiKey']} {MAIL} {PHONE}")

        monkeypatch.setattr(collect.snapshots, "suspect_incidents", burst)
        mine.config(served["okx"])
        ran = mine.run("audit", "-v")
    assert ran.code == 1 and ran.out == ""
    assert "this is a bug in auditor: LookupError" in ran.err and "\x1b" not in ran.err
    assert not leaks([*held.values(), MAIL, PHONE], ran.err)


@pytest.mark.parametrize("field", ["apiKey", "secret", "password"])
def test_a_literal_secret_in_the_configuration_is_refused_and_not_repeated(mine: stage.Stage, field: str) -> None:
    with stage.twins("okx") as served:
        table = json.loads(mine.config(served["okx"]).read_text())
    table["accounts"][0]["credentials"][field] = canary = "kn0wn-0nly-t0-me-7391"
    mine.write("auditor.yaml", json.dumps(table))
    for command in ("audit", "attest"):
        ran = mine.run(command)
        assert ran.code == 2 and not leaks([canary], ran.out, ran.err)


@pytest.mark.parametrize(
    ("reference", "written"),
    [
        ("env:CANARY_UNSET", None),
        ("file:canary.txt", None),
        ("file:canary.txt", "two\nlines-of-canary"),
        ("file:canary.txt", b"\xff\xfecanary-0123456789"),
        ("file:canary.txt", ""),
        ("cmd:/bin/false canary-0123456789", None),
        ("cmd:/nowhere/canary-0123456789", None),
        ("vault:canary-0123456789/secret", None),
        ("keyring:canary-0123456789/x", None),
    ],
)
def test_a_credential_that_cannot_be_had_is_code_3_and_says_nothing_of_it(
    mine: stage.Stage, reference: str, written: str | bytes | None
) -> None:
    with stage.twins("okx") as served:
        table = json.loads(mine.config(served["okx"]).read_text())
        table["accounts"][0]["credentials"]["secret"] = reference
        mine.write("auditor.yaml", json.dumps(table))
        if written is not None:
            mine.write("canary.txt", written)
        ran = mine.run("audit")
        assert not served["okx"].requests
    assert ran.code == 3 and ran.out == ""
    assert "main-okx: secret" in ran.err and "hint:" in ran.err
    assert not leaks(["canary-0123456789", "lines-of-canary"], ran.err)


def test_no_secret_reaches_the_list_of_processes(mine: stage.Stage) -> None:
    """A command's output is read from a pipe; what it printed is nowhere else."""
    with stage.twins("okx") as served:
        held = served["okx"].sample_credentials()
        table = json.loads(mine.config(served["okx"]).read_text())
        mine.write("held.txt", held["secret"])
        table["accounts"][0]["credentials"]["secret"] = f"cmd:{sys.executable} -c \"print(open('held.txt').read())\""
        mine.write("auditor.yaml", json.dumps(table))
        ran = mine.process("audit", "-v")
    assert ran.code in {10, 11, 12, 13}
    assert not leaks(held.values(), ran.out, ran.err)
