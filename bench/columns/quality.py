"""Columns of task performance."""

from bench.columns.column import Column

COLUMNS = (
    Column("quality", "", "higher", "percent", "mean of the task's official metrics on its evaluation splits"),
    Column("accuracy", "", "higher", "percent", "share of examples whose predicted label is right"),
    Column("f1", "", "higher", "percent", "F1 of the positive class; for span QA token F1, the best over the answers"),
    Column("mcc", "", "higher", "percent", "Matthews correlation coefficient"),
    Column("pearson", "", "higher", "percent", "Pearson correlation of predicted and true score"),
    Column("spearman", "", "higher", "percent", "Spearman rank correlation of predicted and true score"),
    Column("exact_match", "", "higher", "percent", "share of answers equal to a reference after SQuAD normalisation"),
    Column("retention", "", "higher", "percent", "quality divided by the reference's quality on the same examples"),
)
