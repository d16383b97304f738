"""The segmenters against plain jieba: same tokens, none of its side effects."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from copy import copy
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.text.jieba_engine import import_jieba
from tasks.text.segmenter import Mode, SegmenterOptions, open_segmenter, segmenter_identity
from tasks.text.user_dictionary import DictionaryError, user_dictionary_digest

if TYPE_CHECKING:
    from collections.abc import Callable

REPOSITORY = Path(__file__).resolve().parents[4]
#: 93 sentences of jieba's own tests with the tokens that jieba 0.42.1 gives for them.
SENTENCES = [
    json.loads(line)
    for line in (REPOSITORY / "tests/samples/jieba_sentences.jsonl").read_text(encoding="utf-8").splitlines()
]
OPTIONS_OF_FIELD = {
    "words": SegmenterOptions(),
    "words_no_hmm": SegmenterOptions(hmm=False),
    "words_full": SegmenterOptions(mode="full"),
    "words_search": SegmenterOptions(mode="search"),
}
#: Words with and without frequency and tag, one forced apart, one with a space, in a file as Windows writes it.
USER_DICTIONARY = (
    "\ufeff云计算 5\r\n\r\n凱特琳 nz\r\n台中\r\n孙悟空 0\r\nEdu Trust认证 2000\r\n爱Python 3 eng\r\n".encode()
)
#: jieba guesses this name (it is in no dictionary) unless a user dictionary forces it apart.
GUESSED_NAME = "小明硕士毕业于杭研大厦"
HOSTILE_TEXT = st.text(
    st.sampled_from("我爱北京孙悟空云计算台中凱特琳的一T恤AA制abZ019+#&._%- \r\n\t，。　é㐀\U00020000😀\u200b"),
    max_size=40,
)


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all tests here: the default dictionary is parsed once."""
    return tmp_path_factory.mktemp("segmenter-cache")


@pytest.fixture(scope="module")
def loaded_jieba(cache_dir: Path) -> Any:
    """Give a tokenizer that jieba alone has made and filled, except for the folder of its cache. Not to be changed."""
    tokenizer = import_jieba().Tokenizer()
    tokenizer.tmp_dir = str(cache_dir)
    tokenizer.initialize()
    return tokenizer


@pytest.fixture
def plain_jieba(loaded_jieba: Any) -> Any:
    """Give a copy of jieba's own tokenizer, to be changed at will."""
    tokenizer = copy(loaded_jieba)
    tokenizer.FREQ = loaded_jieba.FREQ.copy()
    return tokenizer


@pytest.fixture
def plain_jieba_with(plain_jieba: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Any]:
    """Load a user dictionary into plain jieba; its global state is put back after the test."""
    monkeypatch.setattr(import_jieba().finalseg, "Force_Split_Words", set())

    def load(user_dictionary: bytes) -> Any:
        plain_jieba.load_userdict(io.BytesIO(user_dictionary))
        return plain_jieba

    return load


@pytest.mark.parametrize("field", OPTIONS_OF_FIELD)
def test_recorded_sentences_of_jieba_hold(field: str, cache_dir: Path) -> None:
    segmenter = open_segmenter(OPTIONS_OF_FIELD[field], None, cache_dir)
    assert len(SENTENCES) == 93
    for sentence in SENTENCES:
        assert segmenter.cut(sentence["text"]) == sentence[field], sentence["id"]


def _reference(tokenizer: Any, options: SegmenterOptions) -> Callable[[str], list[str]]:
    if options.mode == "full":
        return lambda text: list(tokenizer.lcut(text, cut_all=True))
    if options.mode == "search":
        return lambda text: list(tokenizer.lcut_for_search(text, HMM=options.hmm))
    return lambda text: list(tokenizer.lcut(text, HMM=options.hmm))


