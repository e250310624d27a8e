"""Columns of robustness: shifted data and attacks."""

from bench.columns.column import Column

COLUMNS = (
    Column("ood_quality", "", "higher", "percent", "quality on the shifted split, without further training"),
    Column("ood_gap", "", "lower", "percent", "quality minus quality on the shifted split"),
    Column("ood_relative_bias", "", "lower", "ratio", "gap divided by the reference's gap (Du 2021)"),
    Column("attack_clean_accuracy", "", "higher", "percent", "accuracy on the attacked sample before the attack"),
    Column("attack_accuracy", "", "higher", "percent", "accuracy under attack, attacked model queried itself"),
    Column("attack_success", "", "lower", "percent", "flipped examples among those that were right before"),
    Column("attack_success_common", "", "lower", "percent", "flipped share among examples both models had right"),
    Column("attack_queries", "queries", "higher", "number", "mean model queries per attacked example"),
    Column("attack_words", "", "higher", "percent", "mean share of words changed in flipped examples"),
)
