"""Reads what stands in deploy/: manifests, units, command lines; and holds command lines to the real program."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
import yaml

from tests.support.availability import REPOSITORY
from workers.cli.main import app
from workers.settings import Settings

DEPLOY = REPOSITORY / "deploy"
#: What must be set for `compose.yaml` beside the passwords.
SECRETS = (
    "POSTGRES_PASSWORD",
    "DATABASE_PASSWORD",
    "REDIS_PASSWORD",
    "HANMILL_FLOWER_USERS",
    "GRAFANA_PASSWORD",
)
_VARIABLE = re.compile(r"(?<!\$)\$\{(?P<name>\w+)(?:(?P<kind>:[?-])(?P<rest>[^}]*))?\}")


def setting_names() -> set[str]:
    """Return the name of every setting in the environment."""
    return {f"HANMILL_{name.upper()}" for name in Settings.model_fields}


def unknown_settings(text: str) -> set[str]:
    """Return what a text calls like a setting and is none."""
    named = set(re.findall(r"(?<![\w/.])HANMILL_(?!TEST_)[A-Z_]*[A-Z]", text))
    return named - setting_names()


def check_command(words: Sequence[str]) -> None:
    """Parse the words after `hanmill` as the program would, without running anything; raises what it would say."""
    command: Any = typer.main.get_command(app)
    context = command.make_context("hanmill", list(words))
    while hasattr(command, "commands") and (left := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, left)
        context = command.make_context(name, rest, parent=context)


def interpolate(text: str, values: Mapping[str, str]) -> str:
    """Put variables into a Compose file as Compose does; raises `KeyError` for one that must be set and is not."""

    def value_of(found: re.Match[str]) -> str:
        name, kind, rest = found["name"], found["kind"], found["rest"]
        if values.get(name):
            return values[name]
        if kind == ":?":
            message = f"{name}: {rest}"
            raise KeyError(message)
        return rest or ""

    return _VARIABLE.sub(value_of, text)


def compose(values: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return `compose.yaml` as Compose would read it."""
    given = {**dict.fromkeys(SECRETS, "secret"), "INPUTS_DIRECTORY": "/srv/inputs"} if values is None else values
    text = (DEPLOY / "compose.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(interpolate(text, given)))


def unit_values(path: Path) -> dict[str, list[str]]:
    """Return {key: values} of a systemd unit or drop-in, the sections aside."""
    values: dict[str, list[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            key, _, value = line.partition("=")
            values.setdefault(key, []).append(value)
    return values


def objects_of(directory: Path) -> list[dict[str, Any]]:
    """Return the objects of a kustomization: what it lists and patches, in the one namespace that it names.

    Understands what our manifests use: `resources`, `namespace`, and JSON 6902 `patches` that replace or remove.
    """
    kustomization = yaml.safe_load((directory / "kustomization.yaml").read_text(encoding="utf-8"))
    unknown = kustomization.keys() - {"apiVersion", "kind", "namespace", "resources", "patches"}
    assert not unknown, f"{directory} uses {unknown}, which this reader does not understand"
    objects = [one for name in kustomization["resources"] for one in _resource(directory / name)]
    for one in objects:
        if "namespace" in kustomization and one["kind"] != "Namespace":
            one["metadata"]["namespace"] = kustomization["namespace"]
    for patch in kustomization.get("patches", ()):
        _apply(patch, objects)
    return objects


def _resource(path: Path) -> list[dict[str, Any]]:
    if path.is_dir():
        return objects_of(path)
    return [one for one in yaml.safe_load_all(path.read_text(encoding="utf-8")) if one]


def _apply(patch: Mapping[str, Any], objects: Sequence[dict[str, Any]]) -> None:
    target = patch["target"]
    (found,) = [one for one in objects if (one["kind"], one["metadata"]["name"]) == (target["kind"], target["name"])]
    for step in yaml.safe_load(patch["patch"]):
        *way, last = step["path"].strip("/").split("/")
        place: Any = found
        for name in way:
            place = place[int(name) if isinstance(place, list) else name]
        assert last in place, f"{step['path']} is not there"
        if step["op"] == "remove":
            del place[last]
        else:
            assert step["op"] == "replace"
            place[last] = step["value"]


def pod_of(manifest: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the pod that an object makes, None for one that makes none."""
    if manifest["kind"] in {"Deployment", "StatefulSet", "Job"}:
        return dict(manifest["spec"]["template"]["spec"])
    return None


def hanmill_containers(objects: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield every container that runs hanmill's image."""
    for pod in filter(None, map(pod_of, objects)):
        for container in [*pod.get("initContainers", ()), *pod["containers"]]:
            if container["image"].startswith("hanmill:"):
                yield container


def command_lines() -> Iterator[tuple[str, list[str]]]:
    """Yield (where, words after `hanmill`) for every command line in the files that are deployed."""
    for name, service in compose()["services"].items():
        if str(service["image"]).startswith("hanmill:"):
            yield f"compose {name}", service["command"]
        test = service.get("healthcheck", {}).get("test", ())
        if test[1:2] == ["hanmill"]:
            yield f"compose {name} health", test[2:]
    for path in sorted((DEPLOY / "systemd").glob("*.service")):
        for line in unit_values(path)["ExecStart"]:
            words = [word for word in shlex.split(line.replace("%i", "cpu")) if not word.startswith("$")]
            assert words[0] == "/opt/hanmill/bin/hanmill", path
            yield path.name, words[1:]
    for overlay in sorted((DEPLOY / "kubernetes" / "overlays").iterdir()):
        for container in hanmill_containers(objects_of(overlay)):
            yield f"{overlay.name} {container['name']}", container["args"]
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                command = container.get(probe, {}).get("exec", {}).get("command")
                if command:
                    assert command[0] == "hanmill"
                    yield f"{overlay.name} {container['name']} {probe}", command[1:]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    (health,) = re.findall(r"^HEALTHCHECK .*CMD (\[.*\])$", dockerfile, re.MULTILINE)
    yield "Dockerfile health", json.loads(health)[1:]
    (command,) = re.findall(r"^CMD (\[.*\])$", dockerfile, re.MULTILINE)
    yield "Dockerfile", json.loads(command)
