"""Fills the README's settings table and tree from the code: `make readme`. What it writes, the tests check.

A module's caption is the first sentence of its docstring; a package's is given below.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from workers.settings import Settings

README = Path("README.md")
#: Longest caption, in characters, that is not cut.
CAPTION_CHARS = 100
PACKAGES = {
    "workers": "the processes",
    "workers/bench": "`hanmill bench`: ways to count, measured beside each other",
    "workers/cli": "the command line, a module for each command",
    "workers/doctor": "what `hanmill doctor` looks at",
    "workers/embedded": "the processes of `hanmill run`: its own Redis, its own workers",
    "workers/exporter": "the exporter: the metrics that Prometheus asks for",
    "workers/report": "the pages of `hanmill report` and `hanmill compare`, with their templates, style and script",
    "workers/verification": "`hanmill verify`: computing a sample again, and what differs",
    "workers/flower": "Flower, the web page for operators, with our names and our doors",
    "tasks": "what is computed",
    "tasks/classify": "the operation classify, its models and their training",
    "tasks/count": "the operation count",
    "tasks/dedup": "the operation dedup: documents that say the same",
    "tasks/discover": "the operation discover: words that no dictionary has",
    "tasks/keywords": "the operation keywords",
    "tasks/nn": "networks, losses, batches and training, pure: no queue, no database, no environment",
    "tasks/summarize": "the operation summarize, its models and their training",
    "tasks/text": "text and tokens, pure: no queue, no database, no environment",
    "tasks/tokenize": "the operation tokenize",
    "storage": "what stays when every process is dead",
    "storage/migrations": "from an empty database to the schema",
    "storage/migrations/versions": "the steps, one file each",
    "storage/sources": "the readers of every input format",
}
OTHERS = {
    "README.zh.md": "this page in Chinese",
    "docs/": "tutorial, how-to pages, why results are exact, and the reference",
    "deploy/": "running it on several machines: README.md is the runbook",
    "  compose.yaml": "everything on one machine by Docker Compose; Dockerfile, docker/, redis/ belong to it",
    "  systemd/": "units for workers, beat, Flower and exporter",
    "  kubernetes/": "manifests, with overlays for small, autoscaled and GPU deployments",
    "  prometheus/": "what is scraped, the alerts and their tests",
    "  grafana/": "the dashboard",
    "  pictures/": "what the pages look like; made by tests",
    "  make-secrets": "makes the passwords that Compose wants",
    "  LOGS.md": "every event of the log",
    "  SCALING.md": "what a terabyte takes, and what breaks first",
    "tests/": "what must hold",
    "  unit/": "mirrors the source",
    "  integration/": "real databases, real workers, real processes",
    "  faults/": "kills, flushes and chaos; RESULTS.md",
    "  fuzz/": "bad files by the hundred thousand, and what must hold of each",
    "  bench/": "measures this machine against the serial loop; RESULTS.md",
    "  support/": "servers and builders that tests share",
    "  samples/": "the sample corpus, and hostile input",
    "pyproject.toml": "dependencies, and every tool's settings with the reasons",
    "Makefile": "every command of the project",
    ".ci/": "what must pass before a change is taken",
}


def settings_table() -> str:
    """Return a row for every setting."""
    rows = ["| setting | default | unit and meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = f"`{default:g}`" if isinstance(default, float) else f"`{default}`" if default not in {"", ()} else ""
        rows.append(f"| `HANMILL_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows)


def caption(path: Path) -> str:
    """Return the first sentence of a module's docstring, or what stands before its colon where that is too long."""
    docstring = " ".join((ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split())
    sentence = re.split(r"[.](?:\s|$)", docstring, maxsplit=1)[0]
    return sentence if len(sentence) <= CAPTION_CHARS else re.split(r"[:;](?:\s|$)", sentence, maxsplit=1)[0]


def tree(folder: Path, depth: int = 0) -> Iterator[str]:
    """Yield a line for a folder and for everything in it."""
    indent = "  " * depth
    yield f"{indent}{folder.name}/".ljust(40) + PACKAGES[str(folder)]
    for path in sorted(folder.glob("*.py")):
        if path.name != "__init__.py":
            yield f"{indent}  {path.name}".ljust(40) + caption(path)
    for inner in sorted(path for path in folder.iterdir() if (path / "__init__.py").exists()):
        yield from tree(inner, depth + 1)


def main() -> None:
    """Write both parts into the README."""
    lines = [line for top in ("workers", "tasks", "storage") for line in tree(Path(top))]
    lines += [name.ljust(40) + text for name, text in OTHERS.items()]
    readme = README.read_text(encoding="utf-8")
    for mark, text, end in (
        ("<!-- settings -->\n\n", settings_table(), r"\n\n## "),
        ("<!-- tree -->\n\n```\n", "\n".join(lines), r"\n```"),
    ):
        pattern = re.escape(mark) + r".*?(?=" + end + ")"
        readme = re.sub(pattern, lambda _, filled=mark + text: filled, readme, count=1, flags=re.DOTALL)
    README.write_text(readme, encoding="utf-8")


if __name__ == "__main__":
    main()
