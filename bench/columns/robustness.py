"""Columns of robustness: shifted data and attacks."""

from bench.columns.column import Column

_DU = "Du et al. 2021, arXiv:2110.08419"
_JIN = "Jin et al. 2020, arXiv:1907.11932 (TextFooler)"
_RATE = f"{_JIN}; candidates without downloads are ours"
_TYPING = f"{_JIN}; edits as in Gao et al. 2018, arXiv:1801.04354 (DeepWordBug), without look-alike characters"
_COMMON = (
    "ours: a model that is right less often is attacked less often, so only examples that both had right are comparable"
)
_TRANSFER = "transferability: Papernot et al. 2016, arXiv:1605.07277; replay of the reference's final texts is ours"
_SHIFT = "measures/test_robustness.py::test_the_gap_is_what_the_shift_costs_and_the_bias_its_quotient"
_KNOWN = "measures/test_attack.py::test_every_rate_of_a_bag_of_words_is_known_beforehand"
_KIND = "measures/test_attack.py::test_typing_errors_and_other_words_are_attacks_of_their_own"
_REPLAY = "measures/test_attack.py::test_texts_that_flip_the_reference_are_replayed_on_the_artifact"

COLUMNS = (
    Column(
        "ood_quality",
        says="quality on shifted splits and sets, without further training",
        kind="score",
        show="percent",
        better="higher",
        source=_DU,
        oracle=_SHIFT,
        scale="quality",
    ),
    Column(
        "ood_gap",
        says="quality minus quality on shifted splits and sets",
        kind="score",
        show="percent",
        better="lower",
        source=_DU,
        oracle=_SHIFT,
        scale="difference of qualities",
    ),
    Column(
        "ood_relative_bias",
        says="gap divided by the reference's gap (Du 2021)",
        kind="score",
        show="ratio",
        better="lower",
        source=f"{_DU}; the exact formula is our reading; the reference itself gets 1",
        oracle=_SHIFT,
        relative="ratio",
        of="ood_gap",
    ),
    Column(
        "attack_clean_accuracy",
        says="accuracy on the attacked sample before the attack",
        kind="score",
        show="percent",
        better="higher",
        source=_JIN,
        oracle="measures/test_attack.py::test_a_budget_of_nothing_changes_nothing",
        scale="share",
    ),
    Column(
        "attack_accuracy",
        says="accuracy under attack, with queries to the attacked model itself",
        kind="score",
        show="percent",
        better="higher",
        source=_RATE,
        oracle=_KNOWN,
        scale="share",
    ),
    Column(
        "attack_success",
        says="share of the examples that were right before the attack which it flips",
        kind="score",
        show="percent",
        better="lower",
        source=_RATE,
        oracle=_KNOWN,
        scale="share",
    ),
    Column(
        "attack_word_success",
        says="share of the examples that were right before the attack which word substitutions alone flip",
        kind="score",
        show="percent",
        better="lower",
        source=_RATE,
        oracle=_KIND,
        scale="share",
    ),
    Column(
        "attack_typing_success",
        says="share of the examples that were right before the attack which typing errors alone flip",
        kind="score",
        show="percent",
        better="lower",
        source=_TYPING,
        oracle=_KIND,
        scale="share",
    ),
    Column(
        "attack_success_common",
        says="share of flipped examples among those that both models had right",
        kind="score",
        show="percent",
        better="lower",
        source=_COMMON,
        oracle="measures/test_attack.py::test_a_weaker_model_is_compared_on_the_common_examples",
        scale="share",
    ),
    Column(
        "attack_transfer_accuracy",
        says="accuracy on the final texts of attacks on the reference, over all examples that the reference had right",
        kind="score",
        show="percent",
        better="higher",
        source=_TRANSFER,
        oracle=_REPLAY,
        scale="share",
    ),
    Column(
        "attack_transfer_success",
        says="share of the texts that flip the reference and also flip this model, among those it had right before",
        kind="score",
        show="percent",
        better="lower",
        source=_TRANSFER,
        oracle=_REPLAY,
        scale="share",
    ),
    Column(
        "attack_queries",
        says="mean model queries per attacked example",
        kind="score",
        show="number",
        unit="queries",
        better="higher",
        source=_RATE,
        oracle="measures/test_attack.py::test_queries_are_the_texts_that_were_scored",
    ),
    Column(
        "attack_words",
        says="mean share of words changed in flipped examples",
        kind="score",
        show="percent",
        better="higher",
        source=_RATE,
        oracle=_KNOWN,
        scale="share",
    ),
)
