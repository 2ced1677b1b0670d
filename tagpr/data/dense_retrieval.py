"""Retrieval by meaning: the entries whose embeddings point where the question's does."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, final

import numpy as np

from tagpr.data.json_files import sha256_of
from tagpr.data.retrieval import OrderingRetriever, best_first, candidates
from tagpr.errors import UserError
from tagpr.tasks import Task
from tagpr.types import Record

# Questions of one author share their profile; a text is encoded once for all of them.
CACHED_VECTORS = 20_000


@final
class DenseRetriever(OrderingRetriever):
    """The k entries with the highest dot product, as LaMP's scripts rank with Contriever; of equals the latest first.

    The model is loaded with the first record that has something to rank.

    Args:
        model: a sentence-transformers model, a folder or a name on the hub; plain encoders are mean-pooled.
        revision: of a model on the hub; None: the newest.
        batch_size: texts encoded at a time.
        device: as torch names it.
    """

    # A text is encoded once, beside whatever else is new then, and its neighbours in a batch move its last bits.
    orders_whole_sets = True

    def __init__(self, *, k: int, model: str, revision: str | None, batch_size: int, device: str) -> None:
        super().__init__(k=k)
        self.model = model
        self.revision = revision
        self.batch_size = batch_size
        self.device = device
        self._encoder: Any = None
        self._vectors: dict[str, np.ndarray] = {}

    def identity(self) -> dict[str, Any] | None:
        """The model by its files, or by its commit on the hub, which is known once the model is loaded.

        Raises UserError where the package or the model is missing."""
        settings = {"batch_size": self.batch_size, "device": self.device, "package": _version()}
        folder = Path(self.model)
        if folder.is_dir():
            files = sorted(path for path in folder.rglob("*") if path.is_file())
            return {**settings, "files": {str(path.relative_to(folder)): sha256_of(path) for path in files}}
        if self._encoder is None:
            self._encoder = self._load()
        commit = _commit(self.model, self.revision)
        return None if commit is None else {**settings, "model": self.model, "commit": commit}

    def order(self, record: Record, task: Task) -> tuple[int, ...]:
        """Raises UserError where the package or the model is missing."""
        positions = candidates(record)
        if not positions:
            return ()
        texts = [task.corpus_text(record.profile[i]) for i in positions]
        query, *documents = self._encode([task.retrieval_query(record.question), *texts])
        return best_first([float(document @ query) for document in documents], positions)

    def _encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        if len(self._vectors) + len(texts) > CACHED_VECTORS:
            self._vectors.clear()
        new = list(dict.fromkeys(text for text in texts if text not in self._vectors))
        if new:
            if self._encoder is None:
                self._encoder = self._load()
            vectors = self._encoder.encode(
                new, batch_size=self.batch_size, convert_to_numpy=True, show_progress_bar=False
            )
            self._vectors.update(zip(new, vectors, strict=True))
        return [self._vectors[text] for text in texts]

    def _load(self) -> Any:
        try:
            from sentence_transformers import SentenceTransformer  # pyright: ignore[reportMissingImports]
        except ImportError:
            raise UserError(
                "retrieval=dense needs the package sentence-transformers, which is not installed. Run "
                "pip install 'tagpr[dense]', or set retrieval=bm25."
            ) from None
        try:
            return SentenceTransformer(self.model, revision=self.revision, device=self.device)
        except (OSError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise UserError(
                f"retrieval.model={self.model}: the model cannot be loaded ({reason}). Expected a folder with a "
                "sentence-transformers model, or a name on the hub that is in the local cache or within reach."
            ) from None


def _version() -> str:
    try:
        return metadata.version("sentence-transformers")
    except metadata.PackageNotFoundError:
        return "absent"


def _commit(model: str, revision: str | None) -> str | None:
    """The commit of a hub model that was just loaded; None where the local cache does not know it."""
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(model, "config.json", revision=revision)
    return Path(found).parent.name if isinstance(found, str) else None
