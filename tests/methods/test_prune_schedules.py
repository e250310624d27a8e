from __future__ import annotations

import itertools

import pytest
import torch
from made_pruning import lab_of, made, prune, pruning_of

from bench.methods.prune.cutting import Times, threshold
from bench.methods.prune.prune import Prune
from bench.models.adapter import adapter_for
from bench.training.hooks import Hook


def weights_of(model):
    return torch.cat([module.weight.detach().flatten() for module in adapter_for(model).linears(model).values()])


@pytest.fixture
def at_each_training(monkeypatch):
    """Calls a function with the model at the start of each training, which then moves every weight."""

    def watch(look):
        def tune(self, model, lab, *, hooks=(), **options):
            look(model)
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.01 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
            for hook in hooks:
                hook.after_step(None)

        monkeypatch.setattr(Prune, "tune", tune)

    return watch


@pytest.mark.parametrize("start", ["fresh", "source"])
def test_after_each_rewind_survivors_are_the_start_bit_for_bit_and_masks_only_grow(
    make_lab, tiny_bert, at_each_training, start
):
    lab = make_lab()
    seen = []
    at_each_training(lambda model: seen.append(weights_of(model)))
    prune(sparsity=1 - 0.8**4, schedule__rounds=4, start=start, schedule__rewind="start").compress(lab.reference, lab)
    begin = weights_of(lab.fresh(4, start == "source"))
    dense, *rounds = seen
    assert torch.equal(dense, begin)
    assert len(rounds) == 4
    for done, weights in enumerate(rounds, 1):
        stays = weights != 0
        assert float(stays.float().mean()) == pytest.approx(0.8**done, abs=1e-4)
        assert torch.equal(weights[stays], begin[stays])
        if done > 1:
            assert not (stays & (rounds[done - 2] == 0)).any()


def test_the_shuffled_control_has_other_values_of_the_same_distribution(make_lab, tiny_bert, at_each_training):
    lab = make_lab()
    seen = []
    at_each_training(lambda model: seen.append(weights_of(model)))
    for rewind in ("start", "shuffled"):
        prune(sparsity=0.2, start="fresh", schedule__rewind=rewind).compress(lab.reference, lab)
    ticket, control = seen[1], seen[3]
    assert torch.equal(ticket == 0, control == 0)
    alive = ticket != 0
    assert (ticket[alive] != control[alive]).float().mean() > 0.99
    assert set(control[alive].tolist()) <= set(weights_of(lab.fresh(4, False)).tolist())


def test_linear_steps_remove_equal_shares_of_all(make_lab, tiny_bert, at_each_training):
    seen = []
    at_each_training(lambda model: seen.append(float((weights_of(model) == 0).float().mean())))
    prune(sparsity=0.4, schedule__rounds=4, schedule__steps="linear").compress(tiny_bert(), make_lab())
    assert seen == pytest.approx([0.1, 0.2, 0.3, 0.4], abs=1e-4)


class Watching(Hook):
    """Remembers which weights are zero after each step."""

    def __init__(self):
        self.zeros = []

    def after_step(self, state):
        self.zeros.append(weights_of(state.model) == 0)


def trained(run, monkeypatch, schedule):
    """The weights that are zero after each step of a schedule."""
    watching = Watching()
    tune = Prune.tune
    monkeypatch.setattr(
        Prune,
        "tune",
        lambda self, model, lab, *, hooks=(), **more: tune(self, model, lab, hooks=[*hooks, watching], **more),
    )

    run.method.schedule.run(run)
    return watching.zeros


def test_gradual_pruning_never_takes_a_mask_back_and_ends_at_exactly_the_asked_sparsity(
    make_lab, tiny_bert, monkeypatch
):
    lab = make_lab(epochs=10.0)
    model = tiny_bert(layers=1)
    run = pruning_of(model, lab, sparsity=0.7, budget=1.0, schedule="gradual", schedule__every=3)
    zeros = trained(run, monkeypatch, "gradual")
    shares = [float(zero.float().mean()) for zero in zeros]
    total = len(weights_of(model))
    assert shares[0] == 0
    assert len(set(shares)) > 4
    assert all(not (before & ~after).any() for before, after in itertools.pairwise(zeros))
    assert int((weights_of(run.model) == 0).sum()) == round(0.7 * total)


