"""Train the tiny base from scratch.

    python -m experiments.tiny_base.train --output tagpr/lm/tiny_base --work runs/tiny_base --threads 2

First repeats of random tokens until the model looks back (attention circuits for copying form after a plateau of some
500 steps), then the drills of corpus.py in four mixes: most of what reads, more of what copies, more of what words
mean, more of what counts. Killed and started again with the same --work, it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase, Qwen3Config, Qwen3ForCausalLM

from experiments.tiny_base import corpus
from experiments.tiny_base.muon import Muon
from experiments.tiny_base.tokenizer import EOS, write_tokenizer
from tagpr.chains.tags import TAG_TOKENS

SEED = 1
WARMUP_STEPS = 30
MOMENTUM = 0.95
SAVE_EVERY, PROBE_EVERY = 200, 250


@dataclass(frozen=True)
class Phase:
    """Steps [start, end) with learning rates that fall linearly from `high` to `low` times the peak."""

    name: str
    start: int
    end: int
    tokens: int  # per step, padding included
    high: float
    low: float
    repeats: float  # share of steps that hold repeats, not drills
    mix: int  # of corpus.DRILLS


PHASES = (
    Phase("repeats", 0, 900, 768, 1.0, 1.0, 1.0, 0),
    Phase("reading", 900, 2_600, 3_072, 0.7, 0.22, 0.1, 0),
    Phase("copying", 2_600, 3_000, 3_072, 0.45, 0.31, 0.2, 1),
    Phase("words", 3_000, 4_400, 3_072, 0.45, 0.02, 0.1, 2),
    Phase("counting", 4_400, 5_800, 3_072, 0.3, 0.02, 0.05, 3),
)
NARROW = 64  # how many different tokens the first repeats are made of; the number doubles in the drills
DOUBLE_EVERY = 200
PEAK_MUON, PEAK_ADAMW = 0.02, 0.01


def new_model(tokenizer: PreTrainedTokenizerBase) -> Qwen3ForCausalLM:
    torch.manual_seed(SEED)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=32,
        intermediate_size=384,
        tie_word_embeddings=True,
        max_position_embeddings=2_048,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=None,  # a padding_idx would zero the row of <|endoftext|> and block its gradient
    )
    return Qwen3ForCausalLM(config).float()


def repeats(rng: torch.Generator, symbols: Tensor, tokens: int, length: int) -> tuple[Tensor, Tensor]:
    """A random sequence twice, the second time from another start: all of the second copy but its first token and the
    seam can be known."""
    rows = max(1, tokens // (2 * length))
    keys = torch.rand(rows, len(symbols), generator=rng)
    once = symbols[keys.topk(length, dim=1).indices]
    shift = torch.randint(0, length, (rows, 1), generator=rng)
    order = (torch.arange(length)[None] + shift) % length
    ids = torch.cat([once, once.gather(1, order)], dim=1)
    known = torch.zeros_like(ids, dtype=torch.bool)
    known[:, length + 1 :] = order[:, 1:] != 0
    return ids, known


def encode(tokenizer: PreTrainedTokenizerBase, examples: list[corpus.Example]) -> list[tuple[list[int], int]]:
    """Token ids of each example and where its completion begins."""
    openings = [
        tokenizer.apply_chat_template(
            [{"role": "user", "content": example.prompt}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=example.thinking,
        )
        for example in examples
    ]
    prompts = tokenizer(openings, add_special_tokens=False).input_ids
    completions = tokenizer([example.completion + EOS for example in examples], add_special_tokens=False).input_ids
    return [(prompt + completion, len(prompt)) for prompt, completion in zip(prompts, completions, strict=True)]


def collate(rows: list[tuple[list[int], int]], pad: int) -> tuple[Tensor, Tensor]:
    """(B, T) ids padded on the right, and True where a token is part of a completion."""
    longest = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [pad] * (longest - len(row)) for row, _ in rows])
    position = torch.arange(longest)[None]
    begin = torch.tensor([start for _, start in rows])[:, None]
    end = torch.tensor([len(row) for row, _ in rows])[:, None]
    return ids, (position >= begin) & (position < end)


def batches(
    tokenizer: PreTrainedTokenizerBase, rng: random.Random, tokens: int, mix: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of drills of like length."""
    while True:
        rows = sorted(encode(tokenizer, [corpus.sample(rng, mix) for _ in range(256)]), key=lambda row: len(row[0]))
        pool: list[list[tuple[list[int], int]]] = [[]]
        for row in rows:
            if pool[-1] and (len(pool[-1]) + 1) * len(row[0]) > tokens:
                pool.append([])
            pool[-1].append(row)
        rng.shuffle(pool)
        for batch in pool:
            yield collate(batch, tokenizer.pad_token_id)


