"""An offline teacher for the simulated world: it reads the prompt with the world's lexicon and writes short chains.

Evidence is written before every decision that rests on it: a small model cannot compare what it has not written. The
teacher is imperfect on purpose: it misreads, and it has a habit of answering for the typical person.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import final

from tagpr.chains.teachers.base import RawChain, Teacher
from tagpr.data.simulated.grammar import Title, read_keywords, read_kind, read_meanings, read_title
from tagpr.data.simulated.lexicon import ENDINGS, JOINERS, KINDS, OPENERS
from tagpr.data.simulated.people import RULE_PARTS, TYPICAL
from tagpr.errors import BadInputError
from tagpr.markup import entry_marker
from tagpr.types import Prompt

TITLE_PARTS = (OPENERS, JOINERS, ENDINGS)


@final
class ScriptedWorldTeacher(Teacher):
    """Sees the shown history and the query, never gold, truth or entries that are not shown.

    The habit is systematic, so that a policy can learn it: it belongs to kinds of venue or study (a decoy that nobody's
    rule uses). About a habitual kind the teacher cites entries, calls them varied whatever they say, and decides for
    the typical person. An honest chain does the same only where the entries really disagree.

    Args:
        examples: entries cited.
        error_rate: chance that an entry is misread, that the inferred preference is another, that the answer is.
        habit: share of chains that are habitual, kinds being equally frequent.
        habit_consistency: share of habitual chains among those about a habitual kind; >= habit.
    """

    name = "scripted_world"

    def __init__(self, *, examples: int, error_rate: float, habit: float, habit_consistency: float) -> None:
        if not 0 <= habit <= habit_consistency <= 1:
            raise BadInputError(
                f"teacher.habit is {habit} and teacher.habit_consistency {habit_consistency}, expected "
                "0 <= habit <= habit_consistency <= 1."
            )
        self.examples = examples
        self.error_rate = error_rate
        self.habit = habit
        self.habit_consistency = habit_consistency

    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        task = prompt.record.task
        if task not in RULE_PARTS:
            raise BadInputError(
                f"teacher=scripted_world reads the simulated tasks {', '.join(RULE_PARTS)}, not {task}. "
                "Choose another teacher for this data."
            )
        chains = []
        for index in range(num_samples):
            rng = random.Random(f"{seed}/{prompt.record.record_id}/{index}")
            habitual = rng.random() < self.habit_of(task, prompt.record.query)
            write = self._title if task == "S5" else self._label
            steps, answer = write(prompt, habitual, rng)
            chains.append(RawChain(steps=tuple(steps), answer=answer, habitual=habitual))
        return chains

    def habit_of(self, task: str, query: str) -> float:
        """Chance of a habitual chain about this query: the lexicon's first kinds are habitual, as many as it takes."""
        kinds, kind = KINDS[task], read_kind(task, query)
        if self.habit == 0 or not kind:
            return self.habit
        num_habitual = len(kinds) * self.habit / self.habit_consistency
        return self.habit_consistency * min(1.0, max(0.0, num_habitual - kinds.index(kind)))

    # --- S2 and S3: which of three aspects decides -----------------------------------------------------------------

    def _label(self, prompt: Prompt, habitual: bool, rng: random.Random) -> tuple[list[str], str]:
        task = prompt.record.task
        ((part, aspects),) = RULE_PARTS[task].items()
        shown = {number: read_meanings(task, entry.input) for number, entry in enumerate(prompt.history, start=1)}
        deciding = {
            number: [aspect for aspect in aspects if aspect in meanings and meanings[aspect][1] == entry.response]
            for (number, meanings), entry in zip(shown.items(), prompt.history, strict=True)
        }
        read: dict[int, str] = {}  # entry number -> the aspect that it is read to be decided by
        words: dict[int, str] = {}  # entry number -> that aspect's word in it
        steps: list[str] = []
        for number in self._choose([number for number, found in deciding.items() if found], rng):
            read[number] = self._misread(deciding[number][0], tuple(shown[number]), rng)
            words[number], label = shown[number][read[number]]
            steps.append(f"{entry_marker(number)} {label} from {words[number]} by {read[number]}")
        aspect, support = _majority(list(read.values()), aspects)
        varied = habitual or not (support >= 2 or len(read) == 1)
        if read:
            cited = [number for number in read if varied or read[number] == aspect][:2]
            evidence = " ".join(f"{entry_marker(number)} {words[number]}" for number in cited)
            steps.append(f"pattern : {evidence} {'vary' if varied else f'by {aspect}'}")
        if varied:
            aspect = TYPICAL[task][part]
            steps.append(f"typical : {aspect}")
        facts = read_meanings(task, prompt.record.query)
        aspect = self._misread(aspect, aspects, rng)
        word, label = facts[aspect]
        steps += [f"user : {aspect}", f"query : {word} by {aspect}"]
        answer = self._misread(label, tuple(other for _, other in facts.values()), rng)
        return [*steps, f"so : {answer}"], answer

    # --- S5: opener, joiner and ending -------------------------------------------------------------------------------

    def _title(self, prompt: Prompt, habitual: bool, rng: random.Random) -> tuple[list[str], str]:
        titles = {number: read_title(entry.response) for number, entry in enumerate(prompt.history, start=1)}
        readable = {number: title for number, title in titles.items() if title is not None}
        read: dict[int, Title] = {}
        steps: list[str] = []
        for number in self._choose(list(readable), rng):
            read[number] = self._misread_title(readable[number], rng)
            keywords = read_keywords(prompt.history[number - 1].response)
            steps.append(f"{entry_marker(number)} {read[number].write(keywords)}")
        if habitual or not read:
            title = Title(**TYPICAL["S5"])
            if read:
                evidence = " ".join(f"{entry_marker(number)} {read[number].opener}" for number in list(read)[:2])
                steps.append(f"pattern : {evidence} vary")
            steps.append(f"typical : {_manner(title)}")
        else:
            columns = zip(*read.values(), strict=True)
            title = Title(*(_majority(column, values)[0] for column, values in zip(columns, TITLE_PARTS, strict=True)))
            nearest = sorted(read, key=lambda number: -_agreement(read[number], title))[:2]
            evidence = " ".join(entry_marker(number) for number in sorted(nearest))
            steps.append(f"pattern : {evidence} {_manner(title)}")
        title = self._misread_title(title, rng)
        steps.append(f"user : {_manner(title)}")
        title = self._misread_title(title, rng)
        answer = title.write(read_keywords(prompt.record.query))
        return [*steps, f"so : {answer}", f"check : {_manner(title)}"], answer

    # --- imperfection ------------------------------------------------------------------------------------------------

    def _choose(self, numbers: Sequence[int], rng: random.Random) -> list[int]:
        return sorted(rng.sample(numbers, min(self.examples, len(numbers))))

    def _misread(self, value: str, values: Sequence[str], rng: random.Random) -> str:
        """The value, or with chance `error_rate` another of the values."""
        others = [other for other in values if other != value]
        return rng.choice(others) if others and rng.random() < self.error_rate else value

    def _misread_title(self, title: Title, rng: random.Random) -> Title:
        """The title's parts, or with chance `error_rate` one of them wrong."""
        if rng.random() >= self.error_rate:
            return title
        parts = list(title)
        wrong = rng.randrange(len(parts))
        parts[wrong] = rng.choice([value for value in TITLE_PARTS[wrong] if value != parts[wrong]])
        return Title(*parts)


def _majority(seen: Sequence[str], values: Sequence[str]) -> tuple[str, int]:
    """The value seen most often and how often; of equals the one that `values` names first, as more typical."""
    counts = Counter(seen)
    best = max(values, key=lambda value: (counts[value], -values.index(value)))
    return best, counts[best]


def _manner(title: Title) -> str:
    """A title without its keywords; the ending stands as it does in a title, so that it is the same token."""
    return f"{title.opener} {title.joiner}{title.ending}"


def _agreement(one: Title, other: Title) -> int:
    return sum(part == wanted for part, wanted in zip(one, other, strict=True))
