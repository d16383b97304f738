"""Options that decide how a model writes: they reach it, and stand in the fingerprint, from the order to the rows."""

from __future__ import annotations

import hashlib
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
from tasks.summarize.train_generate import GeneratorOptions, train_generate
from tasks.summarize.training_data import Pair
from tasks.text.number_mentions import all_values, numbers, values
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
        assert not {"beams", "faithful", "chat_template_kwargs"} & set(parameters_of(mill, options))
        assert parameters_of(mill, {**options, "faithful": False}) == parameters_of(mill, options)


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pairs = [Pair(f"今年全省新增企业{number}家,比去年同期有所增长。", "新增企业777家") for number in range(100, 108)]
    directory = tmp_path_factory.mktemp("generator")
    train_generate(pairs, pairs[:2], directory, GeneratorOptions(1, embedding=8, channels=8, layers=1))
    return directory


def test_a_faithful_summary_is_another_result_and_has_the_numbers_of_its_document(
    mill: InlineMill, generator: Path, tmp_path: Path
) -> None:
    texts = [f"今年{number}家企业,去年{number + 7}家,形势总体稳定向好。" for number in range(200, 240)]
    source = write_texts(tmp_path / "a.jsonl", texts)
    options = {"models": [str(generator)], "max_chars": 12, "beams": 2}
    fingerprints = []
    for faithful in (False, True):
        (job_id,) = mill.run([source], "c", "summarize", options={**options, "faithful": faithful})
        assert view_of(mill, job_id)["dead"] == 0
        with reading(mill.parts.engine) as connection:
            fingerprints.append(jobs.get(connection, job_id).fingerprint)
    assert fingerprints[0] != fingerprints[1]
    with reading(mill.parts.engine) as connection:
        rows = select(summaries.c.sha256, summaries.c.summary).where(summaries.c.fingerprint == fingerprints[1])
        made = {row.sha256: row.summary for row in connection.execute(rows)}
    assert len(made) == len(texts)
    for text in texts:
        written = numbers(made[hashlib.sha256(text.encode()).digest()])
        assert all(all_values(text).issuperset(values(number)) for number in written)


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"beams": 3}, "--beams is for a --model that writes its summaries, not for span"),
        ({"backend": "lead", "beams": 3}, "not for lead"),
        ({**ENDPOINT, "beams": 3}, "not for openai"),
        ({"faithful": True}, "--backend generate`; span takes its summaries from the text; leave it out"),
        ({"backend": "lead", "faithful": True}, "lead takes its summaries from the text"),
        ({**ENDPOINT, "faithful": True}, "openai decodes in a way of its own"),
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