@pytest.mark.parametrize("mode", ["precise", "full", "search"])
@pytest.mark.parametrize("hmm", [True, False])
@pytest.mark.parametrize("user_dictionary", [b"", USER_DICTIONARY], ids=["default", "user"])
def test_tokens_equal_those_of_plain_jieba_on_any_text(
    mode: Mode, *, hmm: bool, user_dictionary: bytes, cache_dir: Path, plain_jieba_with: Callable[[bytes], Any]
) -> None:
    options = SegmenterOptions(mode, hmm)
    segmenter = open_segmenter(options, user_dictionary, cache_dir)
    reference = _reference(plain_jieba_with(user_dictionary), options)

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(HOSTILE_TEXT)
    def same(text: str) -> None:
        assert segmenter.cut(text) == reference(text)

    same()
    for sentence in SENTENCES:
        assert segmenter.cut(sentence["text"]) == reference(sentence["text"])


def test_user_dictionary_gives_the_tokens_of_a_process_that_ran_load_userdict(cache_dir: Path, tmp_path: Path) -> None:
    dictionary = tmp_path / "words.txt"
    dictionary.write_bytes(USER_DICTIONARY)
    text = "孙悟空爱Python，在台中学云计算，凱特琳也是"
    program = (
        "import jieba, json, sys; jieba.dt.tmp_dir = sys.argv[2]; jieba.load_userdict(sys.argv[1]);"
        "print(json.dumps([jieba.lcut(sys.argv[3]), jieba.lcut_for_search(sys.argv[3])]))"
    )
    command = [sys.executable, "-W", "ignore", "-c", program, str(dictionary), str(tmp_path), text]
    outcome = subprocess.run(command, check=True, capture_output=True, text=True)
    found = [
        open_segmenter(SegmenterOptions(mode), USER_DICTIONARY, cache_dir).cut(text) for mode in ("precise", "search")
    ]
    assert found == json.loads(outcome.stdout)
    assert "云计算" in found[0]


def test_a_word_forced_apart_in_one_dictionary_stays_whole_in_another(cache_dir: Path) -> None:
    plain = open_segmenter(SegmenterOptions(), None, cache_dir)
    forced = open_segmenter(SegmenterOptions(), "杭研 0\n".encode(), cache_dir)
    assert "杭研" not in forced.cut(GUESSED_NAME)
    assert "杭研" in plain.cut(GUESSED_NAME)
    assert "杭研" not in forced.cut(GUESSED_NAME)


def test_jieba_itself_is_not_changed_by_a_user_dictionary(cache_dir: Path, plain_jieba: Any) -> None:
    before = set(import_jieba().finalseg.Force_Split_Words)
    open_segmenter(SegmenterOptions(), "杭研 0\n".encode(), cache_dir).cut(GUESSED_NAME)
    assert before == import_jieba().finalseg.Force_Split_Words
    assert "杭研" in plain_jieba.lcut(GUESSED_NAME)


def test_jiebas_own_forced_splits_do_not_reach_a_segmenter(
    cache_dir: Path, plain_jieba_with: Callable[[bytes], Any]
) -> None:
    reference = plain_jieba_with("杭研 0\n".encode())
    assert "杭研" not in reference.lcut(GUESSED_NAME)
    assert "杭研" in open_segmenter(SegmenterOptions(), None, cache_dir).cut(GUESSED_NAME)


def test_words_of_one_user_dictionary_are_unknown_to_the_other(cache_dir: Path) -> None:
    first = open_segmenter(SegmenterOptions(hmm=False), "雷猴回归 100\n".encode(), cache_dir)
    second = open_segmenter(SegmenterOptions(hmm=False), "回归人间 100\n".encode(), cache_dir)
    assert first.cut("雷猴回归人间") == ["雷猴回归", "人间"]
    assert second.cut("雷猴回归人间") == ["雷猴", "回归人间"]


