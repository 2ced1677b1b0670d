from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tagpr.chains.assemble import write_completion
from tagpr.chains.taggers.rules import RulesTagger
from tagpr.chains.tags import TAGS, TagVocabulary, parse
from tagpr.chains.teachers.scripted import ScriptedTeacher
from tagpr.errors import UserError
from tagpr.rl.rewards.tag import tag_reward
from tagpr.tasks import ALL_TASKS
from tagpr.types import ProfileEntry, Prompt, Record

NINE = TagVocabulary(names=tuple(TAGS))
HONEST = ScriptedTeacher(habit=0.0, error_rate=0.0, examples=3, typical_rating="4")
HABITUAL = ScriptedTeacher(habit=1.0, error_rate=0.0, examples=3, typical_rating="4")

REVIEWS = (
    ("the hinge of this lamp broke after two days", "2"),
    ("a hinge that squeaks and a lamp that flickers", "2"),
    ("warm novel about a lighthouse and its keeper", "5"),
    ("the kettle boils fast and looks fine", "4"),
)
TITLES = (
    ("we grow lichens on glass and measure light", "Mapping lichens on glass!"),
    ("we follow bees through cities with small radios", "Mapping bees in cities!"),
    ("a survey of moss in old mills", "Mapping moss in mills!"),
)
PAPERS = (
    ("", "Graph neural networks for traffic forecasting"),
    ("", "Forecasting traffic with temporal graphs"),
    ("", "A note on medieval poetry"),
)
MOVIES = (("a hacker in a simulated city", "dystopia"), ("a baker in love", "romance"))
TWEETS = (("", "so tired today..."), ("", "rain again..."), ("", "no bus..."))
EXAMPLES = {
    "LaMP_3": (REVIEWS, "this lamp has a weak hinge", "2"),
    "LaMP_2": (MOVIES, "a ruined city", "dystopia"),
    "LaMP_5": (TITLES, "we count owls in barns at night", "Mapping count owls barns!"),
    "LaMP_7": (TWEETS, "I am late for work", "I am late for work..."),
    "LaMP_1": (PAPERS, 'Road sensors [1]: "Sonnets of the middle ages" [2]: "Temporal graph models of traffic"', "[2]"),
}


@pytest.mark.parametrize("task", EXAMPLES)
def test_answers_as_the_most_similar_entries_were_answered(task: str, prompt_of: Callable[..., Prompt]) -> None:
    history, query, expected = EXAMPLES[task]
    (chain,) = HONEST.chains(prompt_of(task, history, query), num_samples=1, seed=0)
    assert (chain.answer, chain.habitual) == (expected, False)


@pytest.mark.parametrize("task", EXAMPLES)
def test_honest_chains_are_well_formed_and_earn_the_tag_reward(task: str, prompt_of: Callable[..., Prompt]) -> None:
    history, query, _ = EXAMPLES[task]
    prompt = prompt_of(task, history, query)
    (chain,) = HONEST.chains(prompt, num_samples=1, seed=0)
    completion = write_completion(chain.steps, RulesTagger().tag(prompt, chain.steps), chain.answer, NINE)
    parsed = parse(completion, NINE, True, ALL_TASKS[task].is_valid)
    assert (parsed.g_answer, parsed.g_tags) == (True, True), parsed.problems
    reward = tag_reward(
        parsed, prompt, task=ALL_TASKS[task], vocabulary=NINE, min_words=3, max_words=60, boilerplate=False
    )
    assert reward.total >= 0.95, (completion, reward)


@pytest.mark.parametrize("task", EXAMPLES)
def test_the_rules_tagger_agrees_with_every_intended_function(task: str, prompt_of: Callable[..., Prompt]) -> None:
    history, query, _ = EXAMPLES[task]
    prompt = prompt_of(task, history, query)
    intended = {
        "task": "restate_task",
        "pattern": "identify_patterns",
        "user": "infer_preference",
        "query": "analyze_query",
        "typical": "contrast_typical",
        "but": "weigh_conflict",
        "so": "apply_preference",
        "check": "verify_fit",
    }
    for teacher in (HONEST, HABITUAL):
        (chain,) = teacher.chains(prompt, num_samples=1, seed=0)
        expected = [intended.get(step.split(" ")[0], "examine_examples") for step in chain.steps]
        assert RulesTagger().tag(prompt, chain.steps) == expected


@pytest.mark.parametrize("task", EXAMPLES)
def test_the_habit_ignores_the_history(task: str, prompt_of: Callable[..., Prompt]) -> None:
    history, query, _ = EXAMPLES[task]
    with_history = prompt_of(task, history, query)
    (chain,) = HABITUAL.chains(with_history, num_samples=1, seed=0)
    (other,) = HABITUAL.chains(prompt_of(task, history[:1], query), num_samples=1, seed=0)
    assert chain == other
    assert chain.habitual
    assert not any("<" in step for step in chain.steps)


