"""Chooses the tokenizer of somebody else's checkpoint by the files that are there, and tries it on a Chinese text.

`AutoTokenizer` goes by the model's type, and gives a Chinese BART, which has a BERT vocabulary, a tokenizer that turns
every Chinese text into nothing. Here a tokenizer that finds nothing, or hardly anything, is refused. Loads no weights.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tasks.nn.model_directory import ModelDirectoryError
from tasks.text.jieba_wordpiece import (
    CONTINUATION,
    MAX_WORD_CHARS,
    UNKNOWN,
    JiebaWordPiece,
    drop_blanks_between_chinese,
    holds_chinese_words,
    join_tokens,
)
from tasks.text.segmenter import SegmenterOptions, open_segmenter

#: A tokenizer is tried on this: ordinary characters and punctuation that every Chinese vocabulary has.
PROBE = "北京是中国的首都。研究人员提出了新的方法，并用公开的数据检验了结果。"
#: The share of unknown tokens of the probe above which a vocabulary is not one for Chinese.
MAX_UNKNOWN_SHARE = 0.3
#: Characters read per position: what lies beyond them could be no token of the window, whatever the vocabulary.
CHARS_PER_POSITION = 16
#: Families whose SentencePiece numbers are the model's own, with one end mark and no start mark.
T5_FAMILY = frozenset({"t5", "mt5", "umt5", "longt5"})
SENTENCEPIECE_FILES = ("spiece.model", "sentencepiece.bpe.model", "tokenizer.model")
VOCABULARY = "vocab.txt"
SERIALISED = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
MERGES = "merges.txt"
WORDPIECE_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
#: Chinese Pegasus models over words (Randeng) have no start mark, and this entry for the end.
PEGASUS_END = "[unused1]"
#: No directory at all: jieba's dictionary is then parsed, and kept in memory only.
_NO_CACHE = Path(os.devnull)


@dataclass(frozen=True, slots=True)
class CheckpointTokenizer:
    """A tokenizer as the backends use it: a text becomes one window of numbers, numbers become a text."""

    #: Which of the kinds below was chosen, such as `jieba_wordpiece`.
    kind: str
    #: One more than the largest number it can give.
    size: int
    pad_id: int
    unknown_id: int | None
    #: The special tokens before and after a text.
    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    #: Return the numbers of a text without special tokens, and the text of numbers.
    encode_body: Callable[[str], Sequence[int]]
    decode: Callable[[Sequence[int]], str]

    def window(self, text: str, max_positions: int) -> tuple[int, ...]:
        """Return the numbers of a text's beginning with the special tokens, at most `max_positions` in all."""
        room = max_positions - len(self.prefix) - len(self.suffix)
        body = self.encode_body(text.lstrip()[: room * CHARS_PER_POSITION])
        return (*self.prefix, *body[:room], *self.suffix)


def choose_tokenizer(directory: Path, config: Mapping[str, Any]) -> CheckpointTokenizer:
    """Return the tokenizer of a checkpoint; raises `ModelDirectoryError` when none of its files gives a usable one."""
    try:
        tokenizer = _choose(directory, config)
    except ModelDirectoryError:
        raise
    except Exception as error:  # whatever a library says of somebody's files, the reason is what the user needs
        message = f"{directory}: its tokenizer cannot be loaded ({first_line(error)})"
        raise ModelDirectoryError(message) from error
    _check_probe(directory, tokenizer)
    return tokenizer


