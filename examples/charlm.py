"""A language model of single characters, on sonnets by Shakespeare. See README.md beside it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
from msgspec import Meta
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from codex_ml.checkpoint import CheckpointStore
from codex_ml.config import Schema
from codex_ml.data import ResumableLoader, read_manifest, split_of
from codex_ml.errors import exit_code
from codex_ml.evaluation import Predict, write_task
from codex_ml.evaluation.likelihood import language_model
from codex_ml.generation import text_generator
from codex_ml.registry import Registry
from codex_ml.run_config import DEFAULTS, AtLeastOne, RunConfig
from codex_ml.runs import judge, load_run, open_run, train, watched
from codex_ml.tokenization import HuggingFaceTokenizer, load_tokenizer, pack, save_tokenizer
from codex_ml.training import Trainer

SPLITS = {"train": 0.7, "validation": 0.15, "test": 0.15}
MODELS: Registry[type[nn.Module]] = Registry("model")


@dataclass(frozen=True, kw_only=True)
class Settings(RunConfig):
    """Settings of the language model; what each means stands in charlm.yaml."""

    vocab_size: Annotated[int, Meta(ge=259)]
    context: AtLeastOne
    model: str
    width: Annotated[int, Meta(multiple_of=32, ge=32)]
    layers: AtLeastOne
    dropout: Annotated[float, Meta(ge=0, lt=1)]

    def __post_init__(self) -> None:
        super().__post_init__()
        MODELS.check(self.model, key="model")


@MODELS.register("transformer")
class Transformer(nn.Module):
    """A decoder: ids [batch, length] -> logits [batch, length, vocabulary]."""

    def __init__(self, settings: Settings, vocabulary: int) -> None:
        super().__init__()
        width, dropout = settings.width, settings.dropout
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(settings.context, width)
        layer = nn.TransformerEncoderLayer(
            width, width // 32, 4 * width, dropout, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerEncoder(layer, settings.layers, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, vocabulary))

    def forward(self, ids: Tensor) -> Tensor:
        """Logits of what follows each id."""
        mask = nn.Transformer.generate_square_subsequent_mask(ids.shape[1], ids.device)
        hidden = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        logits: Tensor = self.head(self.layers(hidden, mask, is_causal=True))
        return logits


@MODELS.register("bigram")
class Bigram(nn.Embedding):
    """The baseline: a table of what follows each id."""

    def __init__(self, _: Settings, vocabulary: int) -> None:
        super().__init__(vocabulary, vocabulary)


def loss(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, int]:
    """Cross-entropy summed over the ids after each block's first, and how many those are."""
    ids = batch[0].to(next(model.parameters()).device)
    logits, targets = model(ids[:, :-1]).flatten(0, 1), ids[:, 1:].flatten()
    return functional.cross_entropy(logits, targets, reduction="sum"), len(targets)


def split(task: Path) -> dict[str, list[str]]:
    """The sonnets of each split, by a hash of their numbers; those of the test as a task too."""
    parts: dict[str, list[dict[str, str]]] = {name: [] for name in SPLITS}
    for row in read_manifest(Path(__file__).with_name("sonnets") / "manifest.json").rows():
        parts[split_of(row.values["id"], SPLITS)].append(row.values)
    write_task(task, parts["test"], metrics=["bits_per_byte", "perplexity"])
    return {name: [row["text"] for row in rows] for name, rows in parts.items()}


def restored(run: Path | None) -> dict[str, Any]:
    """The model of a run, its tokenizer and its context, by these names."""
    settings, found = load_run(Schema(Settings), run)
    tokenizer = load_tokenizer(found.path / "tokenizer")
    model = MODELS.get(settings.model)(settings, tokenizer.vocab_size)
    model.load_state_dict(found.weights)
    return {"model": model, "tokenizer": tokenizer, "context": settings.context}


def reader(run: Path | None) -> Predict:
    """How likely the model of a run finds a text, for `python -m codex_ml.evaluation`."""
    return language_model(**restored(run))


def writer(run: Path | None) -> Predict:
    """How the model of a run goes on with a text, for `python -m codex_ml.predict`."""
    return text_generator(**restored(run))


def main() -> int:
    """Train and judge a model by the settings; 0 if it reaches the thresholds, else 1."""
    run = Schema(Settings).from_command_line(DEFAULTS, Path(__file__).with_suffix(".yaml"))
    settings, output, task = run.settings, run.settings.output, run.settings.output / "sonnets.toml"
    open_run(run)
    texts = split(task)
    tokenizer = HuggingFaceTokenizer.train(texts["train"], vocab_size=settings.vocab_size)
    blocks = {
        name: TensorDataset(
            torch.tensor([*pack(map(tokenizer.encode, part), settings.context + 1)])
        )
        for name, part in texts.items()
    }
    model = MODELS.get(settings.model)(settings, tokenizer.vocab_size).to(settings.device)
    attach = {"tokenizer": partial(save_tokenizer, tokenizer)}
    trainer = Trainer(
        model,
        settings.optimizer.build(model.parameters()),
        loss,
        ResumableLoader(blocks["train"], settings.batch_size, seed=settings.seed),
        settings.trainer,
        schedule=settings.schedule.build(settings.steps),
        evaluation=DataLoader(blocks["validation"], settings.batch_size),
        store=CheckpointStore(output / "checkpoints", metric="eval_loss", attach=attach),
        gate=settings.gate.build(),
        run_config=run.values,
    )
    predict = language_model(model, tokenizer, context=settings.context)
    with watched(run, trainer) as tracker:
        return 0 if train(run, trainer) and judge(run, trainer, tracker, task, predict) else 1


if __name__ == "__main__":
    sys.exit(exit_code(main))
