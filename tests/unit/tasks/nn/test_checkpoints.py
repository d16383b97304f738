"""Directories of checkpoints load right or are refused with the reason; nothing is fetched and no pickle is read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.support.availability import need_module

need_module("transformers")

from tasks.nn.checkpoint_tokenizers import choose_tokenizer
from tasks.nn.checkpoints import TokenWindow, checkpoint_digest, open_checkpoint, pad
from tasks.nn.model_directory import ModelDirectoryError
from tests.support import tiny_checkpoints as tiny

SEQ2SEQ = "AutoModelForSeq2SeqLM"
CLASSIFIER = "AutoModelForSequenceClassification"


@pytest.fixture(autouse=True)
def network_is_shut(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.only_loopback(monkeypatch)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return a function that gives the directory of a checkpoint by its kind, made once; not to be changed."""
    home = tmp_path_factory.mktemp("checkpoints")
    makers: dict[str, Callable[[Path], Path]] = {
        "bart": tiny.make_bart,
        "mt5": tiny.make_mt5,
        "t5_pegasus": tiny.make_t5_pegasus,
        "bert": lambda path: tiny.make_bert(path, "BertForSequenceClassification", num_labels=3),
        "masked": lambda path: tiny.make_bert(path, "BertForMaskedLM"),
    }
    return lambda name: home / name if (home / name).exists() else makers[name](home / name)