def _choose(directory: Path, config: Mapping[str, Any]) -> CheckpointTokenizer:
    model_type = config.get("model_type")
    vocabulary = _read_vocabulary(directory)
    if vocabulary is not None and holds_chinese_words(vocabulary):
        return _jieba_wordpiece(directory, vocabulary, str(model_type))
    if model_type in T5_FAMILY and (directory / SENTENCEPIECE_FILES[0]).is_file():
        return _sentencepiece(directory / SENTENCEPIECE_FILES[0], config)
    if (directory / SERIALISED).is_file():
        return _serialised(directory, config)
    others = [name for name in (*SENTENCEPIECE_FILES, MERGES) if (directory / name).is_file()]
    if vocabulary is not None and not others:
        return _wordpiece(directory, vocabulary)
    if others:
        return _of_library(import_transformers().AutoTokenizer, directory, config, others[0])
    message = (
        f"{directory}: has no tokenizer; copy {VOCABULARY}, {SERIALISED} or {SENTENCEPIECE_FILES[0]} "
        "from where the model comes from"
    )
    raise ModelDirectoryError(message)


def _read_vocabulary(directory: Path) -> list[str] | None:
    path = directory / VOCABULARY
    if not path.is_file():
        return None
    try:
        # Not splitlines(): a vocabulary may hold U+2028 and its like as tokens.
        lines = path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read as UTF-8 ({error}); copy it again"
        raise ModelDirectoryError(message) from error
    return [line.rstrip("\r") for line in lines]


def _check_specials(directory: Path, vocabulary: Sequence[str]) -> None:
    missing = [token for token in WORDPIECE_SPECIALS if token not in set(vocabulary)]
    if missing:
        message = f"{directory / VOCABULARY}: lacks {', '.join(missing)}; it is no BERT vocabulary, or not whole"
        raise ModelDirectoryError(message)


def _jieba_wordpiece(directory: Path, vocabulary: Sequence[str], model_type: str) -> CheckpointTokenizer:
    _check_specials(directory, vocabulary)
    segmenter = open_segmenter(SegmenterOptions(hmm=False), None, _NO_CACHE)
    lower_case = bool(_read_json(directory / TOKENIZER_CONFIG).get("do_lower_case", True))
    tokenizer = JiebaWordPiece(vocabulary, segmenter.cut, lower_case=lower_case)
    pad, unknown, start, end = (vocabulary.index(token) for token in WORDPIECE_SPECIALS)
    is_pegasus = model_type == "pegasus" and PEGASUS_END in vocabulary
    return CheckpointTokenizer(
        kind="jieba_wordpiece",
        size=len(vocabulary),
        pad_id=pad,
        unknown_id=unknown,
        prefix=() if is_pegasus else (start,),
        suffix=(vocabulary.index(PEGASUS_END) if is_pegasus else end,),
        encode_body=tokenizer.encode,
        decode=tokenizer.decode,
    )


def _wordpiece(directory: Path, vocabulary: Sequence[str]) -> CheckpointTokenizer:
    _check_specials(directory, vocabulary)
    return _of_library(import_transformers().BertTokenizer, directory, {}, "wordpiece")


def _serialised(directory: Path, config: Mapping[str, Any]) -> CheckpointTokenizer:
    # The file holds every step; the class that a model's type stands for would replace some of them by its own.
    return _of_library(import_transformers().PreTrainedTokenizerFast, directory, config, SERIALISED)


def _of_library(loader: Any, directory: Path, config: Mapping[str, Any], kind: str) -> CheckpointTokenizer:
    """Return a tokenizer of transformers."""
    tokenizer = loader.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    probe = tokenizer(PROBE, add_special_tokens=False)["input_ids"]
    prefix, suffix = _around(tokenizer(PROBE)["input_ids"], probe)
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else config.get("pad_token_id")
    return CheckpointTokenizer(
        kind=kind,
        size=max(tokenizer.get_vocab().values(), default=-1) + 1,
        # Positions of padding are masked, so that any number will do.
        pad_id=int(pad or 0),
        unknown_id=tokenizer.unk_token_id,
        prefix=prefix,
        suffix=suffix,
        encode_body=_fast_bert(tokenizer) or (lambda text: tokenizer(text, add_special_tokens=False)["input_ids"]),
        decode=_decoder(tokenizer),
    )


