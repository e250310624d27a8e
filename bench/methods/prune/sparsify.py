"""Storing and running pruned matrices in a sparse form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from bench.base.errors import MethodError
from bench.methods.base.method import METHODS, Lab, Listed, Method, Role
from bench.spec.saving import Saving

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from bench.layers.layer import StoredLayer

# The least of the break-even densities that `python benchmarks/sparse` found over shapes of MiniLM and BERT-base, with
# 128 rows on one thread of an AMD EPYC with AVX2 and without VNNI: 0.19 to 0.23, and about 0.15 for 768x3072, where it
# never settled. Another processor may have another: the benchmark measures it, `at_most` sets it.
BREAK_EVEN = 0.15


@METHODS.register("sparsify")
class Sparsify(Method):
    """Store and multiply pruned matrices in a sparse form: compressed sparse rows (CSR) or 2:4.

    Nothing is pruned or trained here. With `csr`, multiply-adds with zeros of earlier stages
    are no longer executed; `block` stores whole blocks, for block masks. An index takes 4 bytes, so that the
    file is larger than the bitmask of the artifact's codec above a density of 1/32: beyond pruning, it saves
    memory and computation. `2:4` is for sparse tensor cores (Mishra et al. 2021, arXiv:2104.08378) and rounds
    weights to float16. Matrices that do not qualify stay dense, and a progress message names them.
    """

    saves: ClassVar[frozenset[Saving]] = frozenset({"macs", "time"})

    form: Literal["csr", "2:4"] = Field("csr", description="compressed sparse rows, or two weights in each four")
    at_most: float | None = Field(
        None,
        gt=0,
        le=1,
        description=f"csr: highest density that is stored sparse; default {BREAK_EVEN}, about break-even",
    )
    block: int = Field(1, ge=1, description="csr: side length of the square blocks that are stored")
    dense_elsewhere: bool = Field(
        False, description="2:4: also store this form on a device without sparse kernels, which then runs it dense"
    )
    targets: Annotated[tuple[Role, ...] | None, Listed] = Field(
        None, min_length=1, description="which matrices, by role; default: all matrices in the layers"
    )

    @model_validator(mode="after")
    def _arguments_belong_to_their_form(self) -> Sparsify:
        if self.form == "2:4" and (self.at_most is not None or self.block != 1):
            raise ValueError(
                "at_most and block are arguments of form 'csr'. Form '2:4' always keeps two of four weights"
            )
        if self.form == "csr" and self.dense_elsewhere:
            raise ValueError("dense_elsewhere is an argument of form '2:4'. Form 'csr' runs on every device")
        return self

    def seeded(self) -> bool:
        """Nothing is trained or drawn."""
        return False

    def compress(self, model: nn.Module, lab: Lab) -> nn.Module:
        """Store the matrices that qualify in their sparse form, in a copy of the model.

        Raises:
            MethodError: no matrix qualifies, a layer is no longer a plain matrix, or the device has no 2:4 kernels.
            ModelError: a role that the architecture does not have.
        """
        from bench.layers.sharing import replace_everywhere
        from bench.models.adapter import adapter_for
        from bench.models.modules import copy_model

        if self.form == "2:4" and not self.dense_elsewhere:
            _refuse_without_kernels(lab.device)
        sparse = copy_model(model)
        dense: dict[str, str] = {}
        linears = adapter_for(sparse).linears(sparse, self.targets)
        for name, linear in linears.items():
            found = self._stored(linear, name)
            if isinstance(found, str):
                dense[name] = found
            else:
                replace_everywhere(sparse, linear, found)
        if len(dense) == len(linears):
            raise MethodError(
                f"sparsify: none of {len(linears)} matrices qualifies for {self.form}: {_some(dense.items())}. "
                f"{'Prune to 2:4 first.' if self.form == '2:4' else 'Prune more, or raise at_most.'}"
            )
        if dense:
            lab.progress(f"{len(dense)} of {len(linears)} matrices stay dense: {_some(dense.items())}", 1.0)
        return sparse.eval()

    def _stored(self, linear: nn.Module, name: str) -> StoredLayer | str:
        """The sparse form of a dense layer, or why it stays dense."""
        from torch import nn

        if not isinstance(linear, nn.Linear):
            raise MethodError(
                f"sparsify: {name} is a {type(linear).__name__}, which has no sparse form. Sparsify dense float "
                f"layers, and only once."
            )
        return self._csr(linear, name) if self.form == "csr" else _two_to_four(linear, name)

    def _csr(self, linear: nn.Linear, name: str) -> StoredLayer | str:
        from bench.layers.csr import CsrLinear

        most = BREAK_EVEN if self.at_most is None else self.at_most
        try:
            layer = CsrLinear.from_dense(linear.weight, linear.bias, block=self.block)
        except MethodError as error:
            raise MethodError(f"sparsify: {name}: {error}") from error
        return layer if layer.density <= most else f"density {layer.density:.3f}, above {most}"


def _two_to_four(linear: nn.Linear, name: str) -> StoredLayer | str:
    from bench.layers.semi_structured import GROUP, KEPT, SemiStructuredLinear, crowded

    if linear.in_features % GROUP:
        return f"{linear.in_features} columns, not a multiple of {GROUP}"
    over = crowded(linear.weight)
    if over:
        return f"{over} of {linear.weight.numel() // GROUP} groups of {GROUP} keep more than {KEPT}"
    return SemiStructuredLinear.from_dense(linear.weight, linear.bias, where=f"sparsify: {name}")


def _refuse_without_kernels(device: str) -> None:
    from bench.layers.semi_structured import lacking

    missing = lacking(device)
    if missing:
        raise MethodError(
            f"sparsify: 2:4 kernels need {missing}. Run it on such a device, or set dense_elsewhere = true to store "
            f"this form and run it dense."
        )


def _some(reasons: Iterable[tuple[str, str]], most: int = 3) -> str:
    """The first reasons, and how many more there are."""
    told = [f"{name} ({reason})" for name, reason in reasons]
    rest = f" and {len(told) - most} more" if len(told) > most else ""
    return ", ".join(told[:most]) + rest
