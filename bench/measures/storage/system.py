"""Bytes of a whole answering program: its code, the libraries that it needs, its parameters and what it looks up."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import bench
from bench.artifacts.artifact import CONFIG, LAYERS, WEIGHTS
from bench.artifacts.manifest import MANIFEST
from bench.base.errors import ArtifactError
from bench.measures.base.measure import MEASURES, Measure, Pair, Reading

if TYPE_CHECKING:
    from torch import nn

# What loading an artifact and asking it imports; what these need is found in their metadata.
LIBRARIES = ("torch", "transformers", "tokenizers", "safetensors", "pydantic", "numpy", "typing-extensions")
PYTHON = "not counted: the interpreter, its standard library and the operating system"
_COMPILED = (".pyc", ".pyo")  # made again by Python wherever they are missing
_SHARED = ("code", "libraries")  # parts that are the same for every program of one installation


class SystemSize(NamedTuple):
    """Bytes of each part.

    `code` is bench itself, `libraries` are by name, `parameters` are the weights of encoders and heads, `vectors` and
    `corpus` what the program looks things up in, `structure` the other files of the artifact and the header of its
    weights, `tokenizer` its vocabulary and rules.
    """

    code: int
    libraries: dict[str, int]
    parameters: int
    vectors: int
    corpus: int
    structure: int
    tokenizer: int

    @property
    def total(self) -> int:
        """All parts together."""
        return sum(self.libraries.values()) + sum(part for part in self if isinstance(part, int))


class SystemBytes(Measure):
    """Counts what would have to be copied to a machine that has Python, so that the program answers there."""

    name = "system"
    columns = ("system_bytes",)
    says = "bytes of a whole answering program: code, libraries, parameters, vectors, corpus and tokenizer"
    budget_s = 5.0

    def read(self, pair: Pair) -> Reading:
        """Count both programs; absent for tasks that are not answered by one."""
        reading = Reading()
        if not pair.kind.self_contained:
            reading.leave(
                f"a {pair.kind.name} task is not answered by a self-contained program; see size_bytes", *self.columns
            )
            return reading
        mine = system_size(pair.artifact.model, pair.artifact_dir)
        theirs = system_size(pair.reference.model, pair.reference_dir)
        reading.give("system_bytes", mine.total, reference=theirs.total)
        reading.conditions = {
            "system_parts": {**mine._asdict(), "python": PYTHON},
            "reference_parts": {part: size for part, size in theirs._asdict().items() if part not in _SHARED},
        }
        return reading


def system_size(model: nn.Module, directory: Path) -> SystemSize:
    """The size of the program `model`, which is stored in `directory`, with the libraries that are installed here."""
    data = _tensor_bytes(directory / WEIGHTS, getattr(model, "parts", {}))
    sizes = {path.name: path.stat().st_size for path in directory.iterdir() if path.is_file()}
    structure = sizes[CONFIG] + sizes[LAYERS] + sizes[MANIFEST] + sizes[WEIGHTS] - data.total()
    known = {CONFIG, LAYERS, MANIFEST, WEIGHTS}
    return SystemSize(
        code=_code_bytes(),
        libraries=dict(_libraries()),
        parameters=data["parameters"],
        vectors=data["vectors"],
        corpus=data["corpus"],
        structure=structure,
        tokenizer=sum(size for name, size in sizes.items() if name not in known),
    )


def _tensor_bytes(path: Path, parts: dict[str, str]) -> Counter[str]:
    """Bytes of the tensors in a weights file by what they are for; `parts` is by the first word of their names."""
    try:
        with path.open("rb") as stream:
            header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    except (OSError, ValueError) as error:
        raise ArtifactError(
            f"{path}: header of the weights cannot be read: {error}. Make the artifact again."
        ) from error
    found: Counter[str] = Counter()
    for name, tensor in header.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            found[parts.get(name.partition(":")[0].partition(".")[0], "parameters")] += end - start
    return found


@functools.cache
def _code_bytes() -> int:
    """Bytes of bench itself."""
    folder = Path(str(bench.__file__)).parent
    return _bytes_of(path for path in folder.rglob("*") if path.is_file())


@functools.cache
def _libraries() -> tuple[tuple[str, int], ...]:
    """The installed bytes of `LIBRARIES` and of everything that they require, by name."""
    return tuple((found.name, _installed_bytes(found)) for found in closure(LIBRARIES))


def closure(names: Iterable[str]) -> list[Distribution]:
    """The installed distributions called `names` and those that they require here, without extras, by name.

    A requirement that is not installed takes no space and is left out.
    """
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, Distribution] = {}
    waiting = [str(canonicalize_name(name)) for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            continue
        needed = [Requirement(text) for text in found[name].requires or ()]
        waiting += [
            str(canonicalize_name(each.name))
            for each in needed
            if each.marker is None or each.marker.evaluate({"extra": ""})
        ]
    return [found[name] for name in sorted(found)]


def _installed_bytes(found: Distribution) -> int:
    """Bytes of the files that were installed, as the installer noted them, else as they are.

    Files outside the library's folder, such as programs in `bin`, count too.
    """
    files = [file for file in found.files or () if file.suffix not in _COMPILED]
    noted = sum(file.size for file in files if file.size is not None)
    return noted + _bytes_of(Path(str(found.locate_file(file))) for file in files if file.size is None)


def _bytes_of(paths: Iterable[Path]) -> int:
    return sum(path.stat().st_size for path in paths if path.suffix not in _COMPILED and path.is_file())


MEASURES.register("system")(SystemBytes())