def _around(full: Sequence[int], body: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return what stands before and after a text: [101, 7, 8, 102], [7, 8] -> (101,), (102,)."""
    for start in range(len(full) - len(body) + 1):
        if list(full[start : start + len(body)]) == list(body) and body:
            return tuple(full[:start]), tuple(full[start + len(body) :])
    return (), ()


def _fast_bert(tokenizer: Any) -> Callable[[str], Sequence[int]] | None:
    """Return our own WordPiece where a tokenizer is BERT's: it gives the same numbers in a fraction of the time."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return None
    steps = json.loads(backend.to_str())
    normalizer, model = steps["normalizer"] or {}, steps["model"]
    lower_case = bool(normalizer.get("lowercase"))
    kinds = [(part or {}).get("type") for part in (normalizer, steps["pre_tokenizer"], model)]
    is_plain = (
        kinds == ["BertNormalizer", "BertPreTokenizer", "WordPiece"]
        and normalizer["clean_text"]
        and normalizer["handle_chinese_chars"]
        and normalizer["strip_accents"] in {None, lower_case}
        and (model["unk_token"], model["continuing_subword_prefix"]) == (UNKNOWN, CONTINUATION)
        and model["max_input_chars_per_word"] == MAX_WORD_CHARS
        and all(token["special"] for token in steps["added_tokens"])
    )
    if not is_plain:
        return None
    entries = [""] * (max(model["vocab"].values()) + 1)
    for entry, number in model["vocab"].items():
        entries[number] = entry
    return JiebaWordPiece(entries, lower_case=lower_case).encode


def _decoder(tokenizer: Any) -> Callable[[Sequence[int]], str]:
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if type(getattr(backend, "model", None)).__name__ == "WordPiece":
        return lambda ids: join_tokens(tokenizer.convert_ids_to_tokens(list(ids), skip_special_tokens=True))
    return lambda ids: drop_blanks_between_chinese(tokenizer.decode(list(ids), skip_special_tokens=True)).strip()


def _sentencepiece(path: Path, config: Mapping[str, Any]) -> CheckpointTokenizer:
    """Return a tokenizer of the T5 family, by SentencePiece itself: transformers would need protobuf to convert it."""
    processor = _import("sentencepiece").SentencePieceProcessor(model_file=str(path))
    size = int(processor.get_piece_size())
    end = int(processor.eos_id()) if processor.eos_id() >= 0 else int(config.get("eos_token_id") or 1)

    def decode(ids: Sequence[int]) -> str:
        # Numbers beyond the pieces are the family's gap marks, or padding of the embedding.
        inside = [int(number) for number in ids if number < size]
        return drop_blanks_between_chinese(processor.decode(inside)).strip()

    return CheckpointTokenizer(
        kind="sentencepiece",
        size=size,
        pad_id=int(config.get("pad_token_id") or 0),
        unknown_id=int(processor.unk_id()),
        prefix=(),
        suffix=(end,),
        encode_body=processor.encode,
        decode=decode,
    )


def _check_probe(directory: Path, tokenizer: CheckpointTokenizer) -> None:
    body = list(tokenizer.encode_body(PROBE))
    unknown = sum(1 for number in body if number == tokenizer.unknown_id)
    if len(body) > unknown and unknown <= MAX_UNKNOWN_SHARE * len(body):
        return
    found = f"{unknown} of {len(body)} tokens unknown" if body else "nothing at all"
    message = (
        f"{directory}: its tokenizer ({tokenizer.kind}) makes {found} of {PROBE!r}; "
        "the vocabulary is not the model's own, or the model was not made for Chinese"
    )
    raise ModelDirectoryError(message)


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    return value if isinstance(value, dict) else {}


def import_transformers() -> Any:
    """Import transformers, which takes seconds, and keep it quiet."""
    transformers = _import("transformers")
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def _import(name: str) -> Any:
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        message = f"this checkpoint needs {error.name}; install it: pip install 'hanmill[models]'"
        raise ModelDirectoryError(message) from error


def first_line(error: Exception) -> str:
    """Return what an error of a library says, without the lists of classes and hints that follow."""
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:300]}"
