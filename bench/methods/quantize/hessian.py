"""More bits for layers with higher loss curvature, under a budget (HAWQ), by the top eigenvalues of Hessian blocks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.method import Listed
from bench.methods.quantize.allocation import ALLOCATIONS, Allocation
from bench.methods.quantize.grid import check_widths

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    import torch
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bench.methods.quantize.quantize import Quantize
    from bench.methods.quantize.site import WeightSite
    from bench.methods.quantize.work import Quantization
    from bench.tasks.features import Batch

TOLERANCE = 1e-4  # largest residual of an eigenpair, as a share of its eigenvalue
DENSE = 32  # weights up to which the whole Hessian is made: Lanczos's iteration needs some room


@ALLOCATIONS.register("hessian")
class Hessian(Allocation):
    """Layers with a larger |mean| + deviation of the top eigenvalue of the loss's Hessian get more bits.

    The eigenvalue is that of largest magnitude of the layer's own block of the Hessian, by the Lanczos iteration on
    shards of the training data, which must converge; mean and deviation are over shards (Q-BERT, Shen et al. 2020,
    arXiv:1909.05840, eq. 2, after HAWQ, Dong et al. 2019, arXiv:1905.03696). All layers begin with the fewest bits of
    `widths`; then, width by width, those of the largest curvature are raised for as long as the budget lasts, so that
    bits never rise while curvature falls. The paper chose by hand; this order is ours. Sites outside the layers, and
    roles with `role_bits`, keep their given bits.
    """

    widths: Annotated[tuple[Annotated[int, Field(ge=1, le=8)], ...], Listed] = Field(
        (2, 3), min_length=1, description="bit widths that a layer may get"
    )
    average_bits: float | None = Field(None, gt=0, le=8, description="maximum average number of bits per weight")
    size_share: float | None = Field(
        None, gt=0, lt=1, description="maximum bytes, with scales and other side data, as a share of 32-bit floats"
    )
    per: Literal["layer", "matrix"] = Field("layer", description="what gets one bit width together")
    shards: int = Field(10, ge=2, description="number of shards of the examples; curvature is averaged over them")
    iterations: int = Field(
        20, ge=1, description="maximum restarts of the Lanczos iteration per shard and layer, each of up to 20 products"
    )

    @override
    def fits(self, method: Quantize) -> None:
        check_widths(method.grid, self.widths)
        budgets = [name for name in ("average_bits", "size_share") if getattr(self, name) is not None]
        if len(budgets) != 1:
            raise ValueError(
                f"allocation 'hessian' needs either average_bits or size_share; found "
                f"{' and '.join(budgets) or 'neither'}"
            )

    @override
    def seeded(self) -> bool:
        """True: the search for eigenvalues starts from drawn vectors."""
        return True

    @override
    def bits(self, sites: Sequence[WeightSite], work: Quantization) -> dict[str, int]:
        """Reports the measured curvatures as progress."""
        given_bits = {site.name: work.bits_of(site) for site in sites}
        chosen = [site for site in sites if site.layer and site.role not in work.role_bits]
        if not chosen:
            raise MethodError("quantize: allocation 'hessian' assigns bits per layer, but no target is in a layer")
        blocks: dict[str, list[WeightSite]] = {}
        for site in chosen:
            blocks.setdefault(site.name if self.per == "matrix" else site.layer, []).append(site)
        weights = {
            name: [weight for site in inside for weight in site.weights.values()] for name, inside in blocks.items()
        }
        found = curvature(weights, work, shards=self.shards, iterations=self.iterations)
        costs = {
            name: {bits: self._cost(inside, bits, work) for bits in self.widths} for name, inside in blocks.items()
        }
        by_block = allocate({name: each.omega for name, each in found.items()}, costs, budget=self._budget(chosen))
        said = ", ".join(f"{name} {by_block[name]} bits (omega {each.omega:.3g})" for name, each in found.items())
        work.lab.progress(f"curvature: {said}", 1.0)
        return given_bits | {site.name: bits for name, bits in by_block.items() for site in blocks[name]}

    def _cost(self, sites: Sequence[WeightSite], bits: int, work: Quantization) -> int:
        """Bits of the codes; with a budget of size, bits of the side data as well."""
        if self.average_bits is not None:
            return sum(site.count for site in sites) * bits
        coded = [work.coded(site, weight, bits).coding for site in sites for weight in site.weights.values()]
        return sum(8 * (coding.code_bytes + coding.side_bytes) for coding in coded)

    def _budget(self, sites: Sequence[WeightSite]) -> float:
        count = sum(site.count for site in sites)
        return self.average_bits * count if self.average_bits is not None else (self.size_share or 0.0) * 32 * count


def allocate(omega: Mapping[str, float], costs: Mapping[str, Mapping[int, int]], *, budget: float) -> dict[str, int]:
    """Bits by block: never fewer for a block of larger `omega`, at a sum of `costs` within `budget`.

    Args:
        omega: curvature by block.
        costs: by block, what each width costs.
        budget: in the unit of the costs.

    Raises:
        MethodError: the fewest bits cost more than the budget.
    """
    order = sorted(omega, key=lambda name: omega[name], reverse=True)
    choices = sorted(next(iter(costs.values())))
    given = dict.fromkeys(order, choices[0])
    spent = sum(costs[name][choices[0]] for name in order)
    if spent > budget:
        raise MethodError(
            f"quantize: {choices[0]} bits everywhere cost {spent:,.0f}, but the budget is {budget:,.0f}. Raise the "
            f"budget or add fewer bits to `widths`."
        )
    for fewer, more in itertools.pairwise(choices):
        for name in order:
            rise = costs[name][more] - costs[name][fewer]
            if given[name] != fewer or spent + rise > budget:
                return given
            given[name], spent = more, spent + rise
    return given


class Curvature(NamedTuple):
    """The top eigenvalue of one block on each shard; `omega` is |mean| + deviation (n in the denominator)."""

    eigenvalues: tuple[float, ...]

    @property
    def omega(self) -> float:
        """|mean| + standard deviation over shards."""
        mean = sum(self.eigenvalues) / len(self.eigenvalues)
        variance = sum((each - mean) ** 2 for each in self.eigenvalues) / len(self.eigenvalues)
        return abs(mean) + math.sqrt(variance)


def top_eigenvalue(
    loss: Callable[[], Tensor], weights: Sequence[Tensor], *, iterations: int, draws: torch.Generator
) -> float:
    """The eigenvalue of largest magnitude, with its sign, of the Hessian of `loss` in `weights`.

    HAWQ's top eigenvalue is what its power iteration tends to (Dong et al. 2019, arXiv:1905.03696, alg. 1): that of
    largest magnitude, which may be negative, and not the largest. Power iteration itself is slow if the next eigenvalue
    is near in magnitude, and nowhere between two of opposite sign; here Lanczos's iteration with restarts finds the two
    of largest magnitude (ARPACK, Lehoucq, Sorensen and Yang 1998), from Hessian-vector products (Yao et al. 2020,
    arXiv:1912.07145). It ends when the residual |H v - a v| of both is at most `TOLERANCE` |a|, which bounds how far a
    is from an eigenvalue. The same draws give the same value.

    Args:
        loss: computes the scalar.
        weights: tensors that it depends on and that take gradients.
        iterations: most restarts, of up to 20 products each.
        draws: of the first vector.

    Raises:
        MethodError: no convergence, or products that are not finite.
    """
    import numpy as np
    import torch
    from scipy.sparse.linalg import ArpackError, ArpackNoConvergence, LinearOperator, eigsh

    gradients = torch.autograd.grad(loss(), weights, create_graph=True)
    count, products = sum(weight.numel() for weight in weights), 0
    shapes = [weight.shape for weight in weights]

    def product(flat: NDArray[np.floating[Any]]) -> NDArray[np.floating[Any]]:
        nonlocal products
        products += 1
        parts = torch.split(torch.from_numpy(np.array(flat)).ravel(), [shape.numel() for shape in shapes])
        vector = [part.view(shape).to(weight) for part, shape, weight in zip(parts, shapes, weights, strict=True)]
        found = torch.autograd.grad(gradients, weights, grad_outputs=vector, retain_graph=True)
        curved = torch.cat([part.flatten() for part in found]).cpu().numpy()
        if not np.isfinite(curved).all():
            raise MethodError("quantize: the loss's Hessian has entries that are not finite, so it has no curvature")
        return curved

    start = torch.cat([torch.randn(shape, generator=draws).flatten() for shape in shapes]).to(weights[0].dtype).numpy()
    if count <= DENSE:
        return _largest(np.linalg.eigvalsh(np.stack([product(row) for row in np.eye(count, dtype=start.dtype)])))
    if not product(start).any():
        return 0.0  # a vector drawn at random is in the null space of no other matrix
    try:
        values = eigsh(
            LinearOperator((count, count), matvec=product, dtype=start.dtype),
            k=2,
            which="LM",
            v0=start,
            tol=TOLERANCE,
            maxiter=iterations,
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as error:
        raise MethodError(
            f"quantize: the top eigenvalue of the loss's Hessian has not converged to {TOLERANCE:g} in {iterations} "
            f"restarts of the Lanczos iteration ({products} products). Raise `iterations`."
        ) from error
    except ArpackError as error:
        raise MethodError(f"quantize: the Lanczos iteration on the loss's Hessian failed: {error}") from error
    return _largest(values)


def _largest(values: NDArray[np.floating[Any]]) -> float:
    """The one of largest magnitude; of two that are opposite to the bit the positive one."""
    return float(max(values, key=lambda value: (abs(value), value)))


def curvature(
    blocks: Mapping[str, Sequence[Tensor]], work: Quantization, *, shards: int, iterations: int
) -> dict[str, Curvature]:
    """The curvature of each block of weights of `work.model`, which is not changed.

    The first `examples` training examples are split into `shards`, each one batch; the model runs in evaluation
    mode. Raises `MethodError` if there are fewer examples than shards, or if an eigenvalue does not converge.
    """
    import torch

    from bench.models.modules import differentiable
    from bench.tasks.kinds.kind import KINDS

    kind = KINDS.get(work.lab.task.kind)
    draws = torch.Generator().manual_seed(work.lab.seed)
    batches = dealt(work, shards)
    found: dict[str, list[float]] = {name: [] for name in blocks}
    with _frozen(work.model), differentiable(work.model):
        for number, (name, weights) in enumerate(blocks.items(), start=1):
            for weight in weights:
                weight.requires_grad_(True)
            for batch in batches:

                def loss(batch: Batch = batch) -> Tensor:
                    return kind.loss(work.model(**batch.inputs), batch.targets)

                try:
                    found[name].append(top_eigenvalue(loss, weights, iterations=iterations, draws=draws))
                except MethodError as error:
                    raise MethodError(f"{error} Layer: {name}.") from error
            for weight in weights:
                weight.requires_grad_(False)  # so that other blocks' graphs end above this one
            work.lab.progress(f"curvature of {name}", number / len(blocks))
    return {name: Curvature(tuple(values)) for name, values in found.items()}


def dealt(work: Quantization, count: int) -> list[Batch]:
    """The `count` shards of the training examples, on the device."""
    from bench.tasks.batching import collate

    lab = work.lab
    chosen = list(lab.features[: work.examples])
    if len(chosen) < count:
        raise MethodError(f"quantize: {len(chosen)} training examples do not make {count} shards. Lower `shards`.")
    batches = []
    for start in range(count):
        batch = collate(chosen[start::count], pad_id=lab.tokenizer.pad_token_id)
        batches.append(batch.to(lab.device))
    return batches


@contextmanager
def _frozen(model: nn.Module) -> Iterator[None]:
    """No parameter with a gradient, as long as the context is open."""
    wanted = {name: each.requires_grad for name, each in model.named_parameters()}
    model.requires_grad_(False)
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(wanted[name])
