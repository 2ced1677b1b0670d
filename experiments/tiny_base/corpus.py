"""General simulated text: what a pretrained model brings along, and nothing about any person.

Every drill is a user message and its completion. Drills teach copying, looking things up by entry number, by content or
by attribute, reading words' meanings, comparing levels, counting and majority, in the prompt's own form
(`<1> text => response`, `? text =>`), with thinking as plain words that name the evidence before the conclusion. What
they do not hold: tags, people, a rule of the simulated tasks, an answer of theirs that depends on a history. Responses
in the drills' lists are drawn at random or depend on general words only.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments.tiny_base.material import (
    DESCRIBED,
    DIALS,
    MARKS,
    MEANINGS,
    STUDIES,
    any_item,
    any_response,
    any_words,
    either,
    entries,
    general_item,
    how_many,
    some,
    thought,
    world_item,
)
from experiments.tiny_base.words import FILLERS, GENERAL_KINDS, GENERAL_LEVELS
from tagpr.data.simulated import lexicon
from tagpr.data.simulated.evidence import DOWN, FLIP, LATER, SAME, UP, Marks
from tagpr.data.simulated.grammar import read_mentions
from tagpr.data.simulated.items import draw_item
from tagpr.markup import ARROW, entry_marker
from tagpr.tasks import ALL_TASKS

Line = list[tuple[str, Marks]]  # of an entry: what is said of it, and the marks that stand behind


class Example(NamedTuple):
    """A user message, whether thinking is on, and what the assistant writes after the template's opening."""

    prompt: str
    completion: str
    thinking: bool


# --- copying and looking up ---------------------------------------------------------------------------------------


def copy(rng: random.Random) -> Example:
    words = " ".join(any_words(rng, rng.randint(3, 12)))
    return Example(f"copy :\n? {words} {ARROW}", words, False)


def recall(rng: random.Random) -> Example:
    """The queries are texts of the list; the answer is what stood beside them."""
    pairs = [(any_item(rng), any_response(rng)) for _ in range(rng.randint(2, 6))]
    if len({text for text, _ in pairs}) < len(pairs):
        return recall(rng)
    chosen = rng.sample(range(len(pairs)), min(len(pairs), rng.randint(1, 3)))
    query = " ; ".join(pairs[k][0] for k in chosen)
    answer = " ; ".join(pairs[k][1] for k in chosen)
    if rng.random() < 0.4:
        return Example(entries("recall", pairs, query), answer, False)
    steps = [f"{entry_marker(k + 1)} {pairs[k][0]} {ARROW} {pairs[k][1]}" for k in chosen]
    return Example(entries("recall", pairs, query), thought(steps, answer), True)


def entry(rng: random.Random) -> Example:
    """Responses, or a first, second or last word, of entries called by number."""
    pairs = [(any_item(rng), any_response(rng)) for _ in range(how_many(rng))]
    numbers = list(range(1, len(pairs) + 1))
    rng.shuffle(numbers)
    numbers = numbers[: rng.randint(1, 5)]
    what = rng.choice(("gave", "gave", "first", "second", "last"))
    steps = []
    for k in numbers:
        words = pairs[k - 1][0].split()
        value = {
            "gave": pairs[k - 1][1],
            "first": words[0],
            "second": words[min(1, len(words) - 1)],
            "last": words[-1],
        }[what]
        steps.append(f"{entry_marker(k)} {value}")
    query = what + " " + " ".join(entry_marker(k) for k in numbers)
    return Example(entries("entry", pairs, query), thought(steps, steps[-1].partition(" ")[2]), True)


# --- words and their meanings -------------------------------------------------------------------------------------


