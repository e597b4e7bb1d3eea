"""Nothing hostile gets through a hole of the language, and nothing but PredicateError comes out of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auditor.ruleset import tree, words
from auditor.ruleset.predicate import PredicateError, authored, check

from .grammar import reduced

HOLES = [
    "api_key.label = {}",
    "{} = api_key.label",
    "account.kyc_level = {}",
    "account.kyc_level < 1 + {}",
    "account.kyc_level BETWEEN {} AND 3",
    "account.kyc_level BETWEEN 1 AND {}",
    "account.kyc_level IN (1, {})",
    "account.login_weakest_factor IN ({})",
    "api_key.label IN {}",
    "api_key.label LIKE {}",
    "api_key.label LIKE 'x' {}",
    "api_key.created_at < now - INTERVAL {} DAY",
    "api_key.created_at < now - INTERVAL '{}' DAY",
    "api_key.created_at < now - INTERVAL '90' {}",
    "api_key.created_at < now - {}",
    "api_key.{} = 'x'",
    "{}.enabled",
    "{}",
    "NOT {}",
    "api_key.enabled AND {}",
    "(api_key.enabled {} api_key.ip_bound)",
    "api_key.enabled {}",
]
FRAGMENTS = [
    "(SELECT 1)", "(SELECT count(*) FROM api_key)", "(VALUES (1))", "(WITH x AS (SELECT 1) SELECT * FROM x)",
    "read_text('/etc/passwd')", "(FROM read_text('/etc/passwd'))", "getenv('HOME')", "current_setting('x')", "pi()",
    "random()", "version()", "error('x')", "repeat('x', 4000000000)", "sleep(1)", "now()", "CURRENT_USER", "user",
    "CAST(1 AS INT)", "TRY_CAST('1' AS INT)", "1::int", "'1'::int", "x::int", "1 -- x", "1 /* x */", "/* x */ 1", "--",
    "/*", "'x' /* ' */", "1; DROP TABLE api_key", ";", "COPY x TO '/tmp/y'", "PRAGMA version", "ATTACH 'x'", "SET x = 1",
    "'a' || 'b'", "'a' 'b'", "{'a': 1}", "{'a': 1}.a", "MAP {'a': 1}", "[1, 2]", "[1, 2][1]", "x -> x + 1",
    "list_filter([1], x -> x)", "*", "api_key.*", "COUNT(*) OVER ()", "sum(1) OVER (PARTITION BY 1)", "'x' COLLATE nocase",
    "now AT TIME ZONE 'UTC'", "e'x'", "E'\\x41'", "x'41'", "b'1'", "u&'x'", "n'x'", "$$x$$", "$tag$x$tag$", "‘x’", "“x”",
    "?", "$1", "#1", ":x", "@x", "(SELECT 1) DAY", "'90' DAY TO SECOND", "x.y.z", "api_key", "api_key.enabled.x",
    "TRY(1)", "'x' GLOB 'y'", "'x' ILIKE 'y'", "'x' SIMILAR TO 'y'", "regexp_matches('x', 'y')", "ANY ('x')", "ALL ('x')",
    "SOME (1)", "EXISTS (SELECT 1)", "XOR", "& 1", "| 1", "<< 1", "~1", "^ 2", "** 2", "% 2", "// 2", "-> 'x'", "->> 'x'",
    "[1:2]", "DEFAULT", "NULL", "NaN", "'NaN'", "1e400", "Infinity", "-Infinity", "0x41", "1_000", "1e3", ".5", "5.",
    "IS NULL", "IS NOT DISTINCT FROM 1", "NOTNULL", "ESCAPE '!'", "'\\'", "'\\' OR TRUE --'", "' OR TRUE OR '", "''", "'''",
    "1) OR (TRUE", "'x') OR (TRUE", "x", "day", "DAY", "INTERVAL", "INTERVAL '1' DAY", "'1' DAY '2' HOUR", "TO_DAYS(1)",
    "(1, 2)", "((1))", "()", "(1,)", "CASE WHEN TRUE THEN 1 END", "IF(TRUE, 1, 2)", "TRUE", "now", "now_", "+ 1", "- - 1",
    "-1", "- 1", "--1", "NOT", "AND", "OR", "= TRUE", "BETWEEN 1 AND 2", "IN (1)", "QUALIFY TRUE", "LIMIT 1", "UNION SELECT 1",
    "AS x", "x := 1", "x => 1", "=> 1", "<=> 1", "<@ 1", "@> 1", "!~~ 'x'", "~~ 'x'", "!", "! TRUE", "TRUE IS TRUE",
    "ROW(1)", "STRUCT_PACK(a := 1)", "DATE '2020-01-01'", "TIMESTAMP '2020-01-01'", "TIME '1:00'", "UUID 'x'", "INT '1'",
    "\x00", "\u200b", "\u00a0", "\uff07x\uff07", "；", "1\u0661", "\ud800", "𝟏", "K", "ſ",
]  # fmt: skip


@pytest.mark.parametrize("hole", HOLES)
def test_hostile_fragments_in_every_hole(hole: str) -> None:
    taken = []
    for fragment in FRAGMENTS:
        try:
            found = check(hole.replace("{}", fragment), applies_to="api_key")
        except PredicateError as error:
            assert error.message  # noqa: PT017  (refused is the expected end; nothing else may be raised)
        else:
            taken.append(fragment)
            assert reduced(found.sql) == "V", (fragment, found.sql)
            assert authored(found.sql).count("'") % 2 == 0
    assert len(taken) < 20, taken


@pytest.mark.parametrize("hole", HOLES)
def test_the_second_gate_holds_without_the_first(hole: str) -> None:
    """The allow-list over the tree must not lean on the spelling: here hostile text goes straight to the parser."""
    import sqlglot

    for fragment in FRAGMENTS:
        try:
            node = sqlglot.parse_one(hole.replace("{}", fragment), into=sqlglot.exp.Condition, dialect="duckdb")
            sql = tree.regenerated(node)
        except (PredicateError, sqlglot.errors.SqlglotError):
            continue
        assert reduced(sql) == "V", (fragment, sql)


_SOUP = st.lists(
    st.sampled_from([
        *words._WORDS, *words._INSTEAD, *words._SIGNS, "=", "<>", "<", "<=", ">", ">=", "+", "-", "(", ")", ",", "(", ")",
        "'x'", "'90'", "'sms'", "1", "0.5", "3", "now", "INTERVAL '90' DAY", "api_key.enabled", "api_key.label",
        "account.kyc_level", "account.login_weakest_factor", "api_key.created_at", "api_key.permissions", "x", "\n",
    ]),
    max_size=25,
)  # fmt: skip
_SPELLED = st.lists(
    st.sampled_from([
        *(words._WORDS - {"DAY", "HOUR", "MINUTE", "INTERVAL"}), "=", "<>", "<", "<=", ">", ">=", "+", "-", "(", ")", ",",
        "'x'", "'sms'", "1", "0.5", "now", "INTERVAL '90' DAY", "api_key.enabled", "api_key.label", "account.kyc_level",
        "account.login_weakest_factor", "api_key.created_at",
    ]),
    max_size=12,
)  # fmt: skip


def only_refused(text: str) -> None:
    try:
        found = check(text, applies_to="api_key")
    except PredicateError:
        return
    assert reduced(found.sql) == "V"


@given(st.text(max_size=200))
def test_random_text_is_refused_and_nothing_else_happens(text: str) -> None:
    only_refused(text)


@settings(max_examples=400)
@given(_SOUP, st.sampled_from(["", " "]))
def test_token_soup_is_refused_and_nothing_else_happens(soup: list[str], between: str) -> None:
    only_refused(between.join(soup))


@settings(max_examples=600)
@given(_SPELLED, st.sampled_from(["", " "]))
def test_well_spelled_soup_reaches_the_parser_and_nothing_else_happens(soup: list[str], between: str) -> None:
    only_refused(between.join(soup))


def test_long_chains_and_deep_nesting_need_no_deep_stack() -> None:
    chains = [
        "TRUE OR " * 490 + "TRUE",
        "TRUE = " * 500 + "TRUE",
        "NOT TRUE OR " * 300 + "TRUE",
        "TRUE AND(" * 12 + "TRUE" + ")" * 12,
    ]
    for text in [*chains, "NOT (" * 12 + "TRUE" + ")" * 12, "(" * 24 + "TRUE" + ")" * 24, "NOT " * 24 + "TRUE"]:
        only_refused(text)
    check("NOT (" * 12 + "TRUE" + ")" * 12, applies_to="api_key")
    check(chains[0], applies_to="api_key")
