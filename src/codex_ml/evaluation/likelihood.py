"""How likely a language model finds texts: what perplexity and bits per byte are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from codex_ml.evaluation.models import Predict
from codex_ml.evaluation.tasks import EvaluationError
from codex_ml.modes import evaluating
from codex_ml.tokenization.protocol import Tokenizer, pad


def language_model(
    model: nn.Module, tokenizer: Tokenizer, *, context: int, key: str = "text", batch_size: int = 64
) -> Predict:
    """What to give `evaluate` for a causal language model.

    Every token after a text's first is predicted once. A text longer than `context` is cut
    into windows that share one token, whose first predictions see less of the text: the
    perplexity is then an upper bound
    (https://huggingface.co/docs/transformers/perplexity, without its overlapping strides).

    Args:
        model: ids [batch, length] -> logits [batch, length, vocabulary], or an output with
            `.logits`; causal, so that padding on the right changes nothing before it.
        tokenizer: gives the ids; texts are encoded with its special tokens.
        context: the greatest length that the model takes.
        key: the key of the rows' text.
        batch_size: windows that the model gets at a time, however long the texts are.

    Returns:
        rows -> for each {"nll": nats, "tokens": predicted, "bytes": UTF-8 bytes of its text}.
    """

    def predict(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        texts = [text_of(row, key) for row in rows]
        windows, owners = [], []
        for number, text in enumerate(texts):
            ids = tokenizer.encode(text)
            for start in range(0, len(ids) - 1, context):
                windows.append(ids[start : start + context + 1])
                owners.append(number)
        nats, tokens = [0.0] * len(texts), [0] * len(texts)
        for start in range(0, len(windows), batch_size):
            some = windows[start : start + batch_size]
            losses = negative_log_likelihood(model, some, tokenizer.pad_id).tolist()
            for owner, window, loss in zip(owners[start:], some, losses, strict=False):
                nats[owner] += loss
                tokens[owner] += len(window) - 1
        return [
            {"nll": nll, "tokens": count, "bytes": len(text.encode())}
            for nll, count, text in zip(nats, tokens, texts, strict=True)
        ]

    return predict


def negative_log_likelihood(model: nn.Module, windows: list[list[int]], pad_id: int) -> Tensor:
    """Nats of each window's ids after its first, in float64 [windows]."""
    batch = pad(windows, pad_id)
    device = next(model.parameters()).device
    ids = torch.tensor(batch.ids, device=device)
    mask = torch.tensor(batch.mask, device=device)[:, 1:]
    with evaluating(model):
        output = model(ids[:, :-1])
    logits = output if isinstance(output, torch.Tensor) else output.logits
    losses = functional.cross_entropy(logits.float().transpose(1, 2), ids[:, 1:], reduction="none")
    return (losses.double() * mask).sum(dim=1).cpu()


def text_of(row: Mapping[str, Any], key: str) -> str:
    """The text of a row.

    Raises:
        EvaluationError: it has none.
    """
    if not isinstance(row.get(key), str):
        raise EvaluationError(f"{key}: missing or no text in the row {dict(row)}")
    return str(row[key])
