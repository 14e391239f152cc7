"""Statistics of two models on the same examples: McNemar's exact test, Tango's interval."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

ONE_SIDED = 0.95
_HALVINGS = 60
MOST_TIMES = 10_000.0


@dataclass(frozen=True)
class Pairs:
    """How two models answer the same examples.

    Attributes:
        count: Examples.
        gained: Right only by the new model.
        lost: Right only by the old one.
    """

    count: float
    gained: float
    lost: float

    @property
    def difference(self) -> float:
        """Accuracy of the new model less that of the old, between -1 and 1."""
        return (self.gained - self.lost) / self.count

    def times(self, factor: float) -> Pairs:
        """Returns what so many times the examples would show, were the shares the same."""
        return Pairs(self.count * factor, self.gained * factor, self.lost * factor)


def mcnemar_exact(pairs: Pairs) -> float:
    """Returns the two-sided p-value of McNemar's exact conditional test.

    Under no difference, of the examples on which the two disagree each is as likely gained as lost, so the lesser
    count is binomial(gained + lost, 1/2) (McNemar, Psychometrika 12, 1947; exact form: Fagerland, Lydersen and Laake,
    BMC Med. Res. Methodol. 13:91, 2013, eq. 3).
    """
    lesser, discordant = min(pairs.gained, pairs.lost), pairs.gained + pairs.lost
    return min(1.0, 2.0 * float(special.bdtr(lesser, discordant, 0.5)))


def tango_score(pairs: Pairs, difference: float) -> float:
    """Returns Tango's score statistic for a supposed difference of paired proportions.

    The share of lost examples is replaced by its maximum-likelihood estimate under the supposed difference (Tango,
    Statistics in Medicine 17, 1998, 891-908, eqs. 13 to 16).

    Args:
        pairs: The counts.
        difference: The supposed accuracy of the new model less that of the old, strictly between -1 and 1.

    Returns:
        A standard normal value when the difference is as supposed; large when it is in truth greater. Falls as
        `difference` rises.
    """
    count, gained, lost = pairs.count, pairs.gained, pairs.lost
    linear = (2 * count - gained + lost) * difference - gained - lost
    constant = -lost * difference * (1 - difference)
    root = math.sqrt(max(linear * linear - 8 * count * constant, 0.0))
    # Of two equal forms of the root, the one that does not subtract nearly equal numbers.
    share = -2 * constant / (linear + root) if linear > 0 else (root - linear) / (4 * count)
    variance = count * (2 * share + difference * (1 - difference))
    excess = gained - lost - count * difference
    if variance <= 0:
        return math.copysign(math.inf, excess) if excess else 0.0
    return excess / math.sqrt(variance)


def tango_lower(pairs: Pairs, confidence: float = ONE_SIDED) -> float:
    """Returns the one-sided lower bound of the difference: all differences below it are rejected by the score test.

    Tango's interval is defined with empty off-diagonal cells too, where Wald's collapses to a point.

    Args:
        pairs: The counts; at least one example.
        confidence: One-sided: 0.95 rejects at 5 %. The two-sided 95 % interval's end is that of 0.975.

    Returns:
        Between -1 and the observed difference.
    """
    z = float(special.ndtri(confidence))
    low, high = -1.0, pairs.difference
    if high <= -1.0:
        return -1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if tango_score(pairs, middle) > z:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def tango_upper(pairs: Pairs, confidence: float = ONE_SIDED) -> float:
    """Returns the one-sided upper bound of the difference; see `tango_lower`, of which it is the mirror image."""
    return -tango_lower(Pairs(pairs.count, pairs.lost, pairs.gained), confidence)


def settled(pairs: Pairs, margin: float) -> bool:
    """Returns whether the interval lies wholly on one side of the margin."""
    return tango_lower(pairs) > -margin or tango_upper(pairs) < -margin


def examples_to_settle(pairs: Pairs, margin: float) -> int | None:
    """Returns how many examples in all would settle the question, were the shares to stay as they are.

    That is the number at which the bound would reach the margin if the next examples showed just what these did; with
    that many, it is about as likely as not.

    Args:
        pairs: What the examples so far show.
        margin: Accuracy that may be lost, a share.

    Returns:
        A number of examples, rounded up to two digits; None when the difference sits so near the margin that no
        reasonable number would do.
    """
    if not settled(pairs.times(MOST_TIMES), margin):
        return None
    low, high = 1.0, MOST_TIMES
    for _ in range(_HALVINGS):
        middle = math.sqrt(low * high)
        if settled(pairs.times(middle), margin):
            high = middle
        else:
            low = middle
    return two_digits_up(pairs.count * high)


def two_digits_up(count: float) -> int:
    """Returns a number of examples rounded up to two digits, for more would claim too much."""
    needed = math.ceil(count)
    unit = 10 ** max(len(str(needed)) - 2, 0)
    return math.ceil(needed / unit) * unit
