"""What the HTML page is made of: groups and firsts, the matrix of facts, the table of keys, the pictures, the split."""

import re
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.model.report import Change, EvidenceLine, Hardening, Missing, Outcome, PathStatus, TrendPoint
from auditor.model.rule import Severity
from auditor.redaction import printable
from auditor.reports import _facts, _goals, _graph, _svg, _tables, _view, _words
from auditor.reports._numbers import exact
from auditor.reports.html import FULL_ACCOUNTS, FULL_FINDINGS, files, render
from tests.reports.invented import NOW, bad_account, dim_account, report, step, ways

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


def titles(account):
    return [(group.title, [issue.first.rule for issue in group.issues]) for group in _goals.groups(account)]


def marked(account, on_path):
    return replace(account, findings=tuple(replace(item, on_path=on_path) for item in account.findings))


# What comes first


def test_findings_stand_under_what_they_lead_to():
    assert titles(bad_account()) == [
        ("Leads to: Your coins are withdrawn", ["key-withdraw-without-ip-binding", "auth-sms-weakest"]),
        ("On none of the ways to the money that were found", ["key-unused"]),
    ]


def test_a_finding_on_a_path_that_names_none_of_its_facts_is_not_lost():
    account = replace(bad_account(), paths=ways()[1:2])
    assert titles(account)[0] == (
        "Opens a way to the money",
        ["key-withdraw-without-ip-binding", "auth-sms-weakest"],
    )


@pytest.mark.parametrize(
    ("paths", "on_path", "title"),
    [
        (None, None, "Whether these open a way to the money was not computed"),
        ((), False, "No way to the money was found; these fail all the same"),
    ],
)
def test_no_paths_and_paths_not_computed_are_two_things(paths, on_path, title):
    account = replace(marked(bad_account(), on_path), paths=paths, hardening=None)
    assert [group[0] for group in titles(account)] == [title]
    said = " ".join(render(report(account)).decode().split())
    assert ("Ways to the money were not computed in this run." in said) is (paths is None)
    assert ("The attack model knows no way to the money here" in said) is (paths == ())


@given(st.lists(st.sampled_from([True, False, None]), min_size=4, max_size=4), st.sampled_from([None, (), ways()]))
def test_whatever_fails_stands_in_exactly_one_group(marks, paths):
    account = replace(bad_account(), paths=paths)
    fails = iter(marks)
    found = tuple(replace(one, on_path=next(fails)) if one.outcome is Outcome.FAIL else one for one in account.findings)
    account = replace(account, findings=found)
    grouped = [issue.first.rule for group in _goals.groups(account) for issue in group.issues]
    assert sorted(grouped) == sorted(issue.first.rule for issue in _view.failing(account))


def test_the_ways_drawn_are_those_that_the_smallest_set_closes_one_each():
    first = replace(ways()[0], id="0" * 16)
    many = tuple(replace(first, id=f"{place:016x}") for place in range(5))
    last, key = replace(first, id="f" * 16, goal="trade"), ways()[2]
    change = Change(id="one", text="One", effort="low", closes=tuple(way.id for way in many))
    other = Change(id="two", text="Two", effort="low", closes=(last.id,))
    plan = Hardening(smallest=(change, other), alternatives=(), single=(), residual=())
    account = replace(bad_account(), paths=(*many, key, last), hardening=plan)
    assert [way.id for way in _goals.worst(account)] == [many[0].id, many[1].id, last.id]
    assert [way.status for way in _goals.ranked(account)] == [PathStatus.CONFIRMED] * 6 + [PathStatus.POSSIBLE]


def test_without_a_plan_each_goal_is_drawn_once_before_any_twice():
    one, two, _ = ways()
    twin = replace(one, id="d" * 16)
    account = replace(bad_account(), paths=(one, twin, two), hardening=None)
    assert [way.id for way in _goals.worst(account, 2)] == [one.id, two.id]


def test_the_same_change_on_several_accounts_is_said_once():
    accounts = [replace(bad_account(), name=f"desk-{place}") for place in range(3)]
    (first,) = _goals.first_fixes(report(*accounts))
    assert (first.change, len(first.steps), first.closes) == ("Untick Withdraw on the key grid bot", 3, 6)
    said = " ".join(render(report(*accounts)).decode().split())
    assert "Closes 6 findings on 3 accounts (desk-0 ×2.5, desk-1 ×2.5, desk-2 ×2.5)." in said