def knowledge(rng: random.Random) -> Example:
    words = rng.sample(list(MEANINGS), rng.randint(3, 7))
    draw = rng.random()
    if draw < 0.5:
        answer = " , ".join(f"{MEANINGS[word][1]} {word} {MEANINGS[word][0]}" for word in words)
        return Example(f"means :\n? {' '.join(words)} {ARROW}", answer, False)
    if draw < 0.8:
        answer = " , ".join(f"{MEANINGS[word][0]} {word} {MEANINGS[word][1]}" for word in words)
        return Example(f"words :\n? {' '.join(words)} {ARROW}", answer, False)
    answer = " ".join(MEANINGS[word][0] for word in words)
    return Example(f"means :\n? {' '.join(words)} means {ARROW}", answer, False)


def meaningful_item(rng: random.Random, of_world: float) -> tuple[str, list[str]]:
    """A text and its words of meaning, in order."""
    if rng.random() < of_world:
        return world_item(rng, rng.choice(DESCRIBED))
    table = rng.choice((GENERAL_KINDS, GENERAL_LEVELS))
    return general_item(rng, table, rng.choice((2, 3, 3, 4)))


def fact(word: str) -> str:
    """`heat icy 1`: of which kind, the word, what it means."""
    name, kind = MEANINGS[word]
    return f"{kind} {word} {name}"


def read_item(rng: random.Random) -> Example:
    """Every meaningful word of one text, in its order or in a called one, or small things that it names."""
    if rng.random() < 0.3:
        task = rng.choice(DESCRIBED)
        text = draw_item(task, DIALS, rng).text
        small = [m for m in read_mentions(task, text) if m.aspect not in lexicon.ASPECTS[task]]
        steps = [f"{m.aspect} {m.word} {m.label}" for m in small]
        return Example(
            f"read :\n? {text} {ARROW} count", thought([*steps, f"count {len(small)}"], str(len(small))), True
        )
    text, words = meaningful_item(rng, 0.6)
    if rng.random() < 0.5:
        return Example(f"read :\n? {text} {ARROW}", thought([fact(w) for w in words], MEANINGS[words[-1]][0]), True)
    called = rng.sample(words, rng.randint(1, len(words)))
    query = f"{text} {ARROW} {' '.join(MEANINGS[word][1] for word in called)}"
    steps = ["query : " + " ".join(fact(word) for word in called), f"so : {MEANINGS[called[-1]][0]}"]
    return Example(f"read :\n? {query} {ARROW}", thought(steps, MEANINGS[called[-1]][0]), True)


def look(rng: random.Random) -> Example:
    """The word of attribute X in entry k, for some entries and one, some or all of their attributes. Responses are
    drawn at random."""
    draw = rng.random()
    num = how_many(rng)
    if draw < 0.7:
        task = "S3" if draw < 0.45 else "S2"
        kinds = list(lexicon.ASPECTS[task])
        items = [world_item(rng, task) for _ in range(num)]
    else:
        table = rng.choice((GENERAL_LEVELS, GENERAL_LEVELS, GENERAL_KINDS))
        kinds = rng.sample(list(table), 3)
        part = {kind: table[kind] for kind in kinds}
        items = [general_item(rng, part, rng.choice((2, 3, 3))) for _ in range(num)]
    pairs = [(text, any_response(rng)) for text, _ in items]
    if rng.random() < 0.4:
        kinds = rng.sample(kinds, rng.randint(1, 2))
    chosen = some(rng, num, 2)[:5]
    steps = []
    for k in chosen:
        of_kind = {MEANINGS[word][1]: word for word in items[k - 1][1]}
        said = " ".join(fact(of_kind[kind]) for kind in kinds if kind in of_kind)
        steps.append(f"{entry_marker(k)} {said or 'none'}")
    query = " ".join((*kinds, *(entry_marker(k) for k in chosen)))
    return Example(entries("look", pairs, query), thought(steps, steps[-1].split()[-1], either(rng)), True)


def relation(score: int, level: int, *, flips: bool, ways: bool) -> str:
    """How a number stands to a level: `same`, `flip` (6 - level), `up` or `down` by one or two; "" else."""
    if score == level:
        return SAME
    if flips and score == 6 - level:
        return FLIP
    if ways and abs(score - level) <= 2:
        return UP if score > level else DOWN
    return ""


