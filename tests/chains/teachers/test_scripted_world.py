"""Chains worked by hand for every family and task, and the teacher's dials.

The four entries of a task are the same in all cases: only the answers differ, as the family would give them.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest

from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, TagVocabulary, cited_entries, parse, render_chain
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher, known_families
from tagpr.data.simulated.command import compose_source
from tagpr.data.simulated.lexicon import ASPECTS, STUDY_KINDS, VENUE_KINDS
from tagpr.data.simulated.logic import FAMILIES
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

# Levels of the two options; the first option minus the second is -2 +2 +3, +1 -4 +2, +4 -1 -1, -1 +2 -2 and, in the
# question, +1 -3 -3 in food, staff, room.
CHOICES = [
    'on a weekday [1]: "new cafe, soggy food, helpful staff, bright room" '
    '[2]: "usual club, tasty food, slow staff, filthy room"',
    'on a weekend [1]: "usual hall, plain food, rude staff, splendid room" '
    '[2]: "new hotel, bland food, devoted staff, tidy room"',
    'on a weekday [1]: "new lodge, superb food, civil staff, cramped room" '
    '[2]: "usual tavern, rotten food, friendly staff, modest room"',
    'on a weekend [1]: "usual hostel, burnt food, brilliant staff, tidy room" '
    '[2]: "new gallery, soggy food, polite staff, dazzling room"',
]
CHOICE = (
    'on a weekend [1]: "new cafe, fresh food, careless staff, mouldy room" '
    '[2]: "usual hotel, decent food, devoted staff, comfy room"'
)
# Small things: 3, 3, 2, 4; the third names no place and no day.
VENUES = [
    "a snug new cafe by the pier on a weekday, full of chess",
    "near the ridge a hushed usual club on a weekend, full of novels",
    "fiddles fill a stately usual hall",
    "by the tram, dice fill a haunted new hotel on a sunny weekend",
]
VENUE = "near the grove a lamplit usual lodge on a weekend, full of poems"
# Food 2 3 5 1, staff 5 1 2 4, room 4 4 1 4.
VISITS = [
    "the new cafe on a weekday had soggy food, devoted staff and bright room",
    "the usual club on a weekend had plain food, rude staff and bright room",
    "the new hall on a weekday had superb food, slow staff and filthy room",
    "the usual hotel on a weekend had rotten food, helpful staff and comfy room",
]
VISIT = "the new lodge on a weekend had decent food, friendly staff and splendid room"
ITEMS = {"S1": (CHOICES, CHOICE), "S2": (VENUES, VENUE), "S3": (VISITS, VISIT)}

# task, family, answers to the entries, the first line, pattern, rule, what it touches in the question, answer
WORKED = [
    ("S1", "lexicographic", "[2] [1] [1] [2]",
     "<1> [2] food 2 4 same food 1 staff 4 2 flip staff 1 room 4 1 flip room 1",
     "food <1> <3> room if food close <2> <4>", "food , room if food close",
     "food 4 3 [1] room 1 4 [2]", "[2]"),
    ("S1", "veto", "[1] [2] [1] [2]",
     "<1> [1] food 2 4 flip food 1 staff 4 2 same staff 1 room 4 1 same room 1",
     "food <3> <4> never staff below 3 <1> <2>", "food , never staff below 3", "staff 2 5 [2]", "[2]"),
    ("S1", "additive", "[2] [1] [1] [2]",
     "<1> [2] food 2 4 same food 1 staff 4 2 flip staff 1 room 4 1 flip room 1",
     "food toward room <1> <2>", "food toward room", "food 4 3 [1] room 1 4 [2]", "[2]"),
    ("S1", "threshold", "[2] [1] [1] [2]",
     "<1> [2] food 2 4 same food 1 staff 4 2 flip staff 1 room 4 1 flip room 1",
     "[1] if [1] food above 2 <2> <3> [2] if [1] food below 3 <1> <4>",
     "[1] if [1] food above 2 , [2] if [1] food below 3",
     "food 4 3 [1]", "[1]"),
    ("S1", "context_switch", "[2] [2] [1] [1]",
     "<1> [2] food 2 4 same food 1 staff 4 2 flip staff 1 room 4 1 flip room 1 weekday",
     "food if weekday <1> <3> staff if weekend <2> <4>", "food if weekday , staff if weekend",
     "weekend staff 2 5 [2]", "[2]"),
    ("S1", "novelty", "[2] [2] [1] [2]",
     "<1> [2] food 2 4 same food 1 staff 4 2 flip staff 1 room 4 1 flip room 1 [1] new [2] usual",
     "food up 1 new <1> <2>", "food up 1 new", "[1] new [2] usual food 4 3 [1]", "[1]"),
    ("S1", "contrarian", "[1] [2] [2] [1]",
     "<1> [1] food 2 4 flip food 1 staff 4 2 same staff 1 room 4 1 same room 1",
     "food flip <1> <2>", "food flip", "food 4 3 [1] flip [2]", "[2]"),
    ("S1", "drifter", "[2] [1] [2] [2]",
     "<1> [2] food 2 4 same food 1 staff 4 2 flip staff 1 room 4 1 flip room 1 older",
     "food if older <1> <2> room if newer <3> <4>", "food if older , room if newer",
     "newer room 1 4 [2]", "[2]"),
    ("S2", "lexicographic", "seaside mountain music city",
     "<1> seaside mood snug cosy place pier seaside same place 1 theme chess games",
     "place <1> <2> theme if no place <3>", "place , theme if no place", "place grove forest", "forest"),
    ("S2", "veto", "seaside books music city",
     "<1> seaside mood snug cosy place pier seaside same place 1 theme chess games",
     "place <1> <4> theme if place mountain <2>", "place , theme if place mountain",
     "place grove forest", "forest"),
    ("S2", "additive", "cosy mountain grand city",
     "<1> cosy mood snug cosy same mood 1 place pier seaside theme chess games",
     "mood <1> <3> place if place first <2> <4>", "mood , place if place first",
     "mood lamplit cosy place grove forest first", "forest"),
    ("S2", "threshold", "games books music eerie",
     "<1> games theme chess games same theme 1 things 3",
     "theme <1> <2> mood if things above 3 <4>", "theme , mood if things above 3",
     "things 3 theme poems books", "books"),
    ("S2", "context_switch", "cosy mountain grand city",
     "<1> cosy mood snug cosy same mood 1 weekday",
     "mood if weekday <1> <3> place if weekend <2> <4>", "mood if weekday , place if weekend",
     "weekend place grove forest", "forest"),
    ("S2", "novelty", "games mountain music games",
     "<1> games theme chess games same theme 1 new",
     "theme <1> <3> place if usual <2>", "theme , place if usual", "usual place grove forest", "forest"),
    ("S2", "contrarian", "games books grand eerie",
     "<1> games mood snug cosy place pier seaside theme chess games same theme 1 same later 1",
     "later mood theme <1> <2>", "later mood theme", "mood lamplit cosy theme poems books", "books"),
    ("S2", "drifter", "cosy quiet grand city",
     "<1> cosy mood snug cosy same mood 1 older",
     "mood if older <1> <2> place if newer <4>", "mood if older , place if newer",
     "newer place grove forest", "forest"),
    ("S3", "lexicographic", "2 4 5 1",
     "<1> 2 food soggy 2 same food 1 staff devoted 5 room bright 4",
     "food <1> <3> room if food 3 <2>", "food , room if food 3", "food decent 3 room splendid 5", "5"),
    ("S3", "veto", "2 1 1 1",
     "<1> 2 food soggy 2 same food 1 staff devoted 5 room bright 4",
     "food <1> <4> 1 if staff below 3 <2> <3>", "food , 1 if staff below 3",
     "staff friendly 4 food decent 3", "3"),
    ("S3", "additive", "3 3 4 2",
     "<1> 3 food soggy 2 up food staff devoted 5 down staff room bright 4 down room",
     "food toward room <1> <2>", "food toward room", "food decent 3 room splendid 5", "4"),
    ("S3", "threshold", "2 4 4 2",
     "<1> 2 food soggy 2 same food 1 staff devoted 5 room bright 4",
     "4 if food above 2 <2> <3> 2 if food below 3 <1> <4>", "4 if food above 2 , 2 if food below 3",
     "food decent 3", "4"),
    ("S3", "context_switch", "2 4 5 4",
     "<1> 2 food soggy 2 same food 1 staff devoted 5 room bright 4 weekday",
     "food if weekday <1> <3> room if weekend <2> <4>", "food if weekday , room if weekend",
     "weekend room splendid 5", "5"),
    ("S3", "novelty", "5 3 2 3",
     "<1> 5 food soggy 2 staff devoted 5 same staff 1 room bright 4 up room new",
     "room up 1 new <1> <2>", "room up 1 new", "new room splendid 5", "5"),
    ("S3", "contrarian", "1 5 4 2",
     "<1> 1 food soggy 2 staff devoted 5 flip staff 1 room bright 4",
     "staff flip <1> <2>", "staff flip", "staff friendly 4 flip 2", "2"),
    ("S3", "drifter", "2 3 2 4",
     "<1> 2 food soggy 2 same food 1 staff devoted 5 room bright 4 older",
     "food if older <1> <2> staff if newer <3> <4>", "food if older , staff if newer",
     "newer staff friendly 4", "4"),
]  # fmt: skip

S5 = [
    ("this survey asks how owls need tides", "judging owls with tides!"),
    ("this thesis asks how bees need kites", "judging bees with kites!"),
    ("this diary asks how trains need wolves", "mapping trains with wolves!"),
]


def teacher(**changes) -> ScriptedWorldTeacher:
    families = {"of_data": changes.pop("families", None), "of_size": None, "held_out": None}
    dials = {"slip": 0.08, "examples": 4, "error_rate": 0.0, "habit": 0.0, "habit_consistency": 1.0}
    return ScriptedWorldTeacher(families=families, **(dials | changes))


def prompt(task, query, entries) -> Prompt:
    record = Record(
        record_id=f"{task}-1",
        user_id="u1",
        task=task,
        split="train",
        purpose="sft",
        question=ALL_TASKS[task].write_question(query),
        query=query,
        gold=None,
        profile=(),
        retrieved=(),
    )
    history = tuple(
        ProfileEntry(entry_id=str(i), input=text, response=answer) for i, (text, answer) in enumerate(entries)
    )
    return Prompt(record=record, text="", history=history, thinking=True, num_cut=0, num_dropped=0)


def worked_prompt(task: str, answers: str) -> Prompt:
    texts, query = ITEMS[task]
    return prompt(task, query, list(zip(texts, answers.split(), strict=True)))


def counted(task: str, family: str, lines: Sequence[str]) -> str:
    """How often each mark stands in the lines, each time with one more than before."""
    marks = [f"same {aspect}" for aspect in ASPECTS[task]]
    if task == "S1" or (task, family) == ("S3", "contrarian"):
        marks += [f"flip {aspect}" for aspect in ASPECTS[task]]
    if task == "S2" and family in ("additive", "lexicographic", "veto", "contrarian"):
        marks.append("same later")
    said = " ".join(lines)
    numbers = {mark: re.findall(rf"{mark} ([0-9]+)", said) for mark in marks}
    assert all(found == [str(n + 1) for n in range(len(found))] for found in numbers.values())
    return " ".join(f"{mark} {len(found)}" for mark, found in numbers.items())


S5_PROMPT = prompt("S5", "we compare gardens and pearls in a short memoir", S5)
S2_PROMPT = worked_prompt("S2", "seaside mountain music city")


@pytest.mark.parametrize(
    ("task", "family", "answers", "first", "pattern", "rule", "query", "answer"),
    WORKED,
    ids=[f"{task}-{family}" for task, family, *_ in WORKED],
)
def test_chains_by_hand(task, family, answers, first, pattern, rule, query, answer):
    (chain,) = teacher(families=[family]).chains(worked_prompt(task, answers), num_samples=1, seed=0)
    assert [cited_entries(step) for step in chain.steps[:4]] == [(1,), (2,), (3,), (4,)]
    assert chain.steps[0] == first
    assert chain.steps[4:] == (
        f"count : {counted(task, family, chain.steps[:4])} pattern : {pattern}",
        f"user : {rule}",
        f"query : {query}",
        f"so : {answer}",
    )
    assert chain.answer == answer
    assert not chain.habitual
    assert RulesTagger().tag(S2_PROMPT, chain.steps)[4:] == [
        "identify_patterns",
        "infer_preference",
        "analyze_query",
        "apply_preference",
    ]


def test_every_family_and_task_is_worked():
    assert {(task, family) for task, family, *_ in WORKED} == {(t, f) for t in ITEMS for f in FAMILIES}


def test_an_outlier_is_named_after_the_rule():
    # Food decides three of four; the second visit's food is plain, hence its room would give 4.
    (chain,) = teacher(families=["lexicographic"]).chains(worked_prompt("S3", "2 5 5 1"), num_samples=1, seed=0)
    assert chain.steps[4:7] == (
        f"count : {counted('S3', 'lexicographic', chain.steps[:4])} pattern : food <1> <3>",
        "user : food , staff if food 3",
        "but : <2> 5",
    )
    assert RulesTagger().tag(S2_PROMPT, chain.steps)[6] == "weigh_conflict"


@pytest.mark.parametrize(
    ("task", "query", "entries", "steps", "typical"),
    [
        (
            "S5",
            "we compare gardens and pearls in a short memoir",
            S5,
            ("pattern : <1> <2> judging with!", "user : judging with!", "so : judging gardens with pearls!"),
            "exploring and.",
        ),
        (
            "S4",
            "gardens and pearls meet in a new survey",
            [("owls and tides meet in a new trial", "odd owls touch tides today..."),
             ("bees and kites meet in a new diary", "odd bees touch kites today..."),
             ("trains and wolves meet in a new memoir", "odd trains touch wolves...")],
            ("pattern : <1> <2> odd touch today...", "user : odd touch today...",
             "so : odd gardens touch pearls today..."),
            "gentle affect.",
        ),
        (
            "S7",
            "there were gardens and pearls in the survey",
            [("", "well, folks find owls versus tides awful~"), ("", "look, folks find bees versus kites awful~"),
             ("", "well, folks find trains versus wolves awful~")],
            ("pattern : <1> <3> well folks versus awful~", "user : well folks versus awful~",
             "so : well, folks find gardens versus pearls awful~"),
            "honestly visitors and charming.",
        ),
    ],
)  # fmt: skip
def test_manners_by_hand(task, query, entries, steps, typical):
    (chain,) = teacher(examples=3).chains(prompt(task, query, entries), num_samples=1, seed=0)
    assert chain.steps[:3] == tuple(f"<{n}> {text}" for n, (_, text) in enumerate(entries, start=1))
    assert chain.steps[3:6] == steps
    assert chain.steps[6] == "check" + steps[1].removeprefix("user")
    assert chain.answer == steps[2].removeprefix("so : ")
    tags = RulesTagger().tag(S2_PROMPT, chain.steps)
    assert tags[3:] == ["identify_patterns", "infer_preference", "apply_preference", "verify_fit"]
    (habitual,) = teacher(habit=1.0).chains(prompt(task, query, entries), num_samples=1, seed=0)
    assert f"typical : {typical}" in habitual.steps


def test_habitual_chains_cite_and_answer_for_the_typical_person():
    (chain,) = teacher(families=["lexicographic"], habit=1.0).chains(S2_PROMPT, num_samples=1, seed=0)
    assert chain.habitual
    assert chain.steps[4:] == (
        "count : same mood 0 same place 3 same theme 1 same later 0 pattern : <1> seaside <2> mountain vary",
        "typical : mood , place if no mood",
        "user : mood , place if no mood",
        "query : mood lamplit cosy",
        "so : cosy",
    )


def test_short_and_foreign_histories():
    one_entry = replace(S2_PROMPT, history=S2_PROMPT.history[:1])
    (one,) = teacher(families=["lexicographic"]).chains(one_entry, num_samples=1, seed=0)
    assert one.steps[1:3] == (
        "count : same mood 0 same place 1 same theme 0 same later 0 pattern : place <1>",
        "user : place , mood if no place",
    )
    none = ("typical : mood , place if no mood", "user : mood , place if no mood")
    for history in ((), (ProfileEntry(entry_id="1", input="a plain sentence", response="nonsense"),)):
        (chain,) = teacher(families=["lexicographic"]).chains(
            replace(S2_PROMPT, history=history), num_samples=1, seed=0
        )
        assert chain.steps[:2] == none
        ((_, _, slips),) = teacher().with_slips(replace(S2_PROMPT, history=history), num_samples=1, seed=0)
        assert slips.unread == len(history)
    (empty,) = teacher().chains(replace(S5_PROMPT, history=()), num_samples=1, seed=0)
    assert empty.answer == "exploring gardens and pearls."


def test_entries_that_no_rule_explains_vary():
    # No order of the aspects gives mood where place is mentioned, and place where mood is.
    mixed = prompt("S2", VENUE, [(VENUES[0], "cosy"), (VENUES[1], "mountain")])
    (chain,) = teacher(families=["lexicographic"]).chains(mixed, num_samples=1, seed=0)
    assert chain.steps[2:4] == (
        "count : same mood 1 same place 1 same theme 0 same later 0 pattern : <1> cosy <2> mountain vary",
        "typical : mood , place if no mood",
    )
    assert not chain.habitual


def test_half_of_the_citations_are_older():
    shown = prompt("S3", VISIT, [(text, "2") for text in (*VISITS, *VISITS)])
    counts: Counter[int] = Counter()
    for chain in teacher(examples=3).chains(shown, num_samples=60, seed=0):
        cited = [number for step in chain.steps[:3] for number in cited_entries(step)]
        assert cited == sorted(set(cited))
        assert sum(number <= 4 for number in cited) == 1
        counts.update(cited)
    assert set(counts) == set(range(1, 9))


def test_habit_is_the_share_set_and_belongs_to_kinds():
    for habit in (0.0, 0.3, 0.6):
        one = teacher(habit=habit, habit_consistency=0.9)
        for task, kinds, text in (("S2", VENUE_KINDS, "a snug {} by the ridge"), ("S7", STUDY_KINDS, "a {} on owls")):
            chances = [one.habit_of(task, text.format(kind)) for kind in kinds]
            assert sum(chances) / len(chances) == pytest.approx(habit)
            assert chances[-1] == 0
            assert chances[0] == (0.9 if habit else 0.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"habit": 0.95, "habit_consistency": 0.9}, r"teacher.habit is 0.95"),
        ({"families": ["lexicographic", "vetoo"]}, "teacher.families is .*vetoo"),
        ({"families": []}, "teacher.families is"),
        ({"slip": 0.0}, "teacher.slip is 0.0"),
    ],
)
def test_wrong_dials_are_refused(changes, message):
    with pytest.raises(BadInputError, match=message):
        teacher(**changes)


def test_families_are_the_data_sets_then_the_sizes_then_all_and_never_the_held_out_one():
    size = ["veto", "lexicographic"]
    assert known_families(of_data=["drifter"], of_size=size, held_out=None) == ("drifter",)
    assert known_families(of_data=None, of_size=size, held_out=None) == ("lexicographic", "veto")
    assert known_families(of_data=None, of_size=size, held_out="veto") == ("lexicographic",)
    assert known_families(of_data=None, of_size=None, held_out=None) == FAMILIES


def test_error_rate_makes_errors():
    one_entry = replace(S2_PROMPT, history=S2_PROMPT.history[:1])
    written = teacher(families=["lexicographic"], error_rate=0.2).with_slips(one_entry, num_samples=1000, seed=0)
    for name in ("misread", "inferred", "applied"):
        share = sum(getattr(slips, name) for _, _, slips in written) / 1000
        assert abs(share - 0.2) < 4 * (0.2 * 0.8 / 1000) ** 0.5
    clean = [chain for chain, _, s in written if not (s.misread or s.inferred or s.applied)]
    assert {chain.answer for chain in clean} == {"forest"}


@pytest.fixture(scope="module")
def world():
    source = compose_source(
        ["data.size=smoke", "data.tasks=[S1,S2,S3,S4,S5,S7]", f"data.families=[{','.join(FAMILIES)}]"]
    )
    return [
        Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
        for record in source.draw(seed=0, advance=lambda people: None)
    ]


def test_all_chains_are_well_formed_and_short(world):
    vocabulary = TagVocabulary(names=list(TAGS))
    one = teacher(error_rate=0.05, habit=0.6, habit_consistency=0.9)
    for shown in world:
        task = ALL_TASKS[shown.record.task]
        (chain,) = one.chains(shown, num_samples=1, seed=0)
        tags = RulesTagger().tag(shown, chain.steps)
        parsed = parse(render_chain(chain.steps, tags, chain.answer), vocabulary, True, task.is_valid)
        assert parsed.g_answer
        assert parsed.g_tags
        assert set(vocabulary.required(task.kind)) <= set(tags)
        assert ("typical :" in " ".join(chain.steps)) >= chain.habitual
        assert len(cited_entries(chain.steps[tags.index("identify_patterns")])) >= 2
        assert sum(len(step.split()) for step in chain.steps) <= (170 if task.name == "S1" else 150)


def test_reads_the_prompt_only_and_repeats_itself(world):
    one = teacher(error_rate=0.1, habit=0.3, habit_consistency=0.9)
    for shown in world[::11]:
        hidden = replace(shown, record=replace(shown.record, truth=None, gold=None, profile=(), user_id="x"))
        assert one.chains(hidden, num_samples=2, seed=4) == one.chains(shown, num_samples=2, seed=4)
    assert one.chains(world[0], num_samples=8, seed=4) != one.chains(world[0], num_samples=8, seed=5)


def test_other_tasks_and_texts_are_refused():
    shown = replace(S2_PROMPT, record=replace(S2_PROMPT.record, task="LaMP_3"))
    with pytest.raises(BadInputError, match="not LaMP_3"):
        teacher().chains(shown, num_samples=1, seed=0)
    for task in ("S2", "S4"):
        with pytest.raises(BadInputError, match="no text of the simulated world: 'a plain sentence'"):
            teacher().chains(prompt(task, "a plain sentence", []), num_samples=1, seed=0)
