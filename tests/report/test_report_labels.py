"""Labels stay apart where there is room, and inside the frame."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.report.labels import Box, place_labels

FRAME = Box(0, 0, 1000, 600)
SPOTS = st.tuples(st.floats(150, 850), st.floats(100, 500))


@given(st.lists(SPOTS, min_size=1, max_size=8))
@settings(max_examples=60)
def test_labels_cover_neither_one_another_nor_a_marker(spots: list[tuple[float, float]]) -> None:
    markers = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in spots]
    boxes = place_labels([[spot] for spot in spots], [(60, 12)] * len(spots), markers, FRAME)
    assert all(box.outside(FRAME) == 0 for box in boxes)
    assert all(a.overlap(b) == 0 for a, b in combinations(boxes, 2))
    assert all(box.overlap(marker) == 0 for box in boxes for marker in markers)


def test_a_lone_label_stands_close_by() -> None:
    (box,) = place_labels([[(500, 300)]], [(60, 12)], [Box(495, 295, 505, 305)], FRAME)
    assert 0 < box.left - 500 < 10
    assert box.bottom < 300 < box.top


def test_at_the_right_edge_it_stands_to_the_left() -> None:
    (box,) = place_labels([[(990, 300)]], [(60, 12)], [], FRAME)
    assert box.right <= 1000
