"""A teacher without a model, for any LaMP-form text: it compares the query with the shown entries, word by word.

Every comparison is written into the chain before the conclusion that needs it: a small policy that is shown a
conclusion first stays at chance. The teacher is imperfect on purpose, in two ways that are dials.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from statistics import mean
from typing import final

from tagpr.chains.overlap import content_words, words
from tagpr.chains.teachers.base import RawChain, Teacher
from tagpr.errors import UserError
from tagpr.markup import ARROW, entry_marker, escape
from tagpr.tasks import task_named
from tagpr.tasks.base import Task
from tagpr.types import Prompt

QUOTED_WORDS = 3  # of an entry or a query, enough to tell it from the others
TITLE_WORDS = 8  # of an entry's response, below any bound on verbatim paste
_REFERENCES = re.compile(r'\[1\]:\s*"(?P<first>.*)"\s*\[2\]:\s*"(?P<second>.*)"', re.DOTALL)
_ENDING = re.compile(r"[^\w\s)\]\"'”’]+$")


@final
class ScriptedTeacher(Teacher):
    """Answers as the most similar entries were answered.

    Args:
        habit: share of chains, in [0, 1], that ignore the history and answer as one would for anybody.
        error_rate: chance, in [0, 1], that an entry is misread or a decision slips.
        examples: entries examined per chain, the most similar first.
        typical_rating: what the habit gives where a rating is asked, "1" .. "5".
    """

    name = "scripted"

    def __init__(self, *, habit: float, error_rate: float, examples: int, typical_rating: str) -> None:
        if not (0 <= habit <= 1 and 0 <= error_rate <= 1 and examples >= 1):
            raise UserError(
                f"teacher.habit={habit}, teacher.error_rate={error_rate}, teacher.examples={examples}: the first two "
                "are shares in [0, 1], the last is at least 1."
            )
        self.habit = habit
        self.error_rate = error_rate
        self.examples = examples
        self.typical_rating = typical_rating

    def chains(self, prompt: Prompt, *, num_samples: int, seed: int) -> list[RawChain]:
        task = task_named(prompt.record.task)
        return [
            # A stream of its own per sample: a chain does not depend on how many others are asked for.
            self._chain(prompt, task, random.Random(f"{seed}/{prompt.record.record_id}/{index}"))
            for index in range(num_samples)
        ]

    def _chain(self, prompt: Prompt, task: Task, rng: random.Random) -> RawChain:
        query = escape(prompt.record.query)
        habitual = rng.random() < self.habit
        references = _REFERENCES.search(query) if task.labels == ("[1]", "[2]") else None
        if references:
            steps, answer = self._citation(prompt, query, (references["first"], references["second"]), habitual, rng)
        elif task.kind == "text":
            steps, answer = self._text(prompt, query, habitual, rng)
        else:
            steps, answer = self._vote(prompt, task, query, habitual, rng)
        return RawChain(steps=tuple(steps), answer=answer, habitual=habitual)

    # --- labels and ratings: what did the most similar entries get? ---------------------------------------------------

    def _vote(
        self, prompt: Prompt, task: Task, query: str, habitual: bool, rng: random.Random
    ) -> tuple[list[str], str]:
        form = "a score from 1 to 5" if task.kind == "rating" else f"one of {len(task.labels)} labels"
        query_step = f"query : {_quote(query, query)}"
        votes = self._read(prompt, task, query, rng)
        typical = self.typical_rating if task.kind == "rating" else _label_by_name(query, task.labels)
        if habitual or not votes:
            return [f"task : {form}", query_step, f"typical : {typical}", f"so : {typical}"], typical
        counts = Counter(response for _, response in votes)
        nearest = votes[0][1]
        most = max(counts, key=lambda response: (counts[response], response == nearest))
        answer = most
        user = f"user : {most} {counts[most]} of {len(votes)}"
        if task.kind == "rating":
            average = mean(float(response) for _, response in votes)
            user += f" , mean {average:.1f}"
            if counts[most] * 2 <= len(votes):
                answer = min(task.labels, key=lambda label: abs(float(label) - average))
        answer = self._slip(answer, task, rng)
        steps = [f"task : {form}"]
        steps += [
            f"{entry_marker(number)} {_quote(_shown(prompt, task, number), query)} {ARROW} {response}"
            for number, response in votes
        ]
        groups = [
            "".join(f"{entry_marker(number)} " for number, said in votes if said == response) + response
            for response in counts
        ]
        steps += [f"pattern : {' , '.join(groups)}", user]
        if typical != most:
            steps.append(f"typical : {typical} , not {most}")
        others = [number for number, response in votes if response != most]
        if others:
            steps.append(f"but : {entry_marker(others[0])} {dict(votes)[others[0]]} , {len(others)} of {len(votes)}")
        steps += [query_step, f"so : {entry_marker(votes[0][0])} {nearest} is near , {most} leads {ARROW} {answer}"]
        return steps, answer

    def _read(self, prompt: Prompt, task: Task, query: str, rng: random.Random) -> list[tuple[int, str]]:
        """(entry number, response as read) of the most similar entries, best first."""
        numbers = [n for n, entry in enumerate(prompt.history, start=1) if task.is_valid(entry.response)]
        ranked = _rank(numbers, lambda number: _overlap(_shown(prompt, task, number), query), rng)
        return [
            (number, self._slip(prompt.history[number - 1].response, task, rng)) for number in ranked[: self.examples]
        ]

    def _slip(self, response: str, task: Task, rng: random.Random) -> str:
        """The response, or with chance `error_rate` another: a neighbour on the scale, any other label."""
        if rng.random() >= self.error_rate:
            return response
        if task.kind != "rating":
            return rng.choice([label for label in task.labels if label != response])
        return rng.choice([label for label in task.labels if abs(float(label) - float(response)) == 1])

    # --- citations: which reference shares more with the author's titles? ---------------------------------------------

    def _citation(
        self, prompt: Prompt, query: str, references: tuple[str, str], habitual: bool, rng: random.Random
    ) -> tuple[list[str], str]:
        names = ("[1]", "[2]")
        title = query[: query.index("[1]:")]
        query_step = f"query : {_quote(title, title)} , " + " , ".join(
            f"{name} {_quote(text, text)}" for name, text in zip(names, references, strict=True)
        )
        if habitual or not prompt.history:
            shared = [len(content_words(title) & content_words(text)) for text in references]
            typical = names[shared[1] > shared[0]]
            counted = f"typical : {names[0]} {shared[0]} , {names[1]} {shared[1]} words of the title"
            return ["task : one of two references", query_step, counted, f"so : {typical}"], typical
        titles = {number: escape(entry.response) for number, entry in enumerate(prompt.history, start=1)}
        both = " ".join(references)
        chosen = _rank(list(titles), lambda number: _overlap(titles[number], both), rng)[: self.examples]
        found: dict[str, dict[int, list[str]]] = {name: {} for name in names}
        for name, text in zip(names, references, strict=True):
            for number in chosen:
                shared_words = _in_order(titles[number], content_words(titles[number]) & content_words(text))
                if shared_words and rng.random() >= self.error_rate:
                    found[name][number] = shared_words
        totals = [sum(len(shared_words) for shared_words in found[name].values()) for name in names]
        answer = names[totals[1] > totals[0]]
        if rng.random() < self.error_rate:
            answer = names[answer == names[0]]
        steps = ["task : one of two references"]
        steps += [f"{entry_marker(number)} {_quote(titles[number], both)}" for number in chosen]
        shares = [
            f"{name} " + " ".join(f"{entry_marker(n)} {' '.join(said)}" for n, said in found[name].items())
            if found[name]
            else f"{name} none"
            for name in names
        ]
        steps += [
            f"pattern : {' , '.join(shares)}",
            f"user : writes on {_quote(titles[chosen[0]], both)} , {names[0]} {totals[0]} , {names[1]} {totals[1]}",
            query_step,
            f"so : {totals[0]} against {totals[1]} {ARROW} {answer}",
        ]
        return steps, answer

    # --- texts: how does the user open, how long, how do they end? ----------------------------------------------------

    def _text(self, prompt: Prompt, query: str, habitual: bool, rng: random.Random) -> tuple[list[str], str]:
        said = {number: escape(entry.response) for number, entry in enumerate(prompt.history, start=1)}
        said = {number: text for number, text in said.items() if content_words(text)}
        rewrites = bool(said) and not any(entry.input for entry in prompt.history)  # tweets: the query is the content
        task_step = "task : the text in the user's words" if rewrites else "task : a short title"
        salient = [word for word, _ in Counter(_in_order(query, content_words(query), repeat=True)).most_common()]
        query_step = f"query : {' '.join(salient[:QUOTED_WORDS])}"
        if habitual or not said:
            draft = query if rewrites else " ".join(query.split()[:TITLE_WORDS])
            return [task_step, query_step, f"typical : {_head(draft)}", f"so : {draft}"], draft
        entries = {number: f"{escape(prompt.history[number - 1].input)} {text}" for number, text in said.items()}
        chosen = _rank(list(said), lambda number: _overlap(entries[number], query), rng)[: self.examples]
        opener, opening = _most([said[n].split()[0] for n in chosen])
        ending, closing = _most([_ending(said[n]) for n in chosen])
        length = round(mean(len(said[n].split()) for n in chosen))
        if rng.random() < self.error_rate:
            opening = 0
        uses_opener = opening > 1 and not rewrites
        if rewrites:
            body = query.split()
        else:
            body = [opener, *salient] if uses_opener else salient
        draft = " ".join(body[: len(body) if rewrites else max(2, length)])
        draft = _ENDING.sub("", draft) + (ending if closing * 2 > len(chosen) else "")
        steps = [task_step]
        steps += [
            f"{entry_marker(n)} {_head(said[n])} : {len(said[n].split())} words , end {_ending(said[n]) or 'bare'}"
            for n in chosen
        ]
        firsts = " ".join(f"{entry_marker(n)} {_quote(said[n], said[n], 1)}" for n in chosen)
        steps += [
            f"pattern : {firsts} , open {opener} {opening} , end {ending or 'bare'} {closing} of {len(chosen)}",
            f"user : {'opens ' + opener if uses_opener else 'opens freely'} , {length} words , end {ending or 'bare'}",
            query_step,
            f"so : {draft}",
            f"check : {len(draft.split())} of {length} words , {_quote(draft, draft, 1)} first , "
            f"end {_ending(draft) or 'bare'}",
        ]
        return steps, draft


def _shown(prompt: Prompt, task: Task, number: int) -> str:
    return escape(task.shown_input(prompt.history[number - 1]))


def _overlap(text: str, query: str) -> float:
    """Content words of the query that the text has too, less for long texts, which share words by chance."""
    there = content_words(text)
    return len(there & content_words(query)) / (5 + len(there)) ** 0.5


def _rank(numbers: Sequence[int], similarity: Callable[[int], float], rng: random.Random) -> list[int]:
    """Most similar first; a little chance, so that samples of one prompt differ where entries are nearly tied."""
    return sorted(numbers, key=lambda number: -similarity(number) - 0.05 * rng.random())


def _in_order(text: str, chosen: frozenset[str], *, repeat: bool = False) -> list[str]:
    found = [word for word in words(text) if word in chosen and word.isalnum()]
    return found if repeat else list(dict.fromkeys(found))


def _quote(text: str, query: str, num_words: int = QUOTED_WORDS) -> str:
    """A few content words of the text, those of the query first; its first words where it has none."""
    known = content_words(text)
    shared = _in_order(text, known & content_words(query))
    quoted = [*shared, *(word for word in _in_order(text, known) if word not in shared)][:num_words]
    return " ".join(quoted) or " ".join(text.split()[:num_words])


def _head(text: str) -> str:
    return " ".join(text.split()[:TITLE_WORDS])


def _ending(text: str) -> str:
    match = _ENDING.search(text.strip())
    return match[0] if match else ""


def _most(values: Sequence[str]) -> tuple[str, int]:
    """The commonest value, the earliest among equals, and its count."""
    return Counter(values).most_common(1)[0]


def _label_by_name(query: str, labels: Sequence[str]) -> str:
    """The label whose own words the query has most of; the first of the list where it has none."""
    there = set(words(query))
    return max(labels, key=lambda label: len(there.intersection(words(label))))
