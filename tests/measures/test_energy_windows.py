"""Metered windows: idle first, then models in turn."""

import time

import pytest
from made_energy import FakeMeter, make_idle, make_reading
from made_pairs import make_setting

from bench.measures.energy import windows
from bench.measures.energy.meter import Load
from bench.measures.energy.windows import BUSY, Window, idle_power_w, joined, meter_models, window_count


def measuring(**more):
    return make_setting(**{"energy_seconds": 0.03, "energy_sample_s": 0.01, **more}).measuring


@pytest.fixture
def metered(monkeypatch):
    """Meters made-up models: the order of their windows, and the session."""

    def run(*readings, only=None, **more):
        monkeypatch.setattr(windows, "EnergyMeter", FakeMeter(*readings))
        order = []

        def call(name):
            def one():
                order.append(name)
                time.sleep(0.001)
                return 2

            return one

        calls = {name: call(name) for name in ("artifact", "reference")}
        asked = measuring(**more)
        session = meter_models(calls, measuring=asked, rounds=range(window_count(asked)) if only is None else only)
        return [name for name, before in zip(order, ["", *order], strict=False) if name != before], session

    return run


@pytest.mark.parametrize(
    ("seconds", "sample_s", "most", "count"),
    [
        (3.0, 0.25, 3, 1),  # two windows would have six samples each
        (3.0, 0.1, 3, 3),
        (3.0, 0.1, 2, 2),
        (0.54, 0.05, 3, 1),
        (0.2, 0.1, 3, 1),  # not even one has ten, which its reading then says
        (10.0, 0.001, 1000, 20),  # CodeCarbon samples every 0.05 s at most
    ],
)
def test_there_are_as_many_windows_as_the_time_can_fill_with_samples(seconds, sample_s, most, count):
    asked = measuring(energy_seconds=seconds, energy_sample_s=sample_s, energy_windows=most)
    assert window_count(asked) == count


def test_the_idle_window_comes_first_and_runs_nothing(metered):
    order, session = metered(make_idle(40.0), make_reading(100.0), make_reading(100.0))
    assert sorted(order) == ["artifact", "reference"]
    assert idle_power_w(session.idle, [make_reading()]) == pytest.approx(40.0)
    assert session.models["artifact"].windows[0].energy.mean_w == pytest.approx(100.0)


def test_windows_of_the_models_take_turns_in_an_order_that_is_drawn_for_each_round(metered):
    readings = [make_idle(), *(make_reading() for _ in range(16))]
    more = {"energy_seconds": 4.0, "energy_sample_s": 0.05, "energy_windows": 8}
    orders = []
    for only in (None, None, *([number] for number in range(8))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(windows, "_block", lambda _m, seconds, work: (make_reading(), work()))
            order, session = metered(*readings, only=only, **more)
        count = 8 if only is None else 1
        assert len(session.models["artifact"].windows) == len(session.models["reference"].windows) == count
        orders.append(order)
    assert orders[0] == orders[1]
    assert {tuple(order) for order in orders[2:]} == {("artifact", "reference"), ("reference", "artifact")}


def test_sessions_of_several_processes_are_one(metered):
    _, first = metered(make_idle(40.0), make_reading(100.0), make_reading(100.0), only=[0])
    _, second = metered("3 samples", make_reading(200.0), only=[1])
    assert second.idle is None
    session = joined([second, first])
    assert idle_power_w(session.idle, [make_reading()]) == pytest.approx(40.0)
    windows_ = [set(model.windows) for model in session.models.values()]
    assert sorted(map(len, windows_)) == [1, 2]
    assert sorted(len(model.reasons) for model in session.models.values()) == [0, 1]
    assert "no result" in idle_power_w(joined([second]).idle, [make_reading()])


def test_a_window_counts_the_examples_of_its_own_calls(metered):
    _, session = metered(make_idle(), make_reading(), make_reading(), energy_seconds=0.1)
    for metered_model in session.models.values():
        assert metered_model.windows[0].inferences >= 4
        assert metered_model.windows[0].inferences % 2 == 0


def test_a_window_without_a_reading_is_left_out_with_its_reason(metered):
    _, session = metered(make_idle(), "3 samples", "4 samples")
    assert [model.windows for model in session.models.values()] == [{}, {}]
    assert sorted(model.reasons[0] for model in session.models.values()) == ["3 samples", "4 samples"]


def test_a_window_waits_for_late_samples_but_not_for_ever(monkeypatch):
    monkeypatch.setattr(FakeMeter, "samples", 3)
    for seconds, least, most in ((0.2, 0.4, 0.8), (0.05, 0.05, 0.2)):  # 0.05 s have no ten samples to wait for
        monkeypatch.setattr(windows, "EnergyMeter", FakeMeter("3 samples"))
        started = time.perf_counter()
        windows._block(measuring(), seconds, lambda: windows._wait(0.005))
        assert least <= time.perf_counter() - started <= most


def test_a_thousand_inferences_are_the_window_by_its_inferences():
    window = Window(make_reading(100.0, 36.0), 4000)
    assert window.kwh == pytest.approx(0.001 / 4)
    assert window.net_kwh(40.0) == pytest.approx(0.0006 / 4)
    assert window.net_kwh(100.0) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("idle", "words"),
    [
        ("3 samples", "idle window: 3 samples"),
        (make_idle(load=Load(0.1, 2 * BUSY, 1.0)), "not idle: other work used 20%"),
        (make_idle(sources={"processor": "constant"}), "constant"),
    ],
)
def test_an_idle_window_that_tells_nothing_says_why(idle, words):
    assert words in idle_power_w(idle, [make_reading()])


def test_other_work_that_stays_cancels_and_other_work_that_changes_makes_the_idle_window_no_baseline():
    idle = make_idle(load=Load(0.0, 0.3 * 36, 64 * 36))  # 0.3 of 64 processors, all the time
    same, more = (make_reading(load=Load(36.0, (1 + other) * 36, 64 * 36)) for other in (0.35, 0.5))
    assert idle_power_w(idle, [same]) == pytest.approx(40.0)
    assert "0.3 processors busy in the idle window and 0.5 during the inferences" in idle_power_w(idle, [more])
    assert "no baseline" in idle_power_w(make_idle(load=Load(0.0, 3.0 * 36, 64 * 36)), [same])  # gone since


def test_a_window_beside_other_programs_has_no_reading_but_the_reason(metered):
    busy = make_reading(load=Load(36.0, 66.0, 72.0))
    _, session = metered(make_idle(), busy, make_reading())
    assert sorted(len(model.windows) for model in session.models.values()) == [0, 1]
    reasons = [reason for model in session.models.values() for reason in model.reasons]
    assert len(reasons) == 1
    assert reasons[0].startswith("the machine was busy: other programs used 42% of its processor time while the energy")
