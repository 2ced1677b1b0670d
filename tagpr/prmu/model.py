"""PRMU as one object: texts in, rewards out; on disk a Hugging Face folder with a few files more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoModel, AutoTokenizer

from tagpr.errors import BadInputError
from tagpr.lm.attention import PACKED
from tagpr.prmu.arch import ARCHES, PrmuArch
from tagpr.prmu.card import NOT_STATED, model_card
from tagpr.prmu.text_encoder import Encode, TextEncoder
from tagpr.prmu.texts import Exchange, History
from tagpr.storage import read_json, write_json

SCHEMA = 2


class PrmuModel(nn.Module):
    """Backbone and architecture.

    Args:
        encoder: reads texts; its backbone is trained with the rest.
        arch: turns encodings into rewards.
        max_entries: entries of a user that are read when scoring, the latest; older ones are left out.
        temperature: divides R so that sigma(difference / temperature) is a calibrated probability; 1 until calibrated.
    """

    def __init__(self, *, encoder: TextEncoder, arch: PrmuArch, max_entries: int, temperature: float = 1.0) -> None:
        super().__init__()
        self.encoder = encoder
        self.arch = arch
        self.max_entries = max_entries
        self.temperature = temperature

    def forward(self, users: Sequence[History], candidates: Sequence[Exchange], needed: Tensor | None = None) -> Tensor:
        """R for training: (U, B), with gradient; histories are taken as they are. See PrmuArch.score."""
        return self.arch.score(self.encoder, users, candidates, needed=needed)

    @torch.no_grad()
    def score(
        self,
        users: Sequence[History],
        queries: Sequence[str],
        answers: Sequence[str],
        *,
        encode: Encode | None = None,
        needed: Tensor | None = None,
    ) -> Tensor:
        """R(u, x, y) for every user and every (query, answer): (U, B), uncalibrated.

        Args:
            users: U histories, see texts.user_history.
            queries: B contexts, see texts.query_context.
            answers: B answers; equal (query, answer) pairs are read once.
            encode: a FrozenEncoder over this model's encoder where calls share texts.
            needed: (U, B) bool, cells that will be read; others may be NaN. None: all.
        """
        candidates = [Exchange(query, answer) for query, answer in zip(queries, answers, strict=True)]
        users = [history[-self.max_entries :] for history in users]
        # RL asks from within the policy's autocast, calibration from without: both are to get the same rewards.
        with torch.autocast(self.encoder.backbone.device.type, enabled=False):
            return self.arch.score(encode or self.encoder, users, candidates, needed=needed)

    def save_pretrained(self, folder: Path | str, *, trained_on: str = NOT_STATED) -> None:
        """The backbone with its tokenizer as AutoModel reads them; beside it prmu.json, prmu.safetensors and a card.

        Args:
            trained_on: what the training data were, in words, for the card.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        self.encoder.backbone.save_pretrained(folder)
        self.encoder.tokenizer.save_pretrained(folder)
        save_file(
            {name: value.contiguous() for name, value in self.arch.state_dict().items()}, folder / "prmu.safetensors"
        )
        description = self._description()
        write_json(folder / "prmu.json", description)
        card = model_card(
            arch=description["arch"],
            trained_on=trained_on,
            temperature=self.temperature,
            max_entries=self.max_entries,
        )
        (folder / "README.md").write_text(card, encoding="utf-8")

    @classmethod
    def from_pretrained(cls, folder: Path | str, *, device: str = "cpu") -> PrmuModel:
        """The model as saved, in eval mode. Reads weights only; runs no code from the folder.

        Raises:
            BadInputError: the folder holds no PRMU, or one of another schema.
        """
        folder = Path(folder)
        path = folder / "prmu.json"
        if not path.exists():
            raise BadInputError(
                f"{folder} holds no PRMU: expected {path.name} there. Give the `model` folder of a prmu stage."
            )
        description: dict[str, Any] = read_json(path)
        if description["schema"] != SCHEMA or description["arch"] not in ARCHES:
            raise BadInputError(
                f"{path} is of schema {description['schema']} with arch {description['arch']!r}, expected "
                f"schema {SCHEMA} and one of {', '.join(ARCHES)}. Train it again with this version."
            )
        backbone = AutoModel.from_pretrained(
            folder, use_safetensors=True, trust_remote_code=False, attn_implementation=description["attention"]
        )
        encoder = TextEncoder(
            backbone=backbone,
            tokenizer=AutoTokenizer.from_pretrained(folder, trust_remote_code=False),
            max_tokens=description["max_tokens"],
            batch_tokens=description["batch_tokens"],
        )
        arch = ARCHES[description["arch"]](hidden_size=encoder.hidden_size, **description["hyperparameters"])
        arch.load_state_dict(load_file(folder / "prmu.safetensors"))
        model = cls(
            encoder=encoder,
            arch=arch,
            max_entries=description["max_entries"],
            temperature=description["temperature"],
        )
        return model.to(device).eval()

    def _description(self) -> dict[str, Any]:
        attention = self.encoder.backbone.config._attn_implementation
        name = next(name for name, kind in ARCHES.items() if kind is type(self.arch))
        return {
            "schema": SCHEMA,
            "arch": name,
            "hyperparameters": self.arch.hyperparameters(),
            "max_entries": self.max_entries,
            "max_tokens": self.encoder.max_tokens,
            "batch_tokens": self.encoder.batch_tokens,
            "temperature": self.temperature,
            "attention": attention if attention in PACKED else "sdpa",
        }
