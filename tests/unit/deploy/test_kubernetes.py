"""The manifests: valid by Kubernetes' own schemas, whole, restricted; and kustomize sees the same."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from storage.redis_keys import QUEUE_CPU, QUEUE_GPU
from tests.support.availability import REPOSITORY
from tests.support.deploy_files import DEPLOY, hanmill_containers, objects_of, pod_of, setting_names, unknown_settings

OVERLAYS = sorted((DEPLOY / "kubernetes" / "overlays").iterdir())
VERSIONS = ("1.31", "1.34")
#: What the operator brings, by the runbook.
BROUGHT = {("Secret", "hanmill"), ("Secret", "hanmill-servers"), ("PersistentVolumeClaim", "hanmill-inputs")}

each_overlay = pytest.mark.parametrize("overlay", OVERLAYS, ids=lambda overlay: overlay.name)


def pods(overlay: Path) -> list[tuple[str, dict[str, Any]]]:
    found = [(one["metadata"]["name"], pod_of(one)) for one in objects_of(overlay)]
    return [(name, pod) for name, pod in found if pod is not None]


def containers(pod: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [*pod.get("initContainers", ()), *pod["containers"]]


@each_overlay
@pytest.mark.parametrize("version", VERSIONS)
def test_every_object_is_valid_by_the_published_schema(overlay: Path, version: str) -> None:
    for one in objects_of(overlay):
        if one["apiVersion"] != "keda.sh/v1alpha1":
            kubernetes_validate.validate(one, version, strict=True)


@each_overlay
def test_kustomize_makes_of_it_what_these_tests_look_at(overlay: Path) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("there is no kubectl on the PATH; the objects are put together by the tests' own reader alone")
    done = subprocess.run([kubectl, "kustomize", overlay], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    built = [one for one in yaml.safe_load_all(done.stdout) if one]

    def key(one: Mapping[str, Any]) -> tuple[str, str]:
        return one["kind"], one["metadata"]["name"]

    assert sorted(built, key=key) == sorted(objects_of(overlay), key=key)


@each_overlay
def test_no_two_objects_have_one_name_and_all_are_in_one_namespace(overlay: Path) -> None:
    objects = objects_of(overlay)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(names) == len(set(names))
    assert {one["metadata"].get("namespace", "hanmill") for one in objects} == {"hanmill"}


@each_overlay
def test_every_pod_is_one_that_the_restricted_standard_lets_in(overlay: Path) -> None:
    for name, pod in pods(overlay):
        rights = pod["securityContext"]
        assert rights["runAsNonRoot"], name
        assert rights["runAsUser"] > 0
        assert rights["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        for container in containers(pod):
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["readOnlyRootFilesystem"] is True
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"].keys() == {"requests", "limits"}
            assert re.search(r":v?\d+\.\d+", container["image"])


@each_overlay
def test_every_volume_claim_secret_and_configuration_that_is_used_is_there(overlay: Path) -> None:
    there = {(one["kind"], one["metadata"]["name"]) for one in objects_of(overlay)} | BROUGHT
    for one in objects_of(overlay):
        pod = pod_of(one)
        if pod is None:
            continue
        claimed = {claim["metadata"]["name"] for claim in one["spec"].get("volumeClaimTemplates", ())}
        declared = {volume["name"] for volume in pod["volumes"]} | claimed
        mounted = {mount["name"] for container in containers(pod) for mount in container["volumeMounts"]}
        assert mounted == declared, one["metadata"]["name"]
        assert set(references(pod)) <= there


def references(pod: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("ServiceAccount", pod["serviceAccountName"])] if "serviceAccountName" in pod else []
    for volume in pod["volumes"]:
        if "secret" in volume:
            found.append(("Secret", volume["secret"]["secretName"]))
        if "configMap" in volume:
            found.append(("ConfigMap", volume["configMap"]["name"]))
        if "persistentVolumeClaim" in volume:
            found.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
    for container in containers(pod):
        found += [("ConfigMap", source["configMapRef"]["name"]) for source in container.get("envFrom", ())]
        for variable in container.get("env", ()):
            if "valueFrom" in variable:
                found.append(("Secret", variable["valueFrom"]["secretKeyRef"]["name"]))
    return found


@each_overlay
def test_no_object_holds_a_secret(overlay: Path) -> None:
    objects = objects_of(overlay)
    assert [one["metadata"]["name"] for one in objects if one["kind"] == "Secret"] == []
    for _, pod in pods(overlay):
        for container in containers(pod):
            plain = [variable for variable in container.get("env", ()) if "value" in variable]
            assert [one["name"] for one in plain if re.search(r"PASSWORD|KEY|SECRET", one["name"])] == []


@each_overlay
def test_every_secret_file_is_named_after_a_setting(overlay: Path) -> None:
    names = {
        item["path"]
        for _, pod in pods(overlay)
        for volume in pod["volumes"]
        for item in volume.get("secret", {}).get("items", ())
    }
    assert {"hanmill_database_url", "hanmill_broker_url"} <= names
    assert {name.upper() for name in names} <= setting_names()


@each_overlay
def test_every_setting_of_the_configuration_exists(overlay: Path) -> None:
    (config,) = [
        one for one in objects_of(overlay) if (one["kind"], one["metadata"]["name"]) == ("ConfigMap", "hanmill")
    ]
    assert unknown_settings(" ".join(config["data"])) == set()


@each_overlay
def test_everything_that_selects_finds_a_pod_and_every_port_is_one_of_it(overlay: Path) -> None:
    objects = objects_of(overlay)
    labelled = [
        (one["spec"]["template"]["metadata"]["labels"], pod_of(one)) for one in objects if pod_of(one) is not None
    ]
    for one in objects:
        if one["kind"] not in {"Service", "PodDisruptionBudget", "Deployment", "StatefulSet"}:
            continue
        selector = one["spec"]["selector"]
        wanted = selector.get("matchLabels", selector)
        found = [pod for labels, pod in labelled if wanted.items() <= labels.items()]
        assert len(found) == 1, one["metadata"]["name"]
        ports = {port["name"] for container in containers(found[0] or {}) for port in container.get("ports", ())}
        if one["kind"] == "Service":
            assert {port["targetPort"] for port in one["spec"]["ports"]} <= ports


@each_overlay
def test_workers_have_time_to_end_and_every_process_is_looked_after(overlay: Path) -> None:
    for name, pod in pods(overlay):
        if "worker" in name:
            assert pod["terminationGracePeriodSeconds"] >= 300
            assert pod["containers"][0].keys() >= {"startupProbe", "livenessProbe", "readinessProbe"}
        if name != "hanmill-migrate":
            assert "livenessProbe" in pod["containers"][0]


@each_overlay
def test_everything_but_the_migration_waits_for_the_schema(overlay: Path) -> None:
    waiting = [one for one in hanmill_containers(objects_of(overlay)) if one["name"] == "wait-for-schema"]
    running = [one for one in hanmill_containers(objects_of(overlay)) if one["name"] != "wait-for-schema"]
    assert len(waiting) == len(running) - 1
    assert all(one["args"] == ["db", "check"] for one in waiting)


@pytest.mark.parametrize("overlay", [one for one in OVERLAYS if one.name != "small"], ids=lambda overlay: overlay.name)
def test_every_scaler_scales_a_deployment_that_is_there_by_what_waits_and_what_is_in_flight(overlay: Path) -> None:
    objects = objects_of(overlay)
    deployments = {one["metadata"]["name"]: one for one in objects if one["kind"] == "Deployment"}
    scalers = [one for one in objects if one["kind"] == "ScaledObject"]
    assert scalers
    for one in scalers:
        spec = one["spec"]
        assert one["apiVersion"] == "keda.sh/v1alpha1"
        scaled = deployments[spec["scaleTargetRef"]["name"]]
        # Otherwise applying the manifests would undo what the scaler did.
        assert "replicas" not in scaled["spec"]
        assert 0 <= spec["minReplicaCount"] < spec["maxReplicaCount"]
        (trigger,) = spec["triggers"]
        assert trigger["type"] == "prometheus"
        metadata = trigger["metadata"]
        assert metadata.keys() == {"serverAddress", "query", "threshold", "ignoreNullValues"}
        assert all(isinstance(value, str) for value in metadata.values())
        assert float(metadata["threshold"]) > 0
        exporter = (REPOSITORY / "workers" / "exporter" / "collector.py").read_text(encoding="utf-8")
        metrics = re.findall(r"hanmill_(\w+)\{", metadata["query"])
        assert metrics == ["queue_waiting", "queue_in_flight"]
        assert all(f'"{name}"' in exporter for name in metrics)
        queues = set(re.findall(r'queue="([^"]+)"', metadata["query"]))
        assert queues in ({QUEUE_CPU}, {QUEUE_GPU})


def test_something_is_always_there_to_let_schedules_fire() -> None:
    for overlay in OVERLAYS:
        scalers = [one for one in objects_of(overlay) if one["kind"] == "ScaledObject"]
        cpu = [one for one in scalers if one["spec"]["scaleTargetRef"]["name"] == "hanmill-worker-cpu"]
        assert all(one["spec"]["minReplicaCount"] >= 1 for one in cpu)


def test_the_small_overlay_sets_its_servers_up_as_compose_does() -> None:
    objects = {(one["kind"], one["metadata"]["name"]): one for one in objects_of(DEPLOY / "kubernetes/overlays/small")}
    script = (DEPLOY / "postgres" / "10-make-database.sh").read_text(encoding="utf-8")
    statements = script.split("<<'SQL'\n", 1)[1]
    assert statements in objects["ConfigMap", "hanmill-postgres"]["data"]["10-make-database.sh"]
    start = (DEPLOY / "redis" / "start-redis").read_text(encoding="utf-8")
    (command,) = objects["StatefulSet", "redis"]["spec"]["template"]["spec"]["containers"][0]["args"]
    rights = re.findall(r"on \$passwords (.+)\"", start)
    assert len(rights) == 1
    assert rights == re.findall(r"on #\$hash (.+?)\"", command)
    configuration = (DEPLOY / "redis" / "redis.conf").read_text(encoding="utf-8")
    kept = objects["ConfigMap", "hanmill-redis"]["data"]["redis.conf"]
    for line in ("maxmemory-policy noeviction", "appendonly yes", "appendfsync everysec", 'save ""'):
        assert line in configuration
        assert line in kept
