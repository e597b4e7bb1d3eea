"""Each format read by somebody else's reader: what comes back is what a program would see. Raises where it is not valid."""

import csv as stdlib_csv
import io
import json
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm
import junitparser
from cmarkgfm.cmark import Options
from jsonschema import Draft4Validator, Draft202012Validator
from lxml import etree
from prometheus_client.parser import text_string_to_metric_families
from py_ocsf_models.events.findings.compliance_finding import ComplianceFinding

from auditor.reports import json as json_format

SCHEMAS = Path(__file__).parent / "schemas"
BLOCKS = {"h1", "h2", "h3", "p", "ul", "ol", "li", "strong", "table", "thead", "tbody", "tr", "th", "td", "code"}


@cache
def _validator(name):
    schema = json.loads((SCHEMAS / name).read_text())
    kind = Draft4Validator if "draft-04" in schema["$schema"] else Draft202012Validator
    kind.check_schema(schema)
    return kind(schema)


def _strictly(content):
    def table(pairs):
        assert len({key for key, _ in pairs}) == len(pairs)
        return dict(pairs)

    def constant(name):
        raise AssertionError(name)

    return json.loads(content.decode(), object_pairs_hook=table, parse_constant=constant)


def read_json(content):
    document = _strictly(content)
    Draft202012Validator(json_format.schema()).validate(document)
    return document


def read_sarif(content):
    document = _strictly(content)
    _validator("sarif-schema-2.1.0.json").validate(document)
    return document


def read_ocsf(content):
    events = _strictly(content)
    for event in events:
        _validator("ocsf-1.8.0-compliance-finding.json").validate(event)
        ComplianceFinding.model_validate(event)
    return events


def read_junit(content):
    tree = etree.fromstring(content)
    with (SCHEMAS / "junit-10.xsd").open("rb") as stream:
        etree.XMLSchema(etree.parse(stream)).assertValid(tree)
    return junitparser.JUnitXml.fromstring(content)


def read_csv(content):
    text = content.decode()
    assert "\n" not in text.replace("\r\n", "")
    rows = list(stdlib_csv.reader(io.StringIO(text, newline=""), strict=True))
    assert {len(row) for row in rows} == {len(rows[0])}
    return [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]


def read_prometheus(content):
    return list(text_string_to_metric_families(content.decode()))


class _Page(HTMLParser):
    """What a browser is given: the tags in order, and the text outside of code."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.tags, self.text, self.cells, self._depth = [], [], [], 0

    def handle_starttag(self, tag, attrs):
        assert all(name in {"align", "start"} for name, _ in attrs), attrs
        self.tags.append(tag)
        self._depth += tag == "code"

    def handle_endtag(self, tag):
        self._depth -= tag == "code"

    def handle_data(self, data):
        self.cells.append(data)
        if not self._depth:
            self.text.append(data)

    def handle_comment(self, data):
        raise AssertionError(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


_EXPANDED = re.compile(
    r"@\w|(?<![\w&])#\d|\bgh-\d|https?:|www\.|!\[|\]\(|<\w|\$[^$]+\$|:[a-z_+-]+:|\{\{|\b[A-Z]+-\d+\b(?!-)",
    re.IGNORECASE,
)
"""What GitHub finds in the text of a rendered page and makes something of."""


def read_markdown(content):
    """The page as GitHub's renderer makes it, raw HTML let through: nothing in it may be more than text."""
    page = _Page()
    page.feed(cmarkgfm.github_flavored_markdown_to_html(content.decode(), options=Options.CMARK_OPT_UNSAFE))
    page.close()
    assert set(page.tags) <= BLOCKS, set(page.tags) - BLOCKS
    for piece in page.text:
        assert not _EXPANDED.search(piece), piece
    return page


def read_text(content):
    return content.decode()


READERS = {
    "text": read_text,
    "json": read_json,
    "html": read_text,
    "markdown": read_markdown,
    "sarif": read_sarif,
    "ocsf": read_ocsf,
    "csv": read_csv,
    "junit": read_junit,
    "prometheus": read_prometheus,
    "checklist": read_markdown,
}