@pytest.fixture
def copied(made: Callable[[str], Path], tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that gives a copy of a checkpoint, to be spoilt."""
    return lambda name: Path(shutil.copytree(made(name), tmp_path / name))


def load(directory: Path, auto_class: str) -> Any:
    return open_checkpoint(directory).load(auto_class, "cpu", torch.float32)


def test_a_chinese_bart_whose_automatic_tokenizer_yields_nothing_is_loaded_right(made: Callable[[str], Path]) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds

    automatic = AutoTokenizer.from_pretrained(made("bart"), local_files_only=True)
    assert automatic("北京是中国", add_special_tokens=False)["input_ids"] == []
    checkpoint = open_checkpoint(made("bart"))
    entries = tiny.vocabulary()
    window = checkpoint.tokenizer.window("北京是中国", 128)
    assert [entries[number] for number in window] == ["[CLS]", *"北京是中国", "[SEP]"]
    assert checkpoint.load(SEQ2SEQ, "cpu", torch.float32).training is False


@pytest.mark.parametrize(
    ("name", "kind"),
    [("bart", "wordpiece"), ("mt5", "sentencepiece"), ("t5_pegasus", "jieba_wordpiece"), ("bert", "wordpiece")],
)
def test_the_tokenizer_is_chosen_by_the_files(name: str, kind: str, made: Callable[[str], Path]) -> None:
    tokenizer = open_checkpoint(made(name)).tokenizer
    text = "研究人员提出了新的方法，并用公开的数据检验了结果。"
    window = tokenizer.window(text, 128)
    assert tokenizer.kind == kind
    assert tokenizer.decode(window).replace(",", "，") == text
    assert window[-1] == tokenizer.suffix[-1]
    assert tokenizer.unknown_id not in window


def test_words_of_a_word_vocabulary_are_whole(made: Callable[[str], Path]) -> None:
    entries = tiny.vocabulary(words=True)
    window = open_checkpoint(made("t5_pegasus")).tokenizer.window("北京是中国的首都", 128)
    assert [entries[number] for number in window[1:-1]] == ["北京", "是", "中国", "的", "首都"]


def test_a_pegasus_over_words_has_no_start_and_an_end_of_its_own(tmp_path: Path) -> None:
    entries = ["[PAD]", "[unused1]", *tiny.vocabulary(words=True)[1:]]
    tiny.write_vocabulary(tmp_path, entries)
    window = choose_tokenizer(tmp_path, {"model_type": "pegasus"}).window("北京是中国的首都", 128)
    assert [entries[number] for number in window] == ["北京", "是", "中国", "的", "首都", "[unused1]"]


def test_a_serialised_tokenizer_is_used_as_it_stands(copied: Callable[[str], Path]) -> None:
    from transformers import BertTokenizer  # noqa: PLC0415 - takes seconds

    directory = copied("bart")
    reference = BertTokenizer.from_pretrained(directory)
    reference.save_pretrained(directory)
    (directory / "vocab.txt").unlink()
    tokenizer = open_checkpoint(directory).tokenizer
    text = tiny.TEXTS[4]
    assert tokenizer.kind == "tokenizer.json"
    assert list(tokenizer.window(text, 128)) == reference(text)["input_ids"]


@pytest.mark.parametrize(
    "settings",
    [{}, {"do_lower_case": False}, {"strip_accents": False}, {"do_lower_case": False, "strip_accents": True}],
)
def test_the_settings_of_a_bert_tokenizer_hold(settings: dict[str, bool], copied: Callable[[str], Path]) -> None:
    from transformers import BertTokenizer  # noqa: PLC0415 - takes seconds

    directory = copied("bart")
    tiny.write_vocabulary(directory, [*tiny.vocabulary(), "é", "E", "É"])
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    text = "北京E是É中国é的e首都"
    expected = BertTokenizer.from_pretrained(directory)(text)["input_ids"]
    assert list(open_checkpoint(directory).tokenizer.window(text, 128)) == expected


def test_marks_written_in_a_text_are_no_marks(made: Callable[[str], Path]) -> None:
    for name in ("bart", "t5_pegasus"):
        tokenizer = open_checkpoint(made(name)).tokenizer
        window = tokenizer.window("北京[SEP]是[PAD]中国", 128)
        assert [window.count(mark) for mark in (*tokenizer.prefix, *tokenizer.suffix, tokenizer.pad_id)] == [1, 1, 0]


def test_a_window_keeps_its_end_mark_when_the_text_is_cut(made: Callable[[str], Path]) -> None:
    tokenizer = open_checkpoint(made("bart")).tokenizer
    whole, cut = tokenizer.window(tiny.TEXTS[0], 128), tokenizer.window(tiny.TEXTS[0] * 30_000, 10)
    assert cut == (*whole[:9], whole[-1])


def test_padding_is_masked() -> None:
    ids, mask = pad([TokenWindow((5, 6, 7)), TokenWindow((8,))], 9, "cpu")
    assert ids.tolist() == [[5, 6, 7], [8, 9, 9]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]


def test_a_vocabulary_for_another_language_is_refused(copied: Callable[[str], Path]) -> None:
    directory = copied("bart")
    entries = [entry if entry.isascii() else f"[unused{place}]" for place, entry in enumerate(tiny.vocabulary())]
    tiny.write_vocabulary(directory, entries)
    with pytest.raises(ModelDirectoryError, match=r"34 of 34 tokens unknown.*not made for Chinese"):
        open_checkpoint(directory)


def test_a_tokenizer_that_yields_nothing_is_refused(copied: Callable[[str], Path]) -> None:
    from transformers import AutoTokenizer  # noqa: PLC0415 - takes seconds

    directory = copied("bart")
    AutoTokenizer.from_pretrained(directory).save_pretrained(directory)
    assert (directory / "tokenizer.json").is_file()
    with pytest.raises(ModelDirectoryError, match=r"tokenizer \(tokenizer.json\) makes nothing at all of"):
        open_checkpoint(directory)


@pytest.mark.parametrize(
    ("name", "auto_class", "dropped"),
    [
        ("bert", CLASSIFIER, "classifier."),
        ("bart", SEQ2SEQ, "model.encoder.layers.0.fc1"),
        # transformers 5 would put the input's embeddings in its place, and report nothing.
        ("mt5", SEQ2SEQ, "lm_head."),
    ],
)
def test_missing_weights_are_refused(name: str, auto_class: str, dropped: str, copied: Callable[[str], Path]) -> None:
    directory = copied(name)
    load(directory, auto_class)
    tiny.drop_weights(directory, dropped)
    with pytest.raises(ModelDirectoryError, match=f"the weights lack {dropped}"):
        load(directory, auto_class)


def test_a_pretrained_encoder_is_no_classifier(made: Callable[[str], Path]) -> None:
    with pytest.raises(ModelDirectoryError, match=r"the weights lack .*classifier\.bias"):
        load(made("masked"), CLASSIFIER)


def test_an_encoder_cannot_write(made: Callable[[str], Path]) -> None:
    with pytest.raises(ModelDirectoryError, match=f"cannot be loaded by {SEQ2SEQ}"):
        load(made("bert"), SEQ2SEQ)


def test_sizes_that_differ_from_the_configuration_are_refused(copied: Callable[[str], Path]) -> None:
    directory = copied("bert")
    tiny.edit_config(directory, intermediate_size=64)
    with pytest.raises(ModelDirectoryError, match="do not have the sizes"):
        load(directory, CLASSIFIER)


def test_a_vocabulary_of_another_version_is_refused(tmp_path: Path, copied: Callable[[str], Path]) -> None:
    with pytest.raises(ModelDirectoryError, match="entries and the model 600"):
        load(tiny.make_bart(tmp_path / "newer", rows=600), SEQ2SEQ)
    longer = copied("bart")
    tiny.write_vocabulary(longer, [*tiny.vocabulary(), "多"])
    with pytest.raises(ModelDirectoryError, match="of different versions"):
        load(longer, SEQ2SEQ)


def test_pickled_weights_are_refused_unread(copied: Callable[[str], Path]) -> None:
    directory = copied("bert")
    (directory / "model.safetensors").unlink()
    (directory / "pytorch_model.bin").write_bytes(b"cposix\nsystem\n(S'touch opened'\ntR.")
    with pytest.raises(ModelDirectoryError, match=r"pytorch_model\.bin, which can run code .* convert it"):
        open_checkpoint(directory)
    assert not Path("opened").exists()


def test_truncated_weights_are_refused(copied: Callable[[str], Path]) -> None:
    directory = copied("bert")
    path = directory / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelDirectoryError, match="SafetensorError"):
        load(directory, CLASSIFIER)


def spoil_config(directory: Path) -> None:
    (directory / "config.json").write_text("{", encoding="utf-8")


def drop_config(directory: Path) -> None:
    (directory / "config.json").unlink()


def drop_type(directory: Path) -> None:
    tiny.edit_config(directory, model_type=None)


def name_foreign_class(directory: Path) -> None:
    tiny.edit_config(directory, architectures=["CPTForConditionalGeneration"], auto_map={"AutoModel": "cpt.CPT"})


def drop_vocabulary(directory: Path) -> None:
    (directory / "vocab.txt").unlink()


def drop_marks(directory: Path) -> None:
    tiny.write_vocabulary(directory, ["x" if entry == "[SEP]" else entry for entry in tiny.vocabulary()])


def spoil_vocabulary(directory: Path) -> None:
    (directory / "vocab.txt").write_bytes("北京".encode("gb18030"))


def drop_weights_file(directory: Path) -> None:
    (directory / "model.safetensors").unlink()


def point_outside(directory: Path) -> None:
    drop_weights_file(directory)
    index = {"weight_map": {"a": "../model.safetensors"}}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (spoil_config, "config.json: cannot be read"),
        (drop_config, "config.json: cannot be read"),
        (drop_type, "names no `model_type`"),
        (name_foreign_class, "is a CPTForConditionalGeneration.*code that comes with a model is never run"),
        (drop_vocabulary, "has no tokenizer; copy vocab.txt"),
        (drop_marks, r"lacks \[SEP\]"),
        (spoil_vocabulary, "cannot be read as UTF-8"),
        (drop_weights_file, "has no model.safetensors"),
        (point_outside, "no safetensors file of this directory"),
    ],
)
def test_a_spoilt_directory_is_refused_with_the_reason(
    spoil: Callable[[Path], None], reason: str, copied: Callable[[str], Path]
) -> None:
    directory = copied("bart")
    spoil(directory)
    with pytest.raises(ModelDirectoryError, match=reason):
        open_checkpoint(directory)


@pytest.mark.parametrize("name", ["bert-base-chinese", "fnlp/bart-base-chinese", "/no/such/directory"])
def test_a_name_is_no_directory_and_nothing_is_fetched(name: str) -> None:
    with pytest.raises(ModelDirectoryError, match=r"absolute directory|no such directory"):
        open_checkpoint(Path(name))


@pytest.mark.parametrize(
    ("name", "kind", "backend"),
    [
        ("bart", "summarizer", "seq2seq"),
        ("t5_pegasus", "summarizer", "seq2seq"),
        ("bert", "classifier", "sequence_classification"),
    ],
)
def test_a_checkpoint_says_what_it_is_for(name: str, kind: str, backend: str, made: Callable[[str], Path]) -> None:
    checkpoint = open_checkpoint(made(name))
    assert (checkpoint.kind, checkpoint.backend) == (kind, backend)


def test_a_bare_encoder_is_for_training(made: Callable[[str], Path]) -> None:
    with pytest.raises(ModelDirectoryError, match=r"BertForMaskedLM, which neither .* train classifier"):
        _ = open_checkpoint(made("masked")).kind


def test_the_digest_covers_what_decides_and_nothing_else(copied: Callable[[str], Path]) -> None:
    directory = copied("bert")
    before = checkpoint_digest(directory)
    (directory / "README.md").write_text("读我", encoding="utf-8")
    assert checkpoint_digest(directory) == before == open_checkpoint(directory).digest
    for name in ("vocab.txt", "config.json", "model.safetensors"):
        content = (directory / name).read_bytes()
        (directory / name).write_bytes(content + b" ")
        assert checkpoint_digest(directory) != before
        (directory / name).write_bytes(content)
    assert checkpoint_digest(directory) == before


def test_t5_is_never_loaded_in_half_precision(made: Callable[[str], Path]) -> None:
    for name, expected in (("mt5", torch.float32), ("bart", torch.float16)):
        network = open_checkpoint(made(name)).load(SEQ2SEQ, "cpu", torch.float16)
        assert {tensor.dtype for tensor in network.parameters()} == {expected}


def test_an_output_layer_of_its_own_is_kept(made: Callable[[str], Path]) -> None:
    network = load(made("mt5"), SEQ2SEQ)
    assert not torch.equal(network.lm_head.weight, network.shared.weight)
