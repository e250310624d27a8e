from types import SimpleNamespace

import pytest
from made_pairs import make_loaded, make_pair, make_task

from bench.measures.runtime.runtime import RuntimeMeasure
from bench.runtimes.graph_model import Graph, GraphComparison


class Model:
    """A graph whose runtime says that it ran in `ran`."""

    def __init__(self, compared, *, asked="float32", ran="float32"):
        self.graph = Graph(
            runtime="openvino", head="h", files={}, outputs=(), precision=asked, compared=compared, layers=None
        )
        self.ran = ran

    def session(self):
        from bench.runtimes.runtime import Executed

        made = Executed(runtime="openvino", version="1", threads=1, device="CPU", precision=self.ran)
        return SimpleNamespace(executed=lambda: made)


def read(artifact, tiny_bert):
    task = make_task()
    reference = make_loaded("reference", tiny_bert(layers=1))
    return RuntimeMeasure().read(make_pair(task, None, artifact=make_loaded("a", artifact), reference=reference))


def compared(difference, *, changed=0.0, exact=True):
    return GraphComparison(examples=20, difference=difference, changed=changed, exact=exact)


@pytest.mark.parametrize(
    ("model", "codes"),
    [
        (Model(compared(1e-6)), []),
        (Model(compared(2e-3)), ["graph-differs"]),
        (Model(compared(0.3, exact=False)), []),
        (Model(compared(0.3, changed=0.2, exact=False)), ["graph-decides-otherwise"]),
        (Model(compared(1e-6), asked="bfloat16"), ["other-precision"]),
        (Model(compared(1e-2, exact=False), asked="default", ran="bfloat16"), []),
    ],
)
def test_the_difference_is_told_and_only_what_should_not_be_is_flagged(model, codes, tiny_bert):
    found = read(model, tiny_bert)
    assert found.values["graph_difference"] == model.graph.compared.difference
    assert [code for code, _ in found.warnings] == codes
    told = found.conditions["runtime"]
    assert (told["runtime"], told["precision"], told["threads"]) == ("openvino", model.ran, 1)
    assert found.conditions["reference_runtime"]["runtime"] == "eager"
    assert found.conditions["reference_runtime"]["precision"] == "float32"


def test_a_module_has_no_graph_and_a_foreign_graph_no_model(tiny_bert):
    plain = read(tiny_bert(layers=1), tiny_bert)
    assert plain.absent["graph_difference"].startswith("PyTorch runs the model itself")
    foreign = read(Model(None), tiny_bert)
    assert foreign.absent["graph_difference"].startswith("the graph was not exported by bench")
