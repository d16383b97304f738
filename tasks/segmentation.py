"""The options that counting and tokenizing share, from the user's words to a segmenter and a token filter."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from storage.errors import UsageError
from tasks.operation import Workplace
from tasks.text.rjieba_engine import PROVEN_VERSION, installed_version, is_proven
from tasks.text.segmenter import Mode, Segmenter, SegmenterOptions, open_segmenter, segmenter_identity
from tasks.text.token_filter import TokenFilter, parse_stopwords
from tasks.text.user_dictionary import DictionaryError, check_user_dictionary

logger = logging.getLogger(__name__)

MODES = ("precise", "full", "search")


def segmentation_parameters(options: Mapping[str, Any], add_resource: Callable[[bytes], str]) -> dict[str, Any]:
    """Check the options mode, hmm, user_dict, stopwords, min_length and pattern, and return them as JSON.

    Files become digests of their content, which `add_resource` stores: a worker elsewhere has not the file.
    """
    mode = options.get("mode") or "precise"
    if mode not in MODES:
        message = f"--mode is one of {', '.join(MODES)}, not {mode!r}"
        raise UsageError(message)
    parameters: dict[str, Any] = {
        "mode": mode,
        "hmm": bool(options.get("hmm", True)),
        "user_dict": add_file(options.get("user_dict"), "--user-dict", check_user_dictionary, add_resource),
        "stopwords": add_file(options.get("stopwords"), "--stopwords", _check_stopwords, add_resource),
        "min_length": int(options.get("min_length") or 0),
        "pattern": options.get("pattern"),
    }
    try:
        TokenFilter(frozenset(), parameters["min_length"], parameters["pattern"])
    except ValueError as error:
        message = f"--min-length or --pattern: {error}"
        raise UsageError(message) from error
    return parameters


def add_file(
    path: str | Path | None, option: str, check: Callable[[bytes], None], add_resource: Callable[[bytes], str]
) -> str | None:
    """Check and store the file that an option names, and return its digest; raises `UsageError`."""
    if path is None:
        return None
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        message = f"{option} {path}: cannot be read: {error.strerror}"
        raise UsageError(message) from error
    try:
        check(data)
    except (DictionaryError, ValueError) as error:
        message = f"{option} {path}: {error}"
        raise UsageError(message) from error
    return add_resource(data)


def _check_stopwords(data: bytes) -> None:
    parse_stopwords(data)


def segmentation_identity(parameters: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what decides the tokens, without loading a dictionary."""
    return segmenter_identity(_segmenter_options(parameters), parameters["user_dict"] or "")


def _segmenter_options(parameters: Mapping[str, Any]) -> SegmenterOptions:
    return SegmenterOptions(mode=cast("Mode", parameters["mode"]), hmm=parameters["hmm"])


def segmenter_for(parameters: Mapping[str, Any], workplace: Workplace) -> Segmenter:
    """Return the segmenter of a job, loaded once a process."""
    digest = parameters["user_dict"]
    data = workplace.load_resource(digest) if digest else None
    return _segmenter(_segmenter_options(parameters), data, workplace.cache_dir)


def load_default_segmenter(cache_dir: Path) -> None:
    """Load the default dictionary before a worker forks, so that its processes share the memory."""
    if not is_proven():
        logger.warning(
            "segmenter.not_proven", extra={"rjieba": installed_version() or "none", "proven": PROVEN_VERSION}
        )
    _segmenter(SegmenterOptions(), None, cache_dir)


@lru_cache(maxsize=4)
def _segmenter(options: SegmenterOptions, dictionary: bytes | None, cache_dir: Path) -> Segmenter:
    return open_segmenter(options, dictionary, cache_dir)


def token_filter_for(parameters: Mapping[str, Any], workplace: Workplace) -> TokenFilter | None:
    """Return the filter of a job, or None when every token is kept."""
    digest, min_length, pattern = parameters["stopwords"], parameters["min_length"], parameters["pattern"]
    if not digest and not min_length and not pattern:
        return None
    stopwords = parse_stopwords(workplace.load_resource(digest)) if digest else frozenset()
    return TokenFilter(stopwords, min_length, pattern)
