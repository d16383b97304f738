"""Documentation is held to the program: commands, settings, reasons, dependencies, files and links that it names exist.

Does not judge what is said about them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from storage.sources.faults import REASONS
from tests.support.documented_commands import typed_in, words_of
from workers.cli.main import app
from workers.settings import Settings

REPOSITORY = Path(__file__).parents[2]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
CHINESE_README = (REPOSITORY / "README.zh.md").read_text(encoding="utf-8")
PAGES = [
    *("README.md", "README.zh.md", "CONTRIBUTING.md", "CHANGELOG.md", "deploy/README.md", "tests/samples/README.md"),
    *sorted(str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").rglob("*.md")),
]
# Made from the program's help, whose sentences have "hanmill" in them too.
PAGES.remove("docs/reference/commands.md")
#: Pages whose blocks of commands are shown as they would be typed; `…` in one stands for a secret.
TYPED = [page for page in PAGES if page.startswith(("README", "docs/"))]
#: The sections of the two READMEs.
SECTIONS = {
    "The promise": "承诺",
    "What it does": "它做什么",
    "Installing": "安装",
    "Counting your own files": "统计自己的文件",
    "Looking at a corpus": "看结果",
    "Summaries": "摘要",
    "Labels": "标签",
    "Models": "模型",
    "Every night": "每天夜里",
    "Watching it": "监看",
    "Several machines": "多台机器",
    "Commands": "命令",
    "The tables worth querying": "值得查询的表",
    "Settings": "设置",
    "How it works": "工作原理",
}
#: Each README, and its heading of the table of commands.
READMES = pytest.mark.parametrize(("readme", "commands"), [(README, "Commands"), (CHINESE_README, "命令")])
PACKAGES = ("workers", "tasks", "storage")

CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)")
TREE_LINE = re.compile(r"^(?P<indent> *)(?P<name>\S+)(?:  +(?P<caption>\S.*))?$")


def page(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding="utf-8")


def section(heading: str, readme: str = README) -> str:
    return readme.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def subcommands(command: Any) -> dict[str, Any]:
    return {name: one for name, one in getattr(command, "commands", {}).items() if not one.hidden}


def command_paths(command: Any, path: str) -> Iterator[str]:
    """Yield every command that runs by itself, `hanmill db upgrade` among them; `list` need not be named."""
    below = subcommands(command)
    if not below or "list" in below:
        yield path
    for name, one in below.items():
        if name != "list":
            yield from command_paths(one, f"{path} {name}")


def commands_in(text: str) -> Iterator[list[str]]:
    for code in CODE.findall(text):
        for words in re.findall(r"(?<![\w/-])hanmill ([a-z][a-z-]*)(?: ([a-z]+)\b(?!/))?", code):
            yield [word for word in words if word]


def tree() -> dict[str, str]:
    """Return every path of the README's tree with its caption."""
    entries: dict[str, str] = {}
    parents: list[str] = []
    for line in README.split("<!-- tree -->", 1)[1].split("```")[1].strip().splitlines():
        found = TREE_LINE.match(line)
        assert found, line
        del parents[len(found["indent"]) // 2 :]
        entries["".join(parents) + found["name"]] = found["caption"] or ""
        if found["name"].endswith("/"):
            parents.append(found["name"])
    return entries


def modules() -> list[str]:
    found = [path for package in PACKAGES for path in (REPOSITORY / package).rglob("*.py")]
    return sorted(str(path.relative_to(REPOSITORY)) for path in found if path.name != "__init__.py")


@pytest.mark.parametrize("name", PAGES)
def test_every_command_that_a_page_names_exists(name: str) -> None:
    known = subcommands(typer.main.get_command(app))
    for words in commands_in(page(name)):
        assert words[0] in known, f"{name} names hanmill {words[0]}"
        below = subcommands(known[words[0]])
        assert not below or len(words) == 1 or words[1] in below, f"{name} names hanmill {' '.join(words)}"


@pytest.mark.parametrize("name", TYPED)
def test_the_program_understands_every_command_line_of_a_page(name: str) -> None:
    program: Any = typer.main.get_command(app)
    for typed in typed_in(name):
        for part in typed.command.split("|"):
            words = words_of(part)
            if words[0] == "hanmill":
                parse(program, words)


def parse(command: Any, words: list[str], parent: Any = None) -> None:
    """Raise the error that a user would see if a command line were wrong; nothing is run."""
    context = command.make_context(words[0], words[1:], parent=parent)
    if below := getattr(command, "commands", None):
        # What a group was not told itself is the command below it, with its own words.
        name, inner, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        assert name in below
        parse(inner, [name, *rest], context)


@READMES
def test_every_command_stands_in_the_table_of_commands(readme: str, commands: str) -> None:
    described = section(commands, readme)
    paths = [path for path in command_paths(typer.main.get_command(app), "hanmill") if path != "hanmill"]
    assert paths
    assert [path for path in paths if f"`{path}" not in described] == []


def test_every_setting_stands_in_the_table_of_settings_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `HANMILL_(\w+)` \| (?:`([^`]*)`|) +\|", section("Settings"), re.MULTILINE))
    defaults = {name.upper(): field.get_default() for name, field in Settings.model_fields.items()}
    assert rows == {name: shown(default) for name, default in defaults.items()}


def shown(default: object) -> str:
    if default in ("", ()):
        return ""
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize("name", PAGES)
def test_every_setting_that_a_page_names_exists(name: str) -> None:
    named = set(re.findall(r"HANMILL_(?!TEST_)([A-Z_]+)", page(name)))
    assert named <= {field.upper() for field in Settings.model_fields}


@READMES
def test_every_reason_of_a_dead_letter_is_explained(readme: str, commands: str) -> None:
    assert [reason for reason in REASONS if f"`{reason}`" not in readme] == []


def test_the_two_readmes_lead_to_each_other() -> None:
    assert "(README.zh.md)" in README.split("\n## ", 1)[0]
    assert "(README.md)" in CHINESE_README.split("\n## ", 1)[0]


@pytest.mark.parametrize(("english", "chinese"), SECTIONS.items())
def test_the_chinese_readme_leaves_out_no_section_that_a_user_needs(english: str, chinese: str) -> None:
    assert section(english).strip()
    assert section(chinese, CHINESE_README).strip()


def test_the_programs_in_the_chinese_readme_are_those_of_the_english_one() -> None:
    def programs(readme: str) -> list[str]:
        blocks = re.findall(r"^```python\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
        return [re.sub(r" *#.*", "", block) for block in blocks]

    assert programs(CHINESE_README) == programs(README)


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(page("pyproject.toml"))["project"]
    required = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    names = [re.split(r"[^A-Za-z0-9-]", requirement, maxsplit=1)[0] for requirement in required]
    table = README.split("### What it stands on", 1)[1].split("\n###", 1)[0]
    assert [name for name in names if not re.search(rf"(?<![\w-]){name}(?![\w-])", table)] == []


def test_everything_in_the_tree_exists_and_has_a_caption() -> None:
    assert [path for path in tree() if not (REPOSITORY / path).exists()] == []
    assert [path for path, caption in tree().items() if not caption] == []


def test_every_module_stands_in_the_tree() -> None:
    assert sorted(set(modules()) - tree().keys()) == []


@pytest.mark.parametrize("name", PAGES)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    here = (REPOSITORY / name).parent
    assert [target for target in LINK.findall(page(name)) if not (here / target).exists()] == []


@pytest.mark.parametrize("name", PAGES)
def test_every_make_command_that_a_page_names_exists(name: str) -> None:
    targets = set(re.findall(r"^([a-z]+):", page("Makefile"), re.MULTILINE))
    named = {word for code in CODE.findall(page(name)) for word in re.findall(r"\bmake ([a-z]+)", code)}
    assert named <= targets
