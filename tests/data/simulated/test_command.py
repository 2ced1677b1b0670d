"""The side command: report and folder."""

import json

import pytest

from tagpr.data.simulated.command import compose_source, main
from tagpr.data.simulated.export import export_folder
from tagpr.data.simulated.gates import WorldGateError
from tagpr.data.simulated.report import entries_needed, scores_by_entries, write_report
from tagpr.errors import UserError

SMALL = {"train": 8, "dev": 4, "test": 6, "tasks": ["S2", "S7"]}


@pytest.fixture(scope="module")
def records(make_source, draw):
    return draw(make_source(**SMALL), 1)


def test_presets_are_what_they_are_called():
    demo, small = compose_source([]), compose_source(["data.size=small", "data.noise=0.1"])
    assert demo.tasks == ("S2", "S3", "S5")
    assert len(small.tasks) == 6
    assert len(small.families) == 8
    assert (small.profile_entries, small.noise) == (16, 0.1)
    assert (demo.bounds.sampling_errors, small.bounds.sampling_errors) == (3.0, 0.0)


@pytest.mark.parametrize(
    "settings, message",
    [
        (["data.size=huge"], "data.size is 'huge'"),
        (["data.families=[vote]"], r"data.families is \['vote'\]"),
        (["data.nois=0.1"], "noise"),
        (["data.noise=???"], "data.noise has no value"),
    ],
)
def test_wrong_settings_are_the_users_to_read(settings, message, capsys):
    with pytest.raises(UserError, match=message):
        compose_source(settings)
    assert main(["report", *settings]) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_the_folder_is_read_without_this_package(records, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "world"
    export_folder(records, folder, card="# Card\n")
    loaded = datasets.load_dataset(str(folder), "S2", cache_dir=str(tmp_path / "cache"))
    own = [r for r in records if r.task == "S2"]
    assert {split: len(rows) for split, rows in loaded.items()} == {"train": 80, "validation": 16, "test": 12}
    row = loaded["train"][0]
    assert row["query"] == own[0].query
    assert row["profile"][0]["response"] == own[0].profile[0].response
    assert json.loads(row["truth"]) == own[0].truth
    assert (folder / "lamp" / "S7" / "test" / "test_questions.json").is_file()
    assert (folder / "README.md").read_text().endswith("---\n# Card\n")
    with pytest.raises(UserError, match="is not empty"):
        export_folder(records, folder, card="")


def test_a_world_that_misses_its_gates_is_not_handed_over(tmp_path):
    source = compose_source(["data.size=smoke", "data.tasks=[S2]", "data.noise=0.7"])
    with pytest.raises(WorldGateError):
        source.records(seed=0)
    out = tmp_path / "x"
    assert main(["export", "--size", "smoke", "--out", str(out), "data.tasks=[S2]", "data.noise=0.7"]) == 2
    assert not out.exists()


def test_the_report_has_every_row(records, make_source):
    gates = make_source(**SMALL).gates(records)
    text = write_report(records, gates, title="a test", advance=lambda tasks: None)
    for row in (
        "| Bayes |",
        "| nearest entry |",
        "| population majority |",
        "| Bayes reader of | 0 | 1 | 2 | 3 | 6 entries",
    ):
        assert row in text
    assert "| decoys broken |" in text
    assert "lexicographic" in text
    assert "not knowing" not in text


def test_a_held_out_family_has_two_ceilings(world, make_source):
    records = [record for record in world if record.task == "S3"]
    text = write_report(records, make_source().gates(records), title="a test", advance=lambda tasks: None)
    (held_out,) = [line for line in text.splitlines() if line.startswith("| held-out family |")]
    *_, unaware, knowing, _ = [cell.split(" ±")[0].strip() for cell in held_out.split("|")]
    assert float(unaware) < float(knowing)
    assert "| Bayes, not knowing the held-out family |" in text


def test_a_reader_of_nothing_is_blind_and_of_all_is_bayes(records):
    asked = [r for r in records if r.task == "S2" and r.split == "test"]
    found = scores_by_entries(asked, [0, 6])
    for count, side in ((0, "blind"), (6, "bayes")):
        assert found[count] == [float(r.truth[side]["answer"] == r.gold) for r in asked]


def test_entries_needed_by_hand():
    # From .5 to .9: four fifths of the way is .82.
    assert entries_needed({0: 0.5, 1: 0.7, 2: 0.83, 3: 0.9}, 0.9) == "2"
    assert entries_needed({0: 0.5, 1: 0.6}, 0.9) == "more"
