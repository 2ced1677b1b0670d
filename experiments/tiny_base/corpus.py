"""General simulated text: what a pretrained model brings along, and nothing about any person.

Every drill is a user message and its completion. Drills teach copying, looking things up by entry number or by
content, reading words' meanings, comparing, counting and majority, in the prompt's own form (`<1> text => response`,
`? text =>`), with thinking as plain words that name the evidence before the conclusion. What they do not hold: tags,
people, a rule of the simulated tasks, an answer of theirs that depends on a history. Responses in the drills' lists are
drawn at random or depend on general words only.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from experiments.tiny_base.words import FILLERS, GENERAL_KINDS, GENERAL_LEVELS
from tagpr.data.simulated import lexicon
from tagpr.data.simulated.grammar import FRAMES
from tagpr.markup import ARROW, THINK_CLOSE, THINK_OPEN, entry_marker
from tagpr.tasks import ALL_TASKS


class Example(NamedTuple):
    """A user message, whether thinking is on, and what the assistant writes after the template's opening."""

    prompt: str
    completion: str
    thinking: bool


def _meanings(table: dict[str, dict[str, tuple[str, ...]]]) -> dict[str, tuple[str, str]]:
    return {word: (name, kind) for kind, names in table.items() for name, words in names.items() for word in words}


# word -> (what it means, of which kind)
GENERAL_MEANINGS = {**_meanings(GENERAL_KINDS), **_meanings(GENERAL_LEVELS)}
WORLD_MEANINGS = {word: (m.label, m.aspect) for table in lexicon.MEANINGS.values() for word, m in table.items()}
MEANINGS = {**GENERAL_MEANINGS, **WORLD_MEANINGS}
WORLD_WORDS = (*lexicon.KEYWORDS, *lexicon.VENUE_KINDS, *lexicon.STUDY_KINDS, *lexicon.OPENERS, *lexicon.JOINERS)
ALL_WORDS = (*MEANINGS, *WORLD_WORDS, *lexicon.TAG_LABELS, *(n for names in GENERAL_KINDS.values() for n in names))
MARKS = (".", "!", "~", "...", ",", ";", "-", "?")
SYLLABLES = ("ba", "ko", "mi", "ru", "te", "sa", "no", "li", "du", "pe", "fa", "go")


def general_item(rng: random.Random, table: dict[str, dict[str, tuple[str, ...]]], num: int) -> tuple[str, list[str]]:
    """A text with one word of each of `num` kinds among small words, and those words in order of appearance."""
    words = [rng.choice(rng.choice(list(table[kind].values()))) for kind in rng.sample(list(table), num)]
    text: list[str] = []
    for word in words:
        text += [*rng.sample(FILLERS, rng.choice((0, 1, 1, 2))), word]
    if rng.random() < 0.3:
        text.insert(rng.randrange(len(text)), rng.choice(WORLD_WORDS))
    return " ".join(text), words


def world_item(rng: random.Random, task: str) -> tuple[str, list[str]]:
    """A description from the simulated world, and its meaningful words in order of appearance."""
    fields = {"kind": rng.choice(lexicon.KINDS[task])}
    if task == "S5":
        fields["a"], fields["b"] = rng.sample(lexicon.KEYWORDS, 2)
    else:
        for aspect, labels in lexicon.ASPECTS[task].items():
            fields[aspect] = rng.choice(rng.choice(list(labels.values())))
    frame = rng.choice(FRAMES[task])
    order = sorted((name for name in fields if name != "kind"), key=lambda name: frame.index("{" + name + "}"))
    return frame.format(**fields), [fields[name] for name in order]


def any_item(rng: random.Random) -> str:
    draw = rng.random()
    if draw < 0.45:
        return world_item(rng, rng.choice(tuple(FRAMES)))[0]
    if draw < 0.7:
        return general_item(rng, rng.choice((GENERAL_KINDS, GENERAL_LEVELS)), rng.choice((2, 3)))[0]
    return " ".join(any_words(rng, rng.randint(1, 4)))


def any_words(rng: random.Random, num: int) -> list[str]:
    """Known words, invented ones and numbers."""
    return [
        rng.choice(ALL_WORDS)
        if rng.random() < 0.85
        else ("".join(rng.sample(SYLLABLES, 2)) if rng.random() < 0.5 else str(rng.randint(1, 9)))
        for _ in range(num)
    ]


def any_response(rng: random.Random) -> str:
    """What may stand after an arrow: a word, a number, a few words with a mark."""
    draw = rng.random()
    if draw < 0.35:
        return rng.choice((*lexicon.TAG_LABELS, *(n for names in GENERAL_KINDS.values() for n in names)))
    if draw < 0.6:
        return str(rng.randint(1, 5))
    words = any_words(rng, rng.randint(2, 5))
    return " ".join(words) + (rng.choice(MARKS) if rng.random() < 0.7 else "")


