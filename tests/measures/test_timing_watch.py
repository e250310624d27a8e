from __future__ import annotations

import time

import psutil
import pytest

from bench.measures.timing.watch import Seen, Watch

QUIET = {
    "seconds": 1.0,
    "steal": 0.0,
    "other": 0.0,
    "switches_per_s": 0.0,
    "frequency_change": 0.0,
    "throttled": 0,
}


def codes(**changes):
    return [code for code, _ in Seen(**{**QUIET, **changes}).warnings()]


def test_a_quiet_machine_has_no_warning_and_an_unknown_one_neither():
    assert codes() == []
    assert codes(steal=None, other=None, switches_per_s=None, frequency_change=None, throttled=None) == []


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ({"steal": 0.02}, "cpu-steal"),
        ({"other": 0.3}, "busy-machine"),
        ({"switches_per_s": 90.0}, "interrupted"),
        ({"frequency_change": -0.2}, "frequency-drift"),
        ({"frequency_change": 0.2}, "frequency-drift"),
        ({"throttled": 3}, "thermal-throttle"),
    ],
)
def test_each_disturbance_has_its_code(what, code):
    assert codes(**what) == [code]


def test_steal_and_other_load_are_read_from_the_systems_counters(monkeypatch):
    class Times(tuple):
        names = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")

        def __getattr__(self, name):
            if name in self.names:
                return self[self.names.index(name)]
            raise AttributeError(name)

    before, after = Times((10, 0, 0, 100, 0, 0, 0, 0)), Times((13, 0, 0, 105, 0, 0, 0, 2))
    answers = iter([before, after])
    own = iter([1.0, 2.0])
    monkeypatch.setattr(psutil, "cpu_times", lambda: next(answers))

    class Process:
        def cpu_times(self):
            used = next(own)
            return type("T", (), {"user": used, "system": 0.0})()

    monkeypatch.setattr(psutil, "Process", Process)
    with Watch() as watch:
        pass
    assert watch.seen.steal == pytest.approx(0.2)
    assert watch.seen.other == pytest.approx(0.2)  # of 5 s busy, 1 s was ours and 2 s were stolen


def test_a_real_block_is_watched():
    with Watch() as watch:
        time.sleep(0.05)
    assert 0.05 <= watch.seen.seconds < 5
    assert watch.seen.conditions().keys() == QUIET.keys()
