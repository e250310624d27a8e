"""The page docs/library.md, run once from top to bottom in a folder of its own with a suite that takes seconds."""

from __future__ import annotations

import contextlib
import io
import re

import pytest
from made_page import PAGE, SUITE


@pytest.fixture(scope="session")
def page(tmp_path_factory):
    """The names that the page defines, and `folder` and `printed`: where it ran and what it printed."""
    from bench.methods.base.method import METHODS

    folder = tmp_path_factory.mktemp("page")
    (folder / "my-suite.toml").write_text(SUITE, encoding="utf-8")
    METHODS.names()
    printed = io.StringIO()
    names = {"folder": folder}
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(printed):
        patch.setattr(METHODS, "_plugins", dict(METHODS._plugins))
        patch.setattr(METHODS, "_origins", dict(METHODS._origins))
        patch.chdir(folder)
        patch.setenv("BENCH_CACHE", str(folder / "cache"))
        for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
            exec(block, names)
        names["methods"] = METHODS.names()
    return {**names, "printed": printed.getvalue()}
