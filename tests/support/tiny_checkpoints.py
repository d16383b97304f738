"""Makes tiny checkpoints with random weights, in the shapes that users bring, and shuts the network for their tests."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

TEXTS = (
    "北京是中国的首都。研究人员提出了新的方法，并用公开的数据检验了结果。",
    "今天上午，研究人员在会议上介绍了新的方法，并用公开的数据检验了结果。",
    "本文提出一种基于卷积网络的文本分类方法，在三个公开数据集上的结果表明，该方法比传统的方法更快、更准确。",
    "法院认为，被告未按照合同的约定支付货款，应当承担违约责任；原告要求支付利息的请求，本院予以支持。",
    "通过对Linux内核的分析，文章说明了进程调度的原理，给出了3种可行的改进，并比较了它们的开销。",
)
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
LATIN = tuple("abcdefghijklmnopqrstuvwxyz0123456789.,%-")
WORDS = ("北京", "中国", "首都", "研究", "人员", "方法", "公开", "数据", "结果", "上午", "会议", "介绍")
#: Wide enough that outputs differ from text to text, with random weights too.
SPREAD = 0.6
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def load_transformers() -> Any:
    """Import transformers, which takes seconds, and keep it quiet."""
    transformers = import_module("transformers")
    transformers.logging.disable_progress_bar()
    return transformers


def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every connection to another machine an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if isinstance(address, tuple) and address[0] not in {"127.0.0.1", "::1", "localhost"}:
            message = f"a test tried to connect to {address}"
            raise AssertionError(message)
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


def texts(count: int) -> list[str]:
    """Return different texts of very different lengths."""
    return [
        (TEXTS[number % len(TEXTS)] * (1 + number % 4))[number % 7 :][: 20 + 37 * number] for number in range(count)
    ]


def vocabulary(*, words: bool = False) -> list[str]:
    """Return a BERT vocabulary that knows the characters of `TEXTS`, with Chinese words on demand."""
    chars = sorted(set("".join(TEXTS)) - set("Linux3"))
    continued = [f"##{char}" for char in LATIN[:36]]
    return [*SPECIALS, *chars, *LATIN, *continued, *(WORDS if words else ())]


def write_vocabulary(directory: Path, entries: Sequence[str]) -> None:
    """Write `vocab.txt`."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")


def make_bart(directory: Path, rows: int | None = None) -> Path:
    """Make a Chinese BART as they are published: a BERT vocabulary, and nothing that names the tokenizer."""
    transformers = load_transformers()
    entries = vocabulary()
    config = transformers.BartConfig(
        vocab_size=rows or len(entries),
        d_model=16,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=32,
        decoder_ffn_dim=32,
        max_position_embeddings=128,
        init_std=SPREAD,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=3,
        decoder_start_token_id=3,
        forced_eos_token_id=3,
    )
    _save(transformers.BartForConditionalGeneration, config, directory)
    write_vocabulary(directory, entries)
    return directory


def make_mt5(directory: Path) -> Path:
    """Make an mT5 with a SentencePiece vocabulary trained on `TEXTS`."""
    sentencepiece = import_module("sentencepiece")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TEXTS),
        model_writer=model,
        vocab_size=220,
        hard_vocab_limit=False,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        character_coverage=1.0,
        minloglevel=2,
        num_threads=1,
    )
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).get_piece_size()
    # Real ones have a few rows more than pieces as well.
    _make_t5(directory, pieces + 12)
    (directory / "spiece.model").write_bytes(model.getvalue())
    return directory


def make_t5_pegasus(directory: Path) -> Path:
    """Make a T5-PEGASUS: an mT5 over a BERT vocabulary with Chinese words, its configuration left as mT5's."""
    entries = vocabulary(words=True)
    _make_t5(directory, len(entries))
    write_vocabulary(directory, entries)
    return directory


def _make_t5(directory: Path, rows: int) -> None:
    transformers = load_transformers()
    config = transformers.MT5Config(
        vocab_size=rows,
        d_model=16,
        d_kv=8,
        d_ff=32,
        num_layers=1,
        num_decoder_layers=1,
        num_heads=2,
        initializer_factor=3.0,
    )
    torch.manual_seed(0)
    network = transformers.MT5ForConditionalGeneration(config)
    # An output layer of its own, which published ones have, and which transformers 5 makes only while loading.
    network.lm_head.weight = torch.nn.Parameter(torch.randn(rows, config.d_model))
    network.all_tied_weights_keys.pop("lm_head.weight")
    network.save_pretrained(directory)
    edit_config(directory, tie_word_embeddings=False)


def make_bert(directory: Path, head: str, **settings: Any) -> Path:
    """Make a BERT with a head, such as `BertForMaskedLM` or `BertForSequenceClassification`."""
    transformers = load_transformers()
    entries = vocabulary()
    chosen = {"max_position_embeddings": 128, "initializer_range": SPREAD, **SIZES, **settings}
    config = transformers.BertConfig(vocab_size=len(entries), **chosen)
    _save(getattr(transformers, head), config, directory)
    write_vocabulary(directory, entries)
    return directory


def _save(network: Any, config: Any, directory: Path) -> None:
    torch.manual_seed(0)
    network(config).save_pretrained(directory)


def edit_config(directory: Path, **changes: Any) -> None:
    """Change a checkpoint's configuration; None removes an entry."""
    path = directory / "config.json"
    config = {**json.loads(path.read_text(encoding="utf-8")), **changes}
    kept = {name: value for name, value in config.items() if value is not None}
    path.write_text(json.dumps(kept), encoding="utf-8")


def drop_weights(directory: Path, prefix: str) -> None:
    """Take the weights whose names begin with a prefix out of a checkpoint."""
    from safetensors.torch import load, save_file  # noqa: PLC0415 - optional

    path = directory / "model.safetensors"
    weights = load(path.read_bytes())
    kept = {name: tensor for name, tensor in weights.items() if not name.startswith(prefix)}
    assert len(kept) < len(weights)
    save_file(kept, path, metadata={"format": "pt"})
