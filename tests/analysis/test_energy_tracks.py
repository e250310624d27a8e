"""An estimate ranks by no column of energy, and a break-even is never averaged."""

import pytest

from bench.analysis.leaderboard import leaderboard
from bench.analysis.means import aggregate
from bench.columns import column, energy

TIMES = {"compress_s", "compress_cpu_s", "compress_epochs"}  # of the same group, and no energies
DIRECTED = [item.name for item in energy.COLUMNS if item.better and item.name not in TIMES]
MEASURED = {"power_source": "rapl", "compress_power_source": "rapl + nvml"}


def board(suite_with, row, name, conditions):
    suite = suite_with(tracks=[{"name": "green", "rank": name}])
    records = row("svd", 0.8, 0.8, 0.8, values={name: 5}, conditions={"carbon": conditions})
    return leaderboard(suite, records, "green")


def why(found):
    """The reason of the one row that has no rank."""
    (place,) = found.places
    return place.rank.reason


@pytest.mark.parametrize("name", DIRECTED)
@pytest.mark.parametrize("key", [*MEASURED, "nothing is stated"])
def test_an_estimate_ranks_by_no_column_of_energy(suite_with, row, name, key):
    estimates = dict.fromkeys(MEASURED, "load model")
    found = board(suite_with, row, name, estimates if key in MEASURED else {})
    assert f"{name} is estimated" in why(found)
    assert "Estimates of energy are not ranked" in found.table().notes[-1]


def test_a_measured_energy_ranks_and_a_break_even_needs_both_of_its_energies_measured(suite_with, row):
    for name in ("energy_net_kwh", "energy_eit_kwh", "emissions_kgco2e", "water_l", "compress_energy_kwh"):
        assert board(suite_with, row, name, MEASURED).places[0].rank == 1
    for key in MEASURED:
        assert "load model" in why(board(suite_with, row, "break_even_inferences", {**MEASURED, key: "load model"}))


def test_a_thermal_design_power_never_ranks(suite_with, row):
    stated = {**MEASURED, "lacoste_power_source": "thermal design power, stated in the setting"}
    assert "thermal design power" in why(board(suite_with, row, "emissions_lacoste_kgco2e", stated))


def test_a_break_even_has_no_mean():
    assert aggregate(column("break_even_inferences"), [[7]]) == 7
    for tasks in ([[7], [9]], [[7, 9]]):
        with pytest.raises(ValueError, match="no mean"):
            aggregate(column("break_even_inferences"), tasks)
