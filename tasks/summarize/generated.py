"""What summaries share that a model writes, instead of taking them from the document. Runs no model."""

from __future__ import annotations

from tasks.nn.backend import UnfitTextError
from tasks.summarize.summary import Summary

#: Where a text that is too long may end, best first: after a sentence, after a clause.
ENDS = ("。！？!?", "；;，,：:")
#: An end is used if it leaves at least this part of what is allowed.
MIN_SHARE = 0.5


def generated_summary(text: str, max_chars: int) -> Summary:
    """Return what a model wrote, cut to a length; it has no place in the document.

    Raises `UnfitTextError` when it wrote nothing.
    """
    written = " ".join(text.split())
    if not written:
        reason = "empty_summary"
        raise UnfitTextError(reason, "the model wrote nothing about this text")
    return Summary(spans=(), text=cut_to(written, max_chars))


def cut_to(text: str, max_chars: int) -> str:
    """Cut a text after its last sentence or clause that fits, or hard when that would leave too little.

    >>> cut_to("方法有效。结果表明它更快，也更省", 8)
    '方法有效。'
    """
    if len(text) <= max_chars:
        return text
    head = text[:max_chars]
    for marks in ENDS:
        end = 1 + max(head.rfind(mark) for mark in marks)
        if end >= MIN_SHARE * max_chars:
            return head[:end].rstrip("，,：:；;")
    return head