def test_restoring_starts_its_last_phase_from_the_outputs_of_the_one_before(
    make_lab, tiny_bert, at_each_training, logits_of
):
    seen = []
    model = tiny_bert()

    def look(model):
        seen.append((float((weights_of(model) == 0).float().mean()), logits_of(model)))

    at_each_training(look)
    from bench.methods.prune.run import Pruning

    ends = []
    keep = Pruning.keep

    def kept(self, masks):
        ends.append(logits_of(self.model))
        keep(self, masks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pruning, "keep", kept)
        result = Prune(sparsity=0.3, schedule="restore").compress(model, make_lab())
    (pruned, _), (restored, first) = seen
    assert pruned == pytest.approx(0.3, abs=1e-4)
    assert restored == pytest.approx(0.3, abs=1e-4)  # unmasked, but not trained yet
    assert torch.equal(first, ends[1])
    assert not (weights_of(result) == 0).any()
    assert sum(tensor.numel() for tensor in result.parameters()) == sum(tensor.numel() for tensor in model.parameters())


def test_the_threshold_of_the_ramp_is_the_papers_and_rises_to_q():
    times = Times(start=2500, ramp=10000, end=21666)  # 7500 + 1.5 * 11666 = 24999 steps' worth of slope
    values = [threshold(step, times, q=0.3) for step in range(2400, 23000)]
    assert values[0] == 0
    assert all(later >= earlier for earlier, later in itertools.pairwise(values))
    assert values[-1] == threshold(21666, times, q=0.3) == pytest.approx(0.30003, abs=1e-6)
    slopes = [threshold(step + 1, times, q=0.3) - threshold(step, times, q=0.3) for step in (5000, 15000)]
    theta = 2 * 0.3 * 100 / (2 * 7500 + 3 * 11666)
    assert slopes == pytest.approx([theta / 100, 1.5 * theta / 100])


def test_the_ramp_of_a_frozen_model_removes_the_asked_share_and_takes_no_mask_back(make_lab, monkeypatch):
    model = made("bench-lstm-lm")
    lab = lab_of("bench-lstm-lm", make_lab, model=model, epochs=30.0)
    arguments = {
        "schedule": "ramp",
        "budget": 1.0,
        "schedule__settle_share": 0.5,
        "schedule__every": 2,
        "learning_rate": 1e-12,
    }
    run = pruning_of(model, lab, sparsity=0.9, **arguments)
    zeros = trained(run, monkeypatch, "ramp")
    shares = [float(zero.float().mean()) for zero in zeros]
    assert all(not (before & ~after).any() for before, after in itertools.pairwise(zeros))
    assert shares[int(0.09 * len(shares))] == 0
    assert 0 < shares[len(shares) // 4] < shares[2 * len(shares) // 5] < 0.9
    assert shares[len(shares) // 2 + 1] == pytest.approx(0.9, abs=1e-3)
    assert shares[-1] == shares[len(shares) // 2 + 1]
    assert run.sparsity == pytest.approx(0.9, abs=1e-3)


def test_the_ramp_from_fresh_weights_takes_its_end_from_the_reference(make_lab):
    from bench.methods.prune.ramp import ends

    reference = made("bench-lstm-lm")
    lab = lab_of("bench-lstm-lm", make_lab, model=reference)
    fresh = lab.fresh(2, False)
    with torch.no_grad():
        for parameter in fresh.parameters():
            parameter.mul_(100)
    found = ends(pruning_of(fresh, lab, sparsity=0.9, schedule="ramp", start="fresh"))
    wanted = float(weights_of(reference).abs().quantile(0.9))
    assert len(set(found.values())) == 1
    assert min(found.values()) == pytest.approx(wanted, rel=1e-2)
    by_class = ends(pruning_of(fresh, lab, sparsity=0.9, schedule="ramp", start="fresh", scope="class"))
    assert len(set(by_class.values())) == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"unit": "block"}, "pooling 'max' for units larger"),
        ({"saliency": "random"}, "needs saliency 'magnitude'"),
        ({"budget": 0.0}, "a budget of 0 trains nothing"),
        ({"schedule__ramp_share": 0.05}, "ramp_share must be between"),
    ],
)
def test_a_ramp_that_makes_no_sense_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        prune(sparsity=0.5, schedule="ramp", **arguments)


def test_what_is_pruned_of_a_change_is_bit_for_bit_as_pretrained(make_lab, tiny_bert):
    lab = make_lab()
    model = tiny_bert(seed=4)
    pruned = Prune(sparsity=0.995, delta=True).compress(model, lab)
    source, given, now = (weights_of(one) for one in (lab.fresh(4, True), model, pruned))
    changed = now != source
    assert float(changed.float().mean()) == pytest.approx(0.005, abs=1e-4)
    largest = (given - source).abs().sort(descending=True).indices[: int(changed.sum())]
    assert set(changed.nonzero().flatten().tolist()) == set(largest.tolist())
