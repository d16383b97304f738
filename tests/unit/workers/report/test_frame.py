"""What every page is made of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from storage.errors import UsageError
from workers.report.frame import bokeh_script, environment, json_in_html, policy_of, write_page


@pytest.mark.parametrize("text", ["</script>", "<!--<script>", "\u2028\u2029", "&amp;", "NaN", "\ud800", "\"'\\"])
def test_json_in_a_page_has_nothing_that_html_would_understand(text: str) -> None:
    written = str(json_in_html({text: [text]}))
    assert set("<>&\u2028\u2029") & set(written) == set()
    assert json.loads(written) == {text: [text]}


def test_templates_escape_every_value() -> None:
    assert environment().from_string("<b>{{ word }}</b>").render(word="<i>\"'") == "<b>&lt;i&gt;&#34;&#39;</b>"


def test_a_policy_names_scripts_by_their_digests_and_allows_nothing_else() -> None:
    # By `openssl dgst -sha256 -binary | base64` of the three letters.
    assert "script-src 'sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0='; " in policy_of(["abc"])


def test_the_script_of_the_plots_does_not_end_its_element() -> None:
    script = bokeh_script()
    assert "</script" not in script.lower()
    assert "<!--" not in script


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    assert write_page(path, "春\ud800") == 4
    assert path.read_text(encoding="utf-8") == "春?"
    with pytest.raises(UsageError, match="cannot be written: "):
        write_page(tmp_path / "nowhere" / "page.html", "春")
    (tmp_path / "full.html").mkdir()
    with pytest.raises(UsageError, match="cannot be written: "):
        write_page(tmp_path / "full.html", "春")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["full.html", "page.html"]
