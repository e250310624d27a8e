"""Columns of computation: what one example costs in operations."""

from bench.columns.column import Column

_FORM = (
    "ours: what fvcore calls a flop, with our own formula if fvcore has none for an operator or counts it by element"
)
_TRACE, _DEPTH = "measures/test_trace.py", "measures/test_dynamic_depth.py"

COLUMNS = (
    Column(
        "macs",
        says="multiply-adds executed for one example at the stated length; "
        "if depth is dynamic, the mean over actual exits",
        kind="count",
        show="count",
        unit="MAC",
        better="lower",
        source=_FORM,
        oracle=f"{_TRACE}::test_a_tiny_bert_meets_the_closed_form_and_torchs_own_counter",
    ),
    Column(
        "flops",
        says="2 * macs",
        kind="count",
        show="count",
        unit="FLOP",
        better="lower",
        source="systems.md M2: a multiply-add is two operations, as in TinyBERT's and MobileBERT's tables",
        oracle=f"{_TRACE}::test_bert_base_with_pooler_and_head_has_the_golden_total",
    ),
    Column(
        "macs_effective",
        says="multiply-adds with a non-zero weight",
        kind="count",
        show="count",
        unit="MAC",
        better="lower",
        source="ours: zeros in a dense matrix are still executed, so what they could save is a separate column",
        oracle="measures/test_operators_modules.py::"
        "test_dense_and_effective_multiply_adds_are_the_sums_of_ones_that_the_layer_itself_adds",
    ),
    Column(
        "bops",
        says="sum of MACs * weight bits * activation bits",
        kind="count",
        show="count",
        unit="bitop",
        better="lower",
        source="van Baalen et al. 2020 (Bayesian Bits), arXiv:2005.07093",
        oracle="measures/test_operators.py::test_bit_operations_are_those_of_every_pair_of_bits_that_a_loop_multiplies",
    ),
    Column(
        "flops_coverage",
        says="share of heavy operator calls whose multiply-adds could be counted",
        kind="count",
        show="percent",
        source="ours: fvcore only logs what it skips; here any operator not known to be light counts as heavy",
        oracle=f"{_TRACE}::test_an_operator_that_nobody_can_count_lowers_coverage_and_is_named",
    ),
    Column(
        "speedup_layers",
        says="layer-count proxy: reference layers over executed layers",
        kind="count",
        show="ratio",
        better="higher",
        source="Zhou et al. 2020 (PABEE), arXiv:2006.04152; Sun et al. 2021: sum of L * m_i over sum of i * m_i",
        oracle=f"{_DEPTH}::test_the_layer_proxy_is_a_ratio_of_sums_and_not_the_saved_share",
        mean="geometric",
        relative="ratio",
    ),
    Column(
        "graph_difference",
        says="largest difference of an exported graph's outputs from its model's on training examples, as a share of "
        "the outputs' standard deviation",
        kind="count",
        show="number",
        better="lower",
        source="ours: an absolute difference says nothing without the spread of what it is a difference of",
        oracle="runtimes/test_comparison.py::test_the_difference_is_the_largest_one_over_the_spread_of_the_models_outputs",
        mean="largest",
    ),
)
