"""Labels beside points that cover neither one another nor the points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

_DIRECTIONS = ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1))
_REACHES = (7.0, 11.0, 18.0, 30.0, 48.0)


@dataclass(frozen=True)
class Box:
    """A rectangle, in pixels or any unit that both axes share."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """Returns the area that two rectangles share."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(width, 0.0) * max(height, 0.0)

    def outside(self, frame: Box) -> float:
        """Returns the area of it that lies outside another."""
        return (self.right - self.left) * (self.top - self.bottom) - self.overlap(frame)


def place_labels(
    anchors: Sequence[Sequence[tuple[float, float]]],
    sizes: Sequence[tuple[float, float]],
    obstacles: Sequence[Box],
    frame: Box,
    unit: float = 1.0,
) -> list[Box]:
    """Places a label beside each point.

    Greedy, the most crowded point first: around each of its anchors, eight directions at five distances; of these the
    one that covers least, the earlier one where two cover the same.

    Args:
        anchors: Where a label may stand by, [n][any]: the point itself first, then such as the ends of its error bar.
        sizes: Width and height of each label, [n].
        obstacles: What may not be covered: markers, error bars.
        frame: What labels must stay inside.
        unit: Length of a point (1/72 inch) in the units of the rest.

    Returns:
        The labels' boxes, [n], in the order of the points.
    """
    points = [spots[0] for spots in anchors]
    order = sorted(range(len(points)), key=lambda index: _room(points, index))
    placed: dict[int, Box] = {}
    for index in order:
        taken = [*obstacles, *placed.values()]
        options = [box for spot in anchors[index] for box in _options(spot, sizes[index], unit)]
        costs = [(_cost(box, taken, frame), _distance(points[index], box)) for box in options]
        placed[index] = options[costs.index(min(costs))]
    return [placed[index] for index in range(len(points))]


def _room(points: Sequence[tuple[float, float]], index: int) -> float:
    others = [math.dist(points[index], point) for other, point in enumerate(points) if other != index]
    return min(others, default=math.inf)


def _distance(point: tuple[float, float], box: Box) -> float:
    across = max(box.left - point[0], 0.0, point[0] - box.right)
    up = max(box.bottom - point[1], 0.0, point[1] - box.top)
    return math.hypot(across, up)


def _options(point: tuple[float, float], size: tuple[float, float], unit: float) -> list[Box]:
    boxes = []
    for reach in _REACHES:
        for across, up in _DIRECTIONS:
            scale = reach * unit / (math.hypot(across, up) if across and up else 1.0)
            left = point[0] + across * scale + (-size[0] if across < 0 else -size[0] / 2 if across == 0 else 0.0)
            bottom = point[1] + up * scale + (-size[1] if up < 0 else -size[1] / 2 if up == 0 else 0.0)
            boxes.append(Box(left, bottom, left + size[0], bottom + size[1]))
    return boxes


def _cost(box: Box, taken: Sequence[Box], frame: Box) -> float:
    return sum(box.overlap(other) for other in taken) + 4.0 * box.outside(frame)
