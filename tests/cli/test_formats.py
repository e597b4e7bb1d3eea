"""Every format as the program writes it, over the shipped rules, read back by somebody else's reader."""

import pytest

from auditor.reports import FORMATS
from tests import stage
from tests.cli.test_transcripts import EVIDENCE
from tests.reports.validators import READERS


@pytest.fixture(scope="module")
def mine(tmp_path_factory):
    made = stage.Stage(tmp_path_factory.mktemp("formats"))
    made.write("evidence.yaml", EVIDENCE)
    return made


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_goes_to_stdout_or_into_a_file_and_is_valid_in_both(mine, name):
    shown = mine.run("evaluate", "evidence.yaml", "-f", name)
    assert shown.err == "" and shown.code in {10, 11, 12, 13}
    READERS[name](shown.out.encode())
    written = mine.run("evaluate", "evidence.yaml", "-f", name, "-o", f"r.{name}")
    assert (written.code, written.out, written.err) == (shown.code, "", "")
    READERS[name]((mine.work / f"r.{name}").read_bytes())


def test_all_of_them_go_into_a_folder(mine):
    args = [part for name in FORMATS for part in ("-f", name)]
    assert mine.run("evaluate", "evidence.yaml", *args, "-o", "all").err == ""
    found = {path.name for path in (mine.work / "all").iterdir() if path.is_file()}
    assert found == {f"report.{form.suffix}" for form in FORMATS.values()}


def test_options_of_a_format_reach_it(mine):
    strict = READERS["junit"](mine.run("evaluate", "evidence.yaml", "-f", "junit").out.encode())
    loose = READERS["junit"](
        mine.run("evaluate", "evidence.yaml", "-f", "junit", "--junit-unknown", "skipped").out.encode()
    )
    assert strict.errors > loose.errors == 0 and strict.failures == loose.failures > 0
    whole = mine.run("evaluate", "evidence.yaml", "-f", "checklist").out
    one = mine.run("evaluate", "evidence.yaml", "-f", "checklist", "--framework", "soc2").out
    assert "## SOC 2" in whole and "## ISO" in whole
    assert "## SOC 2" in one and "## ISO" not in one
    assert mine.run("evaluate", "evidence.yaml", "-f", "junit", "--junit-unknown", "passed").code == 2


def test_a_format_that_is_misspelled_is_guessed(mine):
    ran = mine.run("evaluate", "evidence.yaml", "-f", "sarrif")
    assert ran.code == 2 and "did you mean sarif?" in ran.err
