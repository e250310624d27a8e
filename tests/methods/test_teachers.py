"""The teachers of a distillation, as a method uses them."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from bench.artifacts.artifact import save
from bench.base.errors import MethodError, ModelError
from bench.methods.distill.distill import Distill
from bench.methods.distill.frozen_teachers import SeveralTeachers
from bench.methods.distill.moving_teachers import quiz_split
from bench.methods.distill.teachers import TEACHERS
from bench.models.adapter import adapter_for
from bench.training.loop import TrainingLog
from bench.training.teaching import beside

LOGITS = {"logits": {"weight": 1.0, "divergence": {"name": "kl", "temperature": 1.0}}}
FRESH = {"name": "layers", "weights": "source"}


def depth_of(model):
    return adapter_for(model).depth(model)


def taught(teacher, lab, *, student, terms=LOGITS):
    method = Distill(teacher=teacher, terms=terms)
    return method.teacher.taught(student, lab, method=method)


class Log:
    """Stands for `Lab.train` and keeps what it was called with."""

    def __init__(self, lab):
        self.calls = []
        self._train = type(lab).train
        self._lab = lab
        object.__setattr__(lab, "train", self)

    def __call__(self, model, **options):
        self.calls.append((model, options))
        return self._train(self._lab, model, **options)


MOVING = {
    "joint": {"name": "joint"},
    "joint-lagrangian": {"name": "joint-lagrangian"},
    "meta": {"name": "meta", "learning_rate": 1e-3},
}
EACH = {
    **MOVING,
    "reference": {"name": "reference", "stored": True},
    "assistant": "assistant",
    "several": {"name": "several", "depths": [4, 3]},
}


def test_every_teacher_is_tested_here():
    assert sorted([*EACH, "artifact"]) == TEACHERS.names()


@pytest.mark.parametrize("name", EACH)
def test_neither_the_reference_nor_the_given_model_changes(name, make_lab, tiny_bert, state_of):
    model, reference = tiny_bert(), tiny_bert(seed=4)
    before = state_of(model), state_of(reference)
    student = Distill(teacher=EACH[name], student={"name": "layers", "layers": 1}).compress(model, make_lab(reference))
    for one, state in zip((model, reference), before, strict=True):
        assert all(torch.equal(tensor, state[key]) for key, tensor in one.state_dict().items())
        assert not one.training
        assert all(parameter.requires_grad and parameter.grad is None for parameter in one.parameters())
    assert depth_of(student) == 1
    assert not student.training


@pytest.mark.parametrize("name", EACH)
def test_the_same_seed_gives_the_same_student(name, make_lab, tiny_bert, state_of):
    def student():
        method = Distill(teacher=EACH[name], student={"name": "layers", "layers": 1})
        return state_of(method.compress(tiny_bert(), make_lab(tiny_bert(seed=4))))

    first, second = student(), student()
    assert all(torch.equal(tensor, second[key]) for key, tensor in first.items())


@pytest.mark.parametrize("name", MOVING)
def test_a_moving_teacher_moves_while_the_student_learns_and_then_stays(name, make_lab, tiny_bert, monkeypatch):
    made = []
    start = beside.Beside.__init__

    def kept(self, model, **options):
        start(self, model, **options)
        made.append((self, [value.detach().clone() for value in model.parameters()]))

    monkeypatch.setattr(beside.Beside, "__init__", kept)
    Distill(teacher=MOVING[name], student=FRESH).compress(tiny_bert(), make_lab(tiny_bert()))
    ((trained, before),) = made
    after = list(trained.model.parameters())
    assert any(not torch.equal(value, old) for value, old in zip(after, before, strict=True))
    assert not trained.model.training


@pytest.mark.parametrize("name", ["joint", "meta"])
def test_a_bilstm_learns_from_a_teacher_that_moves(name, make_lab, tiny_bert, logits_of):
    student = {"name": "bilstm", "width": 16, "head": 8, "embedding": 12}
    lab = make_lab(tiny_bert(seed=4))
    found = Distill(teacher=MOVING[name], student=student, terms=LOGITS).compress(lab.reference, lab)
    assert torch.isfinite(logits_of(found)).all()
    assert logits_of(found).abs().max() > 0


# --- joint (ProKT)


def test_a_bilstm_starts_with_outputs_of_zero_too(make_lab, tiny_bert, logits_of):
    lab = make_lab(tiny_bert(seed=4))
    method = Distill(teacher="joint", student={"name": "bilstm", "width": 16, "head": 8, "embedding": 12})
    student = method.student.made(lab.reference, lab)
    method.teacher.taught(student, lab, method=method)
    assert torch.equal(logits_of(student), torch.zeros(2, 2))


def test_teacher_and_student_start_from_the_source_and_agree_on_every_example(make_lab, tiny_bert, logits_of):
    lab = make_lab(tiny_bert(seed=4))
    student = tiny_bert(layers=2, seed=7)
    found = taught("joint", lab, student=student)
    (teacher,) = found.teachers
    assert teacher.moving
    assert torch.equal(logits_of(student), torch.zeros(2, 2))
    assert torch.equal(logits_of(teacher.model), torch.zeros(2, 2))
    source = tiny_bert(layers=4, seed=11)  # what `fresh` of the lab gives
    body = {name: value for name, value in source.state_dict().items() if not name.startswith("classifier")}
    assert all(torch.equal(value, teacher.model.state_dict()[name]) for name, value in body.items())


def test_heads_may_start_as_they_are(make_lab, tiny_bert, logits_of):
    student = tiny_bert(layers=2, seed=7)
    taught({"name": "joint", "zero_heads": False}, make_lab(tiny_bert()), student=student)
    assert torch.equal(logits_of(student), logits_of(tiny_bert(layers=2, seed=7)))


def test_the_joint_teacher_has_its_own_rate(make_lab, tiny_bert, state_of):
    lab = make_lab(tiny_bert(seed=4))
    students = [
        state_of(Distill(teacher={"name": "joint", "learning_rate": rate}, student=FRESH).compress(lab.reference, lab))
        for rate in (1e-3, 1e-2)
    ]
    same = state_of(Distill(teacher="joint", student=FRESH).compress(lab.reference, lab))  # the suite's is 1e-3
    assert all(torch.equal(value, same[name]) for name, value in students[0].items())
    assert not all(torch.equal(value, same[name]) for name, value in students[1].items())


# --- meta (MetaDistil)


def test_the_quiz_is_cut_from_the_training_data_and_the_student_sees_the_rest(make_lab, tiny_bert):
    lab = make_lab(tiny_bert())
    found = taught({"name": "meta", "quiz": 0.25}, lab, student=tiny_bert(layers=2))
    told = [each.example for each in found.features]
    asked = {row for row in range(32) if row not in told}
    assert len(told) == 24
    assert lab.counts["quiz_examples"] == len(asked) == 8
    assert told == sorted(told)
    other = taught({"name": "meta", "quiz": 0.25}, dataclasses.replace(lab, seed=5), student=tiny_bert(layers=2))
    assert told != [each.example for each in other.features]


def test_features_of_one_example_are_on_one_side_of_the_quiz_split():
    examples = [0, 0, 1, 2, 2, 2, 3, 4, 4, 5]
    asked, told = quiz_split(examples, share=0.5, seed=1)
    assert sorted([*asked, *told]) == list(range(10))
    assert not {examples[row] for row in asked} & {examples[row] for row in told}
    assert len({examples[row] for row in asked}) == 3


def test_a_quiz_of_no_example_is_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match=r"teacher.quiz = 0.01 of 32 training examples leaves nothing to ask"):
        Distill(teacher={"name": "meta", "quiz": 0.01}).compress(tiny_bert(), make_lab())


def test_the_meta_teacher_starts_as_a_copy_of_the_reference(make_lab, tiny_bert, state_of):
    lab = make_lab(tiny_bert(seed=4))
    (teacher,) = taught("meta", lab, student=tiny_bert(layers=2)).teachers
    assert all(torch.equal(value, state_of(teacher.model)[name]) for name, value in state_of(lab.reference).items())
    assert teacher.model is not lab.reference


# --- an assistant


def test_the_assistant_is_distilled_before_the_student_and_teaches_it(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(layers=4))
    log = Log(lab)
    student = Distill(teacher="assistant", student={"name": "layers", "layers": 1}).compress(lab.reference, lab)
    (assistant, _), (last, options) = log.calls
    assert [depth_of(assistant), depth_of(last)] == [2, 1]
    assert last is student
    (_, guidance), *_ = options["objective"].terms
    assert [teacher.model for teacher in guidance._teachers] == [assistant]


def test_the_assistant_may_have_any_form_and_its_own_budget(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(layers=4), epochs=2.0)
    log = Log(lab)
    teacher = {"name": "assistant", "form": {"name": "layers", "layers": 3}, "budget": 0.5}
    Distill(teacher=teacher, student={"name": "layers", "layers": 1}).compress(lab.reference, lab)
    assert [(depth_of(model), options["epochs"]) for model, options in log.calls] == [(3, 1.0), (1, 2.0)]


def test_without_a_depth_in_between_an_assistant_is_refused(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(layers=2))
    with pytest.raises(MethodError, match="between 2 layers of the reference and 1 of the student there is no depth"):
        Distill(teacher="assistant").compress(lab.reference, lab)


# --- several (MT-BERT)


def test_the_teachers_are_fine_tuned_together_and_then_frozen(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(layers=4), epochs=2.0)
    log = Log(lab)
    found = taught({"name": "several", "depths": [4, 3, 2], "budget": 0.5}, lab, student=tiny_bert(layers=2))
    ((together, options),) = log.calls
    assert [depth_of(teacher.model) for teacher in found.teachers] == [4, 3, 2]
    assert options["epochs"] == 1.0
    assert len({id(teacher.model.classifier) for teacher in found.teachers}) == 1
    assert len({id(teacher.model.bert.pooler) for teacher in found.teachers}) == 1
    assert not any(teacher.moving for teacher in found.teachers)
    assert lab.counts["teachers"] == 3
    assert len(list(together.models)) == 3


def test_by_default_they_are_two_of_all_layers_and_of_two_thirds(make_lab, tiny_bert):
    found = taught("several", make_lab(tiny_bert(layers=4)), student=tiny_bert(layers=2))
    assert [depth_of(teacher.model) for teacher in found.teachers] == [4, 3]


def test_a_teacher_deeper_than_the_source_is_refused(make_lab, tiny_bert):
    with pytest.raises(MethodError, match=r"teacher.depths are \[5\]; expected numbers from 1 to 4"):
        taught({"name": "several", "depths": [5]}, make_lab(tiny_bert(layers=4)), student=tiny_bert(layers=2))


def test_every_teacher_counts_in_the_sum(make_lab, tiny_bert, monkeypatch):
    """The objective of N teachers is the sum of those of each of them alone."""
    lab = make_lab(tiny_bert(layers=4))
    student, teachers = tiny_bert(layers=2, seed=7), [tiny_bert(layers=layers, seed=layers) for layers in (4, 3)]
    with torch.no_grad():
        for model in (student, *teachers):
            model.classifier.weight.mul_(20)
    losses = []

    def loss_of(model, **options):
        from bench.tasks.batching import collate
        from bench.tasks.kinds.kind import KINDS

        batch = collate(lab.features[:8], pad_id=0)
        loss = options["objective"].loss(model, batch, model(**batch.inputs), KINDS.get("classification"))
        losses.append(loss.item())
        return TrainingLog(steps=1, seconds=0.0, final_loss=losses[-1], losses=(losses[-1],))

    object.__setattr__(lab, "train", loss_of)
    for some in (teachers, teachers[:1], teachers[1:]):
        monkeypatch.setattr(SeveralTeachers, "models", lambda self, *args, some=some, **options: tuple(some))
        Distill(teacher="several", terms=LOGITS).compress(lab.reference, lab)
    assert losses[0] == pytest.approx(losses[1] + losses[2], rel=1e-6)
    assert losses[1] != pytest.approx(losses[2], rel=1e-3)


# --- a model in a folder


@pytest.fixture
def folder(tmp_path, tiny_bert, tokenizer):
    """A function that saves a model whose outputs are called as given, as an artifact of bench or a checkpoint."""

    def make(labels=("no", "yes"), *, name="teacher", form="artifact", model=None, words=tokenizer):
        model = model or tiny_bert(len(labels), layers=3, seed=9)
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {label: index for index, label in enumerate(labels)}
        path = tmp_path / name
        if form == "artifact":
            save(model, path, tokenizer=words)
        else:
            model.save_pretrained(path)
            words.save_pretrained(path)
        return path

    return make


@pytest.mark.parametrize("form", ["artifact", "checkpoint"])
def test_a_model_in_a_folder_teaches(form, folder, make_lab, tiny_bert, logits_of):
    path = folder(form=form)
    method = Distill(teacher={"name": "artifact", "path": str(path)})
    lab = make_lab(tiny_bert(seed=4))
    (teacher,) = method.teacher.taught(tiny_bert(layers=2), lab, method=method).teachers
    torch.testing.assert_close(logits_of(teacher.model), logits_of(tiny_bert(layers=3, seed=9)))
    assert not teacher.model.training
    assert method.folders() == (str(path),)
    method.compress(lab.reference, lab)


@pytest.mark.parametrize("form", ["artifact", "checkpoint"])
def test_its_outputs_are_matched_to_the_labels_by_name(form, folder, make_lab, tiny_bert, logits_of):
    path = folder(("yes", "no"), form=form)
    method = Distill(teacher={"name": "artifact", "path": str(path)})
    (teacher,) = method.teacher.taught(tiny_bert(layers=2), make_lab(), method=method).teachers
    torch.testing.assert_close(logits_of(teacher.model), logits_of(tiny_bert(layers=3, seed=9)).flip(-1))


def test_outputs_without_names_are_refused_unless_they_are_told(folder, make_lab, tiny_bert, logits_of):
    path = folder(("LABEL_0", "LABEL_1"), form="checkpoint")
    lab = make_lab(tiny_bert())
    with pytest.raises(ModelError, match="it is unknown which output is which label"):
        taught({"name": "artifact", "path": str(path)}, lab, student=tiny_bert(layers=2))
    told = {"name": "artifact", "path": str(path), "labels": "yes+no"}
    (teacher,) = taught(told, lab, student=tiny_bert(layers=2)).teachers
    torch.testing.assert_close(logits_of(teacher.model), logits_of(tiny_bert(layers=3, seed=9)).flip(-1))


def test_a_head_of_another_task_cannot_teach(folder, make_lab, tiny_bert):
    path = folder(("a", "b", "c"), form="checkpoint")
    with pytest.raises(MethodError, match="its head was not trained on this task"):
        taught({"name": "artifact", "path": str(path)}, make_lab(), student=tiny_bert(layers=2))


def test_another_tokenizer_is_refused(folder, make_lab, tiny_bert, tokenizer):
    import copy

    other = copy.deepcopy(tokenizer)
    other.add_tokens(["dreadful"])
    path = folder(words=other)
    with pytest.raises(MethodError, match="its tokenizer is another one than the student's"):
        taught({"name": "artifact", "path": str(path)}, make_lab(), student=tiny_bert(layers=2))


def test_a_folder_without_a_model_is_refused(make_lab, tiny_bert, tmp_path):
    with pytest.raises(ModelError, match="no such directory"):
        taught({"name": "artifact", "path": str(tmp_path / "none")}, make_lab(), student=tiny_bert(layers=2))
    with pytest.raises(ValidationError, match="path"):
        Distill(teacher={"name": "artifact"})


def test_the_checkpoint_says_whether_its_head_is_that_of_the_task(folder, tiny_bert):
    from bench.artifacts.source import open_folder

    source = open_folder(str(folder(("a", "b", "c"), form="checkpoint")))
    assert source.has_head(tiny_bert(3))
    assert not source.has_head(tiny_bert(2))


# --- data without labels


@pytest.mark.parametrize("teacher", ["joint", "joint-lagrangian", "meta", "several"])
def test_a_teacher_that_trains_needs_labels(teacher, make_lab, tiny_bert):
    lab = make_lab(tiny_bert())
    bare = [dataclasses.replace(each, targets={}) for each in lab.features]
    with pytest.raises(MethodError, match=f"teacher '{teacher}' learns from labels, and the data"):
        taught(teacher, dataclasses.replace(lab, features=bare), student=tiny_bert(layers=2))


@pytest.mark.parametrize("teacher", ["joint", "meta", "several", "assistant", {"name": "artifact", "path": "teacher"}])
def test_a_teacher_that_no_term_asks_is_refused(teacher):
    with pytest.raises(ValidationError, match=r"has no effect, since no term compares with a teacher"):
        Distill(teacher=teacher, terms={"labels": 1.0})
    Distill(teacher=teacher, terms={"labels": 1.0}, data="mixup")
    with pytest.raises(ValidationError, match=r"has no effect, since no term compares with a teacher"):
        Distill(teacher=teacher, terms={"labels": 1.0}, data={"name": "mixup", "logits": 0.0})


def test_what_the_form_of_an_assistant_needs_is_told_so_that_keys_depend_on_it():
    form = {"name": "shape", "layers": 3, "pretrain": "corpus"}
    assert Distill(teacher={"name": "assistant", "form": form}).tasks() == ("corpus",)
    assert Distill(teacher="assistant").tasks() == ()


# --- stored outputs


@pytest.mark.parametrize("terms", [{"labels": 1.0}, {"labels": 1.0, "hidden": 1.0}])
@pytest.mark.parametrize("data", ["task", "mixup"])
def test_outputs_that_no_term_asks_for_are_not_stored(terms, data):
    with pytest.raises(ValidationError, match=r"teacher\.stored keeps outputs, and no term"):
        Distill(teacher={"name": "reference", "stored": True}, terms=terms, data=data)


@pytest.mark.parametrize("name", ["reference", "assistant", "several"])
def test_a_second_run_reads_the_stored_outputs_and_gives_the_same_student(
    name, make_lab, tiny_bert, state_of, tmp_path
):
    method = Distill(teacher={"name": name, "stored": True}, student={"name": "layers", "layers": 1}, terms=LOGITS)
    found = []
    for folder in (tmp_path, tmp_path, None):
        lab = dataclasses.replace(make_lab(tiny_bert(seed=4)), folder=folder)
        student = state_of(method.compress(lab.reference, lab))
        found.append((student, lab.counts["recalled_teachers"]))
    count = 2 if name == "several" else 1
    assert [read for _, read in found] == [0, count, 0]
    for student, _ in found[1:]:
        assert all(torch.equal(value, student[key]) for key, value in found[0][0].items())
