"""Sampling from a model whose answers are known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from codex_ml.evaluation import EvaluationError
from codex_ml.generation import text_generator
from codex_ml.tokenization import BOS, EOS, HuggingFaceTokenizer


@pytest.fixture(scope="module")
def tokenizer() -> HuggingFaceTokenizer:
    return HuggingFaceTokenizer.train(["abc"], vocab_size=259)


class Successor(nn.Module):
    """Says that the id after `i` is `table[i]`; remembers what it was shown."""

    def __init__(self, table: Tensor, sharpness: float) -> None:
        super().__init__()
        self.logits = nn.Parameter(sharpness * nn.functional.one_hot(table, 259).float())
        self.shown: list[int] = []

    def forward(self, ids: Tensor) -> Tensor:
        assert not self.training
        self.shown.append(ids.shape[1])
        return self.logits[ids]


def alphabet(tokenizer: HuggingFaceTokenizer, sharpness: float) -> Successor:
    """a -> b -> c -> d -> end of the text; the text begins with a."""
    table = torch.zeros(259, dtype=torch.long)
    order = [
        tokenizer.special_ids[BOS], *tokenizer.encode("abcd", special=False),
        tokenizer.special_ids[EOS],
    ]  # fmt: skip
    table[order[:-1]] = torch.tensor(order[1:])
    return Successor(table, sharpness)


def test_the_likeliest_token_follows_until_the_end_token(tokenizer: HuggingFaceTokenizer) -> None:
    model = alphabet(tokenizer, 5.0)
    predict = text_generator(model, tokenizer, context=8, temperature=0)
    answers = predict([{"text": "a"}, {"text": "abc"}, {"text": ""}])
    assert [answer["prediction"] for answer in answers] == ["bcd", "d", "abcd"]
    assert model.training


def test_no_more_tokens_than_asked_and_no_more_context_than_the_model_has(
    tokenizer: HuggingFaceTokenizer,
) -> None:
    model = alphabet(tokenizer, 5.0)
    predict = text_generator(model, tokenizer, context=2, tokens=2, temperature=0)
    assert predict([{"text": "a"}]) == [{"prediction": "bc"}]
    assert model.shown == [2, 2]


def test_a_text_does_not_depend_on_the_rows_beside_it(tokenizer: HuggingFaceTokenizer) -> None:
    predict = text_generator(alphabet(tokenizer, 2.0), tokenizer, context=8, tokens=20)
    torch.manual_seed(1)
    alone = predict([{"text": "a"}])
    torch.manual_seed(2)
    among = predict([{"text": "zz"}, {"text": "a"}])
    assert among[1] == alone[0]
    other = text_generator(alphabet(tokenizer, 2.0), tokenizer, context=8, tokens=20, seed=1)
    assert other([{"text": "a"}]) != alone


def test_a_higher_temperature_strays_further(tokenizer: HuggingFaceTokenizer) -> None:
    def right(temperature: float) -> int:
        model, found = alphabet(tokenizer, 5.0), 0
        for seed in range(20):
            predict = text_generator(
                model, tokenizer, context=8, tokens=3, temperature=temperature, seed=seed
            )
            found += predict([{"text": "a"}])[0]["prediction"] == "bcd"
        return found

    assert right(0.1) == 20
    assert right(2.0) < 5


def test_what_cannot_be_continued_is_refused(tokenizer: HuggingFaceTokenizer) -> None:
    model = alphabet(tokenizer, 5.0)
    with pytest.raises(ValueError, match=r"temperature=-1: must be at least 0"):
        text_generator(model, tokenizer, context=8, temperature=-1)
    with pytest.raises(EvaluationError, match="text: missing or no text in the row"):
        text_generator(model, tokenizer, context=8)([{"body": "a"}])
