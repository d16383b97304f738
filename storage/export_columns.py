"""The columns of every kind of export, with what they hold. A new kind is one entry here. Writes nothing itself.

Rows of JSON Lines have these fields in this order, and their names and meanings stay: programs read them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

#: What a column holds: a text, a whole number, a fraction, or a list of one of several kinds.
Holds: TypeAlias = Literal["text", "integer", "number", "texts", "spans", "labels", "keywords"]

COLUMNS: dict[str, dict[str, Holds]] = {
    "counts": {"word": "text", "count": "integer", "documents": "integer"},
    "tokens": {"key": "text", "tokens": "texts"},
    "summaries": {"key": "text", "summary": "text", "model": "text", "spans": "spans"},
    "labels": {"key": "text", "labels": "labels"},
    "keywords": {"key": "text", "keywords": "keywords"},
    "new-words": {
        "word": "text",
        "count": "integer",
        "pmi": "number",
        "left_entropy": "number",
        "right_entropy": "number",
        "score": "number",
    },
    "duplicates": {
        "group": "integer",
        "kind": "text",
        "documents": "integer",
        "number": "integer",
        "text": "integer",
        "similarity": "number",
        "key": "text",
        "source": "text",
        "offset": "integer",
    },
    # Of `storage.compared_counts`, with the figures of `tasks.text.keyness`.
    "comparison": {
        "word": "text",
        "count_a": "integer",
        "per_million_a": "number",
        "count_b": "integer",
        "per_million_b": "number",
        "log_likelihood": "number",
        "log_ratio": "number",
        "bic": "number",
        "p": "number",
        "documents_a": "integer",
        "documents_b": "integer",
    },
}