def predictions(model: Qwen3ForCausalLM, ids: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(N, V) logits and (N,) targets of the tokens marked in `known`; padding on the right needs no mask."""
    hidden = model.model(input_ids=ids, use_cache=False).last_hidden_state[:, :-1][known[:, 1:]]
    return hidden @ model.lm_head.weight.T, ids[:, 1:][known[:, 1:]]


@torch.no_grad()
def probe(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, num: int) -> dict[str, float]:
    """Per drill, the share of completion tokens that are the likeliest given all before them."""
    rng = random.Random(f"probe/{SEED}")
    accuracy = {}
    for drill in corpus.DRILLS:
        ids, known = collate(encode(tokenizer, [drill(rng) for _ in range(num)]), tokenizer.pad_token_id)
        logits, targets = predictions(model, ids, known)
        accuracy[drill.__name__] = (logits.argmax(-1) == targets).float().mean().item()
    return accuracy


def train(work: Path, tokenizer: PreTrainedTokenizerBase) -> tuple[Qwen3ForCausalLM, dict[str, float]]:
    model = new_model(tokenizer)
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and "embed" not in n]
    others = [p for n, p in model.named_parameters() if p.ndim < 2 or "embed" in n]
    muon = Muon(matrices, momentum=MOMENTUM)
    adamw = torch.optim.AdamW(others, lr=PEAK_ADAMW, betas=(0.9, 0.95), weight_decay=0.0)
    reserved = set(tokenizer.convert_tokens_to_ids([*TAG_TOKENS, *tokenizer.all_special_tokens]))
    symbols = torch.tensor([token for token in range(len(tokenizer)) if token not in reserved])
    symbols = symbols[torch.randperm(len(symbols), generator=torch.Generator().manual_seed(SEED))]
    step, seconds = 0, 0.0
    state = work / "state.pt"
    if state.exists():
        saved = torch.load(state, weights_only=True)
        step, seconds = saved["step"], saved["cpu_seconds"]
        model.load_state_dict(saved["model"])
        adamw.load_state_dict(saved["adamw"])
        muon.velocity = {tuple(json.loads(shape)): value for shape, value in saved["muon"].items()}
    began = time.process_time() - seconds
    for phase in PHASES:
        drills: Iterator[tuple[Tensor, Tensor]] | None = None
        while phase.start <= step < phase.end:
            if drills is None:  # a resumed run draws fresh drills
                drills = batches(tokenizer, random.Random(f"{SEED}/{step}"), phase.tokens, phase.mix)
            rng = torch.Generator().manual_seed(SEED * 1_000_003 + step)
            length = int(torch.randint(6, 17, (1,), generator=rng))
            is_drill = bool(torch.rand(1, generator=rng) >= phase.repeats)
            if is_drill:
                ids, known = next(drills)
            else:
                num_symbols = NARROW * 2 ** (max(0, step - PHASES[1].start) // DOUBLE_EVERY)
                ids, known = repeats(rng, symbols[:num_symbols], phase.tokens, length)
            logits, targets = predictions(model, ids, known)
            loss = cross_entropy(logits, targets)
            model.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            done = (step - phase.start) / (phase.end - phase.start)
            rate = (phase.high + (phase.low - phase.high) * done) * min(1.0, (step + 1) / WARMUP_STEPS)
            adamw.param_groups[0]["lr"] = PEAK_ADAMW * rate
            adamw.step()
            muon.step(lr=PEAK_MUON * rate)
            step += 1
            if step % 50 == 0:
                right = (logits.argmax(-1) == targets).float().mean()
                spent = time.process_time() - began
                text = "drills" if is_drill else "repeats"
                print(f"step {step} {text} loss {loss:.3f} right {right:.3f} {spent:.0f} CPU-s", flush=True)
            if step % PROBE_EVERY == 0 and phase.start > 0:
                print({name: round(value, 3) for name, value in probe(model, tokenizer, 48).items()}, flush=True)
            if step % SAVE_EVERY == 0 or step == phase.end:
                temporary = state.with_suffix(".tmp")
                torch.save(
                    {
                        "step": step,
                        "cpu_seconds": time.process_time() - began,
                        "model": model.state_dict(),
                        "adamw": adamw.state_dict(),
                        "muon": {json.dumps(shape): value for shape, value in muon.velocity.items()},
                    },
                    temporary,
                )
                temporary.replace(state)
    return model, {"cpu_seconds": time.process_time() - began, **probe(model, tokenizer, 200)}


def write_model(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerBase, output: Path) -> str:
    """The Hugging Face folder and the weights' SHA-256, which is returned."""
    model.config.pad_token_id = tokenizer.pad_token_id
    model.generation_config = GenerationConfig(
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, do_sample=False
    )
    model.save_pretrained(output)
    digest = hashlib.sha256((output / "model.safetensors").read_bytes()).hexdigest()
    (output / "SHA256").write_text(f"{digest}  model.safetensors\n")
    return digest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the Hugging Face files")
    parser.add_argument("--work", type=Path, required=True, help="folder of the training state; survives a kill")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    for folder in (arguments.output, arguments.work):
        folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(arguments.work / "tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(arguments.work / "tokenizer")
    model, figures = train(arguments.work, tokenizer)
    write_tokenizer(arguments.output)
    digest = write_model(model, tokenizer, arguments.output)
    print(json.dumps({"sha256": digest, **{name: round(value, 3) for name, value in figures.items()}}, indent=2))


if __name__ == "__main__":
    main()
