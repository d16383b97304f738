"""A corpus that has something of everything, and what stands on the page of its report, read back by program."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from storage import label_scores, summaries
from storage.documents import text_sha256
from storage.label_scores import ScoredDocument, pack
from storage.label_sets import Label, label_ids, register
from storage.sources import ListingOptions
from tests.support.availability import REPOSITORY
from tests.support.builders import call, change_job, make_job
from tests.support.inline_mill import InlineMill

ABSTRACTS = REPOSITORY / "tests" / "samples" / "corpus" / "abstracts.csv"
#: What nobody would call a word, a label, a key or a name, and what may come as one all the same.
HOSTILE = [
    "</script><img src=x onerror=alert(1)>",
    "<!--<script>alert(1)",
    "__proto__",
    "constructor",
    "NaN",
    'a" onmouseover="alert(1)',
    "a\u2028b",
    "\u202ecba",
    "שלום",
    "{{7*7}}${7*7}",
    "a\tb",
]
LABELS = ["管理学", "法学", *HOSTILE[:2]]
FINGERPRINT = "a" * 32


@dataclass
class Written:
    """The records of a corpus: (key, text, month), month 0 for those without a date."""

    records: list[tuple[str, str, int]] = field(default_factory=list)
    broken: int = 0


def write_records(folder: Path, months: int = 10) -> Written:
    """Write abstracts as JSON Lines: dates but for every tenth, some hostile keys and texts, two broken lines."""
    with ABSTRACTS.open(encoding="utf-8", newline="") as file:
        texts = [row["text"] for row in csv.DictReader(file)][:60]
    # Long enough for every stretch that is marked.
    texts += [f"{word}。研究表明，{word} 是一种网络攻击手段。" for word in HOSTILE]
    written = Written(broken=2)
    lines: list[str] = []
    for number, text in enumerate(texts):
        month = 0 if number % 10 == 0 else 202406 + number % months + (88 if number % months > 6 else 0)
        key = HOSTILE[number] if number < len(HOSTILE) else f"n{number}"
        written.records.append((key, text, month))
        record = {"id": key, "text": text} | ({"date": f"{month // 100}-{month % 100:02}-09"} if month else {})
        lines.append(json.dumps(record, ensure_ascii=False))
    lines[7:7] = ["{broken", '{"id": "nothing"}']
    (folder / "news.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return written


def mill_everything(mill: InlineMill, folder: Path, corpus: str) -> Written:
    """Count and cut the records as a corpus, and write what models would make of them."""
    written = write_records(folder)
    listing = ListingOptions(key_field="id", date_field="date")
    path = folder / "news.jsonl"
    mill.run([path], corpus, "count", listing=listing, shard_bytes=8000)
    # Documents have rows from then on.
    mill.run([path], corpus, "tokenize", listing=listing)
    summarize(mill, corpus, [one for _, one, _ in written.records])
    _label(mill, corpus, written)
    return written


def summarize(mill: InlineMill, corpus: str, texts: Sequence[str]) -> None:
    """Write what a job of summaries would: two stretches of each text."""
    engine = mill.parts.engine
    fingerprint = "b" * 32
    change_job(engine, make_job(engine, corpus=corpus, operation="summarize", fingerprint=fingerprint), state="DONE")
    made = {text_sha256(one): (one[2:9] + one[12:20], [(2, 9), (12, 20)]) for one in texts}
    call(engine, summaries.save, fingerprint, "d" * 64, made)


def _label(mill: InlineMill, corpus: str, written: Written) -> None:
    """Write what a job of labels would: none, one or two of them for every document but the last."""
    engine = mill.parts.engine
    change_job(engine, make_job(engine, corpus=corpus, operation="classify", fingerprint=FINGERPRINT), state="DONE")
    label_set_id = call(engine, register, "test", "1", [Label(name) for name in LABELS])
    ids = call(engine, label_ids, label_set_id)
    rows = {
        text_sha256(text): ScoredDocument(pack([1.0] * len(LABELS)), _decided(ids, number))
        for number, (_, text, _) in enumerate(written.records[:-1])
    }
    call(engine, label_scores.save, FINGERPRINT, "c" * 64, label_set_id, rows, scale=2.0)


def _decided(ids: list[int], number: int) -> list[tuple[int, float]]:
    chosen = {ids[0]} if number % 2 else set()
    if number % 3 == 0:
        chosen.add(ids[1])
    if number % 7 == 0:
        chosen |= {ids[2], ids[3]}
    return [(one, 0.9) for one in sorted(chosen)]


class Page(HTMLParser):
    """What stands on a page: its named figures, the cells of its tables, the data of its plots."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.figures: dict[str, set[str]] = defaultdict(set)
        self.shown: dict[str, set[str]] = defaultdict(set)
        #: Every cell of a table, by the table's id or class: attributes and text, row by row.
        self.tables: dict[str, list[list[tuple[dict[str, str], str]]]] = defaultdict(list)
        self.scripts: dict[str, str] = {}
        self.addresses: list[str] = []
        self.tags: set[str] = set()
        self.marked: list[str] = []
        #: Keys of the documents whose summaries are shown.
        self.samples: list[str] = []
        self._table = ""
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self.feed(html)
        items = json.loads(self.scripts["plot-data"])
        self.sources = {
            name: columns for place in items.values() for name, columns in _sources(place["doc"]["roots"]).items()
        }
        self.plots = set(items)
        self.times = json.loads(self.scripts["time-data"])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        values = {name: value or "" for name, value in attrs}
        self.tags.add(tag)
        self.addresses += [value for name, value in values.items() if name in {"src", "href", "action", "data"}]
        if tag == "table":
            self._table = values.get("id") or values["class"]
        if tag == "tr":
            self.tables[self._table].append([])
        if tag not in {"meta", "link", "input", "img", "br"}:
            self._open.append((tag, values, []))

    def handle_data(self, data: str) -> None:
        """Take text for all elements that are open."""
        for _, _, texts in self._open:
            texts.append(data)

    def handle_endtag(self, tag: str) -> None:
        """Close an element and keep what it had."""
        opened, values, texts = self._open.pop()
        assert opened == tag, f"<{opened}> is closed by </{tag}>"
        text = "".join(texts)
        if "data-figure" in values:
            self.figures[values["data-figure"]].add(values["value"])
            self.shown[values["data-figure"]].add(text)
        if tag in {"td", "th"}:
            self.tables[self._table][-1].append((values, text))
        if tag == "h3" and any(one.get("class") == "sample" for _, one, _ in self._open):
            self.samples.append(text)
        if tag == "mark":
            self.marked.append(text)
        if tag == "script":
            self.scripts[values.get("id") or f"script {len(self.scripts)}"] = text

    def words(self) -> list[tuple[str, str, int, int]]:
        """Return (rank as shown, word, count, documents) of every row."""
        return [
            (rank, word["data-word"], int(count["data-value"]), int(documents["data-value"]))
            for (_, rank), (word, _), (count, _), _, (documents, _), _ in self.tables["word-table"][1:]
        ]


def _sources(value: Any) -> dict[str, dict[str, list[Any]]]:
    """Return the columns of every named data source in bokeh's JSON."""
    found: dict[str, dict[str, list[Any]]] = {}
    if isinstance(value, dict):
        if value.get("name") == "ColumnDataSource":
            attributes = value["attributes"]
            found[attributes["name"]] = dict(attributes["data"]["entries"])
        for inner in value.values():
            found |= _sources(inner)
    elif isinstance(value, list):
        for inner in value:
            found |= _sources(inner)
    return found
