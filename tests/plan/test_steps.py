"""Which children a run needs and in what order they may start."""

from dataclasses import dataclass, field
from types import SimpleNamespace

from bench.plan.steps import Step, startable, steps_of
from bench.spec.setting import Measuring, Setting


@dataclass(frozen=True)
class FakeRecipe:
    stages: tuple = ()


@dataclass(frozen=True)
class FakeCell:
    """A cell as far as planning looks at it."""

    key: str
    stage_keys: tuple = ()
    reference_key: str = "ref"
    recipe: FakeRecipe = field(default_factory=FakeRecipe)
    skip: tuple = ()
    closed: bool = False

    @property
    def beginning(self):
        return lambda count: FakeCell(key=f"{self.key}:{count}", stage_keys=self.stage_keys[:count])

    @property
    def suite(self):
        return SimpleNamespace(setting=Setting(measuring=Measuring(country="DEU", processes=2, skip=self.skip)))

    @property
    def task(self):
        return SimpleNamespace(kind="classification")

    @property
    def reference_place(self):
        return ("references", self.reference_key)

    @property
    def artifact_place(self):
        return ("artifacts", self.stage_keys[-1]) if self.stage_keys else self.reference_place


class FakeStore:
    def __init__(self, *there):
        self.there = set(there)

    def has(self, kind, key):
        return (kind, key) in self.there


def cell(name, *stages):
    return FakeCell(key=name, stage_keys=stages, recipe=FakeRecipe(stages))


PLACES = ("references ref", "artifacts k")
NONE, KD, KD_INT8 = cell("none"), cell("kd", "k"), cell("kd-int8", "k", "k-q")


def ids(steps):
    return [step.id for step in steps]


def test_everything_is_made_once_and_in_the_order_of_need():
    steps = steps_of([NONE, KD, KD_INT8], FakeStore(), jobs=1)
    by_id = {step.id: step for step in steps}
    assert len(by_id) == len(steps)
    assert ids(steps)[0] == "reference ref"
    assert by_id["compress k"].needs == {"reference ref"}
    assert by_id["compress k-q"].needs == {"reference ref", "compress k"}
    probes = {f"probe memory {name} {place}" for name in ("load", "process-0", "process-1") for place in PLACES}
    both = {f"probe latency process-{number} artifacts k references ref" for number in (0, 1)}
    assert by_id["measure kd"].needs >= {"compress k", *probes, *both}
    assert not any(name.startswith("probe decoding") for name in by_id)  # nothing is written in this kind of task
    assert (
        len([name for name in by_id if name.startswith("probe memory") and name.endswith(" ref")]) == 3
    )  # for three cells
    for step in steps:
        assert all(ids(steps).index(need) < ids(steps).index(step.id) for need in step.needs)


def test_a_beginning_that_recipes_share_is_made_once_and_kept_whatever_their_order():
    deep, flat, packed = cell("deep", "drop", "cut4"), cell("flat", "drop", "cut2"), cell("packed", "drop", "cut2", "q")
    by_id = {step.id: step for step in steps_of([deep, packed, flat], FakeStore(), jobs=2)}
    made = [name for name in by_id if name.startswith("compress")]
    assert made == ["compress drop", "compress cut4", "compress cut2", "compress q"]
    assert by_id["compress drop"].cell.stage_keys == ("drop",)
    assert by_id["compress cut2"].needs == {"reference ref", "compress drop"}
    assert by_id["compress q"].needs == {"reference ref", "compress drop", "compress cut2"}
    assert "compress drop" in by_id["measure deep"].needs


def test_a_beginning_of_one_recipe_alone_or_of_artifacts_that_are_there_is_not_kept():
    assert "compress drop" not in ids(steps_of([cell("deep", "drop", "cut4")], FakeStore(), jobs=1))
    deep, flat = cell("deep", "drop", "cut4"), cell("flat", "drop", "cut2")
    steps = steps_of([deep, flat], FakeStore(("artifacts", "cut4")), jobs=1)
    assert [name for name in ids(steps) if name.startswith("compress")] == ["compress cut2"]


def test_what_the_store_has_is_not_made_again():
    steps = steps_of([KD], FakeStore(("references", "ref"), ("artifacts", "k")), jobs=1)
    assert {step.phase for step in steps} == {"probe", "measure"}


def test_with_several_jobs_everything_is_made_before_anything_is_measured():
    phases = [step.phase for step in steps_of([NONE, KD, KD_INT8], FakeStore(), jobs=2)]
    assert phases == sorted(phases, key=lambda phase: phase in ("probe", "measure"))


def step(name, *needs, exclusive=False):
    return Step(phase="compress", cell=NONE, id=name, needs=frozenset(needs), exclusive=exclusive)


def test_a_step_waits_for_its_needs_and_leaves_its_place_to_the_next():
    a, b, c = step("a"), step("b", "a"), step("c")
    assert startable([a, b, c], [], jobs=2) == [a, c]
    assert startable([b, c], [a], jobs=2) == [c]
    assert startable([b], [], jobs=2) == [b]


def test_no_more_than_the_jobs_run_at_once():
    steps = [step("a"), step("b"), step("c")]
    assert startable(steps, [], jobs=2) == steps[:2]
    assert startable(steps[2:], steps[:2], jobs=2) == []


def test_an_exclusive_step_runs_alone_and_is_not_overtaken():
    measure, train = step("m", exclusive=True), step("t")
    assert startable([measure, train], [], jobs=2) == [measure]
    assert startable([measure, train], [step("x")], jobs=2) == []
    assert startable([train], [measure], jobs=2) == []


def test_processes_of_one_measure_are_spread_over_the_time_of_all():
    measures = [step.probe.measure for step in steps_of([NONE], FakeStore(), jobs=1) if step.probe]
    first, second = (index for index, name in enumerate(measures) if name == "latency")
    assert set(measures[first:second]) == {"latency", "start", "memory"}


def test_a_skipped_measure_needs_no_probes():
    whole = [step.probe.measure for step in steps_of([NONE], FakeStore(), jobs=1) if step.probe]
    some = steps_of([FakeCell(key="none", skip=("memory", "latency"))], FakeStore(), jobs=1)
    assert set(whole) == {"latency", "start", "memory", "carbon"}
    assert {step.probe.measure for step in some if step.probe} == {"start", "carbon"}
