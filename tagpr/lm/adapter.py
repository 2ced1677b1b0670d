"""Which weights of a policy are trained: all of them, or a low-rank adapter beside frozen ones."""

from __future__ import annotations

import json
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.errors import BadInputError
from tagpr.lm.backbone import save_policy


class Adapter(ABC):
    """Built from config group `adapter`."""

    @abstractmethod
    def attach(self, policy: PreTrainedModel) -> PreTrainedModel:
        """The policy, its trainable parameters the ones to be trained; changed in place, in the mode it was in.

        What is trained is float32, whatever the backbone's dtype: a step of 1e-5 on a bfloat16 weight of .02, whose
        neighbours are 1.2e-4 away, is rounded to no step at all. `trainer.precision` says how the forward computes.
        """

    @abstractmethod
    def save(
        self,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        output: Path,
        *,
        base: Callable[[], PreTrainedModel],
    ) -> None:
        """Write `output/policy`, a whole model of the backbone's dtype that everything loads without knowing of
        adapters. The policy is not to be used afterwards.

        Args:
            base: loads the policy as it was before `attach`.
        """


@dataclass(frozen=True, kw_only=True)
class NoAdapter(Adapter):
    """All weights are trained."""

    def attach(self, policy: PreTrainedModel) -> PreTrainedModel:
        return in_float32(policy)

    def save(
        self,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        output: Path,
        *,
        base: Callable[[], PreTrainedModel],
    ) -> None:
        # The configuration still says what the weights were read as; a model made afresh has no word on it.
        as_given = policy.to(policy.config.dtype or policy.dtype)  # pyright: ignore[reportArgumentType]
        save_policy(as_given, tokenizer, output / "policy")


@dataclass(frozen=True, kw_only=True)
class LoraAdapter(Adapter):
    """W + (alpha / rank) B A in the target modules, W frozen. Source: LoRA, arXiv:2106.09685; by peft.

    Every stage that trains begins a new adapter on what the stage before left, adapter merged: RL's frozen weights are
    the SFT policy, which is its reference too.

    Args:
        rank: r >= 1, columns of B.
        dropout: on the adapter's input while training; RL, whose policy stays in eval mode, has none.
        target_modules: names of linear layers, without the output layer.
    """

    rank: int
    alpha: float
    dropout: float
    target_modules: Sequence[str]

    def __post_init__(self) -> None:
        if self.rank < 1 or self.alpha <= 0 or not 0 <= self.dropout < 1 or not self.target_modules:
            raise BadInputError(
                f"the adapter is {self}, expected rank >= 1, alpha > 0, 0 <= dropout < 1 and some target module."
            )
        if "lm_head" in self.target_modules:
            raise BadInputError(
                "adapter.target_modules names lm_head, whose weight log-probabilities read directly: leave it out."
            )

    def attach(self, policy: PreTrainedModel) -> PreTrainedModel:
        from peft import LoraConfig

        present = {name.rpartition(".")[2] for name, part in policy.named_modules() if isinstance(part, nn.Linear)}
        if missing := sorted(set(self.target_modules) - present):
            raise BadInputError(
                f"adapter.target_modules names {', '.join(missing)}, but the policy's linear layers are "
                f"{', '.join(sorted(present - {'lm_head'}))}. Name some of these."
            )
        training = policy.training
        settings = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,  # pyright: ignore[reportArgumentType]  (a float serves as well)
            lora_dropout=self.dropout,
            target_modules=list(self.target_modules),
            task_type="CAUSAL_LM",
        )
        with _quiet():
            policy.add_adapter(settings)
        return in_float32(policy).train(training)

    def save(
        self,
        policy: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        output: Path,
        *,
        base: Callable[[], PreTrainedModel],
    ) -> None:
        """Besides `policy/`, merged, `adapter/` as peft loads it on the stage's own start."""
        from peft import PeftModel

        with _quiet():
            policy.save_pretrained(output / "adapter")
            _forget_places(output / "adapter" / "adapter_config.json")
            # What is merged is the file just written: it has been shown to load.
            loaded = PeftModel.from_pretrained(base(), str(output / "adapter"))
            merged = loaded.merge_and_unload()  # pyright: ignore[reportCallIssue]
        save_policy(merged, tokenizer, output / "policy")


def in_float32(model: PreTrainedModel) -> PreTrainedModel:
    """The model, its trainable parameters float32; frozen ones keep their type."""
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """What transformers and peft have to settle between them is not for our users."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
        yield


def _forget_places(path: Path) -> None:
    """A base that was loaded from a folder is named by no path of this machine: who loads the adapter gives it."""
    config = json.loads(path.read_text(encoding="utf-8"))
    name = config.get("base_model_name_or_path") or ""
    if Path(name).exists():
        config["base_model_name_or_path"] = None
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
