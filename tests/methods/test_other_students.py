"""Students of another size or architecture: what they are made of, what they start from, and how they are stored."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from families import FAMILIES, SIZES, make
from pydantic import ValidationError

from bench.artifacts import artifact
from bench.artifacts.source import open_source
from bench.base.errors import MethodError
from bench.measures.audit.audit import audit
from bench.methods.distill.distill import Distill
from bench.methods.distill.students import STUDENTS
from bench.methods.prune.prune import Prune
from bench.methods.quantize.quantize import Quantize
from bench.methods.shrink.removable import removable
from bench.models.adapter import adapter_for
from bench.models.bodies import under_head
from bench.models.heads import config_of, from_config, head_of
from bench.models.roles import GATE_ROLES
from bench.spec.setting import Training
from bench.spec.suite import Source, Task
from bench.tasks.examples import Example
from bench.tasks.kinds.kind import KINDS

OTHERS = {
    "shape": {"name": "shape", "layers": 2, "width": 16, "heads": 2},
    "mobilebert": {"name": "mobilebert", "layers": 2},
    "bilstm": {"name": "bilstm", "width": 6, "head": 5, "embedding": 7},
    "narrow": {"name": "narrow", "saliency": "magnitude"},
}


def made(student, model, lab):
    return STUDENTS.made(student).made(model, lab)


def count(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def logits(model, tokenizer, texts=("the film was good", "a bad plot"), pair=None):
    inputs = tokenizer(list(texts), pair, return_tensors="pt", padding=True)
    with torch.inference_mode():
        return model(**inputs).logits


@pytest.fixture
def masked_lab(make_lab, tokenizer):
    """The lab of the task of words, from which one of masked language modelling, "corpus", is `elsewhere`."""

    def build(reference):
        lab = make_lab(reference)
        task = Task(
            name="corpus",
            kind="masked_language_modelling",
            metrics=("perplexity",),
            data=Source(source="generated", subset="words"),
        )
        lines = [Example(uid=str(index), text=example.text) for index, example in enumerate(lab.examples)]
        features = KINDS.get(task.kind).encode(lines, tokenizer, task=task, max_length=32, training=True)
        plan = Training(epochs=2.0, batch_size=8, learning_rate=1e-2)
        unread = under_head(reference, "masked-language-modelling", seed=3)
        other = dataclasses.replace(lab, task=task, features=features, examples=lines, plan=plan, reference=unread)
        return dataclasses.replace(lab, elsewhere=lambda name: {"corpus": other, "words": lab}[name])

    return build


# --- sizes


@pytest.mark.parametrize(
    ("layers", "width", "heads", "neurons", "millions"),
    [
        (4, 312, 12, 1200, 14.35),  # TinyBERT
        (2, 128, 2, None, 4.39),  # BERT-tiny
        (4, 256, 4, None, 11.17),  # BERT-mini
        (4, 512, 8, None, 28.76),  # BERT-small
        (8, 512, 8, None, 41.37),  # BERT-medium
    ],
)
def test_published_shapes_beside_bert_base_have_their_published_size(
    layers, width, heads, neurons, millions, make_lab, monkeypatch
):
    from bench.models import bodies

    with torch.device("meta"):
        base = from_config(config_of("bert", {}), "sequence-classification")
    monkeypatch.setattr(bodies, "_fresh", on_meta)
    student = {"name": "shape", "layers": layers, "width": width, "heads": heads, "neurons": neurons}
    monkeypatch.setattr("bench.methods.distill.other_students.refuse_lost_work", lambda *_, **__: None)
    small = made(student, base, dataclasses.replace(make_lab(base), device="meta"))
    assert round(count(small.bert) / 1e6, 2) == millions


def on_meta(model_type, settings, head, seed):
    with torch.device("meta"):
        return from_config(config_of(model_type, dict(settings)), head)


def test_half_of_bert_base_without_segments_and_pooler_is_distilberts_size():
    with torch.device("meta"):
        model = from_config(config_of("distilbert", {}), "sequence-classification")
    assert round(count(model.distilbert) / 1e6, 2) == 66.36


def test_tinybert_costs_1_25_gflops_for_128_tokens():
    """0.626 billion multiply-adds (Jiao et al. 2020, table 1: 1.2B FLOPs), all of them in the encoder's layers."""
    length, width, neurons, layers = 128, 312, 1200, 4
    from bench.measures.computation.trace import trace

    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": 12, "intermediate_size": neurons}
    model = from_config(config_of("bert", {**sizes, "vocab_size": 1000}), "sequence-classification").eval()
    ids = torch.arange(100, 100 + length)[None]
    found = trace(model, {"input_ids": ids, "attention_mask": torch.ones_like(ids)}).macs
    layer = length * (4 * width**2 + 2 * width * neurons) + 2 * length**2 * width
    assert found == layers * layer + width**2 + 2 * width
    assert found == pytest.approx(0.626e9, rel=0.005)


