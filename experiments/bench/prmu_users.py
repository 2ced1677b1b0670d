"""What it costs PRMU to ask many people about an answer, and to read one question for several answers.

    python experiments/bench/prmu_users.py

Prints a JSON line per case. Each has two ways of doing the same work, timed in turns on the same texts; `ratio` is the
slow way's seconds over the fast way's, per turn: the median, the least and the most. Texts are made up; answers are new
in every turn, so that nothing is remembered that a real run would not remember. Cases:

- one_answer/cold: one answer for all users together, against a call per user; histories are read in both.
- one_answer/warm: the same with histories remembered from earlier calls, as in RL; a call per user reads the answer.
- per_pair/cold, per_pair/warm: users x answers, bilinear against history_text; per_pair is microseconds per user and
  answer. What history_text reads is never the same twice, so that it remembers nothing.
- shared_context: forward and backward of chosen and rejected, the question read once for both (two_part attention)
  against each side with its own copy.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

import hydra
import torch
import transformers

from tagpr.compose import composed
from tagpr.lm.attention import TWO_PART
from tagpr.lm.backbone import ShippedBackbone
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.text_encoder import FrozenEncoder, TextEncoder
from tagpr.prmu.texts import Exchange, History

Turn = Callable[[int], object]  # by the turn's number


def build(arch: str, *, max_tokens: int | None = None) -> PrmuModel:
    """An untrained PRMU with the settings of conf/."""
    cfg = composed([f"prmu/arch={arch}"])
    backbone = ShippedBackbone(dtype="float32", attention=TWO_PART)
    encoder = TextEncoder(
        backbone=backbone.policy().base_model,  # pyright: ignore[reportArgumentType]
        tokenizer=backbone.tokenizer(),
        max_tokens=max_tokens or cfg.prmu.max_tokens,
        batch_tokens=cfg.prmu.batch_tokens,
    )
    made = hydra.utils.instantiate(cfg.prmu.arch)(hidden_size=encoder.hidden_size)
    return PrmuModel(encoder=encoder, arch=made, max_entries=cfg.prmu.max_entries).eval()


class Texts:
    """Made-up words, the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def words(self, number: int) -> str:
        return " ".join("".join(self.rng.choices("abcdefghiklmnoprstuw", k=4)) for _ in range(number))

    def history(self, entries: int) -> History:
        return tuple(Exchange(f"tag : {self.words(6)}", self.words(1), age=age) for age in reversed(range(entries)))


def compare(case: str, slow: Turn, fast: Turn, *, turns: int, facts: dict[str, Any]) -> None:
    """Time both in turns after one of each to warm up, and print the line."""
    slow(-1)
    fast(-1)
    seconds: dict[str, list[float]] = {"slow": [], "fast": []}
    for turn in range(turns):
        # Who goes first changes, so that neither always finds the other's caches.
        for name, run in (("slow", slow), ("fast", fast))[:: 1 if turn % 2 else -1]:
            start = time.perf_counter()
            run(turn)
            seconds[name].append(time.perf_counter() - start)
    ratios = [a / b for a, b in zip(seconds["slow"], seconds["fast"], strict=True)]
    spread = {name: round(of(ratios), 2) for name, of in (("median", statistics.median), ("least", min), ("most", max))}
    line = {
        "bench": "prmu_users", "case": case, **facts,
        "slow_ms": round(1e3 * statistics.median(seconds["slow"]), 2),
        "fast_ms": round(1e3 * statistics.median(seconds["fast"]), 2),
        "ratio": spread,
        "turns": turns, "threads": torch.get_num_threads(), "torch": torch.__version__,
        "transformers": transformers.__version__, "machine": platform.machine(),
    }  # fmt: skip
    if "pairs" in facts:
        line["per_pair_us"] = {
            name: round(1e6 * statistics.median(seconds[name]) / facts["pairs"], 1) for name in seconds
        }
    print(json.dumps(line), flush=True)


