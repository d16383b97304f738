"""Chooses the summarizer that a name or a model directory stands for, and loads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from tasks.nn.backend import AnyBackend
from tasks.nn.model_directory import CONFIG, ModelDirectory, ModelDirectoryError, is_model, open_model
from tasks.summarize.lead import LeadBackend
from tasks.summarize.operation import FAITHFUL, not_faithful
from tasks.summarize.summary import Length, length_named
from tasks.summarize.textrank import TextRankBackend

#: What needs no model, by name.
WITHOUT_MODEL: dict[str, Callable[[Length, int | None], AnyBackend]] = {
    "lead": LeadBackend,
    "textrank": TextRankBackend,
}


def load_summarizer(
    which: Path | str,
    device: str,
    dtype: torch.dtype,
    *,
    length: str,
    max_chars: int | None,
    beams: int | None = None,
    faithful: bool = False,
) -> AnyBackend:
    """Load the summarizer `lead` or `textrank`, one of our model directories, or another program's checkpoint.

    Raises `ModelDirectoryError` with the reason for a directory that is no summarizer, or none that can be held to be
    faithful to the numbers of its documents.
    """
    named = length_named(length)
    if isinstance(which, str):
        return WITHOUT_MODEL[which](named, max_chars)
    if not is_model(which) and (which / CONFIG).is_file():
        if faithful:
            raise ModelDirectoryError(not_faithful("seq2seq"))
        from tasks.summarize.seq2seq_backend import open_seq2seq  # noqa: PLC0415 - loads transformers

        return open_seq2seq(which, device, dtype, named, max_chars, num_beams=beams)
    model = open_model(which)
    if faithful and model.config.backend not in FAITHFUL:
        raise ModelDirectoryError(not_faithful(model.config.backend))
    loader = _loader(model, beams, faithful=faithful)
    return loader(model, device, dtype, named, max_chars)


def _loader(model: ModelDirectory, beams: int | None, *, faithful: bool) -> Callable[..., AnyBackend]:
    match model.config.backend:
        case "span":
            from tasks.summarize.span_backend import open_span  # noqa: PLC0415

            return open_span
        case "spaces-extract":
            from tasks.summarize.spaces_extract_backend import open_spaces_extract  # noqa: PLC0415

            return open_spaces_extract
        case "generate":
            from tasks.summarize.generate_backend import open_generate  # noqa: PLC0415

            return partial(open_generate, beams=beams, faithful=faithful)
        case other:
            message = f"{model.path}: its backend {other!r} is no summarizer of this version; update, or train it anew"
            raise ModelDirectoryError(message)


def load_served(
    endpoint: str,
    served_model: str,
    access: Mapping[str, Any],
    *,
    length: str,
    max_chars: int | None,
    chat_template_kwargs: Mapping[str, Any] | None = None,
) -> AnyBackend:
    """Return the summarizer that asks a server for its summaries, in the way of an `EndpointAccess`.

    Raises `ModelDirectoryError` for a bad address.
    """
    from tasks.summarize.chat_client import Endpoint  # noqa: PLC0415 - nobody else needs it
    from tasks.summarize.openai_backend import open_openai  # noqa: PLC0415

    try:
        served = Endpoint(endpoint, served_model, **access, chat_template_kwargs=chat_template_kwargs)
        return open_openai(served, length_named(length), max_chars)
    except ValueError as error:
        message = f"--endpoint: {error}"
        raise ModelDirectoryError(message) from error
