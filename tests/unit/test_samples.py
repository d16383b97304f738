"""The samples are the bytes that their page names: licence and checksum stand for exactly these."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

SAMPLES = Path(__file__).parents[1] / "samples"
PAGE = (SAMPLES / "README.md").read_text(encoding="utf-8")


def test_every_file_of_the_sample_corpus_has_its_checksum_on_the_page() -> None:
    stated = dict(re.findall(r"^\| `(corpus/[^`]+)` \|.*\| `([0-9a-f]{64})` \|$", PAGE, re.MULTILINE))
    files = {str(path.relative_to(SAMPLES)): path.read_bytes() for path in (SAMPLES / "corpus").iterdir()}
    assert {name: hashlib.sha256(data).hexdigest() for name, data in files.items()} == stated


def test_every_hostile_sample_is_explained_on_the_page() -> None:
    names = [f"hostile/{path.name}{'/' if path.is_dir() else ''}" for path in (SAMPLES / "hostile").iterdir()]
    assert [name for name in names if f"`{name}`" not in PAGE] == []
