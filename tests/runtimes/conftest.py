"""One graph of a small classifier per runtime, made once."""

from __future__ import annotations

import pytest
from made_graphs import GRAPHS, graph_of, make, need


@pytest.fixture(scope="session", params=list(GRAPHS))
def classifier(request):
    """A classifier and its graph, by runtime."""
    need(request.param)
    model = make()
    return model, graph_of(model, request.param)
