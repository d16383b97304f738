"""Opens directories of Hugging Face checkpoints offline, and refuses those that would load wrong without an error.

Refused are pickled weights, code that comes with a model, weights that the file lacks and that would start at random,
and vocabularies that are not the model's. Fetches nothing, and knows no task.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn

from tasks.nn.checkpoint_tokenizers import (
    T5_FAMILY,
    CheckpointTokenizer,
    choose_tokenizer,
    first_line,
    import_transformers,
)
from tasks.nn.model_directory import CONFIG, METRICS, WEIGHTS, ModelDirectoryError, file_sha256

logger = logging.getLogger(__name__)

WEIGHTS_INDEX = f"{WEIGHTS}.index.json"
#: Files that decide results; cards, logs and optimizers' states do not.
DECISIVE_SUFFIXES = frozenset({".json", ".safetensors", ".txt", ".model"})
INDECISIVE_FILES = frozenset(
    {METRICS, "all_results.json", "eval_results.json", "train_results.json", "trainer_state.json"}
)
#: Weights that are pickles, or of another library.
FOREIGN_WEIGHTS = frozenset({".bin", ".pt", ".pth", ".ckpt", ".h5", ".msgpack"})
#: Positions read of a text at most, whatever a model could take.
MAX_POSITIONS = 1024
#: … and where a configuration does not say.
DEFAULT_POSITIONS = 512
#: Families that count positions from behind the padding's number.
SHIFTED_POSITIONS = frozenset({"camembert", "roberta", "xlm-roberta", "xlm-roberta-xl"})
#: Embeddings may be so much larger than the vocabulary: they are padded to round numbers, and hold gap marks.
SPARE_ROWS = 128
SPARE_SHARE = 0.02
#: How the classes of transformers that label texts are called.
CLASSIFIER_SUFFIX = "ForSequenceClassification"
#: The output layer of the T5 family.
OUTPUT_HEAD = "lm_head.weight"
#: Part of the digest: raised when the same files come to be read in another way.
READING = 1


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A directory that looks sound; its weights are looked at when they are loaded."""

    path: Path
    config: Mapping[str, Any]
    #: 64 hex digits over all files that decide a result.
    digest: str
    tokenizer: CheckpointTokenizer
    #: How many positions of a text it reads.
    max_positions: int

    @property
    def model_type(self) -> str:
        """The family, such as `bart`."""
        return str(self.config["model_type"])

    @property
    def backend(self) -> str:
        """Which code loads it as it is, by what it was trained for; raises `ModelDirectoryError` for a bare encoder."""
        names = [str(name) for name in self.config.get("architectures") or ()]
        if any(name.endswith(CLASSIFIER_SUFFIX) for name in names):
            return "sequence_classification"
        if self.config.get("is_encoder_decoder"):
            return "seq2seq"
        message = (
            f"{self.path}: is {' and '.join(names) or 'a ' + self.model_type}, which neither labels nor writes; "
            f"make a classifier of it: hanmill train classifier … --checkpoint {self.path}"
        )
        raise ModelDirectoryError(message)

    @property
    def kind(self) -> str:
        """What it is for, `classifier` or `summarizer`."""
        return "classifier" if self.backend == "sequence_classification" else "summarizer"

    def load(self, auto_class: str, device: str, dtype: torch.dtype, unused: Sequence[str] = ()) -> nn.Module:
        """Return the network in evaluation mode; `unused` are prefixes of weights that it may lack.

        Raises `ModelDirectoryError` for weights that are missing or do not fit.
        """
        # Activations of this family leave the range of fp16.
        number_type = torch.float32 if dtype is torch.float16 and self.model_type in T5_FAMILY else dtype
        try:
            network, report = getattr(import_transformers(), auto_class).from_pretrained(
                self.path,
                dtype=number_type,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                # Wanted for its report; whatever it names is refused below.
                ignore_mismatched_sizes=True,
                output_loading_info=True,
            )
        except Exception as error:
            message = f"{self.path}: cannot be loaded by {auto_class} ({first_line(error)})"
            raise ModelDirectoryError(message) from error
        _check_report(self.path, report, unused)
        _check_output_head(self.path, self.config)
        _check_vocabulary(self.path, self.tokenizer, network)
        loaded: nn.Module = network.to(device).eval()
        return loaded


@dataclass(frozen=True, slots=True)
class TokenWindow:
    """The beginning of a text, as numbers of tokens."""

    ids: tuple[int, ...]

    @property
    def length(self) -> int:
        """How many positions it takes."""
        return len(self.ids)


def pad(windows: Sequence[TokenWindow], pad_id: int, device: str) -> tuple[Tensor, Tensor]:
    """Return the numbers of windows, filled up to the longest, and a mask, 1 where there is text; both (B, T)."""
    longest = max(window.length for window in windows)
    ids = torch.full((len(windows), longest), pad_id, dtype=torch.long)
    mask = torch.zeros((len(windows), longest), dtype=torch.long)
    for row, window in enumerate(windows):
        ids[row, : window.length] = torch.tensor(window.ids, dtype=torch.long)
        mask[row, : window.length] = 1
    return ids.to(device), mask.to(device)


def open_checkpoint(directory: Path) -> Checkpoint:
    """Check a checkpoint's files and choose its tokenizer, without loading the weights.

    Raises `ModelDirectoryError` with the reason and what to do about it.
    """
    config = read_checkpoint_config(directory)
    _check_architectures(directory, config)
    tokenizer = choose_tokenizer(directory, config)
    return Checkpoint(directory, config, checkpoint_digest(directory), tokenizer, _positions(config))


