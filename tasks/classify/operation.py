"""Labels documents with a model: all scores packed in one row a document, and a row for each label that is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any

from storage import label_scores, label_sets
from storage.engine import Connection
from storage.errors import UsageError
from storage.label_scores import ScoredDocument
from storage.label_sets import Label
from tasks.model_choice import choose_model, find_directory
from tasks.operation import Intake, Workplace

if TYPE_CHECKING:
    from tasks.classify.backends import Classifier
    from tasks.nn.backend import AnyBackend

#: The model that comes along.
DEFAULT = Path(__file__).parent / "default"


class ClassifyOperation:
    """The labels of every document."""

    name = "classify"
    version = 1
    queue = "hanmill.gpu"
    merges = False
    uses_model = True

    def parameters(self, options: Mapping[str, Any], intake: Intake) -> dict[str, Any]:
        """Check the option models; raises `UsageError`."""
        chosen = choose_model(intake, "classifier", list(options.get("models") or ()), DEFAULT)
        return {"backend": chosen.backend, "model": chosen.digest}

    def identity(self, parameters: Mapping[str, Any]) -> Mapping[str, str]:  # noqa: ARG002 - all of it is in them
        """Return nothing more: the parameters hold the model's digest."""
        return {}

    def prepare(self, parameters: Mapping[str, Any], workplace: Workplace) -> None:
        """Load nothing ahead: a model is loaded in the process that runs it."""

    def open_backend(self, parameters: Mapping[str, Any], workplace: Workplace) -> AnyBackend:
        """Load the classifier; raises `UsageError`."""
        from tasks.classify.backends import load_classifier  # noqa: PLC0415 - loads PyTorch
        from tasks.nn.devices import dtype_for  # noqa: PLC0415
        from tasks.nn.model_directory import ModelDirectoryError  # noqa: PLC0415

        directory = find_directory(workplace.engine, parameters["model"], (DEFAULT,))
        try:
            return load_classifier(directory, workplace.device, dtype_for(workplace.device))
        except ModelDirectoryError as error:
            raise UsageError(str(error)) from error

    def known(self, connection: Connection, fingerprint: str, digests: Sequence[bytes]) -> AbstractSet[bytes]:
        """Return which texts have scores."""
        return label_scores.known(connection, fingerprint, digests)

    def save(self, connection: Connection, fingerprint: str, backend: Classifier, results: Mapping[bytes, Any]) -> None:
        """Write scores and decided labels."""
        if not results:
            return
        labels = backend.label_set
        rows = [Label(label.name, label.parent) for label in labels.labels]
        label_set_id = label_sets.register(connection, labels.name, labels.version, rows)
        ids = label_sets.label_ids(connection, label_set_id)
        scored = {}
        for digest, scores in results.items():
            decided = [(ids[position], probability) for position, probability in backend.decide(scores)]
            scored[digest] = ScoredDocument(scores.astype("<f4").tobytes(), decided)
        label_scores.save(connection, fingerprint, backend.digest, label_set_id, scored, scale=backend.scale)


OPERATION = ClassifyOperation()
