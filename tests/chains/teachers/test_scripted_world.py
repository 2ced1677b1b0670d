from collections import Counter
from dataclasses import replace

import pytest

from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, TagVocabulary, cited_entries, parse, render_chain
from tagpr.chains.teachers.scripted_world import ScriptedWorldTeacher
from tagpr.data.simulated.lexicon import VENUE_KINDS
from tagpr.data.simulated.source import SimulatedSource
from tagpr.errors import BadInputError
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

S2 = [
    ("a snug cafe by the pier with dice", "seaside"),
    ("a calm club by the mill with cards", "village"),
    ("a regal hall by the tram with drums", "grand"),
]
S5 = [
    ("this survey asks how owls need tides", "judging owls with tides!"),
    ("this thesis asks how bees need kites", "judging bees with kites!"),
    ("this diary asks how trains need wolves", "mapping trains with wolves!"),
]


def teacher(**changes) -> ScriptedWorldTeacher:
    return ScriptedWorldTeacher(
        **({"examples": 3, "error_rate": 0.0, "habit": 0.0, "habit_consistency": 1.0} | changes)
    )


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


S2_PROMPT = prompt("S2", "a noisy lodge by the ridge with poems", S2)
S5_PROMPT = prompt("S5", "we compare gardens and pearls in a short memoir", S5)


def test_label_chain_by_hand():
    (chain,) = teacher().chains(S2_PROMPT, num_samples=1, seed=0)
    assert chain.steps == (
        "<1> seaside from pier by place",
        "<2> village from mill by place",
        "<3> grand from regal by mood",
        "pattern : <1> pier <2> mill by place",
        "user : place",
        "query : ridge by place",
        "so : mountain",
    )
    assert chain.answer == "mountain"
    assert not chain.habitual


def test_habitual_chain_decides_for_the_typical_person():
    (chain,) = teacher(habit=1.0).chains(S2_PROMPT, num_samples=1, seed=0)
    assert chain.steps[3:] == (
        "pattern : <1> pier <2> mill vary",
        "typical : mood",
        "user : mood",
        "query : noisy by mood",
        "so : lively",
    )
    assert chain.answer == "lively"
    assert chain.habitual


def test_title_chain_by_hand():
    (chain,) = teacher().chains(S5_PROMPT, num_samples=1, seed=0)
    assert chain.steps == (
        "<1> judging owls with tides!",
        "<2> judging bees with kites!",
        "<3> mapping trains with wolves!",
        "pattern : <1> <2> judging with!",
        "user : judging with!",
        "so : judging gardens with pearls!",
        "check : judging with!",
    )
    assert chain.answer == "judging gardens with pearls!"


def test_score_chain_reads_the_level_word():
    entries = [
        ("a club with burnt food, civil staff and a bright room", "3"),
        ("the cafe has slow staff, superb food and a tidy room", "2"),
    ]
    (chain,) = teacher().chains(
        prompt("S3", "this hall has a comfy room, bland food, devoted staff", entries), num_samples=1, seed=0
    )
    assert chain.steps[:3] == (
        "<1> 3 from civil by staff",
        "<2> 2 from slow by staff",
        "pattern : <1> civil <2> slow by staff",
    )
    assert chain.answer == "5"


def test_short_histories():
    (one,) = teacher().chains(replace(S2_PROMPT, history=S2_PROMPT.history[:1]), num_samples=1, seed=0)
    assert one.steps[1:3] == ("pattern : <1> pier by place", "user : place")
    (none,) = teacher().chains(replace(S2_PROMPT, history=()), num_samples=1, seed=0)
    assert none.steps == ("typical : mood", "user : mood", "query : noisy by mood", "so : lively")
    (none,) = teacher().chains(replace(S5_PROMPT, history=()), num_samples=1, seed=0)
    assert none.answer == "exploring gardens and pearls."


def test_entries_that_disagree_vary():
    mixed = prompt("S2", "a noisy lodge by the ridge with poems", [S2[0], S2[2]])
    (chain,) = teacher().chains(mixed, num_samples=1, seed=0)
    assert chain.steps[2:4] == ("pattern : <1> pier <2> regal vary", "typical : mood")
    assert not chain.habitual


def test_habit_is_the_share_set_and_belongs_to_kinds():
    for habit in (0.0, 0.3, 0.6):
        one = teacher(habit=habit, habit_consistency=0.9)
        chances = [one.habit_of("S2", f"a noisy {kind} by the ridge with poems") for kind in VENUE_KINDS]
        assert sum(chances) / len(chances) == pytest.approx(habit)
        assert chances[-1] == 0
    assert chances[0] == 0.9
    with pytest.raises(BadInputError, match=r"teacher.habit is 0.95"):
        teacher(habit=0.95, habit_consistency=0.9)


def test_error_rate_makes_errors():
    one_entry = replace(S2_PROMPT, history=S2_PROMPT.history[:1])
    answers = Counter(chain.answer for chain in teacher(error_rate=0.2).chains(one_entry, num_samples=600, seed=0))
    # Right with .8 after reading; an error may undo another: .8 * .8 + .2 * .1 = .66 after inferring,
    # .66 * .8 + .34 * .1 = .562 after applying.
    assert abs(answers["mountain"] / 600 - 0.562) < 4 * (0.562 * 0.438 / 600) ** 0.5


@pytest.fixture(scope="module")
def world():
    source = SimulatedSource(
        size="tiny",
        sizes={"tiny": {"train": 30, "dev": 8, "test": 24}},
        tasks=["S2", "S3", "S5"],
        questions={"sft": 2, "pairs": 1, "rl": 1, "dev": 2, "test": 2},
        profile_entries=6,
        answers_per_query=4.0,
        noise=0.08,
        held_out_frames=0.5,
        min_gap=0.15,
    )
    return [
        Prompt(record=record, text="", history=record.profile, thinking=True, num_cut=0, num_dropped=0)
        for record in source.records(seed=0)
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
        assert len(cited_entries(chain.steps[tags.index("identify_patterns")])) == 2
        assert sum(len(step.split()) for step in chain.steps) <= 45


def test_reads_the_prompt_only_and_repeats_itself(world):
    one = teacher(error_rate=0.1, habit=0.3, habit_consistency=0.9)
    for shown in world[::7]:
        hidden = replace(shown, record=replace(shown.record, truth=None, gold=None, profile=()))
        assert one.chains(hidden, num_samples=2, seed=4) == one.chains(shown, num_samples=2, seed=4)
    assert one.chains(world[0], num_samples=8, seed=4) != one.chains(world[0], num_samples=8, seed=5)


def test_other_tasks_are_refused():
    shown = replace(S2_PROMPT, record=replace(S2_PROMPT.record, task="LaMP_3"))
    with pytest.raises(BadInputError, match="not LaMP_3"):
        teacher().chains(shown, num_samples=1, seed=0)
