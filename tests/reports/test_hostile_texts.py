"""Every format against texts that try to be more than text, wherever a text can stand: valid, tame and bounded."""

import unicodedata
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from auditor.model.report import EvidenceLine
from auditor.reports import FORMATS
from tests.reports.invented import bad_account, hostile, report
from tests.reports.strangers import TRICKS, everywhere
from tests.reports.validators import READERS

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)
PIECES = st.lists(
    st.sampled_from(
        ["`", "|", "\\", "*", "[", "](", "<", "@a", "#1", "\n", " ", "=", "-", ";", '"', "'", ",", "x", "]]>"]
    ),
    max_size=30,
).map("".join)
LARGEST = {"markdown": 65_536}
"""What GitHub takes; every other format is bounded by the number of its findings."""


def tame(content, *, breaks="\n"):
    said = content.decode()
    for char in set(said) - set(breaks):
        assert unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}, ascii(char)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("trick", TRICKS)
def test_labels_that_are_more_than_text(name, trick):
    content = FORMATS[name].render(report(hostile(TRICKS[trick])), verbose=True)
    tame(content, breaks="\r\n" if name == "csv" else "\n")
    READERS[name](content)
    assert len(content) < 2_000_000 if name != "json" else len(content) > 0


@pytest.mark.parametrize("name", sorted(set(FORMATS) - {"json"}))
@pytest.mark.parametrize("trick", TRICKS)
def test_every_text_is_more_than_text(name, trick):
    content = FORMATS[name].render(everywhere(TRICKS[trick]), verbose=True)
    tame(content, breaks="\r\n" if name == "csv" else "\n")
    READERS[name](content)
    assert len(content) < LARGEST.get(name, 2_000_000)


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=ANY_TEXT | PIECES)
def test_any_text(name, text):
    content = FORMATS[name].render(report(hostile(text)), verbose=True)
    tame(content, breaks="\r\n" if name == "csv" else "\n")
    READERS[name](content)


@pytest.mark.parametrize("name", FORMATS)
def test_values_that_no_program_expects(name):
    account = bad_account()
    values = [
        10**400,
        -(10**25),
        1e308,
        [[[[[["deep"]]]]]],
        {"a\x1b": {"b": ["\u202e"] * 300}},
        ["x"] * 5_000,
        True,
        None,
        "",
    ]
    lines = tuple(EvidenceLine(fact="api_key.x", value=value, source="api") for value in values)
    spoilt = replace(account, findings=tuple(replace(one, evidence=lines) for one in account.findings))
    content = FORMATS[name].render(report(spoilt), verbose=True)
    tame(content, breaks="\r\n" if name == "csv" else "\n")
    READERS[name](content)