# --- what a student has of the given model


@pytest.mark.parametrize("family", [family for family in FAMILIES if family not in ("deberta-v2", "modernbert")])
def test_a_shape_keeps_architecture_vocabulary_and_head(family, make_lab):
    model = make(family)
    student = made({"name": "shape", "layers": 2, "width": 24, "heads": 3, "neurons": 40}, model, make_lab(model))
    adapter = adapter_for(student)
    assert type(student) is type(model)
    assert (adapter.depth(student), adapter.hidden_size(student), adapter.heads(student)) == (2, 24, 3)
    assert {tuple(each.weight.shape) for each in adapter.linears(student, ["ffn_in"]).values()} == {(40, 24)}
    assert adapter.word_embedding(student).num_embeddings == SIZES["vocab_size"]
    assert student.config.num_labels == 3
    assert adapter.depth(model) == model.config.num_hidden_layers == 4


def test_a_shape_has_half_the_layers_the_same_width_and_heads_unless_said_otherwise(make_lab):
    model = make("bert", intermediate_size=64)
    student = made("shape", model, make_lab(model))
    adapter = adapter_for(student)
    assert (adapter.depth(student), adapter.hidden_size(student), adapter.heads(student)) == (2, 32, 4)
    assert student.config.intermediate_size == 128


def test_a_width_that_heads_do_not_divide_and_a_translator_are_refused(make_lab):
    from architectures import make_model

    model = make("bert")
    with pytest.raises(MethodError, match="4 heads do not divide a width of 30"):
        made({"name": "shape", "width": 30}, model, make_lab(model))
    with pytest.raises(MethodError, match="4 heads do not divide a bottleneck of 10"):
        made({"name": "mobilebert", "bottleneck": 10}, model, make_lab(model))
    translator = make_model("marian")
    with pytest.raises(MethodError, match="the sizes of architecture 'marian' cannot be changed"):
        made("shape", translator, make_lab(translator))
    with pytest.raises(MethodError, match="has no translation head"):
        made("bilstm", translator, make_lab(translator))


def test_layers_of_a_mobilebert_are_as_wide_as_the_teachers(make_lab, tiny_bert):
    model = tiny_bert()
    student = made("mobilebert", model, make_lab(model))
    adapter = adapter_for(student)
    assert adapter.depth(student) == 4
    assert adapter.hidden_size(student) == adapter_for(model).hidden_size(model) == 32
    assert student.config.true_hidden_size == 8
    assert student.config.max_position_embeddings == 64
    assert adapter.word_embedding(student).weight.shape == (100, 8)
    assert adapter.heads(student) == adapter_for(model).heads(model) == 4
    wide = made({"name": "mobilebert", "heads": 3}, model, make_lab(model))
    assert wide.config.true_hidden_size == 9  # a quarter of 32, and a multiple of 3


def test_at_the_papers_size_a_mobilebert_beside_a_model_of_width_512_has_24_84_million_parameters(
    make_lab, monkeypatch
):
    from bench.models import bodies

    sizes = {"hidden_size": 512, "num_hidden_layers": 24, "num_attention_heads": 8}
    with torch.device("meta"):
        base = from_config(config_of("bert", sizes), "sequence-classification")
    monkeypatch.setattr(bodies, "_fresh", on_meta)
    monkeypatch.setattr("bench.methods.distill.other_students.refuse_lost_work", lambda *_, **__: None)
    student = made({"name": "mobilebert", "heads": 4}, base, dataclasses.replace(make_lab(base), device="meta"))
    assert round(count(student.mobilebert) / 1e6, 2) == 24.84


def test_a_bilstm_may_start_from_the_given_embeddings_and_reads_pairs_apart_if_there_are_any(make_lab, tiny_bert):
    model = tiny_bert()
    lab = make_lab(model)
    student = made({"name": "bilstm", "embeddings": "given"}, model, lab)
    table = adapter_for(student).word_embedding(student).weight
    assert torch.equal(table, model.bert.embeddings.word_embeddings.weight)
    assert table.data_ptr() != model.bert.embeddings.word_embeddings.weight.data_ptr()
    assert not student.config.pairs
    paired = [dataclasses.replace(example, pair="it was fun") for example in lab.examples]
    other = made("bilstm", model, dataclasses.replace(lab, examples=paired))
    assert other.config.pairs
    assert other.compare.in_features == 8 * 150
    assert other.config.separator_id == lab.tokenizer.sep_token_id


