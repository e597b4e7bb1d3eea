"""The closed language: what it takes and rewrites, what it refuses and with which words."""

from __future__ import annotations

import re

import pytest

from auditor.model.facts import SCOPES, catalogue
from auditor.ruleset import predicate
from auditor.ruleset.predicate import PredicateError, check

from .grammar import reduced

LONGEST_CHAIN = " AND ".join(["api_key.enabled"] * 190)

GOOD = {
    "api_key.ip_bound": "api_key.ip_bound",
    "NOT api_key.ip_bound": "(NOT api_key.ip_bound)",
    "TRUE": "TRUE",
    "api_key.enabled and api_key.ip_bound or account.settings_lock": (
        "((api_key.enabled AND api_key.ip_bound) OR account.settings_lock)"
    ),
    "api_key.enabled AND (api_key.ip_bound OR account.settings_lock)": (
        "(api_key.enabled AND (api_key.ip_bound OR account.settings_lock))"
    ),
    "api_key.enabled AND api_key.can_read AND api_key.can_trade": (
        "(api_key.enabled AND api_key.can_read AND api_key.can_trade)"
    ),
    "NOT api_key.enabled = api_key.ip_bound": "(NOT (api_key.enabled = api_key.ip_bound))",
    "api_key.enabled = TRUE": "(api_key.enabled = TRUE)",
    "(account.kyc_level > 1) = api_key.enabled": "((account.kyc_level > 1) = api_key.enabled)",
    "account.kyc_level<>2": "(account.kyc_level <> 2)",
    "account.kyc_level != 2": "(account.kyc_level <> 2)",
    "account.kyc_level<-1": "(account.kyc_level < (-1))",
    "account.kyc_level - -1 >= 0.5": "((account.kyc_level - (-1)) >= 0.5)",
    "account.kyc_level + 1 - 2 <= account.balance_usd": "(((account.kyc_level + 1) - 2) <= account.balance_usd)",
    "9007199254740992 > account.kyc_level": "(9007199254740992 > account.kyc_level)",
    "account.kyc_level BETWEEN 1 AND 3 AND api_key.enabled": (
        "((account.kyc_level BETWEEN 1 AND 3) AND api_key.enabled)"
    ),
    "account.kyc_level NOT BETWEEN 1 AND 3": "(NOT (account.kyc_level BETWEEN 1 AND 3))",
    "account.kyc_level IN (1, 2.5, -3)": "(account.kyc_level IN (1, 2.5, (-3)))",
    "account.login_weakest_factor NOT IN ('none','sms')": "(NOT (account.login_weakest_factor IN ('none', 'sms')))",
    "'sms' = account.login_weakest_factor": "('sms' = account.login_weakest_factor)",
    "account.login_weakest_factor = account.step_up_weakest_factor": (
        "(account.login_weakest_factor = account.step_up_weakest_factor)"
    ),
    "api_key.label = 'it''s'": "(api_key.label = 'it''s')",
    "api_key.label LIKE '%now_%'": "(api_key.label LIKE '%now_%')",
    "api_key.label NOT LIKE 'bot''%'": "(api_key.label NOT LIKE 'bot''%')",
    "api_key.label = '-- not a comment; /* nor this */'": "(api_key.label = '-- not a comment; /* nor this */')",
    "api_key.label = '日本 🙂'": "(api_key.label = '日本 🙂')",
    "api_key.created_at < now - INTERVAL '90' DAY": "(api_key.created_at < (now_ - INTERVAL '90' DAY))",
    "api_key.created_at + interval '12' hour <= NOW": "((api_key.created_at + INTERVAL '12' HOUR) <= now_)",
    "INTERVAL '5' MINUTE + api_key.created_at > now": "((api_key.created_at + INTERVAL '5' MINUTE) > now_)",
    "api_key.last_used_at BETWEEN api_key.created_at AND now": (
        "(api_key.last_used_at BETWEEN api_key.created_at AND now_)"
    ),
    "\n  api_key.enabled\n\tAND api_key.can_read\n": "(api_key.enabled AND api_key.can_read)",
    "venue.allowlist_supported AND account.status = 'normal'": (
        "(venue.allowlist_supported AND (account.status = 'normal'))"
    ),
    LONGEST_CHAIN: f"({LONGEST_CHAIN})",
}

