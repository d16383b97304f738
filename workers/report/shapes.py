"""The arithmetic of a report: power laws, coarser bins, what changes over time. Pure: numbers in, numbers out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Bin = tuple[int, int, int]

#: Fewer points than this give no law worth drawing.
LAW_POINTS = 5
#: Shares of the documents that a histogram of lengths may show, and fewer bins than make one worth looking at.
REACHES = (0.99, 0.95, 0.9)
FEW_BINS = 25
#: Factors of round numbers.
ROUND = (1, 2, 5)


class PowerLaw(NamedTuple):
    """y = scale · x ** exponent; `r_squared` is the share of the variance of log y that it explains."""

    scale: float
    exponent: float
    r_squared: float

    def at(self, x: float) -> float:
        """Return y at an x."""
        return float(self.scale * x**self.exponent)


def fit_power_law(points: Sequence[tuple[float, float]]) -> PowerLaw | None:
    """Fit a power law by least squares of log y on log x; None for too few points, or for points that say nothing.

    Zipf's law (1949) has an exponent near -1, Heaps' law (Herdan 1960, Heaps 1978) one between 0 and 1.
    """
    logs = [(math.log(x), math.log(y)) for x, y in points if x > 0 and y > 0]
    if len(logs) < LAW_POINTS:
        return None
    mean_x, mean_y = (math.fsum(log[axis] for log in logs) / len(logs) for axis in (0, 1))
    spread_x = math.fsum((x - mean_x) ** 2 for x, _ in logs)
    spread_y = math.fsum((y - mean_y) ** 2 for _, y in logs)
    if not spread_x or not spread_y:
        return None
    common = math.fsum((x - mean_x) * (y - mean_y) for x, y in logs)
    exponent = common / spread_x
    return PowerLaw(math.exp(mean_y - exponent * mean_x), exponent, common**2 / (spread_x * spread_y))


def rank_points(spectrum: Iterable[tuple[int, int]], limit: int = 200) -> list[tuple[int, int]]:
    """Return (rank, count) at ranks whose logarithms lie evenly, from a spectrum of (count, words), largest first.

    [(7, 1), (2, 2)] -> [(1, 7), (2, 2), (3, 2)]. Among words of one count the order is no matter.
    """
    steps = list(spectrum)
    words = sum(number for _, number in steps)
    if not words:
        return []
    growth = math.log(words) / max(1, limit - 1)
    wanted = sorted({min(words, round(math.exp(step * growth))) for step in range(limit)})
    points: list[tuple[int, int]] = []
    passed = 0
    ranks = iter(wanted)
    rank = next(ranks, None)
    for count, number in steps:
        passed += number
        while rank is not None and rank <= passed:
            points.append((rank, count))
            rank = next(ranks, None)
    return points


def quantile_bin(bins: Sequence[Bin], share: float) -> Bin:
    """Return the bin of (from, to, documents) in which a share of all documents is reached."""
    wanted = share * sum(documents for _, _, documents in bins)
    reached = 0
    for one in bins:
        reached += one[2]
        if reached >= wanted:
            return one
    return bins[-1]


def coarser_bins(bins: Sequence[Bin], limit: int = 60) -> tuple[list[Bin], int]:
    """Put bins together into equal ones, at most about `limit`, and return them and how many documents are longer.

    They reach as far as 99 % of the documents, or less far where that would leave few of them: bins are (from, to,
    documents), both ends included, and their widths are powers of ten that grow with the lengths.
    """
    tried = [_equal_bins(bins, limit, quantile_bin(bins, share)) for share in REACHES]
    enough = (one for one in tried if len(one[0]) >= FEW_BINS)
    return next(enough, max(tried, key=lambda one: len(one[0])))


def _equal_bins(bins: Sequence[Bin], limit: int, end: Bin) -> tuple[list[Bin], int]:
    """Put the bins up to an end together into equal ones, empty ones too, each of which holds others as a whole."""
    widest = max(high - low + 1 for low, high, _ in bins if low <= end[0])
    width = next(size for size in _round_numbers() if size % widest == 0 and end[1] / size <= limit)
    number = end[1] // width + 1
    documents = [0] * number
    longer = 0
    for low, high, found in bins:
        if high < number * width:
            documents[low // width] += found
        else:
            longer += found
    return [(at * width, (at + 1) * width - 1, found) for at, found in enumerate(documents)], longer


def _round_numbers() -> Iterable[int]:
    power = 1
    while True:
        yield from (factor * power for factor in ROUND)
        power *= 10


def unevenness(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return how far the counts of a word in some periods are from the periods' shares of all tokens.

    The log-likelihood ratio 2 · Σ O · ln(O / E) (Dunning 1993); 0 when the word is spread as all tokens are.
    """
    total = sum(counts)
    terms = (
        count * math.log(count / (total * share))
        for count, share in zip(counts, shares, strict=True)
        if count and share
    )
    return 2 * math.fsum(terms)


def years_of(months: Mapping[int, int]) -> dict[int, int]:
    """Add up figures by month to figures by year: {202412: 1, 202501: 2, 202502: 3} -> {2024: 1, 2025: 5}."""
    found: dict[int, int] = {}
    for month, figure in months.items():
        found[month // 100] = found.get(month // 100, 0) + figure
    return found


def all_months(first: int, last: int) -> list[int]:
    """Return every month from one to another: 202411, 202501 -> [202411, 202412, 202501]."""
    numbers = range(first // 100 * 12 + first % 100 - 1, last // 100 * 12 + last % 100)
    return [number // 12 * 100 + number % 12 + 1 for number in numbers]


def throughput(times: Sequence[tuple[float, float, int]], steps: int = 60) -> list[tuple[float, float, float]]:
    """Return (begin, end, documents a second) for equal steps of the time in which shards ran.

    Shards are (begin, end, documents); the documents of one are spread evenly over its time. Instants are seconds from
    the first begin on.
    """
    if not times:
        return []
    start = min(begin for begin, _, _ in times)
    length_s = max(end for _, end, _ in times) - start
    if length_s <= 0:
        return []
    step_s = length_s / steps
    documents = [0.0] * steps
    for begin, end, found in times:
        _spread(documents, (begin - start) / step_s, (end - start) / step_s, found)
    return [(at * step_s, (at + 1) * step_s, found / step_s) for at, found in enumerate(documents)]


def _spread(steps: list[float], begin: float, end: float, amount: float) -> None:
    """Add an amount to steps, evenly from a place to another."""
    last = len(steps) - 1
    if end <= begin:
        steps[min(last, int(begin))] += amount
        return
    for at in range(min(last, int(begin)), min(last, int(end)) + 1):
        covered = min(end, at + 1.0) - max(begin, float(at))
        steps[at] += amount * max(0.0, covered) / (end - begin)


def duration_bins(durations_s: Sequence[float], limit: int = 30) -> list[tuple[float, float, int]]:
    """Return (from, to, how many) in round equal bins of seconds, the last end not included."""
    if not durations_s:
        return []
    longest_s = max(durations_s)
    width = next(size for size in _round_seconds() if longest_s / size < limit)
    found = [0] * (int(longest_s / width) + 1)
    for duration_s in durations_s:
        found[max(0, int(duration_s / width))] += 1
    return [(at * width, (at + 1) * width, number) for at, number in enumerate(found)]


def _round_seconds() -> Iterable[float]:
    return (size / 1000 for size in _round_numbers())