def test_a_narrow_student_has_half_of_the_heads_and_neurons_of_every_layer(make_lab, tiny_bert, state_of):
    model = tiny_bert()
    before = state_of(model)
    student = made({"name": "narrow", "heads": 0.5, "neurons": 0.25}, model, make_lab(model))
    units = [(each.part, each.units, each.dead) for each in removable(student, adapter_for(student))]
    assert units == [("attention", 2, ()), ("ffn", 48, ())] * 4
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_narrow_student_keeps_the_most_important_units(make_lab, tiny_bert):
    model = tiny_bert()
    layer = adapter_for(model).layers(model)[0]
    with torch.no_grad():
        for module in (layer.attention.self.query, layer.attention.self.key, layer.attention.self.value):
            module.weight[8:24] *= 10  # heads 1 and 2
    wanted = layer.attention.self.value.weight[8:24]
    student = made(OTHERS["narrow"] | {"neurons": 0.0}, model, make_lab(model))
    assert torch.equal(adapter_for(student).layers(student)[0].attention.self.value.weight, wanted)


# --- starts


@pytest.mark.parametrize(("start", "kept"), [("first", [0, 1]), ([1, 4], [0, 3]), ("2+3", [1, 2])], ids=str)
@pytest.mark.parametrize("weights", ["given", "source"])
def test_a_student_of_layers_starts_from_exactly_those(start, kept, weights, make_lab, tiny_bert):
    model = tiny_bert()
    whole = model if weights == "given" else tiny_bert(seed=11)
    layers = {"layers": 2} if start == "first" else {}
    student = made({"name": "layers", **layers, "start": start, "weights": weights}, model, make_lab(model))
    found = adapter_for(student).layers(student)
    wanted = [adapter_for(whole).layers(whole)[position] for position in kept]
    assert len(found) == len(wanted) == student.config.num_hidden_layers
    for one, other in zip(found, wanted, strict=True):
        assert all(torch.equal(tensor, other.state_dict()[name]) for name, tensor in one.state_dict().items())
    assert torch.equal(student.bert.embeddings.word_embeddings.weight, whole.bert.embeddings.word_embeddings.weight)


def test_arguments_of_a_start_that_contradict_each_other_are_refused():
    with pytest.raises(ValueError, match="start names 2 layers, but layers is 3"):
        Distill(student={"name": "layers", "start": [1, 3], "layers": 3})
    for start in ("first", [1, 3]):
        with pytest.raises(ValueError, match="start has no effect on random weights"):
            Distill(student={"name": "layers", "start": start, "weights": "fresh"})


def test_the_six_layers_of_distilbert_are_those_of_its_authors(make_lab, tiny_bert):
    """Layers 0, 2, 4, 7, 9 and 11 of 12 (huggingface/transformers, research_projects/distillation, extract.py)."""
    model = tiny_bert(layers=12)
    student = made({"name": "layers", "start": [1, 3, 5, 8, 10, 12]}, model, make_lab(model))
    given = adapter_for(model).layers(model)
    for layer, number in zip(adapter_for(student).layers(student), (0, 2, 4, 7, 9, 11), strict=True):
        assert all(torch.equal(t, given[number].state_dict()[name]) for name, t in layer.state_dict().items())


def test_the_three_starts_of_a_shallow_student_have_the_same_shapes(masked_lab, tiny_bert):
    model = tiny_bert()
    starts = {
        "truncated": {"name": "layers", "layers": 2, "start": "first", "weights": "source"},
        "random": {"name": "layers", "layers": 2, "weights": "fresh"},
        "pretrained": {"name": "layers", "layers": 2, "weights": "fresh", "pretrain": "corpus"},
    }
    students = {name: made(each, model, masked_lab(model)) for name, each in starts.items()}
    shapes = {name: {key: tuple(t.shape) for key, t in each.state_dict().items()} for name, each in students.items()}
    assert shapes["truncated"] == shapes["random"] == shapes["pretrained"]
    source = tiny_bert(layers=4, seed=11)
    assert torch.equal(
        students["truncated"].bert.encoder.layer[1].output.dense.weight,
        source.bert.encoder.layer[1].output.dense.weight,
    )


