"""What a result column is."""

from __future__ import annotations

from typing import Literal, NamedTuple


class Column(NamedTuple):
    """What one number of a record means.

    `better` is None where neither direction is better by itself. `show` is how a table prints it: `percent` for shares
    (stored as 0 to 1), `ratio` (2.1x), `count` (12.3 M), `bytes`, `seconds`, `number`. `source` is where the definition
    comes from (paper, rules, or "ours" with the reason); `oracle` the test that knows the right answer by other means,
    as `test_file.py::test_name` below tests/.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"] | None
    show: Literal["percent", "ratio", "count", "bytes", "seconds", "number"]
    says: str
    source: str = ""
    oracle: str = ""

    @property
    def least(self) -> float | None:
        """The least value there can be: 0 of counts, bytes and seconds; None if there is no such bound."""
        return 0.0 if self.show in ("count", "bytes", "seconds") else None
