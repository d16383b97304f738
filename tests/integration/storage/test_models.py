"""Models on both databases: what a name stands for, and what is taken where none is named."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Engine

from storage import models
from storage.engine import AnyRow, count_rows
from storage.errors import UsageError
from storage.models import NewModel
from storage.schema import models as model_rows
from tests.support.builders import at_once, call

FIRST, SECOND = "1" * 64, "2" * 64


def model(digest: str = FIRST, name: str = "新闻", kind: str = "classifier", **values: Any) -> NewModel:
    given = {"version": "1", "backend": "text_cnn", "path": f"/models/{name}", "metrics": {"micro_f1": 0.8}, **values}
    return NewModel(digest=digest, name=name, kind=kind, **given)


def found(engine: Engine, named: str, kind: str = "classifier") -> AnyRow:
    row = call(engine, models.find, kind, named)
    assert row is not None
    return row


def by_digest(engine: Engine, digest: str) -> AnyRow:
    row = call(engine, models.find_by_digest, digest)
    assert row is not None
    return row


def default(engine: Engine, kind: str = "classifier") -> AnyRow:
    row = call(engine, models.default_of, kind)
    assert row is not None
    return row


def test_a_model_is_found_by_its_name_its_directory_and_its_digest(engine: Engine) -> None:
    model_id = call(engine, models.register, model())
    for named in ("新闻", "/models/新闻", FIRST, FIRST[:8]):
        assert found(engine, named).id == model_id
    assert by_digest(engine, FIRST).id == model_id
    for named in ("", "1111", "%", "别的", "/models", SECOND):
        assert call(engine, models.find, "classifier", named) is None
    assert call(engine, models.find, "summarizer", "新闻") is None


def test_the_same_model_again_is_the_same_row_brought_up_to_date(engine: Engine) -> None:
    first = call(engine, models.register, model())
    assert call(engine, models.register, model(path="/moved", version="2")) == first
    row = found(engine, "新闻")
    assert (row.path, row.version) == ("/moved", "2")
    assert call(engine, count_rows, model_rows) == 1


def test_a_name_means_the_model_that_was_added_last_and_the_old_one_stays_for_its_results(engine: Engine) -> None:
    call(engine, models.register, model())
    call(engine, models.register, model(SECOND))
    assert found(engine, "新闻").digest == SECOND
    assert by_digest(engine, FIRST).superseded_at is not None
    assert call(engine, models.find, "classifier", FIRST) is None
    assert call(engine, models.digests_of, "classifier", "新闻") == {FIRST, SECOND}
    # And back again.
    call(engine, models.register, model())
    assert found(engine, "新闻").digest == FIRST
    assert len(call(engine, models.list_models)) == 1


def test_one_name_may_stand_for_a_model_of_each_kind(engine: Engine) -> None:
    call(engine, models.register, model())
    call(engine, models.register, model(SECOND, kind="summarizer"))
    assert found(engine, "新闻").digest == FIRST
    assert found(engine, "新闻", "summarizer").digest == SECOND


def test_there_is_no_default_until_one_is_chosen_and_then_one_of_each_kind(engine: Engine) -> None:
    call(engine, models.register, model())
    assert call(engine, models.default_of, "classifier") is None
    call(engine, models.register, model(SECOND, "法律"), as_default=True)
    call(engine, models.register, model("3" * 64, "标题", "summarizer"), as_default=True)
    assert default(engine).name == "法律"
    call(engine, models.set_default, "classifier", "新闻")
    assert default(engine).name == "新闻"
    assert default(engine, "summarizer").name == "标题"
    call(engine, models.set_default, "classifier", None)
    assert call(engine, models.default_of, "classifier") is None


def test_a_default_follows_its_name_to_the_model_that_takes_it(engine: Engine) -> None:
    call(engine, models.register, model(), as_default=True)
    call(engine, models.register, model(SECOND))
    assert default(engine).digest == SECOND


def test_what_is_not_there_cannot_be_the_default_and_the_old_one_stays(engine: Engine) -> None:
    call(engine, models.register, model(), as_default=True)
    with pytest.raises(UsageError, match="no classifier '法律'"):
        call(engine, models.set_default, "classifier", "法律")
    assert default(engine).name == "新闻"


def test_models_that_take_one_name_at_once_leave_one_that_has_it(engine: Engine) -> None:
    digests = [str(number) * 64 for number in range(4)]
    at_once([partial(call, engine, models.register, model(digest), as_default=True) for digest in digests])
    assert call(engine, count_rows, model_rows) == 4
    (row,) = call(engine, models.list_models)
    assert (row["is_default"], row["metrics"]) == (True, {"micro_f1": 0.8})


@pytest.mark.parametrize("values", [{"name": ""}, {"name": "甲" * 201}, {"name": "甲\n"}, {"version": ""}])
def test_a_name_or_a_version_that_no_column_holds_is_refused(values: dict[str, str], engine: Engine) -> None:
    with pytest.raises(UsageError, match="a model needs a"):
        call(engine, models.register, model(**values))