@pytest.mark.parametrize("student", [OTHERS["shape"], OTHERS["mobilebert"]], ids=lambda each: each["name"])
def test_pretraining_changes_the_body_and_leaves_the_head(student, masked_lab, tiny_bert):
    model = tiny_bert()
    lab = masked_lab(model)
    plain, trained = made(student, model, lab), made(student | {"pretrain": "corpus"}, model, lab)
    one, two = plain.state_dict(), trained.state_dict()
    assert one.keys() == two.keys()
    changed = {name for name in one if not torch.equal(one[name], two[name])}
    body = {name for name in one if name.startswith(f"{plain.base_model_prefix}.") and ".pooler." not in name}
    assert changed <= body
    assert any(name.endswith("query.weight") for name in changed)
    assert lab.counts["pretraining_texts"] == 32
    assert lab.counts["pretraining_steps"] == 8
    assert "masked language modelling on the texts of corpus" in lab.notes[0]
    assert all(parameter.requires_grad for parameter in trained.parameters())


@pytest.mark.parametrize("student", [OTHERS["shape"], OTHERS["mobilebert"]], ids=lambda each: each["name"])
def test_a_student_of_another_form_may_be_distilled_on_a_corpus_before_it_has_a_task(student, masked_lab, tiny_bert):
    model = tiny_bert()
    lab = masked_lab(model)
    terms = {"logits": 1.0, "relations": {"what": {"name": "relations", "heads": 2}}}
    method = Distill(student=student, data={"name": "corpus", "task": "corpus"}, terms=terms, learning_rate=1e-2)
    made_there = method.compress(model, lab)
    assert head_of(made_there) == "sequence-classification"
    assert made_there.config.num_labels == 2
    assert type(made_there) is type(made(student, model, lab))
    finished = Distill(student="same", terms={"labels": 1.0}).compress(made_there, lab)
    assert head_of(finished) == "sequence-classification"


def test_pretraining_on_another_kind_of_task_is_refused_and_its_task_is_named(masked_lab, tiny_bert):
    model = tiny_bert()
    with pytest.raises(MethodError, match="'words', which is a classification task"):
        made(OTHERS["shape"] | {"pretrain": "words"}, model, masked_lab(model))
    assert Distill(student=OTHERS["shape"] | {"pretrain": "corpus"}).tasks() == ("corpus",)
    for argument in ("pretrain_budget", "pretrain_rate"):
        with pytest.raises(ValidationError, match="pretrain_budget and pretrain_rate need pretrain"):
            Distill(student=OTHERS["shape"] | {argument: 0.5})


@pytest.mark.parametrize("name", ["shape", "mobilebert", "bilstm"])
def test_a_student_of_fresh_weights_after_another_stage_is_refused(name, make_lab, tiny_bert):
    model = tiny_bert()
    pruned = Prune(sparsity=0.5, budget=0).compress(model, make_lab(model))
    with pytest.raises(MethodError, match="Make it the first stage"):
        made(OTHERS[name], pruned, make_lab(model))


@pytest.mark.parametrize("name", ["shape", "mobilebert", "bilstm"])
def test_fresh_weights_depend_on_the_seed_alone(name, make_lab, tiny_bert):
    model = tiny_bert()
    torch.manual_seed(1)
    one = made(OTHERS[name], model, make_lab(model))
    torch.manual_seed(2)
    two, other = (made(OTHERS[name], model, dataclasses.replace(make_lab(model), seed=seed)) for seed in (0, 7))
    states = [each.state_dict() for each in (one, two, other)]
    assert all(torch.equal(tensor, states[1][key]) for key, tensor in states[0].items())
    assert not all(torch.equal(tensor, states[2][key]) for key, tensor in states[0].items())


# --- what can be done with them


@pytest.mark.parametrize("name", OTHERS)
def test_a_distilled_student_is_stored_audited_and_compressed_further(name, make_lab, tiny_bert, tmp_path, tokenizer):
    model = tiny_bert()
    lab = make_lab(model, epochs=1.0)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    student = Distill(student=OTHERS[name], learning_rate=1e-3).compress(model, lab)
    assert not any(module.training for module in student.modules())
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
    assert head_of(student) == head_of(model)
    targets = GATE_ROLES if name == "bilstm" else tuple(role for role in adapter_for(student).roles_of(student))
    forms = {
        "student": student,
        "int8": Quantize(targets=targets).compress(student, lab),
        "pruned": Prune(sparsity=0.5, budget=0).compress(student, lab),
    }
    for label, each in forms.items():
        digest = artifact.save(each, tmp_path / label, tokenizer=tokenizer)
        loaded = artifact.load(tmp_path / label)
        assert loaded.content_hash == digest
        assert torch.equal(logits(loaded.model, tokenizer), logits(each, tokenizer)), label
        assert {path.suffix for path in (tmp_path / label).iterdir()} <= {".json", ".safetensors"}
    found = audit(student, saves=("bytes",), tokenizer=tokenizer, scratch=tmp_path, length=16, device="cpu")
    assert found.real.absent == {}
    assert found.real.macs > 0
    whole = audit(model, saves=(), tokenizer=tokenizer, scratch=tmp_path, length=16, device="cpu")
    assert found.real.bytes < whole.real.bytes


