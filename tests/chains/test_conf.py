from __future__ import annotations

from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from tagpr.chains.stage import ChainSettings
from tagpr.chains.taggers.base import Tagger
from tagpr.chains.tags import TAGS, TagVocabulary
from tagpr.chains.teachers.base import Teacher
from tagpr.schema import register

CONF = Path(__file__).parents[2] / "conf"
# What an option cannot know alone: paths of the user's own, and the run's device.
NEEDS = {
    "teacher=hf": ["teacher.path=owner/name", "teacher.engine.device=cpu"],
    "teacher=openai": ["teacher.model=any"],
    "tagger=llm": ["tagger.model=any"],
}


def build(group: str, option: str) -> object:
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return instantiate(compose(overrides=[f"+{group}={option}", *NEEDS.get(f"{group}={option}", [])])[group])


@pytest.mark.parametrize(("option", "size"), [("none", 0), ("three", 3), ("six", 6), ("nine", 9)])
def test_vocabularies_have_the_size_of_their_name_and_the_order_of_the_table(option: str, size: int) -> None:
    vocabulary = build("tags", option)
    assert isinstance(vocabulary, TagVocabulary)
    assert vocabulary.names == tuple(name for name in TAGS if name in vocabulary)
    assert len(vocabulary) == size


def test_six_holds_every_required_tag() -> None:
    six = build("tags", "six")
    assert isinstance(six, TagVocabulary)
    assert {name for name, tag in TAGS.items() if tag.required_for} == set(six.names)


@pytest.mark.parametrize(("group", "kind"), [("teacher", Teacher), ("tagger", Tagger), ("chains", ChainSettings)])
def test_every_option_builds(group: str, kind: type) -> None:
    options = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert options
    assert all(isinstance(build(group, option), kind) for option in options)