def test_threads_with_different_dictionaries_do_not_disturb_each_other(cache_dir: Path) -> None:
    found: dict[bytes, set[tuple[str, ...]]] = {b"": set(), "杭研 0\n".encode(): set()}

    def cut_often(dictionary: bytes) -> None:
        segmenter = open_segmenter(SegmenterOptions(), dictionary, cache_dir)
        found[dictionary] = {tuple(segmenter.cut(GUESSED_NAME)) for _ in range(200)}

    threads = [Thread(target=cut_often, args=(dictionary,)) for dictionary in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [len(results) for results in found.values()] == [1, 1]


def test_a_broken_dictionary_line_is_refused_before_jieba_sees_it(cache_dir: Path) -> None:
    with pytest.raises(DictionaryError, match=r"line 2.*'云计算\\t5'"):
        open_segmenter(SegmenterOptions(), "好用 3\n云计算\t5\n".encode(), cache_dir)


@pytest.mark.parametrize("text", ["", " ", "\r\n", "，", "a" * 100_000])
def test_tokens_of_the_precise_mode_join_to_the_text(text: str, cache_dir: Path) -> None:
    assert "".join(open_segmenter(SegmenterOptions(), None, cache_dir).cut(text)) == text


def test_a_long_run_of_letters_is_one_token(cache_dir: Path) -> None:
    assert len(open_segmenter(SegmenterOptions(), None, cache_dir).cut("a" * 100_000)) == 1


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="precise, full, search"):
        SegmenterOptions(mode="exact")  # type: ignore[arg-type]


def test_identity_of_an_open_segmenter_is_the_planned_one(cache_dir: Path) -> None:
    for options in (*OPTIONS_OF_FIELD.values(), SegmenterOptions("search", hmm=False)):
        segmenter = open_segmenter(options, USER_DICTIONARY, cache_dir)
        assert segmenter.identity == segmenter_identity(options, user_dictionary_digest(USER_DICTIONARY))


def test_identity_tells_apart_whatever_changes_the_tokens() -> None:
    identities = [
        segmenter_identity(SegmenterOptions()),
        segmenter_identity(SegmenterOptions(hmm=False)),
        segmenter_identity(SegmenterOptions(mode="search")),
        segmenter_identity(SegmenterOptions(mode="full")),
        segmenter_identity(SegmenterOptions(), user_dictionary_digest(USER_DICTIONARY)),
    ]
    assert len({json.dumps(identity, sort_keys=True) for identity in identities}) == len(identities)
    engine = {"engine", "engine_version", "fast_engine", "dictionary"}
    assert {*identities[0]} == {*engine, "user_dictionary", "mode", "hmm"}


def test_full_mode_has_one_identity_because_it_never_guesses() -> None:
    assert segmenter_identity(SegmenterOptions("full", hmm=True)) == segmenter_identity(
        SegmenterOptions("full", hmm=False)
    )


def test_an_empty_user_dictionary_is_none() -> None:
    assert user_dictionary_digest(b"") == user_dictionary_digest(None) == ""


def _run_python(program: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program, *arguments]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ, **environment}
    )


def test_identity_is_known_without_importing_jieba() -> None:
    program = (
        "import sys; from tasks.text.segmenter import *; segmenter_identity(SegmenterOptions());"
        "sys.exit('jieba' in sys.modules)"
    )
    outcome = _run_python(program)
    assert (outcome.returncode, outcome.stderr) == (0, "")


def test_loading_is_silent_and_leaves_nothing_in_the_shared_temporary_folder(tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = (
        "import sys, pathlib; from tasks.text.segmenter import *;"
        "open_segmenter(SegmenterOptions(), None, pathlib.Path(sys.argv[1])).cut('我爱北京')"
    )
    # Compiled anew, because jieba's invalid escapes are warned about at compile time only.
    outcome = _run_python(
        program, str(tmp_path / "cache"), TMPDIR=str(temporary), PYTHONPYCACHEPREFIX=str(tmp_path / "bytecode")
    )
    assert (outcome.returncode, outcome.stdout, outcome.stderr) == (0, "", "")
    assert list(temporary.iterdir()) == []
    # The default dictionary came along in its compact form: nothing is to be kept.
    assert not (tmp_path / "cache").exists()
