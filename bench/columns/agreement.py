"""Columns of agreement with the reference."""

from bench.columns.column import Column

_XU = "Xu et al. 2021, arXiv:2109.03228"
_STANTON = "Stanton et al. 2021, arXiv:2106.05945"
_TEST = "measures/test_agreement.py"

COLUMNS = (
    *Column(
        "label_loyalty",
        says="share of examples with the same label as the reference's (Xu 2021)",
        kind="score",
        show="percent",
        better="higher",
        source=f"{_XU}; equals the top-1 agreement of {_STANTON}",
        oracle=f"{_TEST}::test_examples_of_all_splits_count_alike",
        scale="share",
    ).with_interval(
        "95 % bootstrap interval of label_loyalty over the examples",
        source="Efron and Tibshirani 1993, chapter 13",
        oracle=f"{_TEST}::test_the_interval_of_label_loyalty_is_that_of_a_binomial_share",
    ),
    Column(
        "probability_loyalty",
        says="mean of 1 - Jensen-Shannon distance, base 2 (Xu 2021)",
        kind="score",
        show="percent",
        better="higher",
        source=f"{_XU}; base 2 is ours, so that disjoint predictions get 0",
        oracle=f"{_TEST}::test_probability_loyalty_has_its_golden_values_in_base_two",
        scale="share",
    ),
    Column(
        "fidelity_kl",
        says="mean KL(reference || artifact), evaluation split (Stanton 2021)",
        kind="score",
        show="number",
        unit="nats",
        better="lower",
        source=_STANTON,
        oracle=f"{_TEST}::test_the_reference_comes_first_in_the_divergence",
    ),
    Column(
        "fidelity_kl_train",
        says="mean KL(reference || artifact), training examples",
        kind="score",
        show="number",
        unit="nats",
        better="lower",
        source=_STANTON,
        oracle=f"{_TEST}::test_divergence_on_training_data_is_that_of_the_first_training_examples",
    ),
    Column(
        "ranking_overlap",
        says="mean share of the reference's 10 best documents that are among the artifact's 10 best",
        kind="score",
        show="percent",
        better="higher",
        source="ours: the overlap at depth 10 of Webber et al. 2010, doi:10.1145/1852102.1852106, section 3",
        oracle="measures/test_retrieval.py::test_the_overlap_of_rankings_is_that_of_their_first_ten",
        scale="share",
    ),
    Column(
        "output_correlation",
        says="Pearson correlation of the two models' regression outputs",
        kind="score",
        show="percent",
        better="higher",
        source="ours: a regression output has neither a label nor a probability, so linear agreement is used",
        oracle=f"{_TEST}::test_regression_outputs_are_correlated_as_scipy_correlates_them",
        scale="correlation",
    ),
)
