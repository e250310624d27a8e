"""Golden values of the formulas over energy."""

import pytest

from bench.measures.energy.calculators import (
    attributable_w,
    break_even_inferences,
    emissions_kgco2e,
    impact_tracker_kwh,
    lacoste_kgco2e,
    water_l,
)


def test_lacostes_own_example_is_10_8_kg():
    assert lacoste_kgco2e(watts=250, seconds=100 * 3600, grid_kgco2e_per_kwh=0.432) == pytest.approx(10.8)


def test_lacostes_sum_is_linear_in_hours_and_an_offset_takes_its_share():
    one = lacoste_kgco2e(watts=250, seconds=3600, grid_kgco2e_per_kwh=0.432)
    assert lacoste_kgco2e(watts=250, seconds=7 * 3600, grid_kgco2e_per_kwh=0.432) == pytest.approx(7 * one)
    assert lacoste_kgco2e(watts=250, seconds=3600, grid_kgco2e_per_kwh=0.432, offset=0.25) == pytest.approx(0.75 * one)
    assert lacoste_kgco2e(watts=250, seconds=3600, grid_kgco2e_per_kwh=0.432, offset=1.0) == 0


def test_100_w_for_36_s_are_1_wh_times_the_pue():
    assert impact_tracker_kwh([(36, 100)]) == pytest.approx(0.001 * 1.58)
    assert impact_tracker_kwh([(36, 100)], pue=1.0) == pytest.approx(0.001)


def test_the_impact_trackers_sum_does_not_depend_on_where_spans_are_cut():
    assert impact_tracker_kwh([(9, 100), (27, 100)]) == pytest.approx(impact_tracker_kwh([(36, 100)]))
    assert impact_tracker_kwh([(18, 150), (18, 50)]) == pytest.approx(impact_tracker_kwh([(36, 100)]))
    assert impact_tracker_kwh([]) == 0


def test_a_process_has_its_share_of_the_processor_and_the_whole_gpu():
    assert attributable_w(processor_w=80, processor_share=0.25, gpu_w=200) == pytest.approx(220)


def test_emissions_are_energy_times_pue_times_intensity():
    assert emissions_kgco2e(2.0, pue=1.0, grid_kgco2e_per_kwh=0.4) == pytest.approx(0.8)
    assert emissions_kgco2e(2.0, pue=1.5, grid_kgco2e_per_kwh=0.4) == pytest.approx(1.2)


def test_water_is_what_codecarbon_itself_counts(tmp_path):
    from codecarbon import OfflineEmissionsTracker

    tracker = OfflineEmissionsTracker(
        country_iso_code="DEU",
        pue=1.5,
        wue=1.8,
        output_methods=[],
        output_dir=str(tmp_path),
        log_level="critical",
        force_cpu_power=100,
        allow_multiple_runs=True,
    )
    tracker.start()
    tracker.stop()
    data = tracker.final_emissions_data
    assert data.water_consumed > 0
    assert water_l(data.energy_consumed / 1.5, pue=1.5, wue_l_per_kwh=1.8) == pytest.approx(data.water_consumed)
    emissions = emissions_kgco2e(data.energy_consumed / 1.5, pue=1.5, grid_kgco2e_per_kwh=0.38095)
    assert emissions == pytest.approx(data.emissions, rel=0.2)  # Germany's intensity, which moves with the table


def test_compressing_is_paid_back_when_the_savings_reach_its_energy():
    count = break_even_inferences(1.0, reference_kwh=0.005, artifact_kwh=0.0029, inferences=1000)
    saved = (0.005 - 0.0029) / 1000
    assert (count - 1) * saved < 1.0 <= count * saved
    assert break_even_inferences(0.0, reference_kwh=2.0, artifact_kwh=1.0, inferences=1000) == 0
    assert break_even_inferences(1.0, reference_kwh=2.0, artifact_kwh=1.0, inferences=1000) == 1000


@pytest.mark.parametrize("artifact_kwh", [2.0, 2.5])
def test_an_artifact_that_saves_nothing_never_pays_compressing_back(artifact_kwh):
    with pytest.raises(ValueError, match="saves no energy"):
        break_even_inferences(1.0, reference_kwh=2.0, artifact_kwh=artifact_kwh, inferences=1000)
