"""Writes a LaMP-3-shaped root of a wanted size: reviews in made-up words, profile lengths and ratings as measured.

    python experiments/lamp_scale/make_lamp_3.py --megabytes 400 --root FOLDER

Measured on LaMP's user-based dev file (2,500 questions, 401 MB): 99 to 1,023 profile entries, 190.6 in the mean, about
840 bytes each; 59 % of the golds are 5. Nobody wrote these texts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from tagpr.tasks import ALL_TASKS

FEWEST, MEAN, MOST = 99, 190.6, 1023  # entries of a profile
WORDS_PER_REVIEW = 118  # about 800 characters
RATING_SHARES = (0.0404, 0.0404, 0.084, 0.244, 0.5912)
VOCABULARY = 50_000
SYLLABLES = ("ba", "re", "mi", "so", "tu", "lan", "ver", "kin", "dor", "pel", "ash", "on", "el", "ta", "ri", "mo")


def vocabulary() -> np.ndarray:
    """Distinct words, the short ones first: they are the common ones."""
    base = len(SYLLABLES)
    words = []
    for number in range(base, base + VOCABULARY):
        syllables = []
        while number:
            number, last = divmod(number, base)
            syllables.append(SYLLABLES[last])
        words.append("".join(syllables))
    return np.array(words, dtype=object)


def write(root: Path, *, megabytes: float, seed: int) -> int:
    """Questions until the file has its size; returns how many."""
    rng = np.random.default_rng(seed)
    words = vocabulary()
    frequencies = np.cumsum(1.0 / np.arange(1, VOCABULARY + 1))
    frequencies /= frequencies[-1]
    task = ALL_TASKS["LaMP_3"]

    def reviews(count: int) -> list[str]:
        lengths = np.maximum(rng.gamma(2.0, WORDS_PER_REVIEW / 2.0, size=count).astype(int), 5)
        drawn = words[np.searchsorted(frequencies, rng.random(int(lengths.sum())))]
        ends = np.cumsum(lengths)
        return [" ".join(drawn[end - length : end]) for end, length in zip(ends, lengths, strict=True)]

    folder = root / "LaMP_3" / "dev"
    folder.mkdir(parents=True, exist_ok=True)
    golds, size = [], 0
    with (folder / "dev_questions.json").open("w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            record_id = f"21{len(golds)}"
            num_entries = min(MOST, FEWEST + int(rng.exponential(MEAN - FEWEST)))
            asked, *texts = reviews(num_entries + 1)
            scores = rng.choice(["1", "2", "3", "4", "5"], size=num_entries + 1, p=RATING_SHARES)
            question = {
                "id": record_id,
                "input": task.write_question(asked),
                "profile": [
                    {"id": f"{record_id}{i}", "text": text, "score": str(score)}
                    for i, (text, score) in enumerate(zip(texts, scores[1:], strict=True))
                ],
            }
            size += file.write(("[" if not golds else ", ") + json.dumps(question))
            golds.append({"id": record_id, "output": str(scores[0])})
        file.write("]")
    (folder / "dev_outputs.json").write_text(json.dumps({"task": "LaMP_3", "golds": golds}), encoding="utf-8")
    return len(golds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--megabytes", type=float, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(f"{write(arguments.root, megabytes=arguments.megabytes, seed=arguments.seed):,} questions")