def entries(cue: str, pairs: Sequence[tuple[str, str]], query: str) -> str:
    lines = [f"{entry_marker(k)} {text} {ARROW} {response}" for k, (text, response) in enumerate(pairs, start=1)]
    return "\n".join([f"{cue} :", *lines, f"? {query} {ARROW}"])


def thought(steps: Sequence[str], answer: str) -> str:
    return f"{THINK_OPEN}{chr(10).join(steps)}{THINK_CLOSE}{answer}"


def how_many(rng: random.Random) -> int:
    """Entries of a list."""
    return rng.choice((2, 3, 4, 5, 6, 6))


def some(rng: random.Random, num: int, low: int = 1) -> list[int]:
    """Some of the numbers 1..num, ascending."""
    return sorted(rng.sample(range(1, num + 1), rng.randint(min(low, num), num)))


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
        answer = " , ".join(f"{MEANINGS[word][0]} from {word} by {MEANINGS[word][1]}" for word in words)
        return Example(f"means :\n? {' '.join(words)} {ARROW}", answer, False)
    if draw < 0.8:
        answer = " , ".join(f"{word} by {MEANINGS[word][1]} so : {MEANINGS[word][0]}" for word in words)
        return Example(f"words :\n? {' '.join(words)} {ARROW}", answer, False)
    answer = " ".join(MEANINGS[word][0] for word in words)
    return Example(f"means :\n? {' '.join(words)} means {ARROW}", answer, False)


def read_item(rng: random.Random) -> Example:
    """Every meaningful word of one description, in order."""
    if rng.random() < 0.5:
        text, words = world_item(rng, rng.choice(tuple(lexicon.ASPECTS)))
    else:
        text, words = general_item(rng, rng.choice((GENERAL_KINDS, GENERAL_LEVELS)), 3)
    steps = [f"{word} by {MEANINGS[word][1]} so : {MEANINGS[word][0]}" for word in words]
    if rng.random() < 0.5:
        return Example(f"read :\n? {text} {ARROW}", thought(steps, MEANINGS[words[-1]][0]), True)
    kind = rng.randrange(len(words))
    query = f"{text} {ARROW} {MEANINGS[words[kind]][1]}"
    steps = [f"query : {words[kind]} by {MEANINGS[words[kind]][1]}", f"so : {MEANINGS[words[kind]][0]}"]
    return Example(f"read :\n? {query} {ARROW}", thought(steps, MEANINGS[words[kind]][0]), True)


def find(rng: random.Random) -> Example:
    """Each entry's response is the meaning of one of its own general words: which word was it, and of which kind are
    most of these words? Half of the lists have a favourite kind, the others none."""
    table = rng.choice((GENERAL_KINDS, GENERAL_LEVELS))
    num = how_many(rng)
    favourite = rng.choice((*table, *(None for _ in table)))
    pairs: list[tuple[str, str]] = []
    read: list[tuple[str, str, str]] = []
    while len(pairs) < num:
        text, words = general_item(rng, table, rng.choice((2, 3, 3)))
        kinds = [MEANINGS[word][1] for word in words]
        word = words[kinds.index(favourite)] if favourite in kinds and rng.random() < 0.8 else rng.choice(words)
        name, kind = MEANINGS[word]
        if sum(MEANINGS[other][0] == name for other in words) == 1:
            pairs.append((text, name))
            read.append((name, word, kind))
    chosen = some(rng, len(pairs), 2)[:4]
    steps = [f"{entry_marker(k)} {read[k - 1][0]} from {read[k - 1][1]} by {read[k - 1][2]}" for k in chosen]
    # Without a call the reader chooses three entries or so by itself.
    query = " ".join(entry_marker(k) for k in chosen) if rng.random() < 0.5 else general_item(rng, table, 3)[0]
    if rng.random() < 0.3:
        return Example(entries("find", pairs, query), thought(steps, pairs[chosen[-1] - 1][1]), True)
    kinds = [read[k - 1][2] for k in chosen]
    most_said = max(dict.fromkeys(kinds), key=kinds.count)
    agree = [k for k in chosen if read[k - 1][2] == most_said]
    if len(agree) >= 2 and kinds.count(most_said) > max([kinds.count(k) for k in kinds if k != most_said], default=0):
        steps.append(f"pattern : {' '.join(f'{entry_marker(k)} {read[k - 1][1]}' for k in agree[:2])} by {most_said}")
    else:
        most_said = "none"
        steps.append(f"pattern : {' '.join(f'{entry_marker(k)} {read[k - 1][1]}' for k in chosen[:2])} vary")
    return Example(entries("find", pairs, f"most {query}"), thought(steps, most_said), True)