@pytest.mark.parametrize("name", OTHERS)
def test_a_stored_student_can_be_the_model_of_a_run(name, make_lab, tiny_bert, tmp_path, tokenizer):
    model = tiny_bert()
    student = made(OTHERS[name], model, make_lab(model))
    artifact.save(student, tmp_path / "a", tokenizer=tokenizer)
    source = open_source(str(tmp_path / "a"), outputs=("no", "yes"))
    assert source.limits().rows == 100
    again = source.build(head="sequence-classification", labels=("no", "yes"), tokenizer=tokenizer, seed=0)
    assert torch.equal(logits(again, tokenizer), logits(student, tokenizer))


@pytest.mark.parametrize("name", ["shape", "mobilebert", "bilstm"])
def test_a_fresh_student_learns_from_its_teacher(name, make_lab, tiny_bert, tokenizer):
    model = tiny_bert(seed=3)
    with torch.no_grad():
        model.classifier.weight.mul_(30)
    texts = ["the film was good", "a bad bad plot", "really fun actor", "not a great film"]

    def distance(student):
        soft = [torch.softmax(logits(each, tokenizer, texts), dim=-1) for each in (model, student)]
        return (soft[0] - soft[1]).abs().mean().item()

    lab = make_lab(model, epochs=12.0)
    terms = {"logits": {"weight": 1.0, "divergence": {"name": "kl", "temperature": 1.0}}}
    taught = Distill(student=OTHERS[name], terms=terms, learning_rate=1e-2).compress(model, lab)
    assert distance(taught) < 0.5 * distance(made(OTHERS[name], model, lab))


def test_the_distilled_bilstm_learns_on_noisy_copies_that_only_the_teacher_labels(make_lab, tiny_bert):
    from bench.plan.recipes import load_recipe, methods_of

    changes = {"data.pos": 0.0, "data.copies": 3, "student.embedding": 8, "student.width": 4, "student.head": 4}
    (method,) = methods_of(load_recipe("distilled-bilstm", changes))
    model = tiny_bert()
    lab = make_lab(model)
    student = method.compress(model, lab)
    assert type(student).__name__ == "StateBiLstmForSequenceClassification"
    assert 0 < lab.counts["augmented_texts"] <= 3 * len(lab.examples)


def test_the_recipe_of_mobilebert_trains_one_layer_after_the_other_and_then_the_outputs(make_lab, tiny_bert):
    from bench.plan.recipes import load_recipe, methods_of

    (method,) = methods_of(load_recipe("mobilebert"))
    model = tiny_bert()
    student = method.compress(model, make_lab(model, epochs=2.0))
    assert adapter_for(student).depth(student) == 4
    (shallow,) = methods_of(load_recipe("mobilebert", {"student.layers": 2}))
    student = shallow.compress(model, make_lab(model, epochs=2.0))
    assert adapter_for(student).depth(student) == 2


def test_the_narrow_tinybert_learns_through_a_projection(make_lab, tiny_bert):
    from bench.plan.recipes import load_recipe, methods_of

    sizes = {"1.student": "shape", "1.student.layers": 2, "1.student.width": 12, "1.student.neurons": 20}
    first, second = methods_of(load_recipe("tinybert", sizes))
    model = tiny_bert()
    lab = make_lab(model, epochs=2.0)
    student = first.compress(model, lab)
    student = second.compress(student, lab)
    assert (adapter_for(student).hidden_size(student), adapter_for(student).heads(student)) == (12, 4)
    assert count(student) < count(model)
    assert not [name for name, _ in student.named_parameters() if "project" in name]


def test_the_recipes_of_students_say_what_they_teach():
    from bench.plan.recipes import load_recipe, methods_of

    (tang,) = methods_of(load_recipe("distilled-bilstm"))
    assert {key: term.weight for key, term in tang.terms.working.items()} == {"logits": 1.0}
    assert tang.terms["logits"].divergence.called == "mse"
    (alone,) = methods_of(
        load_recipe("distilled-bilstm", {"data": "task", "terms.labels": 1, "terms.logits.weight": 0})
    )
    assert not alone.terms.taught
    (read,) = methods_of(load_recipe("well-read-student", {"student.pretrain": "corpus"}))
    assert read.tasks() == ("corpus",)
