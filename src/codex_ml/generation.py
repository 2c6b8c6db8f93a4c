"""Texts continued by a causal language model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from codex_ml.evaluation.likelihood import text_of
from codex_ml.evaluation.models import Predict
from codex_ml.evaluation.tasks import EvaluationError
from codex_ml.modes import evaluating
from codex_ml.tokenization.protocol import EOS, Tokenizer


def text_generator(
    model: nn.Module,
    tokenizer: Tokenizer,
    *,
    context: int,
    tokens: int = 200,
    temperature: float = 0.8,
    seed: int = 0,
    key: str = "text",
) -> Predict:
    """What to give `python -m codex_ml.predict` for a causal language model.

    Every row is sampled under the same seed, so its text does not depend on other rows.

    Args:
        model: ids [1, length] -> logits [1, length, vocabulary].
        tokenizer: gives the ids; a text is encoded with its begin token.
        context: how many of the latest ids the model is shown.
        tokens: how many to sample at most; the end token ends a text.
        temperature: divides the logits; 0 takes the likeliest token.
        seed: the same one gives the same texts.
        key: the key of the rows' text.

    Returns:
        rows -> for each {"prediction": what follows its text}.

    Raises:
        ValueError: `temperature` is negative.
    """
    if temperature < 0:
        raise ValueError(f"temperature={temperature}: must be at least 0")
    end = tokenizer.special_ids.get(EOS)
    device = next(model.parameters()).device

    def predict(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        with evaluating(model):
            texts = [text_of(row, key) for row in rows]
            return [{"prediction": tokenizer.decode(follow(text))} for text in texts]

    def follow(text: str) -> list[int]:
        ids = tokenizer.encode(text)
        if ids[-1:] == [end]:
            ids.pop()
        if not ids:
            raise EvaluationError(f"{key}: empty, and the tokenizer has no token to begin with")
        start, random = len(ids), torch.Generator().manual_seed(seed)
        while len(ids) - start < tokens:
            logits = model(torch.tensor([ids[-context:]], device=device))[0, -1].float().cpu()
            if temperature == 0:
                chosen = int(logits.argmax())
            else:
                likely = torch.softmax(logits / temperature, dim=0)
                chosen = int(torch.multinomial(likely, 1, generator=random))
            if chosen == end:
                break
            ids.append(chosen)
        return ids[start:]

    return predict
