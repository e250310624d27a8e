"""Lists of layers that run otherwise than one after the other: what every one offers, and how it is rebuilt."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator
from typing import Any, cast

from torch import Tensor, nn

from bench.layers.layer import StoredModule


class StoredStack(StoredModule, nn.ModuleList):
    """Takes the place of the list that an architecture runs from first to last, and of its loop.

    The layers keep their names in the list, so whatever changes a layer finds it where it was. The architecture's own
    loop over the list meets one module, the stack itself, instead of the layers; everybody else asks for `positions`.
    """

    @abstractmethod
    def forward(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        """[batch, length, width] through the layers; what a layer of the architecture would take and give."""

    def adopt(self, layers: Iterable[nn.Module]) -> StoredStack:
        """Take `layers` as its own, in order, and return itself."""
        self.extend(layers)
        return self

    def __iter__(self) -> Iterator[nn.Module]:
        """What the architecture's loop meets: itself, once."""
        return iter([self])

    def __repr__(self) -> str:
        """As of any module: that of a list would go through its iterator."""
        return nn.Module.__repr__(self)


def positions(stack: nn.ModuleList) -> nn.ModuleList:
    """The layers of a stack as a plain list, in the order in which they would run."""
    return (
        nn.ModuleList(cast("Iterable[nn.Module]", stack._modules.values())) if isinstance(stack, StoredStack) else stack
    )
