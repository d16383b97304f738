"""Digests and signatures: what is equal to them, and how well they say how alike two texts are."""

from __future__ import annotations

import random
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.dedup.reference import reference_digest, reference_signature
from tasks.dedup.signatures import normalize, shingle_hashes, signatures, text_digest

SLOTS = 125
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)


def test_white_space_and_width_make_no_difference() -> None:
    assert normalize(" ＡＢＣ　１２\n三，四 ") == "ABC12三,四"
    assert text_digest(normalize("今天　天气\n很好")) == text_digest(normalize("今天天气很好"))
    assert text_digest(normalize("今天天气很好")) != text_digest(normalize("今天天气不好"))


@given(st.lists(TEXT, max_size=6))
@settings(max_examples=60, deadline=None)
def test_a_batch_gives_each_text_what_plain_python_gives_it_alone(texts: list[str]) -> None:
    normalized = [normalize(text) for text in texts]
    assert [text_digest(text) for text in normalized] == [reference_digest(text) for text in texts]
    assert signatures(normalized, SLOTS).tolist() == [reference_signature(text, SLOTS) for text in texts]


def test_the_signature_of_a_text_never_changes() -> None:
    # Stored ones would no longer fit: a library that makes others must name another version of its algorithm.
    (signature,) = signatures([normalize("他来到了网易杭研大厦。")], SLOTS).tolist()
    assert signature[:6] == [33851, 40643, 64211, 24689, 51386, 48313]


def test_shingles_do_not_reach_into_the_next_text() -> None:
    hashes, ends = shingle_hashes(["一二三四", "", "五", "六七八"])
    assert ends.tolist() == [0, 2, 3, 4, 5]
    alone = [shingle_hashes([text])[0].tolist() for text in ("一二三四", "", "五", "六七八")]
    assert [hashes[int(start) : int(end)].tolist() for start, end in pairwise(ends)] == alone


def test_a_character_beyond_the_basic_plane_is_one_character() -> None:
    hashes, _ = shingle_hashes(["𠀀𠀁𠀂𠀃"])
    assert len(set(hashes.tolist())) == 2


def test_the_share_of_equal_numbers_is_the_similarity_of_the_texts() -> None:
    source = random.Random(1)
    for edits in (4, 30, 100):
        errors = []
        for _ in range(40):
            text = [chr(0x4E00 + source.randrange(5000)) for _ in range(500)]
            other = text.copy()
            for place in source.sample(range(500), edits):
                other[place] = "改"
            pair = ["".join(text), "".join(other)]
            left, right = signatures(pair, SLOTS)
            errors.append(float(np.mean(left == right)) - jaccard(*pair))
        # Each is off by 0.045 at most of a standard deviation; the mean of forty by a sixth of that.
        assert abs(float(np.mean(errors))) < 0.025


def jaccard(one: str, other: str) -> float:
    left, right = ({text[start : start + 3] for start in range(len(text) - 2)} for text in (one, other))
    return len(left & right) / len(left | right)
