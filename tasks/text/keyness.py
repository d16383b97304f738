"""How much more of a word there is in one corpus than in another: formulas on counts. Reads no corpus.

Two figures say different things. The log-likelihood says how sure the difference is, and grows with the corpora; the
log ratio says how large it is, and is wild for rare words. A key word has much of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

#: What stands for a count of zero in the log ratio, which has no value there: half an occurrence (Hardie 2014).
ZERO_COUNT = 0.5


def log_likelihood(count_a: int, count_b: int, tokens_a: int, tokens_b: int) -> float:
    """Return G² of a word's counts in two corpora of so many tokens: 0 when it is as frequent in both.

    G² = 2 Σ O ln(O / E) over the word's two counts O, where E is what each would be if the word were spread evenly over
    all tokens; 0 ln 0 is 0. Dunning, "Accurate methods for the statistics of surprise and coincidence", Computational
    Linguistics 19 (1993), in the form of Rayson and Garside, "Comparing corpora using frequency profiling" (2000), who
    leave out the two cells of all other words.
    """
    share = (count_a + count_b) / (tokens_a + tokens_b)
    terms = _term(count_a, share * tokens_a) + _term(count_b, share * tokens_b)
    # Rounding may take the sum of equal frequencies below zero.
    return max(0.0, 2 * terms)


def _term(observed: int, expected: float) -> float:
    return observed * math.log(observed / expected) if observed else 0.0


def log_ratio(count_a: int, count_b: int, tokens_a: int, tokens_b: int) -> float:
    """Return the binary logarithm of a word's share of corpus A divided by its share of corpus B.

    1 means twice as frequent in A, -3 eight times as frequent in B. A count of zero is taken for `ZERO_COUNT`. Hardie,
    "Log Ratio: an informal introduction" (2014). Both corpora must have tokens, and one of them the word.
    """
    return math.log2((count_a or ZERO_COUNT) / tokens_a) - math.log2((count_b or ZERO_COUNT) / tokens_b)


def bayes_factor(likelihood: float, tokens: int) -> float:
    """Return how much a G² over so many tokens, of both corpora together, speaks for a difference.

    BIC = G² - ln N, for one degree of freedom. Below 0 it speaks for none; 0 to 2 is not worth a mention, 2 to 6
    positive, 6 to 10 strong, above 10 very strong evidence. Wilson, "Embracing Bayes factors for key item analysis in
    corpus linguistics" (2013), with the grades of Kass and Raftery (1995).
    """
    return likelihood - math.log(tokens)


def p_value(likelihood: float) -> float:
    """Return how often chance alone gives at least this G²: the upper tail of chi-squared with one degree of freedom.

    Of one word, that is: among a hundred thousand words, a thousand have 0.01 or less by chance.
    """
    return math.erfc(math.sqrt(likelihood / 2))


@dataclass(slots=True)
class Divergence:
    """The Jensen-Shannon divergence of two corpora's words, added up word by word.

    The mean of how far each corpus's frequencies are from the mean of both, in bits: 0 when every word is as frequent
    in both, 1 when they have no word in common. Lin, "Divergence measures based on the Shannon entropy", IEEE
    Transactions on Information Theory 37 (1991).
    """

    tokens_a: int
    tokens_b: int
    bits: float = 0.0

    def add(self, count_a: int, count_b: int) -> None:
        """Add one word by its counts."""
        share_a, share_b = count_a / self.tokens_a, count_b / self.tokens_b
        middle = (share_a + share_b) / 2
        for share in (share_a, share_b):
            if share:
                self.bits += share * math.log2(share / middle) / 2
