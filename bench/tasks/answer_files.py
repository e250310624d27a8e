"""Predictions as the lines of the files that graders take: one function per layout."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from bench.base.errors import DataError

if TYPE_CHECKING:
    from bench.spec.submission import SubmissionFile
    from bench.tasks.examples import Example

_INDICES = re.compile(r"(\d+)-(\d+)$")


def lines_of(file: SubmissionFile, said: Sequence[Any], examples: Sequence[Example]) -> list[str]:
    """The lines of a file, without their ends.

    Args:
        file: its layout, spellings and number of rows.
        said: per example what `Predictions.in_words` gives.
        examples: the whole test split in the order of its file.

    Raises:
        DataError: another number of predictions than the grader expects, or a label that has no spelling.
    """
    count = sum(len(each) if isinstance(each, list) else 1 for each in said)
    if count != file.rows:
        raise DataError(
            f"{file.name}: found {count} predictions, but the grader expects {file.rows}. Use the whole '{file.split}' "
            f"split of {file.dataset} as it is published."
        )
    return list(_LAYOUTS[file.layout](file, said, examples))


def _tsv(file: SubmissionFile, said: Sequence[Any], examples: Sequence[Example]) -> Iterator[str]:
    yield "index\tprediction"
    for row, each in enumerate(said):
        yield f"{row}\t{_spelled(file, each)}"


def _jsonl(file: SubmissionFile, said: Sequence[Any], examples: Sequence[Example]) -> Iterator[str]:
    for row, each in enumerate(said):
        yield json.dumps({"idx": row, "label": _spelled(file, each)}, ensure_ascii=False)


def _questions(file: SubmissionFile, said: Sequence[Any], examples: Sequence[Example]) -> Iterator[str]:
    """MultiRC's: the uid ends with the indices of passage and question, and answers are counted through the file."""
    passages: dict[int, list[Any]] = {}
    counted = 0
    for each, example in zip(said, examples, strict=True):
        found = _INDICES.search(example.uid)
        if found is None:
            raise DataError(
                f"{file.name}: example {example.uid}: expected a uid that ends with the indices of passage and "
                "question, such as 3-17"
            )
        passage, question = map(int, found.groups())
        answers = [{"idx": counted + place, "label": int(right)} for place, right in enumerate(each)]
        passages.setdefault(passage, []).append({"idx": question, "answers": answers})
        counted += len(answers)
    for index, questions in passages.items():
        yield json.dumps({"idx": index, "passage": {"questions": questions}})


def _answers(file: SubmissionFile, said: Sequence[Any], examples: Sequence[Example]) -> Iterator[str]:
    """SQuAD's: the ids are those of the data."""
    yield json.dumps({example.uid: each for example, each in zip(examples, said, strict=True)}, ensure_ascii=False)


def _spelled(file: SubmissionFile, said: Any) -> Any:
    if file.labels:
        if said not in file.labels:
            raise DataError(f"{file.name}: the grader has no label '{said}'; it has {', '.join(file.labels)}")
        return file.labels[said]
    if file.clip is not None:
        least, most = file.clip
        return round(min(max(float(said), least), most), 6)
    return round(said, 6) if isinstance(said, float) else said


_LAYOUTS: dict[str, Callable[[SubmissionFile, Sequence[Any], Sequence[Example]], Iterator[str]]] = {
    "tsv": _tsv,
    "jsonl": _jsonl,
    "questions": _questions,
    "answers": _answers,
}
