"""`tagpr-data` against a server on this machine that fails in the ways that servers fail."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tagpr.data import http_file
from tagpr.data.download import LampFile, files_of, folders_of, main, read_ids
from tagpr.data.lamp_files import find_task_folders
from tagpr.errors import UserError

PAGE = b"<!DOCTYPE html><html>Page not found</html>"


class Server:
    """Files by path, and what was asked for.

    `breaks`: path -> how many more answers stop in the middle. `ignores_ranges`: every answer is the whole file.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.breaks: dict[str, int] = {}
        self.ignores_ranges = False
        self.pages_for_missing = False
        self.asked: list[tuple[str, str | None]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.answer(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        wanted = request.headers["Range"]
        self.asked.append((request.path, wanted))
        content = self.files.get(request.path)
        if content is None:
            content = PAGE if self.pages_for_missing else b"no"
            self.send(request, 200 if self.pages_for_missing else 404, content, len(content))
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and not self.ignores_ranges else 0
        if start and start >= len(content):
            self.send(request, 416, b"", 0, f"bytes */{len(content)}")
            return
        rest = content[start:]
        sent = rest
        if self.breaks.get(request.path, 0) > 0:
            self.breaks[request.path] -= 1
            sent = rest[: len(rest) // 2]
        content_range = f"bytes {start}-{len(content) - 1}/{len(content)}" if start else None
        self.send(request, 206 if start else 200, sent, len(rest), content_range)

    def send(self, request, status: int, content: bytes, length: int, content_range: str | None = None) -> None:
        request.send_response(status)
        request.send_header("Content-Length", str(length))
        if content_range:
            request.send_header("Content-Range", content_range)
        request.end_headers()
        request.wfile.write(content)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(http_file, "PAUSE_SECONDS", 0)
    monkeypatch.setattr(http_file, "TIMEOUT_SECONDS", 5)
    running = Server()
    yield running
    running.http.shutdown()
    running.http.server_close()


def questions(*ids: str) -> bytes:
    items = [{"id": i, "input": "review: ü", "profile": [{"id": f"{i}0", "text": "x" * 50, "score": "5"}]} for i in ids]
    return json.dumps(items, ensure_ascii=False).encode()


def golds(**outputs: str) -> bytes:
    return json.dumps({"task": "LaMP_3", "golds": [{"id": i, "output": o} for i, o in outputs.items()]}).encode()


def put(server: Server, folder: str, *, splits=("train", "dev", "test"), output: str = "5") -> None:
    for split in splits:
        server.files[f"/{folder}/{split}/{split}_questions.json"] = questions(f"{split}1", f"{split}2")
        server.files[f"/{folder}/{split}/{split}_outputs.json"] = golds(**{f"{split}1": output, f"{split}2": output})


def lamp(server: Server, root, *more: str, task: str = "3", form: str = "user") -> int:
    arguments = ["--task", task, "--split", form, "--root", str(root), "--base-url", server.url, "--any-count"]
    return main(["lamp", *arguments, *more])


def names(root) -> list[str]:
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())


def test_a_task_is_loaded_once_to_where_the_loader_looks(server, tmp_path, capsys):
    put(server, "LaMP_3")
    assert lamp(server, tmp_path) == 0
    path = "LaMP_3/dev/dev_questions.json"
    assert (tmp_path / path).read_bytes() == server.files[f"/{path}"]
    assert len(names(tmp_path)) == 6
    assert find_task_folders(tmp_path) == [tmp_path / "LaMP_3"]
    out = capsys.readouterr().out
    assert f"{path}: 2 items, {len(server.files[f'/{path}'])} bytes" in out
    assert f"data=lamp data.root={tmp_path} data.tasks=[LaMP_3]" in out
    assert len(server.asked) == 6
    assert lamp(server, tmp_path) == 0
    assert len(server.asked) == 6


def test_parts_and_withheld_golds(server, tmp_path, capsys):
    put(server, "LaMP_3")
    del server.files["/LaMP_3/test/test_outputs.json"]
    assert lamp(server, tmp_path, "--parts", "dev", "test") == 0
    assert names(tmp_path) == [
        "LaMP_3/dev/dev_outputs.json",
        "LaMP_3/dev/dev_questions.json",
        "LaMP_3/test/test_questions.json",
    ]
    assert "test_outputs.json: withheld" in capsys.readouterr().out


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    put(server, "LaMP_3")
    path = "/LaMP_3/dev/dev_questions.json"
    server.breaks[path] = 2
    assert lamp(server, tmp_path, "--parts", "dev") == 0
    size = len(server.files[path])
    half = size // 2
    three_quarters = half + (size - half) // 2
    assert [asked for at, asked in server.asked if at == path] == [None, f"bytes={half}-", f"bytes={three_quarters}-"]
    assert (tmp_path / path[1:]).read_bytes() == server.files[path]


def test_what_never_arrives_is_no_file_and_the_next_call_goes_on(server, tmp_path, capsys):
    put(server, "LaMP_3")
    path = "/LaMP_3/dev/dev_questions.json"
    server.breaks[path] = http_file.ATTEMPTS
    assert lamp(server, tmp_path, "--parts", "dev") == 2
    assert "broke off 5 times" in capsys.readouterr().err
    assert names(tmp_path) == ["LaMP_3/dev/dev_outputs.json", "LaMP_3/dev/dev_questions.json.part"]
    assert lamp(server, tmp_path, "--parts", "dev") == 0
    assert server.asked[-1][1] is not None
    assert (tmp_path / path[1:]).read_bytes() == server.files[path]
    assert not list(tmp_path.rglob("*.part"))


def test_a_server_without_ranges_starts_again(server, tmp_path):
    put(server, "LaMP_3")
    server.ignores_ranges = True
    path = "/LaMP_3/dev/dev_questions.json"
    server.breaks[path] = 1
    assert lamp(server, tmp_path, "--parts", "dev") == 0
    assert (tmp_path / path[1:]).read_bytes() == server.files[path]


@pytest.mark.parametrize("left", [0, 10_000])
def test_a_part_that_is_already_whole_or_not_of_this_file(server, tmp_path, left):
    put(server, "LaMP_3")
    path = "LaMP_3/dev/dev_questions.json"
    part = tmp_path / f"{path}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(server.files[f"/{path}"] + b" " * left)
    assert lamp(server, tmp_path, "--parts", "dev") == 0
    assert (tmp_path / path).read_bytes() == server.files[f"/{path}"]


@pytest.mark.parametrize("pages", [False, True])
def test_a_wrong_address(server, tmp_path, capsys, pages):
    server.pages_for_missing = pages
    assert lamp(server, tmp_path) == 2
    err = capsys.readouterr().err
    assert f"{server.url}/LaMP_3/train/train_outputs.json" in err
    assert ("a web page" if pages else "answers 404") in err
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "content, message",
    [
        (questions("dev1", "dev2")[:-30], "the file was cut off"),
        (b"[1, 2]", "expected a question with its profile"),
        (b'[{"id": "dev1", "profile": []}] and more', "Extra data, found"),
        (b"[\xff]", "not UTF-8"),
    ],
)
def test_a_file_that_is_broken_at_the_server_is_not_kept(server, tmp_path, capsys, content, message):
    put(server, "LaMP_3")
    server.files["/LaMP_3/dev/dev_questions.json"] = content
    assert lamp(server, tmp_path, "--parts", "dev") == 2
    assert message in capsys.readouterr().err
    assert names(tmp_path) == ["LaMP_3/dev/dev_outputs.json"]


def test_the_two_files_of_a_split_must_hold_the_same_ids(server, tmp_path, capsys):
    put(server, "LaMP_3")
    server.files["/LaMP_3/dev/dev_outputs.json"] = golds(dev1="5", dev3="5")
    assert lamp(server, tmp_path, "--parts", "dev") == 2
    assert "2 ids stand in one of the two files alone" in capsys.readouterr().err


def test_another_count_than_measured_is_told_and_can_be_accepted(server, tmp_path, capsys):
    put(server, "LaMP_3")
    arguments = ["--task", "LaMP_3", "--split", "user", "--root", str(tmp_path), "--base-url", server.url]
    assert main(["lamp", *arguments, "--parts", "dev"]) == 2
    err = capsys.readouterr().err
    assert "2 items, but 2,500 were measured" in err
    assert "--any-count" in err
    assert names(tmp_path) == ["LaMP_3/dev/dev_outputs.json.part"]
    assert lamp(server, tmp_path, "--parts", "dev") == 0
    assert server.asked[1] == ("/LaMP_3/dev/dev_outputs.json", f"bytes={len(golds(dev1='5', dev2='5'))}-")


def test_another_size_than_measured(tmp_path):
    path = tmp_path / "dev_questions.json"
    path.write_bytes(questions("a", "b"))
    file = LampFile(task="LaMP_3", split="dev", kind="questions", count=2, num_bytes=401_034_862)
    with pytest.raises(UserError, match="401,034,862 were measured"):
        read_ids(file, path)


def test_the_movie_task_is_new_and_its_time_form_is_looked_for(server, tmp_path, capsys):
    put(server, "LaMP_2/new", output="comedy")
    put(server, "LaMP_2", output="politics")
    put(server, "time/LaMP_2", output="comedy")
    for task in ("2", "2N"):
        assert lamp(server, tmp_path, "--parts", "dev", task=task) == 0
    assert find_task_folders(tmp_path) == [tmp_path / "LaMP_2", tmp_path / "LaMP_2" / "new"]
    assert lamp(server, tmp_path, "--parts", "dev", task="2", form="time") == 0
    assert (tmp_path / "time" / "LaMP_2" / "dev" / "dev_questions.json").is_file()
    assert f"data.root={tmp_path / 'time'} " in capsys.readouterr().out


def test_the_golds_of_another_task_are_refused(server, tmp_path, capsys):
    put(server, "LaMP_2/new", output="politics")
    assert lamp(server, tmp_path, task="2") == 2
    assert "no gold of LaMP_2 in it, the first is 'politics'" in capsys.readouterr().err
    assert names(tmp_path) == []


def test_offline_it_says_which_file_to_put_where(server, tmp_path, capsys, monkeypatch):
    put(server, "LaMP_3")
    assert lamp(server, tmp_path, "--parts", "dev") == 0
    (tmp_path / "LaMP_3/dev/dev_questions.json").unlink()

    def no_network(*arguments, **named):
        raise OSError("Network is unreachable")

    monkeypatch.setattr(http_file.urllib.request, "urlopen", no_network)
    assert lamp(server, tmp_path, "--parts", "dev") == 2
    err = capsys.readouterr().err
    name = "LaMP_3/dev/dev_questions.json"
    assert f"{server.url}/{name}: no answer (Network is unreachable)." in err
    assert f"  {server.url}/{name}\n    -> {tmp_path / name}\n" in err
    assert "outputs" not in err
    # What somebody put there by hand is looked at in the same way.
    (tmp_path / name).write_bytes(server.files[f"/{name}"])
    assert lamp(server, tmp_path, "--parts", "dev") == 0


def test_nobody_listens(tmp_path, capsys):
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as closed:
        url = f"http://127.0.0.1:{closed.server_port}"
    assert main(["lamp", "--task", "7", "--split", "time", "--root", str(tmp_path), "--base-url", url]) == 2
    assert "time/LaMP_7/train/train_questions.json\n    -> " in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--task", "6"], "Avocado"),
        (["--task", "S3"], "data=simulated"),
        (["--task", "2N", "--split", "time"], "no time-based form"),
        (["--base-url", "file:///etc"], "begins with https"),
    ],
)
def test_what_cannot_be_asked_for(tmp_path, capsys, arguments, message):
    assert main(["lamp", "--task", "3", "--split", "user", "--root", str(tmp_path), *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_root_that_cannot_be_written(server, tmp_path, capsys):
    put(server, "LaMP_3")
    (tmp_path / "file").write_text("")
    assert lamp(server, tmp_path / "file") == 2
    assert "cannot be written" in capsys.readouterr().err


def test_counts_hold_for_the_user_based_form_alone():
    [outputs, asked] = files_of("LaMP_3", "user", ["dev"], any_count=False)
    assert (outputs.count, outputs.num_bytes, asked.count, asked.num_bytes) == (2500, None, 2500, 401_034_862)
    assert all(file.count is file.num_bytes is None for file in files_of("LaMP_3", "time", ["dev"], any_count=False))
    assert folders_of("LaMP_3", "time") == ("time/LaMP_3",)
