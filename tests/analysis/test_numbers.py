"""How numbers are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.columns import COLUMNS
from bench.columns.numbers import heading, significant, written


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("quality", 0.9123, "91.2%"),
        ("mcc", -0.0312, "-3.1%"),
        ("speedup", 2.314, "2.31x"),
        ("speedup", 14.92, "14.92x"),
        ("params", 109_483_778, "109M"),
        ("params", 999_999, "1.00M"),
        ("params", 999, "999"),
        ("macs", 11_174_217_216, "11.2G"),
        ("size_bytes", 437_935_112, "438 MB"),
        ("size_bytes", 412_000, "0.412 MB"),
        ("size_bytes", 1_340_000_000, "1340 MB"),
        ("latency_p50_s", 0.0123, "12.3 ms"),
        ("latency_p50_s", 0.00041, "410 µs"),
        ("compress_s", 754.2, "754 s"),
        ("compress_s", 0.9999, "1.00 s"),
        ("fidelity_kl", 0.2713, "0.271"),
        ("energy_kwh", 1.234e-5, "1.23e-05"),
        ("fidelity_kl", 0, "0"),
    ],
)
def test_numbers_carry_their_unit_and_three_digits(name, value, text):
    assert written(COLUMNS[name], value) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("latency_p50_s", "latency p50 ↓"),
        ("size_bytes", "size ↓"),
        ("energy_kwh", "energy kWh ↓"),
        ("attack_queries", "attack queries ↑"),
        ("flops_coverage", "flops coverage"),
    ],
)
def test_headings_say_direction_and_no_unit_twice(name, text):
    assert heading(COLUMNS[name]) == text


@given(st.floats(min_value=1e-9, max_value=1e12))
def test_three_digits_are_within_half_a_unit_of_the_third(value):
    assert float(significant(value)) == pytest.approx(value, rel=0.00501)


@given(st.sampled_from(sorted(COLUMNS)), st.floats(min_value=1e-7, max_value=1e15))
def test_no_written_value_is_longer_than_a_narrow_cell(name, value):
    shown = COLUMNS[name].show
    if shown in ("seconds", "bytes", "percent", "ratio") and value > 1e6:
        value = 1e6
    assert len(written(COLUMNS[name], value)) <= 12