def facts(rng: random.Random) -> Example:
    """Numbered lists of general words: an entry's number, the level of each of its measures, how the number stands to
    it and how often it has stood so; then what holds most often. Numbers are random, or mostly those of one measure of
    the list."""
    kinds = rng.sample(list(GENERAL_LEVELS), 3)
    table = {kind: GENERAL_LEVELS[kind] for kind in kinds}
    num = how_many(rng)
    favourite = rng.choice((*kinds, *kinds, None, None))
    turned = rng.random() < 0.25
    flips, ways = rng.random() < 0.6, rng.random() < 0.4
    pairs: list[tuple[str, str]] = []
    lines: list[Line] = []
    for _ in range(num):
        text, words = general_item(rng, table, 3)
        level = {MEANINGS[word][1]: int(MEANINGS[word][0]) for word in words}
        word_of = {MEANINGS[word][1]: word for word in words}
        score = rng.randint(1, 5)
        if favourite and rng.random() < 0.85:
            score = 6 - level[favourite] if turned else level[favourite]
        how = {kind: relation(score, level[kind], flips=flips, ways=ways) for kind in kinds}
        pairs.append((text, str(score)))
        lines.append([(fact(word_of[kind]), ((how[kind], kind),) if how[kind] else ()) for kind in kinds])
    marks = [(mark, kind) for mark in ((SAME, FLIP) if flips else (SAME,)) for kind in kinds]
    chosen = some(rng, num, 3)[:5]
    # With a call the entries are given; without one the reader chooses some by itself.
    query, query_words = general_item(rng, table, 3)
    calls = " ".join((*kinds, *(entry_marker(k) for k in chosen)))
    query = f"{query} {calls}" if rng.random() < 0.7 else query
    return _most_common("facts", rng, pairs, query, query_words, chosen, lines, marks)


def _most_common(
    cue: str,
    rng: random.Random,
    pairs: Sequence[tuple[str, str]],
    query: str,
    query_words: Sequence[str],
    chosen: Sequence[int],
    lines: Sequence[Line],
    marks: Sequence[tuple[str, str]],
) -> Example:
    """Evidence with running counts, where they end, what holds in most of it with two entries that show it, and the
    query's own meaning of that kind."""
    between = either(rng)
    counts: Counter[tuple[str, str]] = Counter()
    steps = []
    for k in chosen:
        words = [entry_marker(k), pairs[k - 1][1]]
        for said, marked in lines[k - 1]:
            words.append(said)
            for mark in marked:
                counts[mark] += 1
                words.append(" ".join((*mark, str(counts[mark])) if mark in marks else mark))
        steps.append(" ".join(words))
    if rng.random() < 0.2:
        return Example(entries(cue, pairs, query), thought(steps, pairs[chosen[-1] - 1][1], between), True)
    steps.append("count : " + " ".join(f"{mark} {name} {counts[mark, name]}" for mark, name in marks))
    of_kinds = {mark: counts[mark] for mark in marks if mark[1] != LATER}
    best = max(of_kinds.values())
    winners = [mark for mark, count in of_kinds.items() if count == best]
    evidence = between.join(steps)
    of_kind = {MEANINGS[word][1]: word for word in query_words}
    if best < 2 or len(winners) > 1 or winners[0][1] not in of_kind:
        shown = " ".join(f"{entry_marker(k)} {pairs[k - 1][1]}" for k in chosen[:2])
        return Example(entries(cue, pairs, query), thought([evidence, f"pattern : {shown} vary"], "none"), True)
    mark, kind = winners[0]
    holds = [k for k in chosen if any(winners[0] in marked for _, marked in lines[k - 1])]
    shown = " ".join(entry_marker(k) for k in holds[:2])
    winner = f"{kind} {FLIP}" if mark == FLIP else kind
    name = MEANINGS[of_kind[kind]][0]
    answer, turned = (str(6 - int(name)), f" {FLIP} {6 - int(name)}") if mark == FLIP else (name, "")
    steps = [evidence, f"pattern : {winner} {shown}", f"of {winner}", f"query : {fact(of_kind[kind])}{turned}"]
    return Example(entries(cue, pairs, query), thought([*steps, f"so : {answer}"], answer), True)


