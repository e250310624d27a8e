"""Columns that a board computes from all of its rows."""

from bench.columns.column import Column

COLUMNS = (
    Column(
        "elue_score",
        says="quality minus the baseline's quality at the same FLOPs, on its linearly interpolated curve; "
        "the mean over a model's points",
        kind="score",
        show="percent",
        better="higher",
        source="Liu et al. 2021 (ELUE), arXiv:2110.07038, section 3; linear, and absent outside the curve, is ours",
        oracle="analysis/test_elue.py::test_the_score_by_hand_between_two_points_of_the_curve",
        mean="none",
        of_boards=True,
    ),
)