def read_checkpoint_config(directory: Path) -> dict[str, Any]:
    """Return the configuration of a directory with weights as safetensors; loads no library.

    Raises `ModelDirectoryError` for what is no such directory.
    """
    if not directory.is_absolute():
        message = f"{directory}: a checkpoint is named by an absolute directory; nothing is fetched by name"
        raise ModelDirectoryError(message)
    if not directory.is_dir():
        message = f"{directory}: no such directory"
        raise ModelDirectoryError(message)
    try:
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{directory / CONFIG}: cannot be read ({error}); a checkpoint has a {CONFIG}"
        raise ModelDirectoryError(message) from error
    if not isinstance(config, dict) or not isinstance(config.get("model_type"), str):
        message = f"{directory / CONFIG}: names no `model_type`; copy the file from where the model comes from"
        raise ModelDirectoryError(message)
    _check_weights(directory)
    return config


def _check_weights(directory: Path) -> None:
    if (directory / WEIGHTS).is_file():
        return
    if (directory / WEIGHTS_INDEX).is_file():
        _check_shards(directory)
        return
    foreign = sorted(path.name for path in directory.iterdir() if path.suffix in FOREIGN_WEIGHTS)
    if foreign:
        message = (
            f"{directory}: its weights are {foreign[0]}, which can run code when it is opened, and is never read; "
            f"convert it to {WEIGHTS} where you trust it: torch.load(…, weights_only=True), safetensors' save_file"
        )
    else:
        message = f"{directory}: has no {WEIGHTS}; copy the weights as safetensors"
    raise ModelDirectoryError(message)


def _check_shards(directory: Path) -> None:
    try:
        names = set(json.loads((directory / WEIGHTS_INDEX).read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        message = f"{directory / WEIGHTS_INDEX}: cannot be read ({type(error).__name__}: {error}); copy it again"
        raise ModelDirectoryError(message) from error
    for name in sorted(names):
        if Path(name).name != name or not name.endswith(".safetensors") or not (directory / name).is_file():
            message = f"{directory / WEIGHTS_INDEX}: names {name!r}, which is no safetensors file of this directory"
            raise ModelDirectoryError(message)


def _check_architectures(directory: Path, config: Mapping[str, Any]) -> None:
    transformers = import_transformers()
    unknown = [name for name in config.get("architectures") or () if not hasattr(transformers, str(name))]
    if unknown:
        message = (
            f"{directory}: is a {unknown[0]}, which transformers {transformers.__version__} does not have; "
            "code that comes with a model is never run"
        )
        raise ModelDirectoryError(message)


def _check_report(directory: Path, report: Mapping[str, Any], unused: Sequence[str]) -> None:
    unfit = sorted(str(key) for key in report["mismatched_keys"])
    if unfit:
        message = (
            f"{directory}: the weights do not have the sizes that {CONFIG} says: {_some(unfit)}; the two belong apart"
        )
        raise ModelDirectoryError(message)
    missing = sorted(key for key in report["missing_keys"] if not key.startswith(tuple(unused)))
    if missing:
        message = (
            f"{directory}: the weights lack {_some(missing)}, which would start at random; "
            "the model was not trained for this, train it first"
        )
        raise ModelDirectoryError(message)
    spare = sorted(report["unexpected_keys"])
    if spare:
        logger.warning("checkpoint.weights_unused", extra={"directory": str(directory), "weights": spare[:10]})


def _check_output_head(directory: Path, config: Mapping[str, Any]) -> None:
    """Refuse a T5 that has an output layer of its own but not its weights: transformers would take the input's."""
    if config["model_type"] not in T5_FAMILY or config.get("tie_word_embeddings") is not False:
        return
    if OUTPUT_HEAD not in _stored_names(directory):
        message = f"{directory}: the weights lack {OUTPUT_HEAD}, which {CONFIG} says is there; copy the weights again"
        raise ModelDirectoryError(message)


def _stored_names(directory: Path) -> set[str]:
    if (directory / WEIGHTS).is_file():
        with safe_open(directory / WEIGHTS, framework="pt") as weights:
            return set(weights.keys())
    index = json.loads((directory / WEIGHTS_INDEX).read_text(encoding="utf-8"))
    return set(index["weight_map"])


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")  # noqa: PLR2004


def _check_vocabulary(directory: Path, tokenizer: CheckpointTokenizer, network: Any) -> None:
    rows = int(network.get_input_embeddings().weight.shape[0])
    spare = rows - tokenizer.size
    if spare < 0 or spare > SPARE_ROWS + SPARE_SHARE * rows:
        message = (
            f"{directory}: the vocabulary has {tokenizer.size} entries and the model {rows}; "
            "vocabulary and weights are of different versions, copy both from one place"
        )
        raise ModelDirectoryError(message)


def _positions(config: Mapping[str, Any]) -> int:
    stated = config.get("max_position_embeddings") or config.get("n_positions") or DEFAULT_POSITIONS
    if config["model_type"] in SHIFTED_POSITIONS:
        stated -= int(config.get("pad_token_id") or 0) + 1
    return min(MAX_POSITIONS, int(stated))


def checkpoint_digest(directory: Path) -> str:
    """Return 64 hex digits over the names and contents of all files that decide a result; loads no library."""
    digest = hashlib.sha256(f"checkpoint {READING}\n".encode())
    for name in decisive_files(directory):
        digest.update(f"{name}\0{file_sha256(directory / name)}\n".encode())
    return digest.hexdigest()


def decisive_files(directory: Path) -> list[str]:
    """Return the names of the files that decide a result, in order."""
    return sorted(
        path.name
        for path in directory.iterdir()
        if path.is_file() and path.suffix in DECISIVE_SUFFIXES and path.name not in INDECISIVE_FILES
    )