def find(rng: random.Random) -> Example:
    """The same of kinds: each entry's response is the meaning of one of its own general words. What does the text
    mention, in its order, which of it was meant, was that the last, and of which kind are most? Half of the lists have
    a favourite."""
    words_of = rng.choice((GENERAL_KINDS, GENERAL_KINDS, GENERAL_LEVELS))
    table = {kind: words_of[kind] for kind in rng.sample(list(words_of), 3)}
    num = how_many(rng)
    favourite = rng.choice((*table, *(None for _ in table)))
    tells_others = rng.random() < 0.8
    pairs: list[tuple[str, str]] = []
    lines: list[Line] = []
    while len(pairs) < num:
        text, words = general_item(rng, table, rng.choice((2, 3, 3)))
        kinds = [MEANINGS[word][1] for word in words]
        word = words[kinds.index(favourite)] if favourite in kinds and rng.random() < 0.85 else rng.choice(words)
        name = MEANINGS[word][0]
        if sum(MEANINGS[other][0] == name for other in words) > 1:
            continue
        line: Line = []
        for other in words:
            if other == word:
                is_later = tells_others and word == words[-1]
                own = (SAME, MEANINGS[word][1])
                line.append((fact(word), (own, (SAME, LATER)) if is_later else (own,)))
            elif tells_others:
                line.append((fact(other), ()))
        pairs.append((text, name))
        lines.append(line)
    marks = [(SAME, kind) for kind in table] + ([(SAME, LATER)] if tells_others else [])
    chosen = some(rng, num, 2)[:5]
    query, query_words = general_item(rng, table, 3)
    calls = " ".join(entry_marker(k) for k in chosen)
    query = f"{query} {calls}" if rng.random() < 0.5 else query
    return _most_common("find", rng, pairs, query, query_words, chosen, lines, marks)


def find_world(rng: random.Random) -> Example:
    """A meaning is named by the prompt, the word that has it is looked up in the numbered description."""
    task = rng.choice(DESCRIBED)
    items = [world_item(rng, task) for _ in range(how_many(rng))]
    pairs = [(text, any_response(rng)) for text, _ in items]
    calls, steps = [], []
    for k in some(rng, len(items), 2):
        names = [MEANINGS[word][0] for word in items[k - 1][1]]
        word = rng.choice(items[k - 1][1])
        name, kind = MEANINGS[word]
        if names.count(name) > 1:
            continue
        calls.append(f"{entry_marker(k)} {name}")
        steps.append(f"{entry_marker(k)} {name} {word} {kind}")
    if not steps:
        return find_world(rng)
    return Example(entries("look", pairs, " ".join(calls)), thought(steps, steps[-1].split()[-2], either(rng)), True)