def find_world(rng: random.Random) -> Example:
    """A meaning is named by the prompt, the word that has it is looked up in the numbered description."""
    task = rng.choice(tuple(lexicon.ASPECTS))
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
        steps.append(f"{entry_marker(k)} {name} from {word} by {kind}")
    if not steps:
        return find_world(rng)
    return Example(entries("find", pairs, " ".join(calls)), thought(steps, word), True)


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
    steps = []
    for _ in range(rng.randint(2, 4)):
        one, other = rng.randint(1, 5), rng.randint(1, 5)
        verdict = "same" if one == other else ("more" if one > other else "less")
        steps.append((f"{one} {other}", verdict))
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
    """First word, middle word and final mark of responses called by number; or a new text's nouns put between those of
    the last one called."""
    pairs, manners = [], []
    for _ in range(how_many(rng)):
        first, one, middle, two = any_words(rng, 4)
        end = rng.choice(MARKS)
        text = world_item(rng, "S5")[0] if rng.random() < 0.7 else any_item(rng)
        pairs.append((text, f"{first} {one} {middle} {two}{end}"))
        manners.append((first, middle, end))
    chosen = some(rng, len(pairs), 1)[:3]
    called = " ".join(entry_marker(k) for k in chosen)
    if rng.random() < 0.4:
        steps = [f"{entry_marker(k)} {first} {middle}{end}" for k in chosen for first, middle, end in [manners[k - 1]]]
        return Example(entries("shape", pairs, called), thought(steps, pairs[chosen[-1] - 1][1]), True)
    text, nouns = world_item(rng, "S5") if rng.random() < 0.7 else general_item(rng, GENERAL_KINDS, 2)
    first, middle, end = manners[chosen[-1] - 1]
    answer = f"{first} {nouns[0]} {middle} {nouns[1]}{end}"
    steps = [f"{entry_marker(k)} {pairs[k - 1][1]}" for k in chosen]
    steps += [f"parts : {first} {middle}{end}", f"so : {answer}", f"check : {first} {middle}{end}"]
    query = f"{text} {ARROW} {called}" if rng.random() < 0.5 else text
    return Example(entries("shape", pairs, query), thought(steps, answer), True)


def pick(rng: random.Random) -> Example:
    """The query's word of a kind that the thought names first, whatever the entries above it say."""
    if rng.random() < 0.5:
        task = rng.choice(tuple(lexicon.ASPECTS))
        texts = [world_item(rng, task) for _ in range(how_many(rng) + 1)]
    else:
        table = rng.choice((GENERAL_KINDS, GENERAL_LEVELS))
        texts = [general_item(rng, table, 3) for _ in range(how_many(rng) + 1)]
    query, words = texts.pop()
    pairs = [(text, any_response(rng)) for text, _ in texts]
    word = rng.choice(words)
    name, kind = MEANINGS[word]
    steps = [f"of {kind}", f"query : {word} by {kind}", f"so : {name}"]
    return Example(entries("pick", pairs, query), thought(steps, name), True)


def keywords(rng: random.Random) -> Example:
    """The two nouns of a description, in order, whatever the entries above it say."""
    text, words = world_item(rng, "S5")
    pairs = [(world_item(rng, "S5")[0], any_response(rng)) for _ in range(rng.choice((0, 2, 4, 6)))]
    return Example(entries("words", pairs, text), thought([f"query : {' '.join(words)}"], " and ".join(words)), True)


# --- plain text and plain questions ----------------------------------------------------------------------------------


def describe(rng: random.Random) -> Example:
    """Descriptions as plain text."""
    texts = [world_item(rng, rng.choice(tuple(FRAMES)))[0] for _ in range(rng.randint(1, 3))]
    return Example("write :\n? words " + ARROW, " . ".join(texts), False)


def question(rng: random.Random) -> Example:
    """An official question without history, and an answer that fits its form: one of the labels at random, one that the
    description speaks of, or some of the description's words. How answers depend on a person is not taught."""
    task = rng.choice(tuple(ALL_TASKS.values()))
    text, words = world_item(rng, task.name) if task.name in FRAMES else (any_item(rng), any_words(rng, 2))
    if task.name == "LaMP_1":
        text = '{} [1]: "{}" [2]: "{}"'.format(*(" ".join(any_words(rng, 3)) for _ in range(3)))
    if task.kind == "text":
        answer = " and ".join(words) if rng.random() < 0.5 else " ".join(words)
    elif task.name in lexicon.ASPECTS:
        answer = MEANINGS[rng.choice(words)][0]
    else:
        answer = rng.choice(task.labels)
    prompt = task.write_question(text)
    if rng.random() < 0.6:
        return Example(prompt, answer, False)
    return Example(prompt, thought([f"query : {' '.join(words)}", f"so : {answer}"], answer), True)


DRILLS: dict[Callable[[random.Random], Example], float] = {
    copy: 0.8,
    recall: 1.5,
    entry: 1.5,
    knowledge: 0.8,
    read_item: 1.0,
    find: 3.0,
    find_world: 2.0,
    most: 1.5,
    compare: 0.2,
    form: 0.7,
    shape: 2.5,
    pick: 2.0,
    keywords: 0.7,
    describe: 0.2,
    question: 0.6,
}


def sample(rng: random.Random) -> Example:
    drill = rng.choices(list(DRILLS), weights=list(DRILLS.values()))[0]
    return drill(rng)
