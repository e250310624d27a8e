"""Labels beside points."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.labels import Box, place

FRAME = Box(0, 0, 1000, 700)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(100, 900), st.integers(60, 640)), max_size=12))
def test_no_label_covers_a_label_a_mark_or_the_frame(points):
    marks = [Box(x, y, x, y).grown(8) for x, y in points]
    boxes = place(points, [(110.0, 16.0)] * len(points), frame=FRAME, obstacles=marks)
    assert len(boxes) == len(points)
    for one, other in itertools.combinations(boxes, 2):
        assert one.overlap(other) == 0
    for box in boxes:
        assert all(box.overlap(mark) == 0 for mark in marks)
        assert box.left >= 0
        assert box.low >= 0
        assert box.right <= 1000
        assert box.high <= 700


def test_a_lone_label_stands_close_to_its_point():
    (box,) = place([(500, 300)], [(100, 16)], frame=FRAME, obstacles=[Box(492, 292, 508, 308)])
    x, y = box.nearest((500, 300))
    assert ((x - 500) ** 2 + (y - 300) ** 2) ** 0.5 < 20


def test_overlap_is_the_common_area():
    assert Box(0, 0, 4, 3).overlap(Box(2, 1, 9, 9)) == 4
    assert Box(0, 0, 1, 1).overlap(Box(1, 0, 2, 1)) == 0
