"""What one room hands to the next: plain, frozen objects without torch.

The path: Record -> Prompt -> TaggedChain -> PreferencePair -> Rollout -> Prediction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SPLITS = ("train", "dev", "test")
PURPOSES = ("sft", "pairs", "rl", "dev", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfileEntry:
    """One thing the user did before: what was in front of them and what they answered. Filled by a task's `entry`."""

    entry_id: str
    input: str  # the text answered to: description, review, article, abstract; "" where there is none (tweets)
    response: str  # the user's own side: tag, category, score, headline, title, tweet
    title: str = ""  # heading of the input where the data has one beside the response (news articles)
    date: str = ""  # as in the data; "" where entries carry none


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One LaMP item: a question of a user, the true answer and all the user's earlier entries. Filled by the records
    stage."""

    record_id: str  # the data's question id, unique within a task
    user_id: str  # the data's key of the person, the first of several; a profile-overlap group where it names nobody
    task: str  # a Task.name: LaMP_1 .. LaMP_7, S1 .. S7
    split: str  # of the person: one of SPLITS
    purpose: str  # what this question may be used for: one of PURPOSES; train people's are sft, pairs or rl
    question: str  # the official input text, instruction included
    query: str  # the question without its instruction
    gold: str | None  # the user's true answer; None where the data withholds it
    profile: tuple[ProfileEntry, ...]  # oldest first where the order is known
    retrieved: tuple[int, ...]  # positions in profile that the retriever chose, best first
    truth: Mapping[str, Any] | None = None  # simulated people only: rule, item attributes; JSON types


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What a model reads: a record with the entries that were retrieved and fit the token budget. Filled by
    PromptBuilder."""

    record: Record
    text: str  # the user message, before the chat template
    history: tuple[ProfileEntry, ...]  # entry number k of the text is history[k - 1]
    thinking: bool  # whether the model is asked to think before it answers
    num_cut: int  # retrieved entries whose text was shortened to fit
    num_dropped: int  # retrieved entries that did not fit at all


@dataclass(frozen=True, kw_only=True, slots=True)
class TaggedChain:
    """A reasoning chain with its answer, as the policy is taught to write it. Filled by the chains stage."""

    record_id: str
    task: str
    sample_index: int  # which of the teacher's samples for this record
    completion: str  # "<think>...</think>answer"; the bare answer where thinking is off
    answer: str
    score: float  # the task's reward of the answer against gold, in [0, 1]
    teacher: str
    habitual: bool  # the teacher ignored the history on purpose (its generic habit)
    rejected: str = ""  # reason of rejection; "" where the chain is kept


@dataclass(frozen=True, kw_only=True, slots=True)
class PreferencePair:
    """Two answers to one question of one user, the first preferred by that user. Filled by the pairs stage."""

    record_id: str
    user_id: str
    task: str
    query: str
    chosen: str
    rejected: str
    negative_type: str  # N1, N1_label, N2 .. N6: tagpr.prmu.pairs says what each is
    other_record_id: str = ""  # N1, N2: the other user's record, for whom `rejected` is the preferred side
    split: str = "train"  # train or dev


@dataclass(frozen=True, kw_only=True, slots=True)
class Rollout:
    """One sampled completion with its rewards. Filled by the RL module; what rollouts/*.parquet holds."""

    record_id: str
    user_id: str
    task: str
    stage: str
    step: int  # optimizer steps done when it was sampled
    sample_index: int
    completion: str
    answer: str
    num_tokens: int
    truncated: bool
    reward_terms: Mapping[str, float]  # raw, before weights and gates
    weights: Mapping[str, float]
    reward: float  # the gated sum, penalties included
    advantage: float  # mean over its tokens where they are credited apart
    process: Sequence[Mapping[str, Any]] | None = None  # tag, first, end, reward of each judged span; None: none judged


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """A policy's answer to one test question. Filled by the evaluate stage."""

    record_id: str
    user_id: str
    task: str
    decoding: str  # greedy or sample
    sample_index: int
    completion: str
    answer: str  # strict: what stands outside the thinking block
    parsed: bool  # the strict answer is one that the task knows
    lenient_answer: str  # of the one extractor that all rows share
    gold: str | None
    score: float  # the task's reward of the strict answer; NaN without gold
    lenient_score: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """What something simpler than a policy, or something that knows more, answers to a test question. Filled by
    evaluate."""

    record_id: str
    user_id: str
    task: str
    name: str  # one of tagpr.evaluation.references.NAMES
    answer: str
    gold: str | None
    score: float  # NaN without gold
