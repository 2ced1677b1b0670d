"""A local model as a teacher: what it is asked, what is kept, what is counted."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tagpr.chains.asking import question_text, read_reply
from tagpr.chains.teachers.base import RawChain
from tagpr.chains.teachers.pretrained import PretrainedTeacher, UnreadableWarning
from tagpr.errors import UserError
from tagpr.lm.backbone import load_policy, load_tokenizer, save_policy
from tagpr.lm.generation.base import RolloutEngine, Sampling
from tagpr.lm.generation.hf_engine import HfEngine
from tagpr.lm.generation.torch_engine import TorchEngine
from tagpr.storage import read_json
from tagpr.types import Prompt
from tests.chains.teachers.saying import RATING, SayingEngine, Script, rating

MakePrompt = Callable[..., Prompt]
TAUGHT = "<think>hm</think>- <1> is low.\n- <2> is low.\nAnswer: 2<|im_end|>"
ENGINES = {"torch": partial(TorchEngine, max_tokens=6000, device="cpu"), "hf": partial(HfEngine, device="cpu")}


def teacher(folder: Path, engine: Callable[..., RolloutEngine], **changes: object) -> PretrainedTeacher:
    settings = {
        "dtype": "float32", "attention": "two_part", "thinking": True, "temperature": 1.0, "top_p": 1.0, "top_k": 0,
        "max_new_tokens": 10, "batch_tokens": 1,
    }  # fmt: skip
    return PretrainedTeacher(path=str(folder), engine=engine, **{**settings, **changes})  # type: ignore[arg-type]


def saying(folder: Path, script: Script, **changes: object) -> PretrainedTeacher:
    return teacher(folder, partial(SayingEngine, device="cpu", script=script), **changes)


@pytest.fixture
def prompts(prompt_of: MakePrompt) -> list[Prompt]:
    """Five, the later the longer."""
    return [
        prompt_of("LaMP_3", [("a weak hinge", "2")] * (number + 1), "a lamp", "2", record_id=f"r{number}")
        for number in range(5)
    ]


def write(
    one: PretrainedTeacher, prompts: Sequence[Prompt], kept: Path, *, num_samples: int = 2, seed: int = 3
) -> list[list[RawChain | None]]:
    return one.write(prompts, num_samples=num_samples, seed=seed, kept=kept, on_done=lambda: None)


def kept_texts(kept: Path) -> set[tuple[str, ...]]:
    return {
        tuple(one["text"] for one in own) for file in kept.glob("*.json") for own in read_json(file)["replies"]
    }  # fmt: skip


# --- a real model ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ENGINES)
def test_what_is_kept_is_what_the_engine_generates(
    name: str, tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    one = teacher(tiny_teacher, ENGINES[name], batch_tokens=6000)
    with pytest.warns(UnreadableWarning, match="first 10 replies could be read, 10 of them were cut off"):
        assert write(one, prompts, tmp_path) == [[None, None]] * 5
    assert one.spent() == {"teacher_generated_tokens": 100, "teacher_truncated": 10, "teacher_unreadable": 0}
    tokenizer = load_tokenizer(tiny_teacher)
    asked = [asked_of(prompt, tokenizer) for prompt in prompts]
    (file,) = tmp_path.glob("*.json")
    held = read_json(file)["replies"][::-1]  # the longest was first
    groups = ENGINES[name](tokenizer=tokenizer).generate(
        load_policy(tiny_teacher, dtype="float32", attention="two_part"),
        asked,
        num_samples=2,
        sampling=Sampling(temperature=1.0, top_p=1.0, top_k=0, max_new_tokens=10),
        seed=[one_seed(number) for number in range(5)],
    )
    assert held == [
        [{"text": drawn.text, "num_tokens": 10, "truncated": True} for drawn in group] for group in groups
    ]  # fmt: skip
    assert len({drawn["text"] for own in held for drawn in own}) == 10


def asked_of(prompt: Prompt, tokenizer: Any) -> list[int]:
    message = {"role": "user", "content": question_text(prompt)}
    return tokenizer.apply_chat_template([message], add_generation_prompt=True, enable_thinking=True, return_dict=False)


def test_what_a_model_says_token_by_token_becomes_a_chain(
    taught_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    one = teacher(taught_teacher, ENGINES["torch"], temperature=0.0, max_new_tokens=40, batch_tokens=3000)
    chain = RawChain(steps=("<1> is low.", "<2> is low."), answer="2", habitual=False)
    assert write(one, prompts[:3], tmp_path / "kept") == [[chain, chain]] * 3
    length = len(load_tokenizer(taught_teacher)(TAUGHT, add_special_tokens=False)["input_ids"])
    assert one.spent() == {
        "teacher_generated_tokens": 6 * length, "teacher_truncated": 0, "teacher_unreadable": 0,
    }  # fmt: skip


@pytest.fixture
def taught_teacher(tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path) -> Path:
    """The tiny model, having learned by heart what to reply to the first three."""
    tokenizer = load_tokenizer(tiny_teacher)
    model = load_policy(tiny_teacher, dtype="float32", attention="sdpa")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-2)
    reply = tokenizer(TAUGHT, add_special_tokens=False)["input_ids"]
    texts = [torch.tensor([[*asked_of(prompt, tokenizer), *reply]]) for prompt in prompts[:3]]
    for step in range(120):
        ids = texts[step % 3]
        logits = model(input_ids=ids, logits_to_keep=len(reply) + 1).logits[0]
        loss = torch.nn.functional.cross_entropy(logits[:-1], ids[0, -len(reply) :])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02
    save_policy(model, tokenizer, tmp_path / "taught")
    return tmp_path / "taught"


def one_seed(number: int) -> int:
    from hashlib import sha256

    return int(sha256(f"3/LaMP_3/r{number}".encode()).hexdigest()[:16], 16)


@pytest.mark.filterwarnings("ignore::tagpr.chains.teachers.pretrained.UnreadableWarning")
def test_a_reply_does_not_depend_on_what_else_is_asked(
    tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    model = partial(teacher, tiny_teacher, ENGINES["torch"])
    write(model(batch_tokens=6000), prompts, tmp_path / "together")
    write(model(batch_tokens=1), prompts, tmp_path / "alone")
    assert len(list((tmp_path / "together").iterdir())) == 1
    assert len(list((tmp_path / "alone").iterdir())) == 5
    whole = kept_texts(tmp_path / "together")
    assert kept_texts(tmp_path / "alone") == whole
    write(model(), [prompts[3], prompts[1]], tmp_path / "fewer", num_samples=1)
    assert kept_texts(tmp_path / "fewer") < {own[:1] for own in whole}
    write(model(), prompts, tmp_path / "other", seed=4)
    assert not kept_texts(tmp_path / "other") & whole


# --- asking ----------------------------------------------------------------------------------------------------------


def test_the_model_is_asked_in_prose_by_its_own_chat_template(
    tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    script = Script(say=rating)
    write(saying(tiny_teacher, script, thinking=False), prompts[:1], tmp_path)
    (((ids,), _, samples),) = script.asked
    tokenizer = load_tokenizer(tiny_teacher)
    expected = f"<|im_start|>user\n{question_text(prompts[0])}<|im_end|>\n<|im_start|>assistant\n<think></think>"
    assert ids == tokenizer(expected, add_special_tokens=False)["input_ids"]
    assert samples == 2


def test_batches_fill_the_budget_longest_first(tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path) -> None:
    script = Script(say=rating)
    write(saying(tiny_teacher, script), prompts, tmp_path / "one")
    lengths = [len(batch[0][0]) for batch in script.asked]
    assert len(lengths) == 5
    assert lengths == sorted(lengths, reverse=True)
    assert len(set(lengths)) == 5
    for budget, sizes in ((2 * (lengths[0] + 20), [2, 2, 1]), (2 * (lengths[0] + 20) - 1, [1, 2, 2])):
        script = Script(say=rating)  # a prompt's two samples may have ten tokens each
        found = write(saying(tiny_teacher, script, batch_tokens=budget), prompts, tmp_path / str(budget))
        assert [len(batch) for batch, _, _ in script.asked] == sizes
        assert found == write(saying(tiny_teacher, Script(say=rating)), prompts, tmp_path / "one")


def test_what_does_not_fit_is_said_before_anything_is_generated(
    tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    script = Script(say=rating)
    write(saying(tiny_teacher, script), prompts, tmp_path / "fits")
    longest = len(script.asked[0][0][0])
    room = 2048 - longest
    script = Script(say=rating)
    write(saying(tiny_teacher, script, max_new_tokens=room), prompts[::-1], tmp_path / "just")
    assert script.num_said == 10
    with pytest.raises(
        UserError, match=rf"has {longest} tokens and .*max_new_tokens={room + 3}, but .* reads 2048\. .*by 3 tokens or"
    ):
        write(saying(tiny_teacher, script, max_new_tokens=room + 3), prompts, tmp_path / "not")
    assert script.num_said == 10
    assert not (tmp_path / "not").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"temperature": -1.0}, "temperature >= 0"), ({"top_p": 0.0}, "top_p <= 1"), ({"batch_tokens": 0}, "=0, expect")],
)
def test_a_wrong_value_is_the_users(wrong: dict[str, object], message: str, tiny_teacher: Path) -> None:
    with pytest.raises(UserError, match=f"^teacher.*{message}"):
        saying(tiny_teacher, Script(say=rating), **wrong)


# --- reading ---------------------------------------------------------------------------------------------------------


def test_replies_become_chains_and_what_is_none_is_counted_and_not_asked_again(
    tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    said = (RATING.format(2), None, "I would rather not.", RATING.format(5))
    script = Script(say=lambda seed, sample: said[sample])
    one = saying(tiny_teacher, script)
    chain = read_reply(RATING.format(2), prompts[0])
    assert chain is not None
    (own,) = write(one, prompts[:1], tmp_path, num_samples=4)
    assert own == [chain, None, None, RawChain(steps=chain.steps, answer="5", habitual=False)]
    assert script.num_said == 4
    assert one.spent() == {"teacher_generated_tokens": 20, "teacher_truncated": 1, "teacher_unreadable": 1}
    assert saying(tiny_teacher, script).chains(prompts[0], num_samples=4, seed=3) == [own[0], own[3]]


@pytest.mark.parametrize("thinking", [True, False])
def test_thinking_that_the_template_opened_and_nothing_closed_is_no_chain(
    thinking: bool, tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    folder = tmp_path / "opens"
    shutil.copytree(tiny_teacher, folder)
    template = (folder / "chat_template.jinja").read_text()
    (folder / "chat_template.jinja").write_text(
        template + "{% if enable_thinking %}{{ '<think>\n' }}{% endif %}", encoding="utf-8"
    )
    hidden = "- they said 5\nAnswer: 5"
    script = Script(say=lambda seed, sample: (hidden, f"{hidden}\n</think>\n{RATING.format(2)}")[sample])
    one = saying(folder, script, thinking=thinking)
    ((open_, closed),) = write(one, prompts[:1], tmp_path / "kept")
    assert closed == read_reply(RATING.format(2), prompts[0])
    assert open_ == (None if thinking else read_reply(hidden, prompts[0]))
    assert one.spent()["teacher_unreadable"] == thinking


def test_a_first_batch_without_any_chain_is_said_at_once(
    tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    script = Script(say=lambda seed, sample: None if sample else "No.")
    with pytest.warns(UnreadableWarning, match="first 2 replies could be read, 1 of them were cut off") as said:
        write(saying(tiny_teacher, script), prompts, tmp_path)
    assert len(said) == 1


# --- being killed ----------------------------------------------------------------------------------------------------


class Killed(Exception):
    pass


def killed_at(prompt: int) -> Callable[[], None]:
    left = iter(range(prompt - 1))

    def advance() -> None:
        if next(left, None) is None:
            raise Killed

    return advance


def test_a_killed_run_goes_on_and_asks_nothing_twice(tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path) -> None:
    longest = Script(say=rating)
    uninterrupted = saying(tiny_teacher, longest)
    expected = write(uninterrupted, prompts, tmp_path / "whole")
    budget = 2 * (len(longest.asked[0][0][0]) + 20)  # two prompts at a time
    script = Script(say=rating)
    for deaths in (1, 3, 4):  # in the first batch of the run, in the second twice
        with pytest.raises(Killed):
            saying(tiny_teacher, script, batch_tokens=budget).write(
                prompts, num_samples=2, seed=3, kept=tmp_path / "kept", on_done=killed_at(deaths)
            )
    resumed = saying(tiny_teacher, script, batch_tokens=budget)
    done: list[None] = []
    assert resumed.write(
        prompts, num_samples=2, seed=3, kept=tmp_path / "kept", on_done=lambda: done.append(None)
    ) == expected  # fmt: skip
    assert len(done) == 5
    assert script.num_said == 10
    assert len({seed for _, seeds, _ in script.asked for seed in seeds}) == 5
    assert resumed.spent() == uninterrupted.spent()
    assert resumed.spent()["teacher_generated_tokens"] == 50


def test_a_finished_teacher_is_not_loaded_again(tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path) -> None:
    folder = tmp_path / "teacher"
    shutil.copytree(tiny_teacher, folder)
    expected = write(saying(folder, Script(say=rating)), prompts, tmp_path / "kept")
    (folder / "model.safetensors").unlink()
    assert write(saying(folder, Script(say=rating)), prompts, tmp_path / "kept") == expected


@pytest.mark.parametrize("torn", ["", "half", "[]", '{"request": 1}', "\0bytes"])
def test_a_torn_file_is_generated_again_and_no_other(
    torn: str, tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path
) -> None:
    script = Script(say=rating)
    expected = write(saying(tiny_teacher, script), prompts, tmp_path)
    file = tmp_path / "batch_00002.json"
    whole = file.read_text()
    if torn == '{"request": 1}':
        torn = json.dumps({"request": json.loads(whole)["request"]})
    file.write_text(whole[: len(whole) // 2] if torn == "half" else torn)
    assert write(saying(tiny_teacher, script), prompts, tmp_path) == expected
    assert script.num_said == 12
    assert file.read_text() == whole


def test_replies_to_another_request_do_not_count(tiny_teacher: Path, prompts: list[Prompt], tmp_path: Path) -> None:
    script = Script(say=rating)
    write(saying(tiny_teacher, script), prompts, tmp_path)
    for number, asking in enumerate((
        lambda: write(saying(tiny_teacher, script), prompts, tmp_path, seed=4),
        lambda: write(saying(tiny_teacher, script), prompts, tmp_path, seed=4, num_samples=1),
        lambda: write(saying(tiny_teacher, script, temperature=0.5), prompts, tmp_path, seed=4, num_samples=1),
    )):  # fmt: skip
        asking()
        assert script.num_said == (20, 25, 30)[number]
