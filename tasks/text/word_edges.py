"""Lets a stretch of a sentence begin and end with whole words, and with such as can stand there. Chooses no stretch."""

from __future__ import annotations

from collections.abc import Callable

from tasks.text.clauses import Span

#: Words that neither begin nor end anything that is taken out of its sentence, …
PARTICLES = frozenset(("的", "了", "和", "与", "及", "以及", "而", "并", "则", "也", "就", "都", "又"))
#: … such as only do not begin it, …
NO_BEGINNING = PARTICLES | {"着", "过", "得", "地"}
#: … and such as only do not end it.
NO_END = PARTICLES | {"对", "对于", "在", "以", "从", "将", "被", "把", "为", "是", "向", "由", "使"}
#: How far around the stretch is cut into words: longer words than that are rare.
AROUND_CHARS = 12


def at_words(text: str, span: Span, within: Span, cut: Callable[[str], list[str]]) -> Span:
    """Return a stretch widened to whole words, without particles at its ends; never beyond `within`.

    What would vanish altogether stays as it was. `cut` gives the words of a text, which joined are the text.

    >>> at_words("提出了基于博弈的方法", (4, 8), (0, 10), lambda text: ["提出", "了", "基于", "博弈", "的", "方法"])
    (3, 7)
    """
    first, last = max(within[0], span[0] - AROUND_CHARS), min(within[1], span[1] + AROUND_CHARS)
    words: list[tuple[int, int, str]] = []
    start = first
    for word in cut(text[first:last]):
        end = start + len(word)
        if end > span[0] and start < span[1]:
            words.append((start, end, word))
        start = end
    while words and words[0][2] in NO_BEGINNING:
        del words[0]
    while words and words[-1][2] in NO_END:
        del words[-1]
    return (words[0][0], words[-1][1]) if words else span