def options(rng: random.Random) -> Example:
    """Two descriptions of general things in one text: the levels of both, per measure, and which is higher."""
    kinds = rng.sample(list(GENERAL_LEVELS), 3)
    table = {kind: GENERAL_LEVELS[kind] for kind in kinds}
    pairs: list[tuple[str, str]] = []
    lines: list[str] = []
    for k in range(1, rng.choice((2, 2, 3, 4)) + 1):
        texts, levels = [], []
        for _ in lexicon.CHOICES:
            text, words = general_item(rng, table, 3)
            texts.append(text)
            levels.append({MEANINGS[word][1]: MEANINGS[word][0] for word in words})
        choice = rng.choice(lexicon.CHOICES)
        said = []
        for kind in kinds:
            one, other = (found[kind] for found in levels)
            higher = "" if one == other else SAME if (one > other) == (choice == lexicon.CHOICES[0]) else FLIP
            said.append(f"{kind} {one} {other} {higher}".rstrip())
        lead = rng.choice(FILLERS)
        pairs.append((f'{lead} [1]: "{texts[0]}" [2]: "{texts[1]}"', choice))
        lines.append(" ".join([entry_marker(k), choice, *said]))
    chosen = some(rng, len(pairs), 1)[:3]
    query = " ".join((*kinds, *(entry_marker(k) for k in chosen)))
    steps = [lines[k - 1] for k in chosen]
    return Example(entries("compare", pairs, query), thought(steps, pairs[chosen[-1] - 1][1], either(rng)), True)


# --- comparing, counting, majority -----------------------------------------------------------------------------------


def most(rng: random.Random) -> Example:
    """Which of the words in the list is said most often; the entries that say it are cited."""
    words = list(dict.fromkeys(any_words(rng, 8)))[: rng.randint(2, 3)]
    num = rng.choice((3, 3, 4, 5))
    said = [rng.choice(words) for _ in range(num)]
    counts = {word: said.count(word) for word in said}
    best = max(counts.values())
    answer = next(word for word in words if counts.get(word) == best)
    agree = [k for k, word in enumerate(said, start=1) if word == answer]
    pairs = [(" ".join(any_words(rng, rng.randint(1, 3))), word) for word in said]
    steps = [f"{entry_marker(k)} {word}" for k, word in enumerate(said, start=1)]
    if list(counts.values()).count(best) > 1:
        steps.append(f"pattern : {' '.join(entry_marker(k) for k in range(1, num + 1))} vary")
        return Example(entries("most", pairs, "most"), thought(steps, "none"), True)
    steps.append(f"pattern : {' '.join(entry_marker(k) for k in agree)} {answer}")
    return Example(entries("most", pairs, "most"), thought(steps, answer), True)


def compare(rng: random.Random) -> Example:
    """Sums on levels: which is more, by how it stands to another, the other way round (6 - level), two to one toward a
    second level, above or below."""
    steps = []
    for _ in range(rng.randint(2, 5)):
        one, other = rng.randint(1, 5), rng.randint(1, 5)
        verdict = "same" if one == other else ("more" if one > other else "less")
        toward = (2 * (2 * one + other) + 3) // 6
        close = "close" if abs(one - other) < 2 else "none"
        steps.append(
            rng.choice(
                (
                    (f"{one} {other}", verdict),
                    (f"{one} flip", str(6 - one)),
                    (f"{one} {other} flip", relation(one, other, flips=True, ways=True) or "none"),
                    (f"{one} {other} up", relation(one, other, flips=False, ways=True) or "none"),
                    (f"{one} toward {other}", str(toward)),
                    (f"{one} above {other}", "yes" if one > other else "no"),
                    (f"{one} below {other}", "yes" if one < other else "no"),
                    (f"{one} {other} close", close),
                )
            )
        )
    query = " ; ".join(step for step, _ in steps)
    return Example(f"compare :\n? {query} {ARROW}", " ; ".join(f"{step} {verdict}" for step, verdict in steps), False)


# --- form of a response --------------------------------------------------------------------------------------------


