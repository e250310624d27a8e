"""Writing a model as a plain directory of transformers, with equal outputs, or saying which module it cannot hold."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.base.errors import ArtifactError, ModelError

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from bench.artifacts.structure import Structure

ROUNDING = 1e-4  # largest difference of multiplied-out products, as a share of the largest output
EXAMPLES, _LENGTH = 2, 16  # rows and tokens of the batch on which both are compared


class ReadBack(NamedTuple):
    """What was written: where, whether products were multiplied out or shared layers repeated, and how outputs differ.

    `parameters` are those of the written model, each once; `difference` is the largest of any output, as a share of the
    outputs' standard deviation.
    """

    directory: Path
    architecture: str
    dense: bool
    parameters: int
    difference: float


def to_transformers(
    model: nn.Module, directory: Path, *, tokenizer: Any, dense: bool = False, labels: Sequence[str] | None = None
) -> ReadBack:
    """Write `model` so that transformers alone loads it: configuration, weights, tokenizer, label names and a README.

    What transformers can hold is written: stock modules, fewer layers, all feed-forward maps of one other width, and
    tensors that the architecture itself shares. It is then loaded by transformers alone, and both are run on a made
    batch.

    Args:
        model: one with a head of `bench.models.heads`; left as it was.
        directory: must not exist; its parents are made.
        tokenizer: the one that belongs to it, a fast one.
        dense: whether float layers in another form are multiplied out, and shared ones repeated; both grow.
        labels: names of the head's outputs, in their order; None leaves those of the configuration.

    Raises:
        ArtifactError: a module that transformers cannot hold, by name; the directory exists or cannot be written; or
            what was read back gives other outputs.
        ModelError: an architecture that transformers does not have, no supported head, or a tokenizer that is not fast.
    """
    from bench.models.quiet import quiet

    if directory.exists():
        raise ArtifactError(f"{directory}: already exists. Remove it, or give another directory.")
    made = copy.deepcopy(model).eval()
    _refuse_own_architecture(made)
    if dense:
        _multiply_out(made)
    _set_neurons(made)
    structure = _stock(made, model, dense=dense)
    if labels is not None:
        _name_outputs(made, labels)
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=directory.parent, prefix=f".writing-{directory.name}-"))
        try:
            scratch.chmod(0o755)
            with quiet():
                _write(made, scratch, tokenizer)
                difference = _compared(model, scratch, structure, dense=dense)
            os.rename(scratch, directory)
        except BaseException:
            shutil.rmtree(scratch, ignore_errors=True)
            raise
    except OSError as error:
        raise ArtifactError(f"{directory}: cannot be written: {error.strerror or error}") from error
    parameters = sum(each.numel() for each in made.parameters())
    return ReadBack(directory, structure.architecture, dense, parameters, difference)


def _refuse_own_architecture(model: nn.Module) -> None:
    from bench.models.heads import head_of

    if not type(model).__module__.startswith("transformers.") or head_of(model) == "embedding":
        raise ModelError(
            f"{type(model).__name__}: an architecture or head of bench, which transformers does not have. Keep the "
            f"artifact, and read it with bench.load_artifact"
        )


def _multiply_out(model: nn.Module) -> None:
    """Put a dense module in the place of each float layer of another form, and a copy in each place of a shared one."""

    from bench.layers.layer import FLOAT_BITS, StoredEmbedding, StoredLayer, dense_linear
    from bench.layers.sharing import module_names
    from bench.models.modules import replace_module

    found = module_names(model)
    for alias, first in found.shared.items():
        replace_module(model, alias, copy.deepcopy(found.modules[first]))
    for name, module in module_names(model).modules.items():
        if isinstance(module, StoredLayer) and module.weight_bits == FLOAT_BITS == module.activation_bits:
            bias: Tensor | None = getattr(module, "bias", None)
            factors = module.factors()
            bias = factors.bias if bias is None and factors is not None else bias
            plain: nn.Module = dense_linear(module.dense(), bias)
        elif isinstance(module, StoredEmbedding) and module.weight_bits == FLOAT_BITS:
            plain = _embedding(module.dense())
        else:
            continue
        replace_module(model, name, plain)


def _embedding(weight: Tensor) -> nn.Embedding:
    import torch
    from torch import nn

    made = nn.Embedding(weight.size(0), weight.size(1))
    with torch.no_grad():
        made.weight.copy_(weight)
    return made


def _set_neurons(model: nn.Module) -> None:
    """Let the configuration say how wide the feed-forward maps are, if all are of one width."""
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    setting = adapter.sizes.get("neurons")
    if setting is None or "ffn_in" not in adapter.roles_of(model):
        return
    blocks = adapter.blocks(model)
    widths = {
        getattr(block.module.get_submodule(block.names["ffn_in"]), "out_features", None)
        if "ffn_in" in block.names
        else None
        for block in blocks
    }
    (width, *others) = widths
    if not others and width is not None:
        setattr(model.config, setting, width)


def _stock(made: nn.Module, given: nn.Module, *, dense: bool) -> Structure:
    """The structure of a model that its configuration alone makes; raises `ArtifactError` for any other, by module."""
    from bench.artifacts.structure import is_stock, structure_of

    structure = structure_of(made)
    if is_stock(made, structure):
        return structure
    name = type(given).__name__
    for module, replaced in structure.replaced.items():
        raise ArtifactError(f"{name}: transformers cannot hold the module '{module}': {_why(made, module, replaced)}")
    advice = "" if dense else ". Give --dense to write a copy in each place"
    for alias, first in structure.shared.items():
        raise ArtifactError(
            f"{name}: transformers cannot hold that '{alias}' is the same module as '{first}': the architecture "
            f"'{made.config.model_type}' shares no such modules{advice}"  # type: ignore[union-attr]
        )
    raise ArtifactError(
        f"{name}: its tied tensors are not those that the architecture "
        f"'{made.config.model_type}' ties: {', '.join(structure.tied) or 'none are tied'}{advice}"  # type: ignore[union-attr]
    )


def _why(model: nn.Module, name: str, replaced: Any) -> str:
    """Why a module that is not stock cannot be written."""
    from torch import nn

    from bench.layers.layer import FLOAT_BITS, StoredEmbedding, StoredLayer

    module = model.get_submodule(name)
    if isinstance(module, nn.Linear):
        return (
            f"it is {module.in_features} wide at its input and {module.out_features} at its output, and the "
            f"configuration has no setting for that. Only feed-forward maps of one width in all layers can be narrower"
        )
    narrow = isinstance(module, StoredLayer | StoredEmbedding) and module.weight_bits < FLOAT_BITS
    if isinstance(module, StoredLayer | StoredEmbedding) and not narrow:
        return f"it is stored as '{replaced.kind}'. Give --dense to multiply it out, which makes it larger"
    return f"it is stored as '{replaced.kind}', which has no equal form there. Keep the artifact for it"


def _name_outputs(model: nn.Module, labels: Sequence[str]) -> None:
    config: Any = model.config
    if len(labels) != config.num_labels:
        raise ModelError(f"labels: found {len(labels)} names, but the model has {config.num_labels} outputs")
    config.id2label = dict(enumerate(labels))
    config.label2id = {label: index for index, label in enumerate(labels)}


def _write(model: nn.Module, directory: Path, tokenizer: Any) -> None:
    from bench.models.tokenizer import write_tokenizer

    model.config._name_or_path = ""  # type: ignore[union-attr]
    model.save_pretrained(directory)  # type: ignore[operator]
    write_tokenizer(tokenizer, directory)
    name = type(model).__name__
    (directory / "README.md").write_text(
        f"Compressed with bench. transformers alone loads it: `{name}.from_pretrained(DIRECTORY)`.\n", encoding="utf-8"
    )


def _compared(model: nn.Module, directory: Path, structure: Structure, *, dense: bool) -> float:
    """The largest difference of any output between `model` and what transformers reads from `directory`."""
    import torch

    from bench.models.heads import HEADS

    again = _read(directory, HEADS[structure.head][0], structure.attention)
    inputs = _batch(model)
    was_training = model.training
    model.eval()
    with torch.inference_mode():
        before, after = (each(**inputs).to_tuple() for each in (model, again))
    model.train(was_training)
    pairs = [(one, other) for one, other in zip(before, after, strict=True) if isinstance(one, torch.Tensor)]
    difference = max(float((one - other).abs().max()) for one, other in pairs)
    largest = max(float(one.abs().max()) for one, _ in pairs)
    bound = ROUNDING * max(1.0, largest) if dense else 0.0
    if not difference <= bound:
        raise ArtifactError(
            f"{type(model).__name__}: transformers reads it back with other outputs: the largest difference is "
            f"{difference:.2g}, at most {bound:.2g} was expected. Keep the artifact, and report this as a bug"
        )
    return difference / max(float(one.std()) for one, _ in pairs) if difference else 0.0


def _read(directory: Path, auto: str, attention: str) -> nn.Module:
    """The written model, read as anyone would; raises `ArtifactError` if a tensor was missing or left over."""
    import transformers

    found, told = getattr(transformers, auto).from_pretrained(
        directory, attn_implementation=attention, trust_remote_code=False, output_loading_info=True
    )
    odd = sorted(str(name) for kind in ("missing_keys", "unexpected_keys", "mismatched_keys") for name in told[kind])
    if odd:
        raise ArtifactError(f"transformers reads the written model back with other tensors: {', '.join(odd[:3])}")
    model: nn.Module = found.eval()
    return model


def _batch(model: nn.Module) -> dict[str, torch.Tensor]:
    """Made ids with padding in the second row, [2, 16]."""
    import torch

    config: Any = model.config
    device = next(model.parameters()).device
    draws = torch.Generator().manual_seed(0)
    ids = torch.randint(config.vocab_size, (EXAMPLES, _LENGTH), generator=draws)
    mask = torch.ones_like(ids)
    mask[1, _LENGTH // 2 :] = 0
    ids = torch.where(mask.bool(), ids, config.pad_token_id or 0).to(device)
    inputs = {"input_ids": ids, "attention_mask": mask.to(device)}
    return {**inputs, "decoder_input_ids": ids} if getattr(config, "is_encoder_decoder", False) else inputs
