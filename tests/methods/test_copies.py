"""No recipe holds more than three copies of the model: the reference, the one it makes, and one more.

Two teachers that were trained together are two models, so MT-BERT holds four: the teachers, the student, the reference.
One that learns a gate for each weight holds scores, draws and what stands behind the gates beside them: six at most.
Gradients and the moments of optimizers are no copies; every training has them.
"""

from __future__ import annotations

import gc

import pytest
import torch

from bench.base.errors import BenchError
from bench.methods.prune.learned import Learned
from bench.methods.prune.saliencies import SALIENCIES
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.recipe import recipe_names
from bench.training.hooks import Hook


def trains_in_torch(name):
    """Whether the memory of a recipe is torch's: exporters keep models of their own, of tensors without memory."""
    methods = [stage.method for stage in load_recipe(name).stages]
    return bool(methods) and "export" not in methods


COMPRESSING = [name for name in recipe_names() if trains_in_torch(name)]


def stored_bytes(tensors):
    """Bytes of the memory behind `tensors`, each piece of it once."""
    storages = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in tensors}
    return sum(storages.values())


def living():
    """Every float tensor there is that is no gradient and not the result of a computation under way."""
    found = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor) and each.device.type == "cpu"]
    gradients = {id(each.grad) for each in found if each.is_leaf and each.grad is not None}
    return [each for each in found if each.is_leaf and each.is_floating_point() and id(each) not in gradients]


class Watch(Hook):
    """The most bytes of models, snapshots and scores that were alive at the start of any step."""

    def __init__(self, known):
        self.known = known
        self.most = 0

    def before_step(self, state):
        self.look()

    def look(self):
        gc.collect()
        optimizers = [each for each in gc.get_objects() if issubclass(type(each), torch.optim.Optimizer)]
        skip = {id(value) for each in optimizers for entry in each.state.values() for value in entry.values()}
        fresh = [each for each in living() if id(each) not in self.known and id(each) not in skip]
        self.most = max(self.most, stored_bytes(fresh))


def compress(recipe, model, lab, watch):
    def train(subject, *, hooks=(), **options):
        return type(lab).train(lab, subject, hooks=[*hooks, watch], **options)

    object.__setattr__(lab, "train", train)
    for method in methods_of(recipe):
        model = method.compress(model, lab)
        watch.look()
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPRESSING)
def test_a_recipe_holds_at_most_three_copies(name, make_lab, tiny_bert):
    gc.collect()
    before = {id(each) for each in living()}
    stages = load_recipe(name).stages
    reference = tiny_bert()
    lab = make_lab(reference, epochs=0.5)
    one = stored_bytes(reference.parameters())
    watch = Watch(before)
    try:
        made = compress(load_recipe(name), reference, lab, watch)
    except BenchError as error:
        pytest.skip(f"not for an encoder: {error}")
    learned = any(
        issubclass(type(SALIENCIES.made(stage.arguments.get("saliency", "magnitude"))), Learned) for stage in stages
    )
    several = any(_called(stage.arguments.get("teacher")) == "several" for stage in stages)
    largest = max(
        one, stored_bytes(made.parameters())
    )  # a student of a shape of its own may be larger than a tiny model
    assert one <= watch.most <= (6.1 if learned else 4.1 if several else 3.1) * largest


def _called(choice):
    return choice.get("name") if isinstance(choice, dict) else choice
