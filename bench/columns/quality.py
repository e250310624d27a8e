"""The column of task performance; those of the metrics are in `bench.tasks.metrics`."""

from bench.columns.column import Column

_TEST = "measures/test_quality.py"

COLUMNS = (
    *Column(
        "quality",
        says="mean of the task's official metrics on its evaluation splits",
        kind="score",
        show="percent",
        better="higher",
        source="Wang et al. 2018 (GLUE), arXiv:1804.07461: a task with two metrics counts with their mean",
        oracle=f"{_TEST}::test_quality_is_the_mean_of_the_metrics_and_retention_their_quotient",
        scale="quality",
    ).with_interval(
        "95 % bootstrap interval of quality over the examples",
        source="Efron and Tibshirani 1993, chapter 13",
        oracle=f"{_TEST}::test_the_interval_of_accuracy_is_that_of_a_binomial_share",
    ),
)