def test_what_hides_most_comes_first():
    rows = _goals.hidden([bad_account(), dim_account()])
    assert rows == [("not_collected", 2, 1), ("venue_maintenance", 2, 1), ("not_exposed", 1, 1)]


# Facts


@pytest.mark.parametrize(
    ("source", "way"),
    [
        ("api: GET /x", "observed"),
        ("stated by the owner on 2026-11-01", "stated"),
        ("attested 2026-11-01", "stated"),
        ("policy of OKX, as of 2026-06-02", "policy"),
        ("follows from account.a (stated by the owner on 2026-11-01)", "stated"),
        ("follows from account.a (follows from account.b (api: GET /x (v5)))", "observed"),
        ("evidence document", "given"),
        ("", "given"),
    ],
)
def test_how_a_fact_is_known_follows_from_its_source(source, way):
    assert _facts.way_of(source) == way


def test_a_fact_known_of_some_keys_only_is_partly_known():
    account = bad_account()
    first = account.findings[0]
    gap = Missing(fact="api_key.ip_bound", reason="not_exposed", how="")
    other = replace(first, subject=replace(first.subject, fingerprint="other"), evidence=(), missing=(gap,))
    (line,) = [
        one for one in _facts.matrix(replace(account, findings=(first, other))) if one.fact == "api_key.ip_bound"
    ]
    assert (line.way, line.known, line.asked) == ("partly known", 1, 2)
    assert line.where == ("api: GET /api/v5/account/config", "the exchange does not show it")


def test_a_fact_known_to_one_rule_is_not_missing_to_another():
    account = bad_account()
    first = account.findings[1]
    gap = Missing(fact="account.login_weakest_factor", reason="not_exposed", how="")
    other = replace(first, rule="other", evidence=(), missing=(gap,))
    (line,) = _facts.matrix(replace(account, findings=(first, other)))
    assert (line.way, line.known, line.asked, line.rules) == ("stated", 1, 1, ("auth-sms-weakest", "other"))


def test_the_tally_counts_every_fact_once():
    lines = _facts.matrix(bad_account())
    assert _facts.tally(lines) == "4 facts were asked for: 2 observed, 1 stated, 1 unknown."
    assert _facts.tally([]) == "0 facts were asked for: none."
    assert sum(len(held) for _, held in _facts.by_scope(lines)) == len(lines)


# Keys


def row(**facts):
    account = bad_account()
    keys = ({"label": "k", "masked_id": "…0000", **facts},)
    (only,) = _tables.keys(replace(account, inventory=replace(account.inventory, api_keys=keys)), 10)
    return only


@pytest.mark.parametrize(
    ("facts", "binding"),
    [
        ({}, "unknown"),
        ({"ip_bound": None}, "unknown"),
        ({"ip_bound": False}, "no"),
        ({"ip_bound": True}, "yes"),
        ({"ip_bound": True, "ip_allowlist": ["203.0.113.7"]}, "yes, to 1 entry"),
        ({"ip_bound": True, "ip_allowlist": []}, "yes"),
        ({"ip_bound": True, "ip_allowlist": ["0.0.0.0/0"], "ip_allows_any": True}, "no: its list allows every address"),
    ],
)
def test_a_binding_is_not_better_than_it_is(facts, binding):
    assert row(**facts).binding == binding


@pytest.mark.parametrize(
    ("created", "shown", "days"),
    [
        (None, "unknown", -1),
        ("2026-11-20T09:00:00Z", "2026-11-20 (0 days)", 0),
        ("2026-11-19", "2026-11-19 (1 day)", 1),
        ("2026-07-20T00:00:00Z", "2026-07-20 (4 months)", 123),
        ("2020-11-20T00:00:00Z", "2020-11-20 (6 years)", 2191),
        ("2020-11-21T00:00:00Z", "2020-11-21 (5 years)", 2190),
        ("2024-12-31T00:00:00Z", "2024-12-31 (22 months)", 689),
        ("2027-01-01T00:00:00Z", "2027-01-01", -42),
        ("yesterday", "unknown", -1),
    ],
)
def test_an_age_is_that_of_the_evidence(created, shown, days):
    assert (row(created_at=created).created, row(created_at=created).age) == (shown, days)


