"""Every mutation of benchmarks/mutations still applies; running them takes minutes and is done by hand."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).parents[2] / "benchmarks" / "mutations" / "__main__.py"
spec = importlib.util.spec_from_file_location("mutations", PATH)
mutations = importlib.util.module_from_spec(spec)
spec.loader.exec_module(mutations)


@pytest.mark.parametrize("name", mutations.MUTATIONS)
def test_a_mutation_changes_code_that_is_there_and_names_tests_that_are(name):
    mutation = mutations.MUTATIONS[name]
    compile(mutations.mutated(mutation), mutation.file, "exec")
    assert (mutations.ROOT / mutation.tests).is_file()