def form(rng: random.Random) -> Example:
    """How responses begin and end, and a new text put into the form of one of them."""
    starts, ends = any_words(rng, 3), rng.sample(MARKS, 2)
    pairs, manners = [], []
    for _ in range(rng.randint(2, 5)):
        start, end = rng.choice(starts), rng.choice(ends)
        inner = any_words(rng, rng.randint(1, 3))
        pairs.append((any_item(rng) if rng.random() < 0.6 else " ".join(inner), f"{start} {' '.join(inner)}{end}"))
        manners.append((start, end))
    chosen = some(rng, len(pairs), 1)
    words = any_words(rng, rng.randint(1, 3))
    steps = [f"{entry_marker(k)} {manners[k - 1][0]}{manners[k - 1][1]}" for k in chosen]
    start, end = manners[chosen[-1] - 1]
    answer = f"{start} {' '.join(words)}{end}"
    query = " ".join(entry_marker(k) for k in chosen) + " " + " ".join(words)
    steps += [f"query : {' '.join(words)}", f"so : {answer}", f"check : {start}{end}"]
    return Example(entries("form", pairs, query), thought(steps, answer), True)


def shape(rng: random.Random) -> Example:
    """The small words and the final mark of responses called by number, nouns left out; or a new text's nouns put
    between those of the last one called."""
    pairs: list[tuple[str, str]] = []
    shapes: list[tuple[list[str], str]] = []
    places = sorted(rng.sample(range(rng.choice((3, 4, 4, 5))), 2))  # of the nouns, in all responses of the list
    num_parts = max(places[1] - 1, rng.choice((2, 2, 3)))
    for _ in range(how_many(rng)):
        parts, nouns = any_words(rng, num_parts), any_words(rng, 2)
        end = rng.choice(MARKS)
        text = world_item(rng, rng.choice(STUDIES))[0] if rng.random() < 0.7 else any_item(rng)
        pairs.append((text if rng.random() < 0.9 else "", _put(parts, nouns, places) + end))
        shapes.append((parts, end))
    chosen = some(rng, len(pairs), 1)[:4]
    called = " ".join(entry_marker(k) for k in chosen)
    if rng.random() < 0.3:
        steps = [f"{entry_marker(k)} {' '.join(shapes[k - 1][0])}{shapes[k - 1][1]}" for k in chosen]
        return Example(entries("shape", pairs, called), thought(steps, pairs[chosen[-1] - 1][1], either(rng)), True)
    text, nouns = world_item(rng, rng.choice(STUDIES)) if rng.random() < 0.7 else general_item(rng, GENERAL_KINDS, 2)
    parts, end = shapes[chosen[-1] - 1]
    answer = _put(parts, nouns, places) + end
    shown = f"{' '.join(parts)}{end}"
    evidence = either(rng).join(f"{entry_marker(k)} {pairs[k - 1][1]}" for k in chosen)
    steps = [evidence, f"parts : {shown}", f"so : {answer}", f"check : {shown}"]
    query = f"{text} {ARROW} {called}" if rng.random() < 0.5 else text
    return Example(entries("shape", pairs, query), thought(steps, answer), True)


def _put(parts: Sequence[str], nouns: Sequence[str], places: Sequence[int]) -> str:
    """The parts with the two nouns at these places of the whole."""
    words = list(parts)
    for noun, place in zip(nouns, places, strict=True):
        words.insert(min(place, len(words)), noun)
    return " ".join(words)


