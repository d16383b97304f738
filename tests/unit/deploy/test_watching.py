"""Alerts and dashboard are well-formed: promtool accepts them, every alert is tested, every panel has its place."""

from __future__ import annotations

import json
import re
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.availability import REPOSITORY
from tests.support.prometheus_server import promtool

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
GRAFANA = REPOSITORY / "deploy" / "grafana"
COLUMNS = 24


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def rules() -> list[dict[str, Any]]:
    return [rule for group in read(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]


def dashboard() -> Any:
    return json.loads((GRAFANA / "dashboards" / "hanmill.json").read_text(encoding="utf-8"))


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def test_prometheus_accepts_the_configuration() -> None:
    checked = promtool("check", "config", str(PROMETHEUS / "prometheus.yml"))
    assert checked.returncode == 0, checked.stderr


def test_the_alerts_fire_when_they_should_and_only_then() -> None:
    tested = promtool("test", "rules", str(PROMETHEUS / "alerts_test.yml"))
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("changed", [("> 900", "> 90000"), ("== 0", "== 7"), ("severity: critical", "severity: none")])
def test_an_alert_that_is_changed_fails_its_test(tmp_path: Path, changed: tuple[str, str]) -> None:
    shutil.copy(PROMETHEUS / "alerts_test.yml", tmp_path)
    text = (PROMETHEUS / "alerts.yml").read_text(encoding="utf-8")
    (tmp_path / "alerts.yml").write_text(text.replace(*changed), encoding="utf-8")
    assert promtool("test", "rules", str(tmp_path / "alerts_test.yml")).returncode != 0


def test_every_alert_is_tested_both_ways() -> None:
    cases = [case for test in read(PROMETHEUS / "alerts_test.yml")["tests"] for case in test.get("alert_rule_test", [])]
    fires = {case["alertname"] for case in cases if case["exp_alerts"]}
    names = {rule["alert"] for rule in rules()}
    assert fires == names
    # That none fires in a deployment that works is the first of the tests, with a query over all alerts.
    series = {line["series"] for line in read(PROMETHEUS / "alerts_test.yml")["tests"][0]["input_series"]}
    healthy = {re.split(r"[{ ]", one)[0] for one in series}
    asked = {name for rule in rules() for name in re.findall(r"\bhanmill_\w+", rule["expr"])}
    assert asked <= healthy


def test_every_alert_says_how_bad_it_is_what_happened_and_where_to_read_on() -> None:
    for rule in rules():
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert rule["annotations"]["summary"].endswith(".")
        words = re.findall(r"[A-Z][a-z]+", rule["alert"])[1:]
        assert rule["annotations"]["runbook"] == f"deploy/README.md#alert-{'-'.join(words).lower()}"
        assert rule["for"]


def test_the_runbook_says_what_to_do_about_every_alert() -> None:
    anchors = set(
        re.findall(r'<a id="(alert-[a-z-]+)"></a>', (REPOSITORY / "deploy/README.md").read_text(encoding="utf-8"))
    )
    assert anchors == {rule["annotations"]["runbook"].partition("#")[2] for rule in rules()}


def test_the_dashboard_has_a_fixed_address_and_asks_the_provisioned_source() -> None:
    (source,) = read(GRAFANA / "provisioning" / "datasources" / "prometheus.yaml")["datasources"]
    board = dashboard()
    assert (board["uid"], board["title"]) == ("hanmill", "hanmill")
    used = {target["datasource"]["uid"] for panel in panels() for target in panel["targets"]}
    used |= {panel["datasource"]["uid"] for panel in panels()}
    used |= {note["datasource"]["uid"] for note in board["annotations"]["list"]}
    assert used == {source["uid"]}


def test_grafana_finds_the_dashboard_where_it_is_mounted() -> None:
    (provider,) = read(GRAFANA / "provisioning" / "dashboards" / "hanmill.yaml")["providers"]
    mounts = read(REPOSITORY / "deploy" / "compose.yaml")["services"]["grafana"]["volumes"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in mounts


def test_every_panel_has_a_place_of_its_own() -> None:
    board = dashboard()["panels"]
    assert len({panel["id"] for panel in board}) == len(board)
    for panel in board:
        place = panel["gridPos"]
        assert place["w"] > 0
        assert place["h"] > 0
        assert 0 <= place["x"] <= COLUMNS - place["w"]
    overlapping = [(one["title"], other["title"]) for one, other in combinations(board, 2) if overlap(one, other)]
    assert overlapping == []


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    left, right = one["gridPos"], other["gridPos"]
    beside = left["x"] + left["w"] <= right["x"] or right["x"] + right["w"] <= left["x"]
    below = left["y"] + left["h"] <= right["y"] or right["y"] + right["h"] <= left["y"]
    return not (beside or below)


def test_every_panel_says_what_it_shows_in_which_unit() -> None:
    for panel in panels():
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"]
        references = [target["refId"] for target in panel["targets"]]
        assert references
        assert len(set(references)) == len(references)


def test_every_query_of_the_dashboard_is_one(tmp_path: Path) -> None:
    asked = [target["expr"] for panel in panels() for target in panel["targets"]]
    asked += [note["expr"] for note in dashboard()["annotations"]["list"]]
    recorded = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(asked)
    ]
    path = tmp_path / "queries.yml"
    path.write_text(json.dumps({"groups": [{"name": "queries", "rules": recorded}]}), encoding="utf-8")
    checked = promtool("check", "rules", str(path))
    assert checked.returncode == 0, checked.stderr
    assert f"{len(asked)} rules found" in checked.stdout
