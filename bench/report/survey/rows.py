"""The rows of the survey, by id: names, families, and the tests that hold an implementation to them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from bench.base.schema import Frozen, read_toml, validated
from bench.columns import COLUMNS, column

PATH = Path(__file__).parent / "rows.toml"
ID = r"^[A-Z]\d{1,2}$"

Family = Literal[
    "metric",
    "benchmark",
    "weight-sharing",
    "low-rank",
    "pruning",
    "quantization",
    "distillation",
    "supporting",
    "direction",
]


class SurveyRow(Frozen):
    """One metric, benchmark, system or direction of the survey."""

    id: str = Field(pattern=ID)
    name: str
    family: Family
    columns: tuple[str, ...] = Field((), description="result columns that are this metric")
    suites: tuple[str, ...] = Field((), description="suites of the package that are this benchmark")
    tests: tuple[str, ...] = Field((), description="faithfulness tests, `file::test` below tests/")
    missing: str = Field("", description="what the row has that is not here, if a part of it is")

    @field_validator("columns")
    @classmethod
    def _columns_exist(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(column(name).name for name in columns)

    def all_tests(self) -> tuple[str, ...]:
        """The row's tests and the oracles of its columns, each once."""
        return tuple(dict.fromkeys([*self.tests, *(COLUMNS[name].oracle for name in self.columns)]))


class _Rows(Frozen):
    rows: tuple[SurveyRow, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _ids_are_unique(self) -> _Rows:
        ids = [row.id for row in self.rows]
        twice = sorted({name for name in ids if ids.count(name) > 1})
        if twice:
            raise ValueError(f"ids given twice: {', '.join(twice)}")
        return self


def survey_rows(path: Path = PATH) -> tuple[SurveyRow, ...]:
    """Every row in the survey's order; raises `SuiteError` if the file at `path` is not valid."""
    return validated(_Rows, read_toml(path), where=path.name).rows