NULLS = "unknown stays unknown"
BAD = [
    # what turns unknown into an answer
    ("api_key.ip_bound IS NULL", "IS is not part", NULLS),
    ("api_key.ip_bound IS NOT TRUE", "IS is not part", NULLS),
    ("api_key.ip_bound ISNULL", "ISNULL is not part", NULLS),
    ("api_key.label IS DISTINCT FROM 'x'", "IS is not part", NULLS),
    ("api_key.label = NULL", "NULL is not part", NULLS),
    ("api_key.label IN ('a', NULL)", "NULL is not part", NULLS),
    ("COALESCE(api_key.ip_bound, TRUE)", "COALESCE is not part", NULLS),
    ("nullif(account.kyc_level, 1) = 1", "NULLIF is not part", NULLS),
    ("CASE WHEN api_key.ip_bound THEN TRUE ELSE FALSE END", "CASE is not part", "AND, OR and NOT"),
    ("EXISTS (SELECT 1)", "EXISTS is not part", "no queries"),
    ("account.kyc_level IN (SELECT 1)", "SELECT is not part", "no queries"),
    ("account.kyc_level = ANY (1, 2)", "ANY is not part", "list the constants"),
    ("greatest(account.kyc_level, 1) = 1", "there are no functions", "only facts"),
    # functions, casts, other dialects
    ("lower(api_key.label) = 'x'", "there are no functions", None),
    ("api_key.label(1)", "there are no functions", None),
    ("now() > api_key.created_at", "there are no functions", "now without parentheses"),
    ("CAST(api_key.label AS INT) = 1", "CAST is not part", "leave the cast out"),
    ("api_key.label::int = 1", ":: is not part", "leave the cast out"),
    ("TRY_CAST(api_key.label AS INT) = 1", "TRY_CAST is not part", None),
    ("api_key.created_at < TIMESTAMP '2024-01-01'", "TIMESTAMP is not part", "now - INTERVAL"),
    ("api_key.created_at < DATE '2024-01-01'", "DATE is not part", None),
    ("api_key.created_at AT TIME ZONE 'UTC' < now", "AT is not part", None),
    ("api_key.label ILIKE 'x'", "ILIKE is not part", "LIKE"),
    ("api_key.label GLOB 'x'", "GLOB is not part", None),
    ("api_key.label SIMILAR TO 'x'", "SIMILAR is not part", None),
    ("api_key.label ~ 'x'", "~ is not part", "LIKE"),
    ("api_key.label LIKE 'x' ESCAPE '!'", "ESCAPE is not part", None),
    ("api_key.label LIKE '10\\%'", "a text holds a backslash", "no escapes"),
    ("api_key.label = 'x' COLLATE nocase", "COLLATE is not part", None),
    ("api_key.enabled XOR api_key.ip_bound", "XOR is not part", "AND NOT"),
    ("account.kyc_level BETWEEN SYMMETRIC 3 AND 1", "SYMMETRIC is not part", "lower bound first"),
    # signs
    ("account.kyc_level == 1", "== is not part", "write ="),
    ("account.kyc_level * 2 > 1", "* is not part", None),
    ("account.kyc_level / 2 > 1", "/ is not part", None),
    ("account.kyc_level % 2 = 1", "% is not part", None),
    ("account.kyc_level ^ 2 = 1", "^ is not part", None),
    ("api_key.label || 'x' = 'y'", "|| is not part", "joined"),
    ("api_key.label -> 'x' = 'y'", "-> is not part", "scalars"),
    ("!api_key.enabled", "! is not part", "NOT"),
    ("account.kyc_level IN [1, 2]", "[ is not part", "parentheses behind IN"),
    ('"api_key".enabled', '" is not part', "single quotes"),
    ("api_key.enabled; DROP TABLE x", "; is not part", "one condition"),
    ("api_key.enabled -- really", "-- is not part", "comments"),
    ("api_key.enabled /* really */", "/* is not part", "comments"),
    ("account.kyc_level = $1", "$ is not part", None),
    ("account.kyc_level = ?", "? is not part", None),
    ("api_key.label = ‘x’", "is not part", "plain single quotes"),
    ("api_key.label = 'x", "a quote is not closed", "close the text"),
    ("api_key.label = 'a' 'b'", "stand side by side", "operator"),
    ("api_key.label = e'x'", "unknown word e", None),
    ("api_key.label = 'a\x1b[31m'", "control or invisible", None),
    ("api_key.label = 'a\u202eb'", "control or invisible", None),
    ("api_key.enabled\x00", "is not part", None),
    ("api_key.enabled\u00a0AND TRUE", "is not part", None),
    # numbers
    ("account.kyc_level < 1e3", "1e3 is not a plain number", "digits"),
    ("account.kyc_level < 0x41", "0x41 is not a plain number", None),
    ("account.kyc_level < 1_000", "1_000 is not a plain number", None),
    ("account.kyc_level < 007", "007 is not a plain number", None),
    ("account.kyc_level < 5.", "5. is not a plain number", None),
    ("account.kyc_level < .5", ". is not part", None),
    ("account.kyc_level < 9007199254740993", "out of range", None),
    ("account.kyc_level < 0.1234567890123456789", "out of range", None),
    ("account.kyc_level = +3", "a + has nothing before it", None),
    ("-account.kyc_level < 3", "minus sign stands before something", "0 - fact"),
    ("account.kyc_level " + "+ 1 " * 41 + "> 1", "adds and subtracts more than 40", None),
    # facts
    ("api_key.can_withdrw", "unknown fact api_key.can_withdrw: did you mean api_key.can_withdraw?", None),
    ("API_KEY.CAN_WITHDRAW", "did you mean api_key.can_withdraw?", None),
    ("can_withdraw", "unknown word can_withdraw", "write api_key.can_withdraw"),
    ("api_key.label.x = 'y'", "api_key.label.x is not a fact", None),
    ("api_key.*", "unknown word api_key", "scope.name"),
    ("api_key . enabled", "unknown word api_key", None),
    ("address.owner_recognised", "cannot be read in a rule about api_key", "api_key.*, account.*, venue.*"),
    ("account.enrolled_factors = 'sms'", "is a set, which rules cannot read", "account.has_phishing_resistant_factor"),
    ("api_key.permissions = 'x'", "is a list, which rules cannot read", "api_key.can_read"),
    ("account.login_weakest_factor = sms", "unknown word sms", "single quotes: 'sms'"),
    ("api_key.enabled ADN api_key.ip_bound", "unknown word ADN", "did you mean AND?"),
    # types
    ("account.kyc_level", "account.kyc_level is a number, where a condition", None),
    ("'x'", "'x' is a text, where a condition", None),
    ("now", "now is a time, where a condition", "compare it"),
    ("INTERVAL '1' DAY", "INTERVAL '1' DAY is an interval, where a condition", None),
    ("NOT api_key.label", "api_key.label is a text, where a condition", None),
    ("api_key.enabled AND account.login_weakest_factor", "is one of a list of choices, where a condition", None),
    ("account.login_weakest_factor < 'totp'", "has no order", "IN ('none', 'sms')"),
    ("account.login_weakest_factor BETWEEN 'sms' AND 'totp'", "has no order", "IN ('none', 'sms')"),
    ("api_key.label > 'a'", "has no order", None),
    ("api_key.enabled > FALSE", "has no order", "write the fact"),
    ("account.login_weakest_factor = 'smss'", "is never 'smss': did you mean 'sms'?", "none, sms, email_otp"),
    ("account.login_weakest_factor IN ('sms', 'SMS')", "is never 'SMS': did you mean 'sms'?", None),
    ("account.login_weakest_factor = account.kind", "different choices", None),
    ("account.login_weakest_factor = api_key.label", "they cannot be compared", None),
    ("account.kyc_level = '3'", "they cannot be compared", "texts stand in quotes"),
    ("api_key.enabled = 'true'", "they cannot be compared", "texts stand in quotes"),
    ("api_key.enabled = 1", "they cannot be compared", None),
    ("api_key.created_at < '2024-01-01'", "they cannot be compared", "times are compared with times"),
    ("api_key.created_at < 5", "they cannot be compared", None),
    ("account.login_weakest_factor LIKE 's%'", "LIKE reads text facts only", "= and IN"),
    ("'x' LIKE 'x'", "LIKE reads text facts only", None),
    ("api_key.label LIKE api_key.vendor", "LIKE takes one constant", None),
    ("api_key.label LIKE ('x')", "LIKE takes one constant", None),
    ("api_key.label IN (api_key.vendor)", "IN takes constants", None),
    ("account.kyc_level IN (1, (2))", "IN takes constants", None),
    ("account.kyc_level IN (1 + 1)", "IN takes constants", None),
    ("account.kyc_level IN ()", "nothing stands between ( and )", None),
    ("account.kyc_level IN (1,)", "nothing stands between , and )", None),
    ("account.kyc_level IN 1", "IN is used in a form", "fact IN ("),
    ("api_key.label + 'x' = 'y'", "+ needs numbers", None),
    # times
    ("now - api_key.created_at > INTERVAL '90' DAY", "a time difference is not a value", "created_at < now"),
    ("api_key.created_at - 90 < now", "is not a time", "INTERVAL '90' DAY"),
    ("INTERVAL '1' DAY < INTERVAL '2' DAY", "an INTERVAL is not a value", None),
    ("INTERVAL '1' DAY - now < now", "is not a time", None),
    ("api_key.created_at < now - INTERVAL 90 DAY", "not in the expected form", "quoted"),
    ("api_key.created_at < now - INTERVAL '90 day'", "not in the expected form", None),
    ("api_key.created_at < now - INTERVAL '-90' DAY", "not in the expected form", None),
    ("api_key.created_at < now - INTERVAL '1.5' DAY", "not in the expected form", None),
    ("api_key.created_at < now - INTERVAL '90' DAYS", "DAYS is not part", "DAY, HOUR and MINUTE"),
    ("api_key.created_at < now - INTERVAL '3' MONTH", "MONTH is not part", "DAY, HOUR and MINUTE"),
    ("api_key.created_at < now - INTERVAL (SELECT 1) DAY", "SELECT is not part", None),
    ("api_key.created_at < now - INTERVAL (1) DAY", "not in the expected form", None),
    ("api_key.created_at < now - INTERVAL '1' DAY TO MINUTE", "unknown word TO", None),
    ("api_key.created_at < now - '90' DAY", "DAY without INTERVAL", None),
    ("api_key.created_at < now - INTERVAL '36526' DAY", "longer than 100 years", None),
    # the whole
    ("", "is empty", None),
    ("   ", "is empty", None),
    ("api_key.enabled AND", "cannot be read as a condition", None),
    ("AND api_key.enabled", "cannot be read as a condition", None),
    ("api_key.enabled api_key.ip_bound", "stand side by side", None),
    ("(api_key.enabled", "a ( is not closed", None),
    ("api_key.enabled)", "a ) has no (", None),
    ("api_key.enabled = api_key.ip_bound = TRUE", "without parentheses", "put parentheses"),
    ("api_key.enabled = NOT api_key.ip_bound", "without parentheses", None),
    ("account.kyc_level < 3 IN (TRUE)", "without parentheses", None),
    ("api_key.last_used_at BETWEEN api_key.created_at now", "cannot be read without doubt", "plain forms"),
    ("api_key.created_at < now - INTERVAL '90' DAY '2' HOUR", "HOUR without INTERVAL", None),
    ("api_key.created_at < now - INTERVAL '90' DAY 'x'", "DAY and 'x' stand side by side", None),
    ("(1, 2) = account.kyc_level", "is not part of the language", None),
    ("(" * 25 + "TRUE" + ")" * 25, "nested deeper than 24", None),
    ("NOT " * 25 + "TRUE", "nested deeper than 24", None),
    ("(" * 1_900 + "TRUE" + ")" * 1_900, "nested deeper than 24", None),
    ("api_key.enabled AND " * 200 + "TRUE", "longer than 4000", None),
]


