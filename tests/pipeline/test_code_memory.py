"""Digests of sources: remembered for the same bytes and the same maker, and for nothing else."""

import hashlib
import json
import sys
from pathlib import Path

import pytest

from tagpr.pipeline import fingerprint
from tagpr.pipeline.code_memory import CodeMemory, beside_bytecode


class Counted:
    """Digests as code does, and counts how often."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def __call__(self, source: str) -> str:
        self.made.append(source)
        return f"digest of {source}"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    return tmp_path / "__pycache__" / "digests.json"


def test_another_process_takes_what_was_made_of_the_same_bytes(place):
    make = Counted()
    memory = CodeMemory(place, maker="a")
    assert memory.digest("m.py", b"x = 1", make) == "digest of x = 1"
    memory.save()
    assert json.loads(place.read_text()) == {
        "maker": "a", "digests": {"m.py": [hashlib.sha256(b"x = 1").hexdigest(), "digest of x = 1"]},
    }  # fmt: skip
    assert [path.name for path in place.parent.iterdir()] == ["digests.json"]
    again = CodeMemory(place, maker="a")
    assert again.digest("m.py", b"x = 1", make) == "digest of x = 1"
    assert make.made == ["x = 1"]


@pytest.mark.parametrize("maker, source", [("a", b"x = 2"), ("b", b"x = 1")])
def test_a_changed_source_or_maker_is_digested_anew(place, maker, source):
    memory = CodeMemory(place, maker="a")
    memory.digest("m.py", b"x = 1", Counted())
    memory.save()
    make = Counted()
    CodeMemory(place, maker=maker).digest("m.py", source, make)
    assert make.made == [source.decode()]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"maker": "a"}', '{"maker": "a", "digests": {'])
def test_a_damaged_memory_is_an_empty_one(place, content):
    place.parent.mkdir()
    place.write_text(content)
    make = Counted()
    CodeMemory(place, maker="a").digest("m.py", b"x = 1", make)
    assert make.made == ["x = 1"]


def test_nothing_is_written_where_python_writes_no_bytecode_or_cannot(place, monkeypatch):
    memory = CodeMemory(place, maker="a")
    memory.digest("m.py", b"x = 1", Counted())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    memory.save()
    assert not place.parent.exists()
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    place.parent.write_text("a file where the folder should be")
    memory.save()
    assert place.parent.is_file()


def test_a_room_has_the_digest_that_its_sources_have(monkeypatch):
    source = (fingerprint.PACKAGE / "markup.py").read_text()
    expected = fingerprint.digest([["markup.py", fingerprint.code_digest(source)]])
    assert fingerprint.code_fingerprint(["markup"]) == {"markup": expected[:16]}
    assert beside_bytecode(fingerprint.PACKAGE).name.startswith("code_digests.")
