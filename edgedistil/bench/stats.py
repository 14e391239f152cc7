"""Intervals for latencies and accuracies, honest about samples that hang together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special

FloatArray = npt.NDArray[np.float64]

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Bounds:
    """An estimate with its two-sided interval.

    Attributes:
        value: The estimate.
        low: Lower end.
        high: Upper end.
        attained: False where too few samples were taken for the confidence asked for: an end is then only the
            extreme sample seen, and the interval covers less than it says.
    """

    value: float
    low: float
    high: float
    attained: bool = True

    @property
    def relative_width(self) -> float:
        """Half the interval's width over its value; infinite for an estimate of 0."""
        return (self.high - self.low) / 2 / self.value if self.value else math.inf


def quantile_ranks(count: int, quantile: float, confidence: float = CONFIDENCE) -> tuple[int, int]:
    """Returns the ranks of the two order statistics that hold a quantile, whatever the distribution.

    The number of samples below the quantile is binomial(count, quantile), so the chance that the quantile lies
    between order statistics l and u is P(l <= B <= u - 1) (David and Nagaraja, Order Statistics, 3rd ed., 7.1).

    Args:
        count: Independent samples.
        quantile: Between 0 and 1, both excluded.
        confidence: Two-sided, the rest shared equally.

    Returns:
        1-based (l, u); l is 0 or u is count + 1 where no order statistic lies far enough out.
    """
    tail = (1 - confidence) / 2
    below = special.bdtr(np.arange(count + 1), count, quantile)
    return int(np.searchsorted(below, tail, side="right")), int(np.searchsorted(below, 1 - tail, side="left")) + 1


def effective_count(below: npt.NDArray[np.bool_], blocks: Sequence[int], confidence: float = CONFIDENCE) -> float:
    """Returns how many independent samples blocked ones are worth, for the share of samples below a quantile.

    A block's samples are taken together, so they share its moment: the clock, the neighbours, the cache. The design
    effect is the variance of the share between blocks over the binomial one (Kish, Survey Sampling, 1965, 8.2), never
    taken below 1; the few degrees of freedom it is estimated with shrink the count once more (Korn and Graubard,
    Survey Methodology 24, 1998, eq. 2.2 and section 3).

    Args:
        below: Whether each sample lies below the estimate, in the order taken, [n].
        blocks: Samples a block, summing to n.
        confidence: Of the interval this count is for, two-sided.

    Returns:
        Between 1 and n; n itself for fewer than two blocks, where nothing can be told.
    """
    count, groups = len(below), len(blocks)
    share = float(np.mean(below))
    if groups < 2 or not 0 < share < 1:
        return float(count)
    sizes = np.asarray(blocks, dtype=np.float64)
    sums = np.add.reduceat(below.astype(np.float64), np.concatenate([[0], np.cumsum(blocks)[:-1]]))
    variance = groups / (groups - 1) * float(np.sum((sums - sizes * share) ** 2)) / count**2
    effect = max(variance / (share * (1 - share) / count), 1.0)
    tail = 1 - (1 - confidence) / 2
    few_blocks = (special.stdtrit(count - 1, tail) / special.stdtrit(groups - 1, tail)) ** 2
    return max(count / effect * min(few_blocks, 1.0), 1.0)


def quantile_interval(
    samples: Sequence[float] | FloatArray,
    quantile: float,
    blocks: Sequence[int] | None = None,
    confidence: float = CONFIDENCE,
) -> Bounds:
    """Returns a quantile with its distribution-free interval.

    Without blocks this is the exact binomial order-statistic interval. With blocks the ranks are those of as many
    independent samples as the blocked ones are worth (`effective_count`), after Woodruff (JASA 47, 1952): the wider
    the blocks differ, the wider the interval.

    Args:
        samples: Measured values [n], in the order taken.
        quantile: Between 0 and 1, both excluded.
        blocks: Samples a block, summing to n; None for independent samples.
        confidence: Two-sided.

    Returns:
        The sample quantile and its ends, in the samples' unit.

    Raises:
        ValueError: When there are no samples, or the blocks do not add up to them.
    """
    values = np.asarray(samples, dtype=np.float64)
    count = len(values)
    if count == 0 or (blocks is not None and sum(blocks) != count):
        raise ValueError("an interval needs samples, and blocks that add up to them")
    value = float(np.quantile(values, quantile))
    effective = count
    if blocks is not None:
        sizes = [size for size in blocks if size]
        effective = max(math.floor(effective_count(values <= value, sizes, confidence)), 1)
    low, high = quantile_ranks(effective, quantile, confidence)
    attained = low >= 1 and high <= effective
    ordered = np.sort(values)
    first = max(math.floor(low * count / effective), 1)
    last = min(math.ceil(high * count / effective), count)
    return Bounds(value, min(value, float(ordered[first - 1])), max(value, float(ordered[last - 1])), attained)


