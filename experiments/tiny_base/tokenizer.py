"""The tiny model's tokenizer: byte-level BPE that reads any text, and the method's marks as single tokens.

    python -m experiments.tiny_base.tokenizer FOLDER

It is trained on word lists and on the instruction sentences of the LaMP tasks; no record of anybody is read.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from experiments.tiny_base.words import DRILL_WORDS, FILLERS, GENERAL_KINDS, GENERAL_LEVELS
from tagpr.chains.tags import TAG_TOKENS
from tagpr.data.simulated import frames, lexicon
from tagpr.data.simulated.reasoning import ANSWER_STARTS, CHAIN_CUES, CHAIN_WORDS
from tagpr.data.simulated.style import STYLE_WORDS
from tagpr.markup import ARROW, THINK_CLOSE, THINK_OPEN, entry_marker
from tagpr.tasks.simulated import SIMULATED_TASKS

CHAT_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
PAD, EOS = "<|endoftext|>", "<|im_end|>"
NUM_ENTRY_MARKERS = 32
ARROWS = (" " + ARROW, ARROW)  # with its space, so that an entry costs one token less
CHOICES = tuple(space + choice for choice in lexicon.CHOICES for space in (" ", ""))
VOCABULARY_SIZE = 1_700

CHAT_TEMPLATE = """\
{%- for message in messages %}
{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think></think>' }}
{%- endif %}
{%- endif %}
"""

# The instruction sentences of the public LaMP tasks, payload left out.
LAMP_INSTRUCTIONS = (
    "For an author who has written the paper with the title , which reference is related? "
    "Just answer with [1] or [2] without explanation. [1]: [2]:",
    "Which tag does this movie relate to among the following tags? Just answer with the tag name without further "
    "explanation. tags: [sci-fi, based on a book, comedy, action, twist ending, dystopia, dark comedy, classic, "
    "psychology, fantasy, romance, thought-provoking, social commentary, violence, true story] description:",
    "Which category does this article relate to among the following categories? Just answer with the category name "
    "without further explanation. categories: [women, religion, politics, style & beauty, entertainment, culture & "
    "arts, sports, science & technology, travel, business, crime, education, healthy living, parents, food & drink] "
    "article:",
    "What is the score of the following review on a scale of 1 to 5? just answer with 1, 2, 3, 4, or 5 without further "
    "explanation. review:",
    "Generate a headline for the following article:",
    "Generate a title for the following abstract of a paper:",
    "Generate a subject for the following email:",
    "Paraphrase the following tweet without any explanation before or after it:",
)


def world_words() -> list[str]:
    """Words of the simulated world's item texts and answers, those kept for test people among them."""
    words = [word for table in lexicon.MEANINGS.values() for word in table]
    words += [*lexicon.KEYWORDS, *lexicon.STUDY_KINDS, *lexicon.TAG_LABELS]
    words += [*lexicon.TAG_ASPECTS, *lexicon.SCORE_ATTRIBUTES, *lexicon.DECOYS]
    words += [word for parts in STYLE_WORDS.values() for values in parts.values() for word in values if word.isalpha()]
    patterns = [*frames.SCORE_FRAMES, *frames.OPTION_FRAMES, "on with in day"]
    patterns += [
        frame for table in (frames.TAG_FRAMES, frames.STUDY_FRAMES) for group in table.values() for frame in group
    ]
    words += re.findall(r"(?<!\{)\b[a-z]+\b(?!\})", " ".join(patterns))
    return list(dict.fromkeys(words))


def quoted_words() -> list[str]:
    """Words that may stand behind an opening quote, where a choice's option begins."""
    tables = (lexicon.WORDS, lexicon.HELD_OUT_WORDS)
    names = (*lexicon.SCORE_ATTRIBUTES, "kind", "visit")
    words = [word for table in tables for name in names for group in table.get(name, {}).values() for word in group]
    return [*words, *lexicon.SCORE_ATTRIBUTES]


def general_words() -> list[str]:
    words = [*FILLERS, *DRILL_WORDS, *GENERAL_KINDS, *GENERAL_LEVELS]
    for table in (GENERAL_KINDS, GENERAL_LEVELS):
        for names in table.values():
            words += [*names, *(word for group in names.values() for word in group)]
    return list(dict.fromkeys(words))


def train_bpe() -> Tokenizer:
    """Merges are learnt from weighted word lists; ties are broken by the trainer, the same on every machine."""
    chain_words = [word for word in CHAIN_WORDS if word.isalpha()]
    inside = [" " + word for word in [*world_words(), *general_words(), *chain_words]]
    starts = [word for word in ANSWER_STARTS if "[" not in word]
    starts += [*CHAIN_CUES, *CHAIN_WORDS, *DRILL_WORDS, *quoted_words(), "task", "user", "assistant", "system"]
    starts += [task.cue for task in SIMULATED_TASKS]
    starts += [name for names in GENERAL_KINDS.values() for name in names]
    inside, starts = list(dict.fromkeys(inside)), list(dict.fromkeys(starts))
    marks = [" :", " ...", "...", " ,", " .", "\n", " ?", ' "', '",', " ‹", "‹"]
    corpus = 100 * [*inside, *starts] + 40 * marks + 3 * list(LAMP_INSTRUCTIONS)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    added = [AddedToken(token, special=True, normalized=False) for token in CHAT_TOKENS]
    markers = [entry_marker(number) for number in range(1, NUM_ENTRY_MARKERS + 1)]
    plain = [THINK_OPEN, THINK_CLOSE, *TAG_TOKENS, *markers, *ARROWS, *CHOICES]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY_SIZE - len(added) - len(plain),
        min_frequency=2,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    tokenizer.add_special_tokens(added)
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in plain])
    return tokenizer


def write_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Train, and write the tokenizer's Hugging Face files with the chat template into `folder`."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=train_bpe(),
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
        model_max_length=2_048,
        padding_side="right",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    path = folder / "tokenizer_config.json"
    settings = json.loads(path.read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    path.write_text(json.dumps(settings, indent=2) + "\n")
    return tokenizer


if __name__ == "__main__":
    destination = Path(sys.argv[1])
    destination.mkdir(parents=True, exist_ok=True)
    print(f"{len(write_tokenizer(destination))} entries written to {destination}")
