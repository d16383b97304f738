"""The reference in docs/ is what the program says of itself today."""

from __future__ import annotations

import importlib.util
from types import ModuleType

import pytest

from tests.support.availability import REPOSITORY


def reference() -> ModuleType:
    """Return the script that makes the pages; it is no part of a package."""
    specification = importlib.util.spec_from_file_location("fill_reference", REPOSITORY / ".ci" / "fill_reference.py")
    assert specification is not None
    assert specification.loader is not None
    made = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["commands.md", "views.md"])
def test_a_page_of_the_reference_is_as_the_program_makes_it(name: str) -> None:
    script = reference()
    page = (REPOSITORY / script.REFERENCE / name).read_text(encoding="utf-8")
    assert page == script.PAGES[name](), "the page is stale: make readme"


def test_every_page_of_the_reference_is_made() -> None:
    script = reference()
    assert {path.name for path in (REPOSITORY / script.REFERENCE).iterdir()} == set(script.PAGES)
