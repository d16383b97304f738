from __future__ import annotations

import pytest
import typer

from workers.cli.options import parse_size


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("500", 500), ("1KB", 1024), ("64MB", 64 * 1024**2), ("1.5k", 1536), ("2 GiB", 2 * 1024**3), ("7b", 7)],
)
def test_sizes_are_written_in_bytes_or_binary_units(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", ["", "0", "MB", "-1", "12 parsecs", "0.1"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="is no size"):
        parse_size(text)
