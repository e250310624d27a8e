"""A model that shows no embeddings is not attacked with fewer words than its reference, but not at all."""

from made_pairs import labelled, make_loaded, make_setting, make_task
from torch import nn

from bench.measures.base.measure import Pair
from bench.measures.robustness.attack import Attack


class Unsearched:
    """Stands for an evaluator that nobody asks."""

    def examples(self, split):
        return labelled([0, 1])


def test_a_model_without_embeddings_has_no_attack_columns():
    artifact = make_loaded("graph", nn.Linear(1, 1))
    pair = Pair(
        task=make_task(),
        setting=make_setting(),
        artifact=artifact,
        reference=make_loaded("reference", nn.Linear(1, 1)),
        artifact_dir=artifact.directory,
        reference_dir=artifact.directory,
        evaluator=Unsearched(),
        device="cpu",
        seed=0,
        is_reference=False,
        made=artifact.manifest,
    )
    reading = Attack().read(pair)
    assert reading.values == {}
    assert set(reading.absent) == set(Attack.columns)
    assert all("which a graph does not show" in reason for reason in reading.absent.values())
