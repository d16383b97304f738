"""Words that are guessed, beside jieba's own guessing: equal to the last bit, near ties too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.text import guessing
from tasks.text.guessing import FIRST_HAN, Guesser
from tasks.text.jieba_engine import import_jieba
from tasks.text.token_spans import CutText, codes_of

RUN = st.text(st.sampled_from("常在听小的家沈阆懂移鹤榻明硕士毕业于杭研大厦一了龘靐丂㐀鿕"), min_size=1, max_size=7)


def guessed(guesser: Guesser, text: str, done: list[tuple[int, int]]) -> list[str]:
    """Return the tokens of a text whose characters all stood alone."""
    return guesser.changes(CutText.of(text, codes_of(text), np.ones(len(text), np.int64)), done).in_list(
        text, list(text)
    )


def of_jieba(run: str) -> list[str]:
    return list(import_jieba().finalseg.cut(run)) if len(run) > 1 else [run]


@pytest.mark.parametrize("least_runs", [0, 10**6], ids=["at_once", "one_by_one"])
def test_every_run_is_guessed_as_jieba_guesses_it(least_runs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guessing, "LEAST_RUNS", least_runs)
    guesser = Guesser(set().__contains__)

    @settings(max_examples=300, deadline=None)
    @given(st.lists(RUN, min_size=1, max_size=12))
    def same(runs: list[str]) -> None:
        text = "，".join(runs)
        expected = [word for run in runs for word in ["，", *_as_blocks(run)]][1:]
        assert guessed(guesser, text, []) == expected

    same()


def _as_blocks(run: str) -> list[str]:
    # A character that jieba takes for none of Chinese parts the run.
    words: list[str] = []
    for part in run.replace("㐀", "\0㐀\0").split("\0"):
        words += [] if not part else [part] if part == "㐀" else of_jieba(part)
    return words


def near_ties() -> list[str]:
    """Return pairs of characters with a third, for which two ways differ by less than 3e-6 of a logarithm."""
    model = import_jieba().finalseg
    chars = sorted(char for char in set(model.emit_P["B"]) & set(model.emit_P["S"]) if "\u4e00" <= char <= "\u9fd5")
    steps, start = model.trans_P, model.start_P

    def column(state: str) -> Any:
        return np.array([model.emit_P[state].get(char, -1e30) for char in chars])

    first = column("B") - column("S") + start["B"] - start["S"]
    second = column("E") - column("S")
    constant = steps["B"]["E"] + steps["E"]["S"] - 2 * steps["S"]["S"]
    order = np.argsort(second)
    found = []
    for char, value in zip(chars, first, strict=True):
        low, high = np.searchsorted(second[order], [-value - constant - 3e-6, -value - constant + 3e-6])
        found += [f"{char}{chars[number]}的" for number in order[low:high]]
    return found


def test_near_a_tie_the_cut_is_jiebas_own() -> None:
    ties = near_ties()
    assert "常在的" in ties
    text = "，".join(ties)
    joined = guessed(Guesser(set().__contains__), text, [])
    assert joined == [word for run in ties for word in ["，", *of_jieba(run)]][1:]


def test_a_run_that_is_a_word_of_the_dictionary_is_left_apart_unless_letters_stand_beside_it() -> None:
    guesser = Guesser({"杭研"}.__contains__)
    for text, expected in (("杭研，", ["杭", "研", "，"]), ("A杭研", ["A", "杭研"]), ("杭研a", ["杭研", "a"])):
        assert guessed(guesser, text, []) == expected
    many = "，".join([*["杭研"] * 50, "x杭研"])
    assert guessed(guesser, many, [])[-5:] == ["杭", "研", "，", "x", "杭研"]


def test_what_is_done_is_not_guessed_again() -> None:
    text = "杭研，杭研"
    assert guessed(Guesser(set().__contains__), text, [(0, 2)]) == ["杭", "研", "，", "杭研"]


def test_characters_that_the_model_has_never_seen_are_cut_by_jieba_itself() -> None:
    emissions = import_jieba().finalseg.emit_P
    unseen = [chr(code) for code in range(FIRST_HAN, 0x9FD6) if not any(chr(code) in of for of in emissions.values())]
    assert len(unseen) > 20
    runs = [f"{one}{two}的" for one, two in zip(unseen[:60:2], unseen[1:60:2], strict=False)] * 3
    text = "，".join(runs)
    assert (
        guessed(Guesser(set().__contains__), text, []) == [word for run in runs for word in ["，", *of_jieba(run)]][1:]
    )


def test_a_long_run_costs_no_more_than_its_length() -> None:
    run = "龘靐的一在" * 400
    assert guessed(Guesser(set().__contains__), run, []) == of_jieba(run)