def pick(rng: random.Random) -> Example:
    """The query's word of a kind that the prompt names, whatever the entries above it say; a level may be turned round
    or drawn toward a second one."""
    draw = rng.random()
    if draw < 0.35:
        table, task = {}, "S2" if draw < 0.15 else "S3"
        texts = [world_item(rng, task) for _ in range(how_many(rng) + 1)]
    else:
        table = GENERAL_LEVELS if draw < 0.8 else GENERAL_KINDS
        texts = [general_item(rng, table, 3) for _ in range(how_many(rng) + 1)]
    query, words = texts.pop()
    pairs = [(text, any_response(rng)) for text, _ in texts]
    word, second = rng.sample(words, 2)
    (name, kind), (other, second_kind) = MEANINGS[word], MEANINGS[second]
    answer, call, said = name, kind, fact(word)
    if name.isdigit() and table is GENERAL_LEVELS and rng.random() < 0.5:
        if rng.random() < 0.5:
            answer, call = str(6 - int(name)), f"{kind} flip"
        else:
            answer = str((2 * (2 * int(name) + int(other)) + 3) // 6)
            call, said = f"{kind} toward {second_kind}", f"{fact(word)} {fact(second)}"
    steps = [f"of {call}", f"query : {said}", f"so : {answer}"]
    shown = f"{query} {ARROW} {call}" if rng.random() < 0.5 else query
    return Example(entries("pick", pairs, shown), thought(steps, answer), True)


def keywords(rng: random.Random) -> Example:
    """The two nouns of a description, in order, whatever the entries above it say."""
    task = rng.choice(STUDIES)
    text, words = world_item(rng, task)
    pairs = [(world_item(rng, task)[0], any_response(rng)) for _ in range(rng.choice((0, 2, 4, 6)))]
    return Example(entries("words", pairs, text), thought([f"query : {' '.join(words)}"], " and ".join(words)), True)


# --- plain text and plain questions ----------------------------------------------------------------------------------


def describe(rng: random.Random) -> Example:
    """Descriptions as plain text."""
    texts = [world_item(rng, rng.choice(("S1", *DESCRIBED, *STUDIES)))[0] for _ in range(rng.randint(1, 3))]
    return Example("write :\n? words " + ARROW, " . ".join(texts), False)


def question(rng: random.Random) -> Example:
    """An official question without history, and an answer that fits its form: one of the labels at random, one that the
    description speaks of, or some of the description's words. How answers depend on a person is not taught."""
    task = rng.choice(tuple(ALL_TASKS.values()))
    if task.name in (*lexicon.ASPECTS, *STUDIES):
        text, words = world_item(rng, task.name)
    else:
        text, words = any_item(rng), any_words(rng, 2)
    if task.name == "LaMP_1":
        text = '{} [1]: "{}" [2]: "{}"'.format(*(" ".join(any_words(rng, 3)) for _ in range(3)))
    if task.kind == "text":
        answer = " and ".join(words) if rng.random() < 0.5 else " ".join(words)
    elif task.name in DESCRIBED:
        answer = MEANINGS[rng.choice(words)][0]
    else:
        answer = rng.choice(task.labels)
    prompt = task.write_question(text)
    if rng.random() < 0.6:
        return Example(prompt, answer, False)
    return Example(prompt, thought([f"query : {' '.join(words[:4])}", f"so : {answer}"], answer), True)


# How often each drill is drawn in the phases of train.py: reading, copying, words, counting.
DRILLS: dict[Callable[[random.Random], Example], tuple[float, ...]] = {
    copy: (0.6, 2.0, 0.8, 1.0),
    recall: (1.0, 2.5, 1.5, 1.0),
    entry: (1.2, 2.0, 1.3, 1.0),
    knowledge: (1.2, 1.0, 7.0, 3.0),
    read_item: (1.2, 0.8, 3.0, 2.0),
    look: (4.0, 3.0, 6.0, 3.0),
    facts: (3.5, 2.0, 3.0, 7.0),
    find: (2.5, 2.0, 2.5, 7.0),
    find_world: (1.2, 0.8, 1.0, 1.0),
    options: (0.6, 0.5, 0.6, 0.6),
    most: (1.0, 1.0, 1.0, 1.0),
    compare: (0.5, 0.5, 0.7, 1.0),
    form: (0.5, 0.8, 0.5, 0.3),
    shape: (2.2, 3.0, 2.5, 1.5),
    pick: (2.0, 1.2, 2.5, 2.0),
    keywords: (0.5, 0.6, 0.5, 0.5),
    describe: (0.2, 0.1, 0.1, 0.1),
    question: (0.5, 0.5, 0.5, 0.5),
}


def sample(rng: random.Random, mix: int) -> Example:
    """A drill of one of the mixes."""
    drill = rng.choices(list(DRILLS), weights=[weights[mix] for weights in DRILLS.values()])[0]
    return drill(rng)