def one_answer(users: list[History], *, turns: int, facts: dict[str, Any]) -> None:
    model = build("bilinear")
    question = f"tag : {Texts(1).words(6)}"

    def together(turn: int, encode: FrozenEncoder | None) -> object:
        return model.score(users, [question], [Texts(turn).words(1)], encode=encode)

    def one_by_one(turn: int, encode: FrozenEncoder | None) -> object:
        # Remembering would turn the answer of the first call into everybody's: each user has one of their own.
        answers = [Texts(1000 * turn + i).words(1) for i in range(len(users))]
        return [
            model.score([user], [question], [answer], encode=encode)
            for user, answer in zip(users, answers, strict=True)
        ]

    compare(
        "one_answer/cold", functools.partial(one_by_one, encode=None), functools.partial(together, encode=None),
        turns=turns, facts=facts,
    )  # fmt: skip
    one, all_of_them = (FrozenEncoder(model.encoder, capacity=100_000) for _ in range(2))
    compare(
        "one_answer/warm", functools.partial(one_by_one, encode=one), functools.partial(together, encode=all_of_them),
        turns=turns, facts=facts,
    )  # fmt: skip


def per_pair(users: list[History], *, answers: int, turns: int, facts: dict[str, Any]) -> None:
    bilinear, history_text = build("bilinear"), build("history_text")
    question = f"tag : {Texts(1).words(6)}"
    warm = FrozenEncoder(bilinear.encoder, capacity=100_000)

    def score(turn: int, *, model: PrmuModel, encode: FrozenEncoder | None) -> object:
        texts = Texts(turn)
        return model.score(users, [question] * answers, [texts.words(1) for _ in range(answers)], encode=encode)

    facts = facts | {"answers": answers, "pairs": len(users) * answers, "slow": "history_text", "fast": "bilinear"}
    for case, encode in (("per_pair/cold", None), ("per_pair/warm", warm)):
        compare(
            case, functools.partial(score, model=history_text, encode=None),
            functools.partial(score, model=bilinear, encode=encode), turns=turns, facts=facts,
        )  # fmt: skip


def shared_context(*, context_tokens: int, answer_words: int, turns: int) -> None:
    model = build("bilinear", max_tokens=2 * context_tokens)
    encoder = model.encoder
    tokenizer = encoder.tokenizer

    def texts(turn: int) -> list[Exchange]:
        made = Texts(turn)
        pairs = []
        for _ in range(8):
            ids = tokenizer(made.words(context_tokens), add_special_tokens=False)["input_ids"][:context_tokens]
            pairs += [Exchange(str(tokenizer.decode(ids)), made.words(answer_words)) for _ in range(2)]
        return pairs

    def step(turn: int, *, attention: str) -> None:
        encoder.backbone.set_attn_implementation(attention)
        encoder.zero_grad()
        encoder(texts(turn)).square().mean().backward()

    facts = {"questions": 8, "answers": 2, "context_tokens": context_tokens, "answer_words": answer_words}
    compare(
        "shared_context", functools.partial(step, attention="sdpa"), functools.partial(step, attention=TWO_PART),
        turns=turns, facts=facts,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=64)
    parser.add_argument("--entries", type=int, default=16, help="of a user's history (default: %(default)s)")
    parser.add_argument("--answers", type=int, default=8, help="to one question, per_pair (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="timed, after one to warm up (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    users = [Texts(10_000 + u).history(arguments.entries) for u in range(arguments.users)]
    facts = {"users": arguments.users, "entries": arguments.entries}
    one_answer(users, turns=arguments.turns, facts=facts)
    per_pair(users, answers=arguments.answers, turns=arguments.turns, facts=facts)
    for context_tokens, answer_words in ((20, 1), (300, 1), (300, 40)):
        shared_context(context_tokens=context_tokens, answer_words=answer_words, turns=arguments.turns)


if __name__ == "__main__":
    main()
