"""A run and an RL stage as the pipeline leaves them, with completions written by hand."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tagpr import storage
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, TagVocabulary, parse, render_chain
from tagpr.data.prompts import CompactStyle, PromptBuilder
from tagpr.data.simulated.command import compose_source
from tagpr.data.simulated.reasoning import reference_chain
from tagpr.evaluation.predict import read_completion
from tagpr.evaluation.shown import ShownHistory, shown_history
from tagpr.lm.backbone import load_tokenizer, tiny_base_path
from tagpr.lm.generation.base import Completion
from tagpr.types import Prompt, Record, Reference, Rollout

STYLE = {"thinking": True, "query_tokens": 96, "history_tokens": 320, "entry_tokens": 48, "order": "time"}
TAG_SCORE = {"_target_": "tagpr.rl.rewards.tag_score.TagScore", "min_words": 3, "max_words": 180, "probed": 0}
REWARD = {"terms": {"tag": {"weight": 0.5, "score": TAG_SCORE}}}
NINE = tuple(TAGS)


class Reader(HTMLParser):
    """Texts, element names, ids and links of a page; fails where elements are not closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names, self.ids, self.links, self.loads, self.texts, self.open = [], [], [], [], [], []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.loads += [given["src"]] if "src" in given else []
        if tag not in ("meta", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return "".join(self.texts)


@dataclass
class Made:
    """Writes a cache with records, evaluations and RL stages, and a run beside it."""

    root: Path

    def _stage(self, name: str, fingerprint: str, **manifest) -> Path:
        folder = self.root / "cache" / name / fingerprint
        storage.write_json(folder / "manifest.json", {"stage": name, "fingerprint": fingerprint, **manifest})
        return folder

    def _policy(self, folder: Path) -> None:
        (folder / "policy").unlink(missing_ok=True)
        (folder / "policy").symlink_to(tiny_base_path(), target_is_directory=True)

    def builder(self, **style) -> PromptBuilder:
        return PromptBuilder(style=CompactStyle(**STYLE | style), tokenizer=load_tokenizer(tiny_base_path()))

    def run(
        self,
        records: Sequence[Record],
        rows: Mapping[str, Sequence[str | None]],  # name -> a completion per record; None: it was not asked
        *,
        tags: Sequence[str] = NINE,
        styles: Mapping[str, Mapping[str, object]] | None = None,
        entries: Mapping[str, int] | None = None,
    ) -> Path:
        """Rows named `base...` are the untrained backbone's."""
        storage.write_records(self._stage("records", "r0"), records)
        for name in ("sft", "rl_guided"):
            self._policy(self._stage(name, f"{name}0", inputs={}, config={}))
        described = {}
        for name, completions in rows.items():
            style = {**STYLE, **(styles or {}).get(name, {})}
            most = (entries or {}).get(name)
            self._evaluation(name, records, completions, tags=tags, style=style, entries=most)
            path = [["records", "r0"], ["sft", "sft0"], *([["rl_guided", "rl_guided0"]] if name != "sft" else [])]
            described[name] = {
                "policy": "backbone" if name.startswith("base") else name,
                "policy_stages": [] if name.startswith("base") else path,
                "evaluations": {"greedy": f"../../../cache/evaluate/{name}"},
            }
        folder = self.root / "demo" / "full" / "seed_0-0"
        run = {"experiment": "demo", "run_name": "full", "seed": 0, "rows": described}
        storage.write_json(folder / "run.json", run)
        storage.write_json(folder / "config.yaml", {"seed": 0, "reward": REWARD})  # JSON is YAML
        return folder

    def _evaluation(self, name, records, completions, *, tags, style, entries) -> None:
        prompt = {"_target_": "tagpr.data.prompts.CompactStyle", **style}
        evaluation = {"splits": ["test"], "max_records": None, "entries": entries}
        config = {"prompt": prompt, "tags": {"names": list(tags)}, "backbone": {}, "evaluation": evaluation}
        folder = self._stage("evaluate", name, inputs={"records": "r0"}, config=config)
        builder, vocabulary = self.builder(**style), TagVocabulary(names=tags)
        prompts, predictions = [], []
        for record, text in zip(records, completions, strict=True):
            if text is not None:
                asked = record if entries is None else replace(record, retrieved=record.retrieved[:entries])
                prompts.append(builder.build(asked))
                one = Completion(token_ids=(), logprobs=(), text=text, truncated=False)
                predictions.append(
                    read_completion(prompts[-1], one, tags=vocabulary, decoding="greedy", sample_index=0)
                )
        beside = [
            Reference(record_id=one.record_id, user_id=one.user_id, task=one.task, name="profile_mode",
                      answer="the usual", gold=one.gold, score=0.0)
            for one in predictions
        ]  # fmt: skip
        storage.write_predictions(folder / "predictions.parquet", predictions)
        storage.write_references(folder / "references.parquet", beside)
        storage.write_parquet(folder / "shown.parquet", [shown_history(one) for one in prompts], ShownHistory)
        storage.write_json(folder / "scores.json", {"num_samples": 1, "tasks": {}})

    def rl_stage(self, records: Sequence[Record], windows: Sequence[Sequence[Rollout]]) -> Path:
        """A finished stage; a window is one step's rollouts."""
        trained = [replace(record, split="train", purpose="rl") for record in records]
        storage.write_records(self._stage("records", "r1"), trained)
        prompt = {"_target_": "tagpr.data.prompts.CompactStyle", **STYLE}
        config = {"prompt": prompt, "tags": {"names": list(NINE)}, "reward": REWARD, "advantage": {}, "rl": {}}
        folder = self._stage("rl_guided", "g0", inputs={"records": "r1"}, config=config)
        self._policy(folder)
        for step, window in enumerate(windows):
            storage.write_rollouts(folder / "rollouts" / f"step_{step:06d}.parquet", window)
        return folder


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(root=tmp_path / "runs")


@pytest.fixture(scope="session")
def world() -> list[Record]:
    """Questions of simulated test people, S2, whose golds are no slips; one of each of eight people."""
    records = compose_source(["data.size=smoke"]).draw(seed=0, advance=lambda people: None)
    fit = [
        replace(one, retrieved=tuple(range(len(one.profile))))
        for one in records
        if one.split == "test" and one.task == "S2" and one.truth and one.gold == one.truth["preferred"]
    ]
    return list({one.user_id: one for one in fit}.values())[:8]


def true_chain(record: Record) -> str:
    """What somebody who knows the person would write."""
    chain = reference_chain(record, list(enumerate(record.profile)), examples=4)
    prompt = Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
    return render_chain(chain.steps, RulesTagger().tag(prompt, chain.steps), chain.answer)


def with_answer(completion: str, answer: str) -> str:
    return completion.rpartition("</think>")[0] + "</think>" + answer


def with_rule(completion: str, rule: str) -> str:
    """The chain with another inferred rule."""
    (span,) = (one for one in parse(completion, TagVocabulary(names=NINE), True).spans if one.tag == "infer_preference")
    return completion[: span.start] + f"user : {rule}" + completion[span.end :]


WEIGHTS = {"task": 1.0, "tag": 0.5}


def rollout(index, *, task=1.0, tag=1.0, gate=1.0, reward=None, **fields):
    """Paid task + tag / 2 where the gate is open."""
    return Rollout(
        **{
            "record_id": "q", "user_id": "u", "task": "S2", "stage": "rl_guided", "step": 0, "sample_index": index,
            "completion": "", "answer": "", "num_tokens": 7, "truncated": False, "weights": WEIGHTS, "advantage": 0.0,
            "reward_terms": {"task": task, "tag": tag, "g_answer": gate},
            "reward": gate * (task + 0.5 * tag) if reward is None else reward,
        } | fields
    )  # fmt: skip
