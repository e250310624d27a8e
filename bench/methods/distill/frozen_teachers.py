"""Frozen teachers besides the reference: a model from a folder, an assistant, and several that share a head."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field
from typing_extensions import override

from bench.base.errors import MethodError
from bench.methods.base.choice import Chosen
from bench.methods.base.method import Lab, Listed
from bench.methods.base.trained import TrainedMethod
from bench.methods.distill.students import STUDENTS, FewerLayers, Student
from bench.methods.distill.teachers import TEACHERS, FrozenTeacher, require_labels

if TYPE_CHECKING:
    from torch import nn

_COMPARED_TEXTS = 100  # on which two tokenizers must agree


@TEACHERS.register("artifact")
class FolderTeacher(FrozenTeacher):
    """A model in a folder: an artifact of bench, or a checkpoint of transformers in safetensors files.

    It was trained on the task elsewhere, and may have any depth, width and architecture. It reads the same tokens as
    the student, so its tokenizer must be the same. Its outputs are matched to the task's labels by their names. Nothing
    in the folder is run or unpickled; keys of artifacts are made of what is in it.
    """

    path: str = Field(description="the folder")
    labels: Annotated[tuple[str, ...], Listed] = Field(
        (), description="names of its outputs in their order, if its configuration does not have them"
    )

    @override
    def folders(self) -> tuple[str, ...]:
        return (self.path,)

    @override
    def models(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> tuple[nn.Module, ...]:
        """Raises `MethodError` for an untrained head or another tokenizer, `ModelError` for what cannot be opened."""
        from bench.artifacts.source import open_folder
        from bench.tasks.kinds.kind import KINDS

        kind = KINDS.get(lab.task.kind)
        source = open_folder(self.path, outputs=self.labels)
        _same_tokens(source.tokenizer(lambda: ()), lab, where=self.path)
        model = source.build(
            head=kind.head,
            labels=lab.task.labels or None,
            tokenizer=lab.tokenizer,
            seed=lab.seed,
            settings=kind.head_settings(lab.task),
        )
        if not source.has_head(model):
            raise MethodError(
                f"{self.path}: its head was not trained on this task, so it cannot teach. Give a model that was "
                f"fine-tuned on {lab.task.name}, with {len(lab.task.labels) or 1} outputs"
            )
        length = lab.task.max_length or lab.setting.max_length
        whole = kind.completed(model, lab.examples, lab.tokenizer, task=lab.task, max_length=length, like=lab.reference)
        return (whole.to(lab.device).eval(),)


@TEACHERS.register("assistant")
class Assistant(FrozenTeacher):
    """A student of a size in between, which is distilled first and then teaches (Mirzadeh 2020, arXiv:1902.03393).

    MiniLM has one too, of the teacher's depth and the student's width (Wang et al. 2020, arXiv:2002.10957, §3.3). The
    assistant learns from the reference by the stage's own terms.
    """

    form: Annotated[Student, Chosen(STUDENTS)] | None = Field(
        None, description="form and first weights of the assistant; None is a depth midway between both, evenly spread"
    )
    budget: float = Field(1.0, gt=0, le=100, description="training of the assistant as a share of the stage's budget")

    @override
    def tasks(self) -> tuple[str, ...]:
        return () if self.form is None else self.form.tasks()

    @override
    def folders(self) -> tuple[str, ...]:
        return () if self.form is None else self.form.folders()

    @override
    def models(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> tuple[nn.Module, ...]:
        """Raises `MethodError` if no depth lies in between."""
        assistant = self._form(student, lab).made(lab.reference, lab).to(lab.device)
        method.tune(assistant, lab, share=self.budget)
        lab.counts["assistants"] = 1
        return (assistant.eval(),)

    def _form(self, student: nn.Module, lab: Lab) -> Student:
        if self.form is not None:
            return self.form
        above, below = (_depth(each) for each in (lab.reference, student))
        if above - below < 2:
            raise MethodError(
                f"distill: between {above} layers of the reference and {below} of the student there is no depth for "
                f"an assistant. Give teacher.form, or a student of fewer layers."
            )
        return FewerLayers(layers=(above + below) // 2)


@TEACHERS.register("several")
class SeveralTeachers(FrozenTeacher):
    """MT-BERT's teachers: fine-tuned together with one pooler and one head between them, so that their states align.

    The sum of their task losses is minimised (Wu et al. 2021, arXiv:2106.01023). The paper takes different pretrained
    models (BERT, RoBERTa, UniLM); here each starts from the same source's pretrained weights with its own number of
    layers, so this is the paper's mechanism and not its teachers. A term compares the student with each of them, and
    the sum counts; weigh each by its error with the term's `by = "teacher-error"`.
    """

    depths: tuple[int, ...] = Field(
        (), description="layers of each teacher; empty is two, of all the reference's layers and of two thirds of them"
    )
    budget: float = Field(
        1.0, gt=0, le=100, description="epochs of the teachers' common fine-tuning as a share of the suite's"
    )

    @override
    def models(self, student: nn.Module, lab: Lab, *, method: TrainedMethod) -> tuple[nn.Module, ...]:
        """Raises `MethodError` for a depth that the source lacks or data without labels, `ModelError` for the head."""
        from bench.training.objective import Objective
        from bench.training.teaching.together import EachOfThem, Together

        require_labels(lab, self)
        depth = _depth(lab.reference)
        depths = self.depths or (depth, max(1, round(2 * depth / 3)))
        if not 1 <= min(depths) <= max(depths) <= depth:
            raise MethodError(f"distill: teacher.depths are {list(depths)}; expected numbers from 1 to {depth}")
        together = Together([lab.fresh(layers, True) for layers in depths])
        objective = Objective(terms=((1.0, EachOfThem()),))
        lab.train(together, epochs=lab.plan.epochs * self.budget, objective=objective)
        lab.counts["teachers"] = len(depths)
        layers = ", ".join(map(str, depths))
        lab.notes.append(f"The teachers have {layers} layers of the model's own source and were fine-tuned together.")
        return tuple(model.eval() for model in together.models)


def _depth(model: nn.Module) -> int:
    from bench.models.adapter import adapter_for

    adapter = adapter_for(model)
    return adapter.depth(model, adapter.stacks(model)[0])


def _same_tokens(tokenizer: Any, lab: Lab, *, where: str) -> None:
    """Raise `MethodError` unless both tokenizers give the same ids for the first texts and have the same vocabulary."""
    texts = [text for example in lab.examples[:_COMPARED_TEXTS] for text in example.texts]
    same = tokenizer.get_vocab() == lab.tokenizer.get_vocab()
    if not same or tokenizer(texts)["input_ids"] != lab.tokenizer(texts)["input_ids"]:
        raise MethodError(
            f"{where}: its tokenizer is another one than the student's, so the two would not read the same tokens. "
            f"Give a teacher with the same tokenizer."
        )
