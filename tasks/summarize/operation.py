"""Summarizes documents with a model, or with an algorithm that needs none, and keeps the summaries in SQL."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from storage import summaries
from storage.engine import Connection
from storage.errors import UsageError
from tasks.model_choice import choose_model, find_directory
from tasks.operation import Intake, Workplace

if TYPE_CHECKING:
    from tasks.nn.backend import AnyBackend

LENGTHS = ("title", "short", "long")
#: Parameters that are there only if the user gave them.
OPTIONAL = ("beams", "faithful", "chat_template_kwargs")
#: More of them only cost memory.
MAX_BEAMS = 64
#: What needs no model directory: two algorithms, and a model that somebody else serves.
WITHOUT_DIRECTORY = ("lead", "textrank", "openai")
#: What writes a summary one token after the other, and may follow several at a time.
WRITING = ("generate", "seq2seq")
#: What can be kept from writing numbers that a document does not have.
FAITHFUL = ("generate",)
#: The model that comes along for one line, and the one for several sentences.
DEFAULT_TITLE = Path(__file__).parent / "default"
DEFAULT_EXTRACT = Path(__file__).parent / "default_extract"


def default_directory(length: str) -> Path:
    """Return the model that comes along for a length."""
    return DEFAULT_EXTRACT if length != "title" and DEFAULT_EXTRACT.is_dir() else DEFAULT_TITLE


class SummarizeOperation:
    """The summary of every document."""

    name = "summarize"
    version = 1
    queue = "hanmill.gpu"
    merges = False
    uses_model = True

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check the options that make a summary what it is; raises `UsageError`.

        They are models, backend, length, max_chars, endpoint, chat_template_kwargs, beams and faithful.
        """
        length = options.get("length") or "title"
        if length not in LENGTHS:
            message = f"--length is one of {', '.join(LENGTHS)}, not {length!r}"
            raise UsageError(message)
        max_chars = options.get("max_chars")
        if max_chars is not None and int(max_chars) < 1:
            message = f"--max-chars is at least 1, not {max_chars}"
            raise UsageError(message)
        common = {"length": length, "max_chars": None if max_chars is None else int(max_chars)}
        backend = options.get("backend")
        named = list(options.get("models") or ())
        if backend != "openai" and options.get("chat_template_kwargs") is not None:
            message = "--chat-template-kwargs is for --backend openai; leave it out"
            raise UsageError(message)
        if backend in WITHOUT_DIRECTORY:
            _check_beams(options, backend)
            _check_faithful(options, backend)
            return {**common, "backend": backend, **_served(backend, named, options)}
        chosen = choose_model(intake, "summarizer", named, default_directory(length))
        if backend is not None and backend != chosen.backend:
            message = (
                f"--backend {backend}: the model at {chosen.path} is one for {chosen.backend}; leave one of them out"
            )
            raise UsageError(message)
        writing = {**_check_beams(options, chosen.backend), **_check_faithful(options, chosen.backend)}
        return {**common, "backend": chosen.backend, "model": chosen.digest, **writing}

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG002 - all of it is in them
        """Return nothing more: the parameters hold the model's digest."""
        return {}

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load nothing ahead: a model is loaded in the process that runs it."""

    def open_backend(self, parameters: Mapping[str, Any], workplace: Workplace) -> AnyBackend:
        """Load the summarizer; raises `UsageError`."""
        from tasks.nn.devices import dtype_for  # noqa: PLC0415 - loads PyTorch
        from tasks.nn.model_directory import ModelDirectoryError  # noqa: PLC0415
        from tasks.summarize.backends import load_served, load_summarizer  # noqa: PLC0415

        options = {name: parameters[name] for name in ("length", "max_chars", *OPTIONAL) if name in parameters}
        digest = parameters.get("model")
        built_in = (DEFAULT_TITLE, DEFAULT_EXTRACT)
        which = find_directory(workplace.engine, digest, built_in) if digest else parameters["backend"]
        try:
            if parameters["backend"] == "openai":
                served = (parameters["endpoint"], parameters["served_model"])
                return load_served(*served, asdict(workplace.endpoint), **options)
            return load_summarizer(which, workplace.device, dtype_for(workplace.device), **options)
        except ModelDirectoryError as error:
            raise UsageError(str(error)) from error

    def known(self, connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> AbstractSet[bytes]:
        """Return which texts have a summary."""
        return summaries.known(connection, fingerprint, digests)

    def save(self, connection: Connection, fingerprint: str, backend: AnyBackend, results: Mapping[bytes, Any]) -> None:
        """Write summaries with their places in the text."""
        made = {digest: (summary.text, summary.spans) for digest, summary in results.items()}
        summaries.save(connection, fingerprint, backend.digest, made)


def _check_beams(options: Mapping[str, Any], backend: str) -> dict[str, int]:
    """Return the number of beams, if one was given; it is no parameter otherwise, and the fingerprint what it was."""
    beams = options.get("beams")
    if beams is None:
        return {}
    if backend not in WRITING:
        message = f"--beams is for a --model that writes its summaries, not for {backend}; leave it out"
        raise UsageError(message)
    if not 1 <= int(beams) <= MAX_BEAMS:
        message = f"--beams is 1 to {MAX_BEAMS}, not {beams}"
        raise UsageError(message)
    return {"beams": int(beams)}


def _check_faithful(options: Mapping[str, Any], backend: str) -> dict[str, bool]:
    """Return the option if it was given; like the number of beams, it is no parameter otherwise."""
    if not options.get("faithful"):
        return {}
    if backend not in FAITHFUL:
        raise UsageError(not_faithful(backend))
    return {"faithful": True}


def not_faithful(backend: str) -> str:
    """Return why a backend cannot be held to the numbers of its documents, and what to do."""
    reason = "decodes in a way of its own" if backend in {"seq2seq", "openai"} else "takes its summaries from the text"
    return (
        "--faithful is for a --model that was trained by `hanmill train summarizer --backend generate`; "
        f"{backend} {reason}; leave it out"
    )


def _served(backend: str, named: Sequence[str], options: Mapping[str, Any]) -> dict[str, Any]:
    if backend != "openai":
        return {}
    endpoint = options.get("endpoint")
    if not endpoint or len(named) != 1:
        message = "--backend openai asks a server: name it by --endpoint URL, and the model that it serves by --model"
        raise UsageError(message)
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or parts.username is not None:
        # The address itself is not repeated: a password may stand in it.
        message = "--endpoint: write for example http://127.0.0.1:8000/v1; a key belongs into HANMILL_ENDPOINT_KEY"
        raise UsageError(message)
    return {"endpoint": endpoint, "served_model": named[0], **_template_kwargs(options.get("chat_template_kwargs"))}


def _template_kwargs(given: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return what the server's template gets, if anything was given."""
    if given is None:
        return {}
    try:
        switches = json.loads(given) if isinstance(given, str) else dict(given)
    except ValueError as error:
        message = f"--chat-template-kwargs is no JSON: {error}; write for example '{{\"enable_thinking\": false}}'"
        raise UsageError(message) from error
    if not isinstance(switches, dict):
        message = f"--chat-template-kwargs is a JSON object, not {given}"
        raise UsageError(message)
    return {"chat_template_kwargs": switches}


OPERATION = SummarizeOperation()
