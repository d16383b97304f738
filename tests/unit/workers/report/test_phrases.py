"""A page says the same in both languages."""

from __future__ import annotations

import re
from importlib.resources import files

from workers.report.phrases import phrases_of


def filled_in(text: str) -> set[str]:
    return set(re.findall(r"{(\w+)}", text))


def test_both_languages_fill_in_the_same() -> None:
    english, chinese = phrases_of("en"), phrases_of("zh")
    assert english.keys() == chinese.keys()
    assert [name for name in english if filled_in(english[name]) != filled_in(chinese[name])] == []
    assert [name for name in english if not english[name] or not re.search(r"[\u4e00-\u9fff]", chinese[name])] == []


def test_every_phrase_is_said_somewhere() -> None:
    folder = files("workers.report")
    said = "".join(folder.joinpath(name).read_text("utf-8") for name in ("page.html.jinja", "plots.py"))
    assert [name for name in phrases_of("en") if f'"{name}"' not in said and f"'{name}'" not in said] == []
