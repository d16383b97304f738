"""From the options of `run` and `submit` to an order. Checks nothing that `submit` checks."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from storage.errors import UsageError

if TYPE_CHECKING:
    from workers.settings import Settings
    from workers.submit import Order

#: Options of the operations; the others say what the inputs are.
OPERATION_OPTIONS = (
    *("mode", "hmm", "user_dict", "stopwords", "min_length", "pattern"),
    *("models", "backend", "length", "max_chars", "endpoint", "chat_template_kwargs", "beams", "faithful"),
    *("method", "top_keywords", "idf", "refresh_idf"),
    *("max_length", "min_count", "min_pmi", "min_entropy"),
    *("similarity", "skip_duplicates"),
)


def make_order(given: Mapping[str, Any], settings: Settings) -> Order:
    """Return the order that the options of a command, by the names of its parameters, amount to.

    Raises `UsageError` for an option that names nothing.
    """
    from storage.sources import ListingOptions
    from workers.submit import Order

    listing = ListingOptions(
        lines=given["lines"],
        layout=_value(given["layout"]),
        input_format=_value(given["input_format"]),
        encoding=given["encoding"],
        text_field=given["text_field"],
        key_field=given["key_field"],
        date_field=given["date_field"],
        max_record_bytes=settings.max_record_bytes,
        input_roots=settings.input_roots,
    )
    return Order(
        corpus=given["corpus"],
        inputs=given["inputs"],
        operations=_operations(given["do"]),
        options={name: _value(given[name]) for name in OPERATION_OPTIONS},
        listing=listing,
        shard_bytes=given["shard_bytes"],
        priority=given["priority"],
    )


def _value(choice: Any) -> Any:
    # The core knows plain strings: what it stores and hashes must not depend on the command line's classes.
    return str(choice) if isinstance(choice, StrEnum) else choice


def _operations(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        message = "--do names no operation; write for example --do count,tokenize"
        raise UsageError(message)
    return names