@pytest.mark.parametrize(
    ("facts", "approval"),
    [
        ({}, "unknown"),
        ({"owner_recognised": True}, "recognised"),
        ({"owner_recognised": False}, "not recognised"),
        ({"owner_recognised": True, "widened_since_baseline": True}, "recognised; widened since"),
        ({"owner_recognised": "yes"}, "unknown"),
    ],
)
def test_an_approval_needs_to_be_known(facts, approval):
    assert row(**facts).approval == approval


def test_keys_that_do_most_harm_come_first():
    account = bad_account()
    keys = (
        {"label": "reads", "can_read": True, "can_withdraw": False, "can_trade": False},
        {"label": "dark"},
        {"label": "bound", "can_withdraw": True, "ip_bound": True},
        {"label": "off", "can_withdraw": True, "ip_bound": False, "enabled": False},
        {"label": "open", "can_withdraw": True, "ip_bound": False},
        {"label": "trades", "can_trade": True, "can_withdraw": False},
    )
    account = replace(account, inventory=replace(account.inventory, api_keys=keys))
    assert [one.name.split()[0] for one in _tables.keys(account, 9)] == [
        "open", "bound", "trades", "dark", "reads", "off",
    ]  # fmt: skip


# Pictures


class Boxes(HTMLParser):
    def __init__(self, source):
        super().__init__()
        self.rects, self.paths, self.texts, self.high = [], [], [], 0.0
        self.feed(source)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        if tag == "rect":
            self.rects.append(tuple(float(given[name]) for name in ("x", "y", "width", "height")))
        elif tag == "path":
            self.paths.append(given["d"])
        elif tag == "svg":
            self.high = float(given["viewbox"].split()[3])

    def handle_data(self, data):
        self.texts.append(data)


def drawn(way):
    return Boxes(_graph.path(way))


def test_a_path_is_drawn_from_its_beginning_to_its_goal():
    way = ways()[0]
    boxes = drawn(way)
    assert len(boxes.rects) == len(way.steps) + 2
    tops = [rect[1] for rect in boxes.rects]
    assert tops == sorted(tops)
    assert all(one[1] + one[3] < other[1] for one, other in zip(boxes.rects, boxes.rects[1:], strict=False))
    assert all(rect[0] >= 0 and rect[0] + rect[2] <= 340 for rect in boxes.rects)
    assert boxes.rects[-1][1] + boxes.rects[-1][3] <= boxes.high
    assert _graph._edges(way) == [(0, 1), (1, 2), (0, 2), (2, 3), (2, 4), (3, 4), (0, 4), (4, 5)]


def test_no_two_arrows_of_a_lane_meet():
    edges = [(0, 2), (0, 4), (1, 3), (2, 4), (2, 6), (0, 1)]
    lanes = _graph._lanes(edges)
    assert set(lanes) == {edge for edge in edges if edge[1] - edge[0] > 1}
    for one, lane in lanes.items():
        for other, place in lanes.items():
            if one != other and lane == place:
                assert one[1] <= other[0] or other[1] <= one[0]


@given(st.lists(st.tuples(ANY_TEXT, ANY_TEXT, ANY_TEXT), min_size=1, max_size=12))
def test_any_path_is_drawn_within_its_frame(texts):
    steps = tuple(step("a", text, (need,), (gives,)) for text, need, gives in texts)
    boxes = drawn(replace(ways()[0], steps=steps, capability_text=texts[0][0], goal_text=texts[0][1]))
    assert len(boxes.rects) == len(steps) + 2
    for x, y, wide, high in boxes.rects:
        assert 0 <= x < x + wide <= 340
        assert 0 <= y < y + high <= boxes.high
    assert all(char.isprintable() for text in boxes.texts for char in text)


def test_a_doubtful_step_says_what_nobody_knows():
    source = _graph.path(ways()[2])
    assert source.count('class="step doubtful"') == 1
    assert 'class="goal doubtful"' in source
    assert "account.withdrawal_allowlist_enabled" in "".join(drawn(ways()[2]).texts)


def point(days, low, high, **more):
    given = {"coverage": 0.5, "failing": {Severity.HIGH: 1}, **more}
    return TrendPoint(at=NOW - timedelta(days=days), low=low, high=high, **given)


