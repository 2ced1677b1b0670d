"""From texts to vectors: each distinct text is read once, a context that several answers share once for all of them."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.lm.attention import PACKED
from tagpr.lm.batches import GroupedBatch, split_groups
from tagpr.lm.forward import fast_method, last_completion_states, last_hidden_states
from tagpr.markup import ARROW
from tagpr.prmu.texts import Exchange, Pasted

Text = Exchange | Pasted
Tokens = tuple[int, ...]
Encode = Callable[[Sequence[Text]], Tensor]  # (N, D): a TextEncoder in training, a FrozenEncoder afterwards


class TextEncoder(nn.Module):
    """g: the backbone's last hidden state at the last token of `{context} => {response}`.

    A backbone with `two_part` or `flex` attention reads the context of several answers once (chosen and rejected, the
    G answers of an RL group); with any other each answer brings its context along. Both give the same vectors and
    gradients.

    Args:
        backbone: a causal transformer of transformers, without its language-model head (`base_model`).
        max_tokens: longest exchange; a longer context loses its end, a response longer than half of it too.
        batch_tokens: padded tokens of one forward pass.
    """

    def __init__(
        self, *, backbone: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_tokens: int, batch_tokens: int
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.max_tokens = max_tokens
        self.batch_tokens = batch_tokens

    @property
    def hidden_size(self) -> int:
        return self.backbone.config.hidden_size

    def forward(self, texts: Sequence[Text]) -> Tensor:
        """(N, D) float32, a row per text; equal texts share one forward pass and its gradient."""
        known = [_known_as(text) for text in texts]
        distinct = {text: i for i, text in enumerate(dict.fromkeys(known))}
        if not distinct:
            return torch.zeros(0, self.hidden_size, device=self.backbone.device)
        hidden = self._encode(self.token_ids(list(distinct)))
        return hidden[torch.tensor([distinct[text] for text in known], device=hidden.device)]

    def token_ids(self, texts: Sequence[Text]) -> list[tuple[Tokens, Tokens]]:
        """What is read before a response, and the response.

        They are tokenised apart, so that cutting a long context never costs the response. A pasted history does not
        depend on the candidate's length: all answers to one question have the same text before them.
        """
        candidates = [text.candidate if isinstance(text, Pasted) else text for text in texts]
        pasted = {text: None for text in texts if isinstance(text, Pasted)}
        parts = self._tokenise([*candidates, *(entry for text in pasted for entry in text.history)])
        histories = {(text.history, text.history_tokens): self._history(text, parts) for text in pasted}
        found = []
        for text, candidate in zip(texts, candidates, strict=True):
            before, response = _fit(*parts[candidate], limit=self.max_tokens)
            if isinstance(text, Pasted):
                before = histories[text.history, text.history_tokens] + before
            found.append((before, response))
        return found

    def _history(self, text: Pasted, parts: dict[Exchange, tuple[Tokens, Tokens]]) -> Tokens:
        """The latest entries that fit whole, oldest of them first; the very latest is cut if it must be."""
        (newline,) = self._raw(["\n"])
        read: Tokens = ()
        for entry in reversed(text.history):
            room = text.history_tokens - len(read) - len(newline)
            limit = self.max_tokens if read else min(self.max_tokens, room)
            context, response = _fit(*parts[entry], limit=limit)
            if limit < 2 or len(context) + len(response) > room:
                break
            read = context + response + newline + read
        return read

    def _tokenise(self, exchanges: Sequence[Exchange]) -> dict[Exchange, tuple[Tokens, Tokens]]:
        distinct = list(dict.fromkeys(exchanges))
        contexts = self._raw([exchange.context for exchange in distinct])
        responses = self._raw([f" {ARROW} {exchange.response}" for exchange in distinct])
        return dict(zip(distinct, zip(contexts, responses, strict=True), strict=True))

    def _raw(self, texts: list[str]) -> list[Tokens]:
        if not texts:
            return []
        return [tuple(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]

    def _encode(self, texts: list[tuple[Tokens, Tokens]]) -> Tensor:
        """(N, D): what shares its context by groups of one size, the rest text by text."""
        sharing: dict[Tokens, list[int]] = defaultdict(list)
        if self.backbone.config._attn_implementation in PACKED:
            for i, (before, response) in enumerate(texts):
                if before and response:
                    sharing[before].append(i)
        by_size: dict[int, list[list[int]]] = defaultdict(list)
        for members in sharing.values():
            if len(members) > 1:
                by_size[len(members)].append(members)
        order = [i for groups in by_size.values() for members in groups for i in members]
        alone = sorted(set(range(len(texts))).difference(order))
        parts = [
            self._encode_groups([[texts[i] for i in members] for members in groups]) for groups in by_size.values()
        ]
        if alone:
            whole = [texts[i][0] + texts[i][1] for i in alone]
            method = fast_method(self.backbone)
            parts.append(last_hidden_states(self.backbone, whole, method=method, max_tokens=self.batch_tokens).float())
        place = torch.empty(len(texts), dtype=torch.long)
        place[torch.tensor([*order, *alone])] = torch.arange(len(texts))
        hidden = torch.cat(parts)
        return hidden[place.to(hidden.device)]

    def _encode_groups(self, groups: list[list[tuple[Tokens, Tokens]]]) -> Tensor:
        """(groups * size, D) of groups of equal size whose members share what comes before the response."""
        batch = GroupedBatch.from_lists(
            [members[0][0] for members in groups],
            [[response for _, response in members] for members in groups],
            pad_id=0,
        ).to(self.backbone.device)
        indices = split_groups(batch, max_tokens=self.batch_tokens)
        method = fast_method(self.backbone)
        states = [last_completion_states(self.backbone, batch.select(index), method=method) for index in indices]
        back = torch.cat(indices).argsort().to(self.backbone.device)
        return torch.cat(states)[back].flatten(0, 1).float()


class Remembered:
    """Rows by key, at most `capacity`, the longest unused forgotten first; all of them when the weights change."""

    def __init__(self, *, capacity: int) -> None:
        self.capacity = capacity
        self._rows: OrderedDict[Hashable, Tensor] = OrderedDict()
        self._weights: tuple[tuple[int, int], ...] = ()

    def __len__(self) -> int:
        return len(self._rows)

    def forget_others(self, *modules: nn.Module) -> None:
        """Forget what other weights than the modules' present ones have made."""
        # Tensor._version counts in-place changes, as optimizers and load_state_dict make them.
        weights = tuple((p.data_ptr(), p._version) for module in modules for p in module.parameters())
        if weights != self._weights:
            self._rows.clear()
            self._weights = weights

    def get(self, key: Hashable) -> Tensor | None:
        row = self._rows.get(key)
        if row is not None:
            self._rows.move_to_end(key)
        return row

    def put(self, key: Hashable, row: Tensor) -> None:
        self._rows[key] = row.detach().clone()  # a view would keep its whole batch alive
        while len(self._rows) > self.capacity:
            self._rows.popitem(last=False)


