"""What a student is taught on: edited copies that only the teacher labels, mixed examples, and a corpus."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from pydantic import ValidationError

from bench.base.errors import MethodError
from bench.methods.distill.distill import Distill
from bench.models.adapter import adapter_for
from bench.plan.recipes import load_recipe, methods_of
from bench.spec.suite import Source, Task
from bench.tasks.batching import collate
from bench.tasks.kinds.kind import KINDS
from bench.tasks.wording import dictionary
from bench.tasks.wording.dictionary import SourceMissingError
from bench.training.terms.teacher import Taught, Teacher

TAUGHT = {"logits": 1.0}
NOISE = {"name": "noise", "copies": 3, "pos": 0.0}


class Parts:
    version = "0"

    def part(self, word):
        return "adj" if word in ("good", "bad", "great", "awful") else None


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.setattr(dictionary, "find_dictionary", Parts)


def masked_bert(*, layers=4, seed=3):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(
        vocab_size=100,
        hidden_size=32,
        num_hidden_layers=layers,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BertForMaskedLM(config).eval()


@pytest.fixture
def with_corpus(make_lab, tiny_bert):
    """The lab of a task, from which one of masked language modelling on its texts is `elsewhere`."""

    def make(*, head_is_new=False, **options):
        lab = make_lab(tiny_bert(), **options)
        task = Task(
            name="general",
            kind="masked_language_modelling",
            metrics=("perplexity",),
            data=Source(source="generated", subset="words"),
        )
        features = KINDS.get(task.kind).encode(lab.examples, lab.tokenizer, task=task, max_length=32, training=True)
        other = dataclasses.replace(
            lab,
            task=task,
            features=features,
            reference=masked_bert(),
            fresh=lambda depth, pretrained: masked_bert(layers=depth, seed=3 if pretrained else 4),
            head_is_new=head_is_new,
        )
        return dataclasses.replace(lab, elsewhere={"general": other}.__getitem__)

    return make


def distill(data, terms=TAUGHT, **arguments):
    return Distill.model_validate({"data": data, "terms": terms, "learning_rate": 1e-3, **arguments})


def prepared(method, lab):
    return method.data.prepared(lab.reference, lab, method=method)


@pytest.mark.parametrize("data", ["noise", "word-replacement"])
def test_labels_of_edited_texts_are_refused_since_nobody_knows_them(data):
    with pytest.raises(ValidationError, match=rf"data '{data}' holds texts whose labels nobody knows, so terms.labels"):
        distill(data, {"labels": 0.5, "logits": 0.5})
    distill(data, {"labels": 0.0, "logits": 0.5})


def test_copies_and_examples_are_counted_and_none_has_a_target(make_lab, parts):
    lab = make_lab(examples=10)
    method = distill({**NOISE, "pos": 0.3, "copies": 20})
    found = prepared(method, lab).lab
    assert lab.counts["augmented_texts"] == len(found.examples) - 10
    repeated = 200 - lab.counts["augmented_texts"]
    assert f"20 drawn per example, {repeated} repeated ones left out" in lab.notes[0]
    assert len(found.features) == len(found.examples)
    assert all(feature.targets == {} for feature in found.features)
    assert found.examples[:10] == lab.examples
    assert all(each.label is None for each in found.examples[10:])


def test_the_same_seed_gives_the_same_set_and_another_seed_another(make_lab, parts):
    sets = [
        prepared(distill(NOISE), dataclasses.replace(make_lab(examples=10), seed=seed)).lab.examples
        for seed in (0, 0, 1)
    ]
    assert sets[0] == sets[1] != sets[2]


def test_a_student_learns_the_same_whatever_the_labels_are(make_lab, tiny_bert):
    lab = make_lab(tiny_bert(), examples=12)
    flipped = [dataclasses.replace(each, label=1 - each.label) for each in lab.examples]
    features = [dataclasses.replace(each, targets={"labels": 1 - each.targets["labels"]}) for each in lab.features]
    other = dataclasses.replace(lab, examples=flipped, features=features)
    students = [distill(NOISE).compress(each.reference, each) for each in (lab, other)]
    states = [each.state_dict() for each in students]
    assert all(torch.equal(tensor, states[1][name]) for name, tensor in states[0].items())


def test_without_a_dictionary_it_says_what_to_install_or_to_leave_out(make_lab, monkeypatch):
    def missing():
        raise SourceMissingError("no WordNet found")

    monkeypatch.setattr(dictionary, "find_dictionary", missing)
    with pytest.raises(MethodError, match=r"data\.pos: no WordNet found. Or set data\.pos = 0"):
        prepared(distill("noise"), make_lab())


def test_words_are_replaced_by_the_masked_model_of_another_task(with_corpus):
    lab = with_corpus(examples=6)
    method = distill({"name": "word-replacement", "copies": 2, "task": "general", "probability": 1.0})
    assert method.tasks() == ("general",)
    found = prepared(method, lab).lab.examples
    assert lab.counts["augmented_texts"] == len(found) - 6 > 0
    assert "which a masked language model gave for" in lab.notes[0]
    before = {each.uid: each.text.split() for each in found[:6]}
    assert all(len(each.text.split()) == len(before[each.uid.partition("+")[0]]) for each in found[6:])


def test_words_are_replaced_by_neighbours_if_no_task_is_named(make_lab):
    lab = make_lab(examples=6)
    prepared(distill({"name": "word-replacement", "copies": 2}), lab)
    assert "which a masked language model gave for 0 words and the nearest input embeddings for" in lab.notes[0]


@pytest.mark.parametrize(
    "data", [{"name": "word-replacement", "task": "general"}, {"name": "corpus", "task": "general"}]
)
def test_a_masked_model_whose_head_is_new_is_refused_and_trained_if_asked(data, with_corpus):
    with pytest.raises(MethodError, match=r"no trained head for general.*Set data\.tuned above 0"):
        prepared(distill(data), with_corpus(head_is_new=True))
    lab = with_corpus(head_is_new=True, examples=8)
    before = {name: tensor.clone() for name, tensor in lab.elsewhere("general").reference.state_dict().items()}
    prepared(distill({**data, "tuned": 1.0}), lab)
    after = lab.elsewhere("general").reference.state_dict()
    assert any(not torch.equal(tensor, after[name]) for name, tensor in before.items())
    assert "epochs: 1)" in lab.notes[0]


def test_terms_that_read_no_head_need_none_that_is_trained(with_corpus):
    prepared(distill({"name": "corpus", "task": "general"}, {"labels": 1.0}), with_corpus(head_is_new=True))


def test_a_task_with_several_outputs_per_text_is_refused(with_corpus):
    lab = with_corpus().elsewhere("general")
    for data in (NOISE, "mixup"):
        with pytest.raises(MethodError, match="a masked_language_modelling task has more than one distribution"):
            prepared(distill(data), lab)


def test_a_student_of_a_corpus_comes_from_the_pretrained_model_and_gets_the_tasks_head(with_corpus, tiny_bert):
    lab = with_corpus(examples=8)
    model, step = lab.reference, 1e-9  # too small to move a weight visibly
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    method = distill({"name": "corpus", "task": "general"}, {"labels": 2.0, "logits": 5.0}, learning_rate=step)
    student = method.compress(model, lab)
    assert type(student) is type(model)
    assert adapter_for(student).depth(student) == 2
    pretrained = lab.elsewhere("general").reference
    for mine, its in zip(
        adapter_for(student).layers(student), adapter_for(pretrained).layers(pretrained)[1::2], strict=True
    ):
        assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(mine.parameters(), its.parameters(), strict=True))
    assert not torch.equal(student.classifier.weight, model.classifier.weight)
    assert torch.equal(student.classifier.weight, method.compress(model, lab).classifier.weight)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert lab.counts == {"corpus_texts": 8}
    assert method.tasks() == ("general",)


def test_for_a_clone_of_the_teacher_divergence_and_cosine_of_distilbert_are_zero(with_corpus):
    lab = with_corpus(examples=8).elsewhere("general")
    (method, _) = methods_of(load_recipe("distilbert", {"1.terms.labels.weight": 0.0}))
    assert {key: term.weight for key, term in method.terms.working.items()} == {"logits": 5.0, "cosine": 1.0}
    teacher, clone, other = lab.reference, masked_bert(), masked_bert(seed=8)
    batch = collate(lab.features, pad_id=0)
    losses = [
        method.guidance(lab, [Teacher(teacher)]).loss(student, batch, student(**batch.inputs), KINDS.get(lab.task.kind))
        for student in (clone, other)
    ]
    assert abs(float(losses[0].detach())) < 1e-5  # sums of float32 products, times up to 20
    assert float(losses[1].detach()) > 0.1


def test_the_corpus_comes_first_or_not_at_all(with_corpus, tiny_bert):
    lab = with_corpus()
    with pytest.raises(MethodError, match="distill: data = 'corpus': does not start from the given model's weights"):
        distill({"name": "corpus", "task": "general"}).compress(tiny_bert(seed=9), lab)


def test_a_student_of_a_corpus_is_fine_tuned_by_the_next_stage(with_corpus):
    lab = with_corpus(examples=8)
    student = distill({"name": "corpus", "task": "general"}, {"labels": 1.0}).compress(lab.reference, lab)
    tuned = distill("task", {"labels": 1.0}, student="same").compress(student, lab)
    assert not torch.equal(tuned.classifier.weight, student.classifier.weight)


@pytest.mark.parametrize("labels", [0.0, 0.5])
def test_mixing_alters_training_and_is_the_same_for_the_same_seed(labels, make_lab, tiny_bert):
    def state(data):
        lab = make_lab(tiny_bert(), examples=16)
        return distill(data, {"labels": 1.0, "logits": 1.0}).compress(lab.reference, lab).state_dict()

    mixed = {"name": "mixup", "labels": labels, "logits": 1.0}
    one, again, plain = (state(data) for data in (mixed, mixed, "task"))
    assert all(torch.equal(tensor, again[name]) for name, tensor in one.items())
    assert any(not torch.equal(tensor, plain[name]) for name, tensor in one.items())


def test_a_student_that_reads_no_embeddings_is_refused_before_training(make_lab, tiny_bert):
    from architectures import make_model

    lab = make_lab(tiny_bert())
    method = distill("mixup")
    with pytest.raises(MethodError, match="takes tokens only"):
        method.data.added(lab, make_model("bench-bilstm"), Taught((Teacher(lab.reference),)))
