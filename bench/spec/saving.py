"""What a stage of a recipe states that it saves, and what it really did: the two halves of its audit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.base.schema import Frozen

Saving = Literal["bytes", "macs", "time"]


class Stated(Frozen):
    """What a paper would state of the model after the stage, from its zeros and bit widths."""

    saves: tuple[Saving, ...] = Field(description="what the stage's method is meant to save")
    bytes: int = Field(description="non-zero weights and biases, elements * bits / 8, without side data")
    macs: int | None = Field(None, description="multiply-adds of one example with a non-zero weight")
    bops: int | None = Field(None, description="multiply-adds of one example times weight bits times activation bits")


class Real(Frozen):
    """What is really there after the stage; what could not be had is in `absent` with its reason."""

    bytes: int | None = Field(None, description="weights and side data on disk")
    stored_bytes_by_dtype: dict[str, int] = Field(description="tensor data on disk by stored dtype")
    macs: int | None = Field(None, description="multiply-adds of one example that are executed")
    absent: dict[str, str] = Field(description="reason by name for each value above that is absent")
