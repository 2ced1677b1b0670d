"""What may and what may not change a fingerprint."""

from pathlib import Path

import pytest

from tagpr.pipeline.fingerprint import FileHashes, code_digest, differences, digest


def test_digest_ignores_key_order_and_sees_values():
    assert digest({"a": 1, "b": [1, 2]}) == digest({"b": [1, 2], "a": 1})
    assert digest({"a": 1}) != digest({"a": 2})
    assert digest({"a": [1, 2]}) != digest({"a": [2, 1]})


def test_code_digest_ignores_comments_docstrings_and_layout():
    plain = "def f(x):\n    return x + 1\n"
    dressed = '"""Module."""\n\n# why\ndef f(x):\n    """Adds one."""\n    return (x +\n            1)\n'
    assert code_digest(plain) == code_digest(dressed)
    assert code_digest(plain) != code_digest("def f(x):\n    return x + 2\n")
    assert code_digest(plain) != code_digest("def f(x):\n    'a'\n    return x + 2\n")


@pytest.mark.parametrize(
    "around",
    [
        "if a:\n  pass\nelse:\n",
        "try:\n  pass\nexcept E:\n",
        "try:\n  pass\nfinally:\n",
        "match a:\n case 1:\n",
        "class C:\n",
    ],
)
def test_docstrings_of_functions_inside_other_statements_do_not_count(around):
    plain, dressed = "  def f():\n    return 1\n", "  def f():\n    'One.'\n    return 1\n"
    assert code_digest(around + plain) == code_digest(around + dressed)


def test_file_hashes_are_remembered_and_renewed(tmp_path: Path):
    data = tmp_path / "data"
    (data / "a").mkdir(parents=True)
    (data / "a" / "dev_questions.json").write_text("[1]")
    (data / "notes.txt").write_text("not read")
    memory = tmp_path / "hashes.json"
    first = FileHashes(memory).folder(data, ["*_questions.json"])
    assert list(first) == ["a/dev_questions.json"]
    assert FileHashes(memory).folder(data, ["*_questions.json"]) == first
    (data / "a" / "dev_questions.json").write_text("[1, 2]")
    assert FileHashes(memory).folder(data, ["*_questions.json"]) != first
    memory.write_text("damaged")
    assert list(FileHashes(memory).folder(data, ["*_questions.json"])) == ["a/dev_questions.json"]


def test_differences_are_flat_and_readable():
    old = {"config": {"teacher": {"habit": 0.3, "examples": 3}}, "seed": 1}
    new = {"config": {"teacher": {"habit": 0.6, "examples": 3}}, "seed": 1, "files": {"a": "x"}}
    assert differences(old, new) == ["config.teacher.habit: 0.3 -> 0.6", 'files: null -> {"a": "x"}']
