"""What people wrote is found by set and recipe, and a name that does not exist is refused."""

from __future__ import annotations

import pytest

from bench.base.errors import SuiteError, UnknownNameError
from bench.report.survey.notes import Notes, read_notes
from bench.report.survey.sets import result_sets

TEXT = """
[notes]
svd = "wide"
"svd[ratio=0.5]" = "narrower"
[sets.duo]
svd = "narrow"
"""


def test_the_narrowest_sentence_wins(file, suite):
    root = file("alpha", "svd")
    (root / "notes.toml").write_text(TEXT, encoding="utf-8")
    notes = read_notes(root, result_sets(root, {suite.name: suite}))
    assert notes.why("elsewhere", "svd", "svd") == "wide"
    assert notes.why("elsewhere", "svd[ratio=0.5]", "svd") == "narrower"
    assert notes.why("duo", "svd[ratio=0.5]", "svd") == "narrow"
    assert notes.why("duo", "drone", "drone") == ""


def test_without_a_file_there_is_nothing_to_say(tmp_path):
    assert read_notes(tmp_path, []) == Notes()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ('[notes]\nsvdd = "x"\n', UnknownNameError, "no recipe named 'svdd'. Did you mean 'svd'"),
        ('[sets.dua]\nsvd = "x"\n', UnknownNameError, "no result set named 'dua'. Did you mean 'duo'"),
        ("[notes]\nsvd = 3\n", SuiteError, "notes.svd: expected text, found 3"),
        ('[note]\nsvd = "x"\n', UnknownNameError, "Did you mean 'notes'"),
    ],
)
def test_a_slip_is_refused_with_the_file(file, suite, text, error, says):
    root = file("alpha", "svd")
    (root / "notes.toml").write_text(text, encoding="utf-8")
    with pytest.raises((error, SuiteError), match=says) as caught:
        read_notes(root, result_sets(root, {suite.name: suite}))
    assert "notes.toml" in str(caught.value)
