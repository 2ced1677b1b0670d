"""The card beside a saved PRMU: what it is for, what it was made of, and what it must not be used for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from tagpr.types import PreferencePair, Record

# Said wherever a person meets a user vector.
PROFILING = (
    "A user vector describes a person: from it one can guess what they like, and what else goes with it. Use it for "
    "people who agreed to that, keep it no longer than needed, and never to sort people."
)
# What a model says of its training data where whoever saved it did not.
NOT_STATED = "Not stated by whoever saved it."

_WHAT = {
    "agnostic": "It reads no history: a control that judges an answer for nobody in particular.",
    "basis": "A person is a mixture, read from their history, of a few learned tastes.",
    "bilinear": "A person is a vector, pooled from their encoded history, that the encoded answer is compared with.",
    "history_text": "It reads the history as text before the question and the answer; there is no user vector.",
    "similarity": "It compares the answer with the person's past responses; it was not trained.",
}


def model_card(*, arch: str, trained_on: str, temperature: float, max_entries: int) -> str:
    """README.md of the folder."""
    return f"""---
library_name: tagpr
tags: [reward-model, personalization, preference]
---
# A personal reward model (PRMU, `{arch}`)

R(u, x, y): how well answer y to question x suits person u, who is known by earlier questions and answers of theirs (the
latest {max_entries} are read). {_WHAT[arch]}

R has no unit and no zero: only differences between answers to one question count, and
sigma((R(u, x, y) - R(u, x, y')) / {temperature:.4g}) is the probability that the person prefers y. That temperature was
fitted on people whom the model was not trained on; how well it holds for yours is not known.

## Load
```python
from tagpr.prmu.model import PrmuModel
from tagpr.prmu.texts import Exchange

model = PrmuModel.from_pretrained("path/to/this/folder")
history = (Exchange("tag : a calm hall", "quiet"),)  # oldest first: cue and input, and what the person answered
rewards = model.score([history], ["tag : a pier", "tag : a pier"], ["quiet", "grand"])  # (people, answers)
```
`config.json`, `model.safetensors` and the tokenizer's files are the backbone as `transformers.AutoModel` reads it;
`prmu.json` and `prmu.safetensors` are what this model adds. Loading runs no code from the folder.

## Training data
{trained_on}

## Intended use
Research on personalised language models: a reward in reinforcement learning, the choice among several answers,
measuring how personal an answer is. It knows the kinds of questions it was trained on and no others.

## Out of scope, and risks
- **Profiling.** A history, and every vector or score made of it, is personal data; a vector may give away traits that
  the person never stated. Do not use it to infer traits, to identify people, to rank them, or to decide about their
  work, credit, housing, health, insurance or rights; nor on people who have not agreed to it. Vectors are to be deleted
  with the history that they were made of.
- **Persuasion.** What a person likes to read is not what is true, nor what is good for them. A policy trained on it may
  flatter, and narrow what people are shown.
- **Weak knowledge.** With few entries it falls back on a generic person, whose taste is that of the people it was
  trained on. Read `gate.json` and `calibration.json` of the run that made it before you trust it.
- **Texts.** No text and no vector of a training person is stored here; weights can still reveal something of what they
  were fitted on.
"""


def trained_on(pairs: Sequence[PreferencePair], records: Sequence[Record], *, steps: int) -> str:
    """The training data in words: counts and names of tasks, no text of anybody's.

    Args:
        pairs: empty for an untrained model.
        records: of the pairs, among others.
        steps: whose weights were kept.
    """
    if not pairs:
        return "None: the backbone is the base as it was, and only the temperature was fitted."
    asked = {pair.record_id for pair in pairs}
    simulated = all(record.truth is not None for record in records if record.record_id in asked)
    types = ", ".join(f"{number} {name}" for name, number in sorted(Counter(p.negative_type for p in pairs).items()))
    return (
        f"{len(pairs)} preference pairs ({types}) of {len({pair.user_id for pair in pairs})} "
        f"{'simulated people, who exist nowhere' if simulated else 'people'}, on {len(asked)} questions of "
        f"{', '.join(sorted({pair.task for pair in pairs}))}; {steps} optimizer steps from the base language model."
    )
