"""A language model's perplexity on real batches, against one text at a time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import torch
from evaluation_tasks import make_task
from torch import Tensor, nn

from codex_ml.evaluation import EvaluationError, evaluate, predictions_of
from codex_ml.evaluation.likelihood import language_model
from codex_ml.tokenization import HuggingFaceTokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["the cat sat on the mat", "", "caf\u00e9", "a much longer text about the cat on the mat"]
VOCABULARY = 270


class Recurrent(nn.Module):
    """Causal by construction; dropout shows whether the model was in eval mode."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 8)
        self.inner = nn.GRU(8, 16, batch_first=True)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16, VOCABULARY)

    def forward(self, ids: Tensor) -> Tensor:
        logits: Tensor = self.head(self.drop(self.inner(self.embed(ids))[0]))
        return logits


class Wrapped(Recurrent):
    def forward(self, ids: Tensor) -> Any:
        return SimpleNamespace(logits=super().forward(ids))


@pytest.fixture
def tokenizer() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.train(TEXTS * 3, vocab_size=VOCABULARY)


@pytest.fixture(params=[Recurrent, Wrapped])
def model(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    made: nn.Module = request.param()
    return made


def expected(model: nn.Module, ids: list[int]) -> float:
    """Nats of all ids after the first, one text by itself."""
    model.eval()
    with torch.no_grad():
        output = model(torch.tensor([ids[:-1]]))
    logits = output if isinstance(output, Tensor) else output.logits
    chosen = logits.log_softmax(-1)[0, torch.arange(len(ids) - 1), ids[1:]]
    model.train()
    return -float(chosen.double().sum())


def test_a_batch_gives_what_single_texts_give(
    model: nn.Module, tokenizer: HuggingFaceTokenizer
) -> None:
    model.train()
    model.get_submodule("drop").eval()  # frozen: it must stay so
    found = language_model(model, tokenizer, context=100)([{"text": text} for text in TEXTS])
    assert model.training
    assert not model.get_submodule("drop").training
    assert all(parameter.grad is None for parameter in model.parameters())
    for text, row in zip(TEXTS, found, strict=True):
        ids = tokenizer.encode(text)
        assert row["tokens"] == len(ids) - 1
        assert row["bytes"] == len(text.encode())
        assert row["nll"] == pytest.approx(expected(model, ids), rel=1e-4)


def test_every_token_of_a_long_text_is_predicted_once(
    model: nn.Module, tokenizer: HuggingFaceTokenizer
) -> None:
    ids = tokenizer.encode(TEXTS[3])
    (row,) = language_model(model, tokenizer, context=5)([{"text": TEXTS[3]}])
    windows = [ids[start : start + 6] for start in range(0, len(ids) - 1, 5)]
    assert row["tokens"] == len(ids) - 1
    assert row["nll"] == pytest.approx(sum(expected(model, one) for one in windows), rel=1e-4)
    sizes: list[int] = []
    model.register_forward_pre_hook(lambda _, given: sizes.append(len(given[0])))
    few = language_model(model, tokenizer, context=5, batch_size=3)
    assert few([{"text": TEXTS[3]}])[0]["nll"] == pytest.approx(row["nll"], rel=1e-4)
    assert sum(sizes) == len(windows)
    assert max(sizes) == 3, "a long text does not make a large batch"


def test_training_lowers_the_perplexity_that_the_harness_finds(
    tokenizer: HuggingFaceTokenizer, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = Recurrent()
    rows = [{"id": number, "text": text} for number, text in enumerate(TEXTS * 5)]
    task = make_task(tmp_path, rows, 'metrics = ["perplexity", "bits_per_byte"]')
    predict = language_model(model, tokenizer, context=64)
    before = evaluate(task, predictions_of(task, predict, batch_size=8))["metrics"]
    assert before["perplexity"]["value"] == pytest.approx(VOCABULARY, rel=0.1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for text in TEXTS * 8:
        ids = torch.tensor([tokenizer.encode(text)])
        optimizer.zero_grad()
        logits = model(ids[:, :-1])
        nn.functional.cross_entropy(logits[0], ids[0, 1:]).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    after = evaluate(task, predictions_of(task, predict, batch_size=3))["metrics"]
    assert after["perplexity"]["high"] < before["perplexity"]["low"]
    assert after["bits_per_byte"]["value"] < before["bits_per_byte"]["value"]


def test_a_row_without_text_is_named(model: nn.Module, tokenizer: HuggingFaceTokenizer) -> None:
    with pytest.raises(EvaluationError, match="text: missing or no text in the row"):
        language_model(model, tokenizer, context=5)([{"id": 1}])