@pytest.mark.parametrize(("text", "sql"), GOOD.items(), ids=lambda value: value[:60])
def test_the_language_is_rewritten_in_full(text: str, sql: str) -> None:
    assert check(text, applies_to="api_key").sql == sql
    assert reduced(sql) == "V"


@pytest.mark.parametrize(("text", "message", "hint"), BAD, ids=lambda value: None if value is None else value[:60])
def test_everything_else_is_refused_with_what_to_write(text: str, message: str, hint: str | None) -> None:
    with pytest.raises(PredicateError) as refused:
        check(text, applies_to="api_key")
    assert message in refused.value.message
    assert (hint or "") in (refused.value.hint or "")
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202e]", f"{refused.value.message}{refused.value.hint}")
    assert len(refused.value.message) < 300


def test_facts_come_once_and_in_their_order() -> None:
    found = check("api_key.ip_bound OR (api_key.enabled AND NOT api_key.ip_bound)", applies_to="api_key")
    assert found.facts == ("api_key.ip_bound", "api_key.enabled")


@pytest.mark.parametrize("subject", SCOPES)
def test_a_rule_reads_its_own_scope_and_the_two_above(subject: str) -> None:
    for path, fact in catalogue().items():
        fault = predicate.unreadable(path, applies_to=subject)
        allowed = fact.scalar and fact.scope in {subject, "account", "venue"}
        assert (fault is None) == allowed, path


def test_every_set_and_list_names_scalars_to_use_instead() -> None:
    lists = {path for path, fact in catalogue().items() if not fact.scalar}
    assert set(predicate._SCALARS) == lists
    for path, instead in predicate._SCALARS.items():
        names = re.findall(r"[a-z_]+(?:\.[a-z_]+)?", instead)
        scope = names[0].partition(".")[0]
        for name in (name for name in names if name != "or"):
            assert catalogue()[name if "." in name else f"{scope}.{name}"].scalar, path


def test_a_personal_address_in_a_refused_text_is_masked() -> None:
    with pytest.raises(PredicateError) as refused:
        check("account.login_weakest_factor = 'somebody@example.org'", applies_to="account")
    assert "somebody" not in refused.value.message
