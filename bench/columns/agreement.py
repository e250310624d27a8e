"""Columns of agreement with the reference."""

from bench.columns.column import Column

COLUMNS = (
    Column("label_loyalty", "", "higher", "percent", "share of examples with the reference's label (Xu 2021)"),
    Column("probability_loyalty", "", "higher", "percent", "mean of 1 - Jensen-Shannon distance, base 2 (Xu 2021)"),
    Column("fidelity_kl", "nats", "lower", "number", "mean KL(reference || artifact), evaluation split (Stanton 2021)"),
    Column("fidelity_kl_train", "nats", "lower", "number", "mean KL(reference || artifact), training examples"),
    Column("output_correlation", "", "higher", "percent", "Pearson correlation of the two models' regression outputs"),
)