def test_a_course_needs_two_scored_runs():
    assert (
        _svg.trend([]) == _svg.trend([point(1, 10, 20)]) == _svg.trend([point(1, 10, 20), point(0, None, None)]) == ""
    )
    source = _svg.trend([point(9, 10, 20), point(3, 20, 30, rules_changed=True), point(0, 30, 40)])
    assert re.findall(r'points="([^"]*)"', source)[1] == "0,90 66.67,80 100,70"
    assert source.count('class="rules"') == 1
    assert "first 10 to 20, last 30 to 40" in source


def test_runs_of_one_moment_are_drawn():
    assert "nan" not in _svg.trend([point(0, 10, 20), point(0, 20, 30)])


@given(st.tuples(st.floats(0, 100), st.floats(0, 100)).map(sorted), st.floats(0, 1), st.floats(0, 1))
def test_a_report_read_back_from_json_is_drawn_alike(ends, seen, share):
    given_ = {"low": ends[0], "high": ends[1], "coverage": seen}
    score = replace(bad_account().score, **given_, observed=share, attested=1 - share)
    names = ("low", "high", "coverage", "observed", "attested")
    kept = replace(score, **{name: exact(getattr(score, name)) for name in names})
    for draw in (_svg.interval, _svg.coverage):
        assert draw(kept) == draw(score)
    first, last = point(9, 10, 20), replace(point(0, 1, 2), **given_)
    rounded = replace(last, **{name: exact(value) for name, value in given_.items()})
    assert _svg.trend([first, rounded]) == _svg.trend([first, last])


# Several files


def test_a_short_run_is_one_file():
    assert files(report(), "report.html") == {"report.html": render(report())}


@pytest.mark.parametrize("name", ["report.html", "my report #1?.html", "audit"])
def test_a_long_run_has_a_page_for_each_account(name):
    accounts = [replace(dim_account(), name=f"desk-{place}") for place in range(FULL_ACCOUNTS + 1)]
    written = files(report(*accounts), name)
    assert len(written) == FULL_ACCOUNTS + 2
    links = re.findall(r'href="([^"#]+)"', written[name].decode())
    assert {unquote(link) for link in links} == set(written) - {name}
    for place, account in enumerate(accounts, 1):
        page = written[f"{name.removesuffix('.html')}-accounts/{place:05}.html"].decode()
        assert f"{account.name}: too little is known" in page
        assert [unquote(link) for link in re.findall(r'href="([^"#]+)"', page)] == [f"../{name}"]
        assert page.count("<section") == 3  # the account, the run's problems, the method


def test_many_findings_split_a_run_too():
    account = bad_account()
    many = tuple(replace(account.findings[0], id=f"{place:016x}") for place in range(1_001))
    pair = [replace(account, name=name, findings=many) for name in ("one", "two")]
    assert len(files(report(*pair), "report.html")) == 3
    assert len(files(report(pair[0]), "report.html")) == 1


def test_a_long_run_in_one_file_holds_the_worst_in_full_and_names_the_others():
    accounts = [replace(dim_account(), name=f"desk-{place:03}") for place in range(60)]
    said = render(report(*accounts)).decode()
    assert said.count('class="account"') == FULL_ACCOUNTS
    assert "desk-059" in said
    assert f"The {FULL_ACCOUNTS} worst accounts follow in full." in said


def test_one_file_holds_the_worst_account_however_long_and_no_more_than_it_can():
    account = bad_account()
    many = tuple(replace(account.findings[0], id=f"{place:016x}") for place in range(FULL_FINDINGS // 2))
    for amount, full in ((1, 3), (2, 1), (3, 1)):
        first = replace(account, findings=(many * 3)[: amount * len(many)])
        said = render(report(first, replace(account, findings=many[:-1]), replace(account, findings=many[:1]))).decode()
        assert said.count('class="account"') == full, amount


def test_evidence_of_a_flood_is_cut_and_said_to_be():
    account = bad_account()
    flood = replace(
        account.findings[0], evidence=tuple(EvidenceLine(fact=f"f{n}", value=n, source="api") for n in range(999))
    )
    said = render(report(replace(account, findings=(flood,), paths=None))).decode()
    assert said.count("<li><code>f") == 50


@given(ANY_TEXT | st.text(" ~a\t\n\u00e9", max_size=30), st.integers(1, 40))
def test_the_short_way_for_plain_text_says_the_same(text, limit):
    assert _words.prose(text, limit) == printable(re.sub(r"[ \t\r\n]+", " ", text).strip(" "), limit=limit)
    assert _words.label(text) == printable(text, limit=_words.LONGEST_LABEL)
