"""What a report says, in English and in Chinese: the phrases of `phrases.toml`, in the language that is asked for."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Literal

Language = Literal["en", "zh"]


def phrases_of(language: Language) -> dict[str, str]:
    """Return every phrase in a language, by its name."""
    both = tomllib.loads(files("workers.report").joinpath("phrases.toml").read_text(encoding="utf-8"))
    return {name: texts[language] for name, texts in both.items()}
