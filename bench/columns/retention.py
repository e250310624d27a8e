"""Columns of task performance relative to the reference, and of calibration."""

from bench.columns.column import Column, PValue

_PAIRED = "Koehn 2004, Statistical Significance Tests for Machine Translation Evaluation (ACL W04-3250)"
_TEST = "measures/test_quality.py"

COLUMNS = (
    *Column(
        "drop",
        says="the reference's quality minus the artifact's on the same examples",
        kind="score",
        show="percent",
        better="lower",
        source="ours: a difference with its test says more than two separate scores",
        oracle=f"{_TEST}::test_the_drop_has_the_interval_and_the_p_of_a_paired_t_test",
        relative="difference",
        of="quality",
        scale="difference of qualities",
    ).with_interval(
        "95 % paired-bootstrap interval of drop over the examples",
        source=_PAIRED,
        oracle=f"{_TEST}::test_the_drop_has_the_interval_and_the_p_of_a_paired_t_test",
        p=PValue(
            says="two-sided p of the drop: exact McNemar if accuracy is the only metric, paired bootstrap otherwise",
            source="McNemar 1947, doi:10.1007/BF02295996; Dietterich 1998, section 3.1, doi:10.1162/089976698300017197",
            oracle=f"{_TEST}::test_a_drop_in_accuracy_is_tested_by_its_discordant_examples",
        ),
    ),
    *Column(
        "retention",
        says="quality divided by the reference's quality on the same examples",
        kind="score",
        show="percent",
        better="higher",
        source="Sanh et al. 2019 (DistilBERT), arXiv:1910.01108",
        oracle=f"{_TEST}::test_quality_is_the_mean_of_the_metrics_and_retention_their_quotient",
        mean="ratio of means",
        relative="ratio",
        of="quality",
        scale="ratio of qualities",
    ).with_interval(
        "95 % paired-bootstrap interval of retention over the examples",
        source="Efron and Tibshirani 1993, chapter 13",
        oracle=f"{_TEST}::test_the_interval_of_retention_is_that_of_quality_beside_a_perfect_reference",
    ),
    Column(
        "calibration_ece",
        says="expected calibration error: mean distance of confidence from accuracy, 15 bins of equal width",
        kind="score",
        show="percent",
        better="lower",
        source="Guo et al. 2017, arXiv:1706.04599, section 2",
        oracle="measures/test_calibration.py::test_calibration_error_equals_a_loop_over_the_bins",
        scale="share",
    ),
)