def wilson_interval(successes: int, count: int, confidence: float = CONFIDENCE) -> Bounds:
    """Returns a share with its score interval (Wilson, JASA 22, 1927; Brown, Cai and DasGupta, Stat. Sci. 2001, 3.1).

    Args:
        successes: Between 0 and `count`.
        count: Trials, at least 1.
        confidence: Two-sided.

    Returns:
        The share and its ends, each between 0 and 1.

    Raises:
        ValueError: When there are no trials or more successes than trials.
    """
    if count < 1 or not 0 <= successes <= count:
        raise ValueError(f"{successes} of {count} is not a share")
    z = float(special.ndtri(1 - (1 - confidence) / 2))
    share = successes / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low = 0.0 if successes == 0 else max(centre - half, 0.0)
    high = 1.0 if successes == count else min(centre + half, 1.0)
    return Bounds(share, low, high)


def signed_rank_margin(count: int, confidence: float = CONFIDENCE) -> int:
    """Returns how many Walsh averages the signed-rank interval leaves out at each end, plus one.

    The largest c with P(W <= c - 1) <= (1 - confidence) / 2, W being Wilcoxon's statistic: the sum of the ranks
    1 ... count that a fair coin picks (Hollander and Wolfe, Nonparametric Statistical Methods, 3.3).

    Args:
        count: Pairs, at least 1.
        confidence: Two-sided.

    Returns:
        c, 0 where even the extreme averages hold less than the confidence asked for.
    """
    chances = np.zeros(count * (count + 1) // 2 + 1)
    chances[0] = 1.0
    for rank in range(1, count + 1):
        chances[rank:] = (chances[rank:] + chances[:-rank]) / 2
        chances[:rank] /= 2
    return int(np.searchsorted(np.cumsum(chances), (1 - confidence) / 2, side="right"))


def paired_ratio_interval(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], confidence: float = CONFIDENCE
) -> Bounds:
    """Returns the ratio of two files' latencies from blocks measured side by side, a over b.

    Round i gives one ratio of block medians; a machine that slowed down between rounds slowed both, so it drops out.
    The estimate is Hodges and Lehmann's of the ratios' logarithms, the median of their pairwise means, with the
    interval that Wilcoxon's signed-rank test gives it (Ann. Math. Stat. 34, 1963): a neighbour that hits one file's
    block alone spoils a round, and a few spoilt rounds move neither.

    Args:
        a: Blocks of positive samples of the numerator, one a round.
        b: The denominator's, of the same rounds in the same order.
        confidence: Two-sided; 95 % takes six rounds.

    Returns:
        The ratio and its ends.

    Raises:
        ValueError: When there are no rounds, or not the same number.
    """
    count = len(a)
    if count != len(b) or count == 0:
        raise ValueError(f"paired ratios need the same rounds on both sides: {count} and {len(b)}")
    logs = np.log([float(np.median(x)) / float(np.median(y)) for x, y in zip(a, b, strict=True)])
    first, second = np.triu_indices(count)
    means = np.sort((logs[first] + logs[second]) / 2)
    margin = signed_rank_margin(count, confidence)
    last = max(margin, 1)
    low, value, high = (math.exp(x) for x in (means[last - 1], np.median(means), means[-last]))
    return Bounds(value, low, high, margin >= 1)


def ratio_interval(new: tuple[float, float, float], old: tuple[float, float, float]) -> tuple[float, float, float]:
    """Returns the ratio of two independent positive estimates, with an interval made from theirs.

    MOVER, the method of variance estimates recovery, on logarithms (Donner and Zou, Stat. Methods Med. Res. 21, 2012,
    347-359, section 2): the distances of the ends from the estimates add up in quadrature.

    Args:
        new: Estimate, lower and upper end of the numerator.
        old: The same of the denominator, at the same confidence.

    Returns:
        Estimate, lower and upper end of new / old, at that confidence.

    Raises:
        ValueError: When an end is not positive.
    """
    if min(*new, *old) <= 0:
        raise ValueError(f"a ratio needs positive values: {new}, {old}")
    ratio = new[0] / old[0]
    down = math.hypot(math.log(new[0] / new[1]), math.log(old[2] / old[0]))
    up = math.hypot(math.log(new[2] / new[0]), math.log(old[0] / old[1]))
    return ratio, ratio * math.exp(-down), ratio * math.exp(up)
