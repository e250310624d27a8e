"""Ctrl-C at the worst moment: between the start of a child and the note that it runs."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from bench.artifacts.store import Store
from bench.engine import runner
from bench.engine.interrupts import uninterrupted
from bench.engine.processes import Child
from bench.engine.runner import Places, Run
from bench.plan.cell import Conditions, plan
from bench.plan.recipes import load_recipe
from bench.spec.suite import load_suite

pytestmark = pytest.mark.timeout(120)


def sleep(job, report):
    time.sleep(job)


def test_an_interrupt_right_after_a_child_was_started_stops_it(tmp_path, monkeypatch):
    started = []

    def child_and_interrupt(work, job, *, log):
        started.append(Child(sleep, 100, log=log))
        signal.raise_signal(signal.SIGINT)
        return started[0]

    monkeypatch.setattr(runner, "Child", child_and_interrupt)
    suite = load_suite("demo")
    cells = plan(
        suite,
        tasks=suite.tasks[:1],
        model="demo-bert",
        recipes=[load_recipe("none")],
        seeds=[0],
        conditions=Conditions(),
    )
    run = Run(suite, cells, places=Places(results=tmp_path / "results", store=Store(tmp_path / "cache")))
    with pytest.raises(KeyboardInterrupt):
        list(run.go())
    (child,) = started
    try:
        assert child._process.exitcode == -signal.SIGKILL
    finally:
        child.stop()


def test_an_interrupt_inside_the_block_is_raised_after_it_and_the_handler_is_as_before():
    before, done = signal.getsignal(signal.SIGINT), []

    def interrupted():
        with uninterrupted():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done == ["whole"]
    assert signal.getsignal(signal.SIGINT) is before


def test_an_error_inside_the_block_is_raised_and_the_handler_is_as_before():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError, match="broken"), uninterrupted():
        raise ValueError("broken")
    assert signal.getsignal(signal.SIGINT) is before


def test_in_another_thread_nothing_is_held_back():
    seen = []

    def work():
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.getsignal(signal.SIGINT)]
