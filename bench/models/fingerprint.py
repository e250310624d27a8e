"""Which files of a checkpoint's directory can change an output, whether they may be read, and one hash over them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bench.base.errors import ModelError

TOKENIZERS = ("tokenizer.json", "vocab.txt", "vocab.json", "spiece.model", "sentencepiece.bpe.model")
_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
# Every top-level safetensors file and these were all that was hashed at first, so they come first and as they did:
# a directory of nothing else has the fingerprint that its published records hold.
_FIRST = ("config.json", "tokenizer_config.json", *TOKENIZERS)
# What else the tokenizers of transformers read, besides vocab*, tokenizer*.json and the suffixes below.
_SPECIAL = "special_tokens_map.json"
_MORE = frozenset(
    {
        *("merges.txt", "added_tokens.json", _SPECIAL, "dict.txt", "tekken.json", "normalizer.json", "emoji.json"),
        *("entity_vocab.json", "target_vocab.json", "byte_maps.json", "word_shape.json", "word_pronunciation.json"),
    }
)
_SUFFIXES = (".model", ".spm", ".codes", ".bpe", ".tiktoken", ".tokenizer")


def fingerprint(directory: Path, *, where: str) -> str:
    """SHA-256 over all files that can change an output, names included, links followed.

    These are the configuration, every top-level safetensors file, the index of the shards with all that it names, and
    every file that a tokenizer reads. A `special_tokens_map.json` that only repeats what `tokenizer_config.json` says
    of each token changes nothing and is left out. So are documents, optimizer states, training arguments, chat
    templates, and `generation_config.json`, since bench decodes by its own rule.

    Raises:
        ModelError: as `weight_files`.
    """
    top = sorted(path for path in directory.iterdir() if path.is_file())
    first = [path for path in top if path.suffix == ".safetensors" or path.name in _FIRST]
    more = {path for path in top if is_of_the_tokenizer(path)} | set(weight_files(directory, where=where))
    if _says_nothing_new(directory / _SPECIAL):
        more -= {directory / _SPECIAL}
    digest = hashlib.sha256()
    for path in [*first, *sorted(more - set(first))]:
        name = path.relative_to(directory).as_posix()
        digest.update(f"{name}\0{path.stat().st_size}\0".encode())
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def weight_files(directory: Path, *, where: str) -> list[Path]:
    """The files that transformers reads the weights from: one safetensors file, or an index and the shards it names.

    Raises:
        ModelError: there are none; one is missing, not safetensors, or named by a path that leaves the directory.
    """
    named = _object(directory / "config.json", where).get("transformers_weights")
    if named is not None:
        _inside(str(named), where=f"{where}: config.json: transformers_weights")
    chosen = [str(named)] if named is not None else [_WEIGHTS, _INDEX]
    found = next((directory / name for name in chosen if (directory / name).is_file()), None)
    if found is None:
        raise ModelError(f"{where}: no weights: expected {' or '.join(chosen)} in the directory")
    if not found.name.endswith(".index.json"):
        return _safetensors([found.relative_to(directory).as_posix()], directory, where)
    index = _object(found, where)
    place, shards = f"{where}: {found.name}", index.get("weight_map")
    if not isinstance(shards, dict) or not shards or not isinstance(index.get("metadata"), dict):
        raise ModelError(f"{place}: no index of shards: expected 'metadata' and a 'weight_map' from tensors to files")
    return [found, *_safetensors(sorted({str(shard) for shard in shards.values()}), directory, place)]


def check_tokenizer_files(directory: Path, *, where: str) -> None:
    """Raise `ModelError` if `tokenizer_config.json` names a tokenizer file by a path that leaves the directory."""
    path = directory / "tokenizer_config.json"
    names = _object(path, where).get("fast_tokenizer_files", []) if path.is_file() else []
    for name in names if isinstance(names, list) else []:
        if "/" in str(name) or "\\" in str(name):
            raise ModelError(
                f"{where}: tokenizer_config.json: fast_tokenizer_files names '{name}', expected the name of a file in "
                "the directory. Copy the file there and name it without its path."
            )


def is_of_the_tokenizer(path: Path) -> bool:
    """Whether a file is one that the tokenizers of transformers read."""
    name = path.name
    return (
        name in _MORE
        or name.endswith(_SUFFIXES)
        or name.startswith("vocab")
        or (name.startswith("tokenizer") and name.endswith(".json"))
    )


def _says_nothing_new(path: Path) -> bool:
    """Whether every token of a `special_tokens_map.json` is the same text in `tokenizer_config.json`."""
    beside = path.with_name("tokenizer_config.json")
    if not (path.is_file() and beside.is_file()):
        return False
    tokens, settings = _object(path, str(path)), _object(beside, str(beside))
    return all(isinstance(token, str) and settings.get(name) == token for name, token in tokens.items())


def _safetensors(names: Sequence[str], directory: Path, where: str) -> list[Path]:
    for name in names:
        _inside(name, where=where)
        if not name.endswith(".safetensors"):
            raise ModelError(
                f"{where}: names '{name}', expected only *.safetensors. Other files may be pickles, which can run "
                f"code when they are loaded. If you trust it, load the model with transformers and call "
                f"save_pretrained."
            )
        if not (directory / name).is_file():
            raise ModelError(f"{where}: names '{name}', which is not in the directory. Copy it there.")
    return [directory / name for name in names]


def _inside(name: str, *, where: str) -> None:
    """Refuse a name that leads out of the directory; a link inside it may lead anywhere, as in the hub's cache."""
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.is_absolute() or path.drive or path.root or ".." in path.parts:
            raise ModelError(
                f"{where}: names '{name}', which is outside the model's directory. Copy the file into the directory "
                f"and use its path there."
            )


def _object(path: Path, where: str) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: {path.name} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise ModelError(f"{where}: {path.name}: expected a JSON object, found {type(data).__name__}")
    return data
