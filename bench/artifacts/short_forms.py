"""The short form in which layers.json has compositions of common parts: one kind, without a kind per part.

Artifacts from before a part could be of any kind have these forms only; they keep their bytes and content hashes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Arguments = dict[str, Any]


class _ShortForm(NamedTuple):
    """The composition that a short kind stands for, and the kind of each of its parts."""

    composition: str
    parts: dict[str, str]


_TWO_LINEAR = {"first": "low-bit-linear", "second": "low-bit-linear"}
_SHORT_FORMS = {
    "low-bit-factorized-linear": _ShortForm("product-linear", _TWO_LINEAR),
    "low-bit-summed-linear": _ShortForm("sum-linear", _TWO_LINEAR),
    "low-bit-factorized-embedding": _ShortForm(
        "product-embedding", {"table": "low-bit-embedding", "projection": "low-bit-linear"}
    ),
    "low-bit-summed-embedding": _ShortForm(
        "sum-embedding", {"first": "low-bit-embedding", "second": "low-bit-embedding"}
    ),
    "int8-factorized-linear": _ShortForm("product-linear", {"first": "int8-linear", "second": "int8-linear"}),
}
_INT8 = "int8-factorized-linear"  # the one whose parts are told by three widths and a bias


def shortened(kind: str, arguments: Arguments) -> tuple[str, Arguments]:
    """Kind and arguments as layers.json has them."""
    for short, form in _SHORT_FORMS.items():
        if form.composition != kind or any(arguments[part]["kind"] != inner for part, inner in form.parts.items()):
            continue
        parts = {part: arguments[part]["arguments"] for part in form.parts}
        if short != _INT8:
            return short, {**arguments, **parts}
        if not parts["first"]["bias"]:
            return short, _narrowed(**parts)
    return kind, arguments


def spelled_out(kind: str, arguments: Arguments) -> tuple[str, Arguments]:
    """Kind and arguments as `bench.layers.layer.rebuild` takes them; raises `TypeError` if a part is missing."""
    form = _SHORT_FORMS.get(kind)
    if form is None:
        return kind, arguments
    given = _widened(**arguments) if kind == _INT8 else arguments
    if not form.parts.keys() <= given.keys():
        raise TypeError(f"a layer of kind '{kind}' needs {' and '.join(form.parts)}, found {', '.join(given)}")
    parts = {part: {"kind": inner, "arguments": given[part]} for part, inner in form.parts.items()}
    return form.composition, {**given, **parts}


def _narrowed(first: Arguments, second: Arguments) -> Arguments:
    return {
        "in_features": first["in_features"],
        "out_features": second["out_features"],
        "rank": first["out_features"],
        "bias": second["bias"],
    }


def _widened(in_features: int, out_features: int, rank: int, bias: bool = True) -> dict[str, Arguments]:
    return {
        "first": {"in_features": in_features, "out_features": rank, "bias": False},
        "second": {"in_features": rank, "out_features": out_features, "bias": bias},
    }