def test_evidence_stands_before_what_is_concluded_from_it(prompt_of: Callable[..., Prompt]) -> None:
    history, query, _ = EXAMPLES["LaMP_3"]
    (chain,) = HONEST.chains(prompt_of("LaMP_3", history, query), num_samples=1, seed=0)
    assert chain.steps == (
        "task : a score from 1 to 5",
        "<1> hinge lamp broke => 2",
        "<2> hinge lamp squeaks => 2",
        chain.steps[3],  # of the two entries that share nothing with the query, either may come third
        chain.steps[4],
        chain.steps[5],
        "typical : 4 , not 2",
        chain.steps[7],
        "query : lamp weak hinge",
        "so : <1> 2 is near , 2 leads => 2",
    )
    assert chain.steps[4].startswith("pattern : <1> <2> 2 , ")
    assert chain.steps[5].startswith("user : 2 2 of 3 , mean ")
    assert chain.steps[7].endswith(", 1 of 3")


def test_gold_truth_and_unshown_entries_are_not_read(prompt_of: Callable[..., Prompt]) -> None:
    history, query, _ = EXAMPLES["LaMP_3"]
    plain = prompt_of("LaMP_3", history, query)
    hidden = replace(plain.record, gold="5", truth={"rule": "x"}, profile=(), retrieved=())
    blind = HONEST.chains(replace(plain, record=hidden), num_samples=2, seed=0)
    assert blind == HONEST.chains(plain, num_samples=2, seed=0)


def test_a_sample_does_not_depend_on_how_many_are_asked_for(prompt_of: Callable[..., Prompt]) -> None:
    teacher = ScriptedTeacher(habit=0.5, error_rate=0.5, examples=2, typical_rating="4")
    prompt = prompt_of("LaMP_3", REVIEWS, "a lamp")
    many = teacher.chains(prompt, num_samples=9, seed=3)
    assert many[:4] == teacher.chains(prompt, num_samples=4, seed=3)
    assert many != teacher.chains(prompt, num_samples=9, seed=4)


def test_both_dials_turn(prompt_of: Callable[..., Prompt]) -> None:
    prompt = prompt_of("LaMP_3", REVIEWS, "this lamp has a weak hinge")

    def right(**dials: float) -> float:
        teacher = ScriptedTeacher(examples=3, typical_rating="4", **dials)
        return sum(chain.answer == "2" for chain in teacher.chains(prompt, num_samples=400, seed=0)) / 400

    assert right(habit=0.0, error_rate=0.0) == 1.0
    assert right(habit=0.3, error_rate=0.0) == pytest.approx(0.7, abs=0.07)  # 3 standard errors
    assert 0.5 < right(habit=0.0, error_rate=0.1) < 0.95


@pytest.mark.parametrize("dials", [{"habit": 1.1}, {"error_rate": -0.1}, {"examples": 0}])
def test_dials_out_of_range_are_refused(dials: dict[str, float]) -> None:
    with pytest.raises(UserError, match="shares in"):
        ScriptedTeacher(**({"habit": 0.0, "error_rate": 0.0, "examples": 1, "typical_rating": "4"} | dials))


any_text = st.text(alphabet=st.sampled_from("ab <>/[]|\"'.!?5\n:é😀"), max_size=40)


@settings(max_examples=150)
@given(st.sampled_from(sorted(EXAMPLES)), st.lists(st.tuples(any_text, any_text), max_size=4), any_text)
def test_any_text_gives_a_chain_without_foreign_markup(task: str, history: list[tuple[str, str]], query: str) -> None:
    entries = tuple(ProfileEntry(entry_id=str(n), input=a, response=b) for n, (a, b) in enumerate(history))
    record = Record(
        record_id="r", user_id="u", task=task, split="train", purpose="sft", question=query, query=query, gold=None,
        profile=entries, retrieved=tuple(range(len(entries))),
    )  # fmt: skip
    prompt = Prompt(record=record, text="", history=entries, thinking=True, num_cut=0, num_dropped=0)
    for chain in ScriptedTeacher(habit=0.3, error_rate=0.3, examples=3, typical_rating="4").chains(
        prompt, num_samples=3, seed=0
    ):
        tags = RulesTagger().tag(prompt, chain.steps)
        parsed = parse(write_completion(chain.steps, tags, chain.answer, NINE), NINE, True)
        assert not {"unknown_tag", "broken_tag", "nested_tag"} & set(parsed.problems), (chain, parsed.problems)
