"""From exchanges to vectors: each distinct text is read once, in micro-batches of similar length."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from tagpr.markup import ARROW
from tagpr.prmu.texts import Exchange


class TextEncoder(nn.Module):
    """g: the backbone's last hidden state at the last token of `{context} => {response}`.

    Args:
        backbone: a causal transformer of transformers, without its language-model head (`base_model`).
        max_tokens: longest text; a longer context loses its end, a response longer than half of it too.
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

    def token_ids(self, exchanges: Sequence[Exchange]) -> list[list[int]]:
        """Context and response are tokenised apart, so that cutting a long context never costs the response."""
        contexts = self._tokenise([exchange.context for exchange in exchanges])
        responses = self._tokenise([f" {ARROW} {exchange.response}" for exchange in exchanges])
        texts = []
        for context, response in zip(contexts, responses, strict=True):
            response = response[: max(self.max_tokens // 2, self.max_tokens - len(context))]
            texts.append(context[: self.max_tokens - len(response)] + response)
        return texts

    def forward(self, exchanges: Sequence[Exchange]) -> Tensor:
        """(N, D) float32, a row per exchange; equal exchanges share one forward pass and its gradient."""
        distinct = {exchange: i for i, exchange in enumerate(dict.fromkeys(exchanges))}
        if not distinct:
            return torch.zeros(0, self.hidden_size, device=self.backbone.device)
        hidden = self._encode(self.token_ids(list(distinct)))
        return hidden[torch.tensor([distinct[exchange] for exchange in exchanges], device=hidden.device)]

    def _encode(self, texts: list[list[int]]) -> Tensor:
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        parts: list[Tensor] = []
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and (end + 1 - start) * len(texts[order[end]]) <= self.batch_tokens:
                end += 1
            parts.append(self._last_hidden([texts[i] for i in order[start:end]]))
            start = end
        place = torch.empty(len(order), dtype=torch.long)
        place[torch.tensor(order)] = torch.arange(len(order))
        hidden = torch.cat(parts)
        return hidden[place.to(hidden.device)]

    def _last_hidden(self, texts: list[list[int]]) -> Tensor:
        # Padding stands to the right of every real token of a causal model, which therefore cannot see it: no mask is
        # needed.
        longest = max(len(text) for text in texts)
        device = self.backbone.device
        ids = torch.zeros(len(texts), longest, dtype=torch.long)  # whatever the padding is, nothing reads it
        for row, text in zip(ids, texts, strict=True):
            row[: len(text)] = torch.tensor(text)
        hidden = self.backbone(input_ids=ids.to(device), use_cache=False).last_hidden_state
        last = torch.tensor([len(text) - 1 for text in texts], device=device)
        return hidden[torch.arange(len(texts), device=device), last].float()

    def _tokenise(self, texts: list[str]) -> list[list[int]]:
        return self.tokenizer(texts, add_special_tokens=False)["input_ids"]


class FrozenEncoder:
    """A TextEncoder whose weights no longer move: what it has read it remembers, the oldest forgotten first.

    Args:
        capacity: texts remembered.
    """

    def __init__(self, encoder: TextEncoder, *, capacity: int) -> None:
        self.encoder = encoder
        self.capacity = capacity
        self._known: OrderedDict[Exchange, Tensor] = OrderedDict()
        self.num_encoded = 0

    @torch.no_grad()
    def __call__(self, exchanges: Sequence[Exchange]) -> Tensor:
        """(N, D), as TextEncoder's, without gradient."""
        new = [exchange for exchange in dict.fromkeys(exchanges) if exchange not in self._known]
        fresh = dict(zip(new, self.encoder(new).unbind(), strict=True))
        self.num_encoded += len(new)
        rows = []
        for exchange in exchanges:
            if exchange in self._known:
                self._known.move_to_end(exchange)
                rows.append(self._known[exchange])
            else:
                rows.append(fresh[exchange])
        for exchange, row in fresh.items():
            self._known[exchange] = row.clone()
        while len(self._known) > self.capacity:
            self._known.popitem(last=False)
        return torch.stack(rows) if rows else self.encoder([])
