"""Columns of energy and carbon."""

from bench.columns.column import Column

COLUMNS = (
    Column("energy_kwh", "kWh", "lower", "number", "energy of 1,000 inferences at the latency batch, by CodeCarbon"),
    Column("emissions_kgco2e", "kg", "lower", "number", "CO2-equivalent of the same, stated country's grid"),
    Column("compress_energy_kwh", "kWh", "lower", "number", "energy of making the artifact from the reference"),
    Column("compress_s", "s", "lower", "seconds", "seconds of making the artifact from the reference"),
)