class FrozenEncoder:
    """A TextEncoder without gradient that remembers what it has read, and the user vectors made of it.

    Args:
        capacity: texts remembered, and as many users.
    """

    def __init__(self, encoder: TextEncoder, *, capacity: int) -> None:
        self.encoder = encoder
        self.users = Remembered(capacity=capacity)
        self.num_encoded = 0
        self._texts = Remembered(capacity=capacity)

    @torch.no_grad()
    def __call__(self, texts: Sequence[Text]) -> Tensor:
        """(N, D), as TextEncoder's."""
        self._texts.forget_others(self.encoder)
        known = [_known_as(text) for text in texts]
        rows: dict[Text, Tensor] = {}
        new: list[Text] = []
        for text in dict.fromkeys(known):
            row = self._texts.get(text)
            if row is None:
                new.append(text)
            else:
                rows[text] = row
        for text, row in zip(new, self.encoder(new).unbind(), strict=True):
            rows[text] = row
            self._texts.put(text, row)
        self.num_encoded += len(new)
        return torch.stack([rows[text] for text in known]) if known else self.encoder([])


def _known_as(text: Text) -> Text:
    return text.text() if isinstance(text, Exchange) else text


def _fit(context: Tokens, response: Tokens, *, limit: int) -> tuple[Tokens, Tokens]:
    """At most `limit` tokens: half of them for the response, and what the context leaves."""
    response = response[: max(limit // 2, limit - len(context))]
    return context[: limit - len(response)], response
