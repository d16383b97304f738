"""Options that decide how a model writes: they reach it, and stand in the fingerprint, from the order to the rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.support.availability import need_module

need_module("transformers")

from storage import jobs, models
from storage.engine import reading
from storage.errors import UsageError
from storage.schema import summaries
from tasks import model_runners
from tasks.nn import batch_runner
from tasks.operation import Intake, fingerprint_of
from tasks.summarize.operation import OPERATION
from tests.support import tiny_checkpoints as tiny
from tests.support.inline_mill import InlineMill
from tests.support.mill_results import open_mill, view_of, write_texts

ENDPOINT = {"backend": "openai", "endpoint": "http://127.0.0.1:9/v1", "models": ["qwen"]}


@pytest.fixture
def mill(home: Path, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[InlineMill]:
    # How large a batch is worth it takes many texts to find out, and is no matter here.
    monkeypatch.setitem(batch_runner.MAX_TOKEN_BUDGET, "cpu", batch_runner.MIN_TOKEN_BUDGET)
    model_runners.drop_runners()
    with open_mill(home, sqlite_url) as made:
        yield made
    model_runners.drop_runners()


@pytest.fixture(scope="module")
def bart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_bart(tmp_path_factory.mktemp("checkpoint") / "bart")


def parameters_of(mill: InlineMill, options: dict[str, Any]) -> dict[str, Any]:
    return OPERATION.parameters(options, Intake(mill.parts.engine, lambda _: ""))


def test_another_number_of_beams_is_another_result(mill: InlineMill, bart: Path, tmp_path: Path) -> None:
    texts = write_texts(tmp_path / "a.jsonl", tiny.texts(4)[1:])
    fingerprints = []
    for beams in (None, 3, 3):
        (job_id,) = mill.run([texts], "c", "summarize", options={"models": [str(bart)], "beams": beams, "max_chars": 8})
        assert view_of(mill, job_id)["results"] == 3
        with reading(mill.parts.engine) as connection:
            fingerprints.append(jobs.get(connection, job_id).fingerprint)
    assert fingerprints[0] != fingerprints[1] == fingerprints[2]
    with reading(mill.parts.engine) as connection:
        assert connection.scalar(select(func.count()).select_from(summaries)) == 6
        assert models.find(connection, "summarizer", str(bart)) is not None


@pytest.mark.parametrize(("beams", "used"), [(None, None), (1, 1), (4, 4)])
def test_the_model_decodes_with_as_many_beams(
    mill: InlineMill, bart: Path, beams: int | None, used: int | None
) -> None:
    parameters = parameters_of(mill, {"models": [str(bart)], "beams": beams})
    backend: Any = OPERATION.open_backend(parameters, mill.parts.workplace)
    assert backend._generation.num_beams == used


@pytest.mark.parametrize("given", ['{"enable_thinking": false}', {"enable_thinking": False}])
def test_what_the_template_gets_is_asked_for_and_part_of_the_fingerprint(mill: InlineMill, given: Any) -> None:
    plain = parameters_of(mill, ENDPOINT)
    switched = parameters_of(mill, {**ENDPOINT, "chat_template_kwargs": given})
    assert switched == {**plain, "chat_template_kwargs": {"enable_thinking": False}}
    assert fingerprint_of(OPERATION, switched) != fingerprint_of(OPERATION, plain)
    backends: list[Any] = [OPERATION.open_backend(one, mill.parts.workplace) for one in (plain, switched)]
    assert backends[0].digest != backends[1].digest
    sent = backends[1]._client._endpoint.chat_template_kwargs
    assert json.loads(json.dumps(sent)) == {"enable_thinking": False}


def test_what_is_not_given_is_no_parameter(mill: InlineMill, bart: Path) -> None:
    for options in (ENDPOINT, {"models": [str(bart)]}, {"backend": "lead"}, {}):
        assert not {"beams", "chat_template_kwargs"} & set(parameters_of(mill, options))


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"beams": 3}, "--beams is for a --model that is an encoder-decoder, not for span"),
        ({"backend": "lead", "beams": 3}, "not for lead"),
        ({**ENDPOINT, "beams": 3}, "not for openai"),
        ({"chat_template_kwargs": "{}"}, "is for --backend openai"),
        ({"backend": "textrank", "chat_template_kwargs": "{}"}, "is for --backend openai"),
        ({**ENDPOINT, "chat_template_kwargs": "{thinking: no}"}, "is no JSON"),
        ({**ENDPOINT, "chat_template_kwargs": "[1]"}, "is a JSON object"),
    ],
)
def test_options_for_another_backend_are_wrong_usage(mill: InlineMill, options: dict[str, Any], fault: str) -> None:
    with pytest.raises(UsageError, match=fault):
        parameters_of(mill, options)


@pytest.mark.parametrize("beams", [0, 65])
def test_a_number_of_beams_that_no_model_takes_is_wrong_usage(mill: InlineMill, bart: Path, beams: int) -> None:
    with pytest.raises(UsageError, match="--beams is 1 to 64"):
        parameters_of(mill, {"models": [str(bart)], "beams": beams})
