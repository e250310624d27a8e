"""Every result column once: its name, unit, direction and meaning."""

from __future__ import annotations

from typing import Literal, NamedTuple

from bench.errors import unknown


class Column(NamedTuple):
    """What one number of a record means.

    `better` is None where neither direction is better by itself. `show` is how a table prints it: `percent` for shares
    (stored as 0 to 1), `ratio` (2.1x), `count` (12.3 M), `bytes`, `seconds`, `number`.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"] | None
    show: Literal["percent", "ratio", "count", "bytes", "seconds", "number"]
    says: str


_COLUMNS = (
    # quality
    Column("quality", "", "higher", "percent", "mean of the task's official metrics on its evaluation splits"),
    Column("accuracy", "", "higher", "percent", "share of examples whose predicted label is right"),
    Column("f1", "", "higher", "percent", "F1 of the positive class; for span QA token F1, the best over the answers"),
    Column("mcc", "", "higher", "percent", "Matthews correlation coefficient"),
    Column("pearson", "", "higher", "percent", "Pearson correlation of predicted and true score"),
    Column("spearman", "", "higher", "percent", "Spearman rank correlation of predicted and true score"),
    Column("exact_match", "", "higher", "percent", "share of answers equal to a reference after SQuAD normalisation"),
    Column("retention", "", "higher", "percent", "quality divided by the reference's quality on the same examples"),
    # agreement with the reference
    Column("label_loyalty", "", "higher", "percent", "share of examples with the reference's label (Xu 2021)"),
    Column("probability_loyalty", "", "higher", "percent", "mean of 1 - Jensen-Shannon distance, base 2 (Xu 2021)"),
    Column("fidelity_kl", "nats", "lower", "number", "mean KL(reference || artifact), evaluation split (Stanton 2021)"),
    Column("fidelity_kl_train", "nats", "lower", "number", "mean KL(reference || artifact), training examples"),
    Column("output_correlation", "", "higher", "percent", "Pearson correlation of the two models' regression outputs"),
    # robustness
    Column("ood_quality", "", "higher", "percent", "quality on the shifted split, without further training"),
    Column("ood_gap", "", "lower", "percent", "quality minus quality on the shifted split"),
    Column("ood_relative_bias", "", "lower", "ratio", "gap divided by the reference's gap (Du 2021)"),
    Column("attack_clean_accuracy", "", "higher", "percent", "accuracy on the attacked sample before the attack"),
    Column("attack_accuracy", "", "higher", "percent", "accuracy under attack, attacked model queried itself"),
    Column("attack_success", "", "lower", "percent", "flipped examples among those that were right before"),
    Column("attack_success_common", "", "lower", "percent", "flipped share among examples both models had right"),
    Column("attack_queries", "queries", "higher", "number", "mean model queries per attacked example"),
    Column("attack_words", "", "higher", "percent", "mean share of words changed in flipped examples"),
    # computation
    Column("macs", "MAC", "lower", "count", "multiply-adds executed for one example at the stated length"),
    Column("flops", "FLOP", "lower", "count", "2 * macs"),
    Column("macs_effective", "MAC", "lower", "count", "multiply-adds with a non-zero weight"),
    Column("bops", "bitop", "lower", "count", "sum of MACs * weight bits * activation bits"),
    Column("flops_coverage", "", None, "percent", "share of the heavy operator calls that could be counted"),
    # time
    Column("latency_p50_s", "s", "lower", "seconds", "median seconds a batch of the stated size, after warm-up"),
    Column("latency_p90_s", "s", "lower", "seconds", "90th percentile of the same; needs 64 samples"),
    Column("latency_p99_s", "s", "lower", "seconds", "99th percentile of the same; needs 662 samples"),
    Column("latency_mad_s", "s", None, "seconds", "median absolute deviation of the same"),
    Column("load_s", "s", "lower", "seconds", "seconds from files on disk to a model ready to be called"),
    Column("first_call_s", "s", "lower", "seconds", "seconds of the first call after loading"),
    Column("throughput_eps", "examples/s", "higher", "number", "examples a second at the stated throughput batch"),
    Column("speedup", "", "higher", "ratio", "reference time over artifact time, median of interleaved pairs"),
    Column("speedup_low", "", "higher", "ratio", "lower end of the 95 % bootstrap interval of speedup"),
    Column("speedup_high", "", "higher", "ratio", "upper end of the 95 % bootstrap interval of speedup"),
    Column("speedup_layers", "", "higher", "ratio", "layer-count proxy: reference layers over executed layers"),
    # storage and memory
    Column("params", "", "lower", "count", "stored parameter elements, each once"),
    Column("params_nonzero", "", "lower", "count", "stored parameter elements that are not zero"),
    Column("params_embedding", "", "lower", "count", "stored elements of embedding tables"),
    Column("size_bytes", "B", "lower", "bytes", "weights and side data of the artifact on disk"),
    Column("compression", "", "higher", "ratio", "reference bytes over artifact bytes, both as artifacts on disk"),
    Column("memory_load_bytes", "B", "lower", "bytes", "peak memory added by loading, in a process of its own"),
    Column("memory_peak_bytes", "B", "lower", "bytes", "peak memory added by loading and inference, own process"),
    # energy and carbon
    Column("energy_kwh", "kWh", "lower", "number", "energy of 1,000 inferences at the latency batch, by CodeCarbon"),
    Column("emissions_kgco2e", "kg", "lower", "number", "CO2-equivalent of the same, stated country's grid"),
    Column("compress_energy_kwh", "kWh", "lower", "number", "energy of making the artifact from the reference"),
    Column("compress_s", "s", "lower", "seconds", "seconds of making the artifact from the reference"),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _COLUMNS}


def column(name: str, *, where: str | None = None) -> Column:
    """The column called `name`; raises `UnknownNameError` that suggests the nearest name."""
    if name not in COLUMNS:
        raise unknown("column", name, COLUMNS, where=where)
    return COLUMNS[name]
