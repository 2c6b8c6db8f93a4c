"""A classifier of noisy shapes, which the script draws. See README.md beside it."""

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
from codex_ml.data import ResumableLoader, read_manifest, stratified_split
from codex_ml.errors import exit_code
from codex_ml.evaluation import Predict, write_task
from codex_ml.registry import Registry
from codex_ml.run_config import DEFAULTS, AtLeastOne, RunConfig
from codex_ml.runs import judge, load_run, open_run, train, watched
from codex_ml.training import Trainer

Rows = list[dict[str, Any]]
SIZE = 16
SHAPES = ("cross", "disc", "square")
SPLITS = {"train": 0.7, "validation": 0.15, "test": 0.15}
MODELS: Registry[type[nn.Module]] = Registry("model")


@dataclass(frozen=True, kw_only=True)
class Settings(RunConfig):
    """Settings of the classifier; what each means stands in image_classifier.yaml."""

    images: Annotated[int, Meta(ge=40)]
    noise: Annotated[float, Meta(ge=0)]
    model: str
    width: AtLeastOne

    def __post_init__(self) -> None:
        super().__post_init__()
        MODELS.check(self.model, key="model")


@MODELS.register("cnn")
class Convolutions(nn.Sequential):
    """Two convolutions: images [batch, 1, 16, 16] -> logits [batch, shapes]."""

    def __init__(self, settings: Settings) -> None:
        width = settings.width
        first = (nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        second = (nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2))
        head = nn.Linear(2 * width * (SIZE // 4) ** 2, len(SHAPES))
        super().__init__(*first, *second, nn.Flatten(), nn.Dropout(0.1), head)


@MODELS.register("linear")
class Linear(nn.Sequential):
    """The baseline: a weight for each pixel."""

    def __init__(self, _: Settings) -> None:
        super().__init__(nn.Flatten(), nn.Linear(SIZE**2, len(SHAPES)))


def draw(settings: Settings) -> Rows:
    """Rows with `id`, `label` and `pixels`, 16 x 16 bytes in hex; the seed decides them."""
    random = torch.Generator().manual_seed(settings.seed)
    grid, rows = torch.arange(SIZE), []
    for number in range(settings.images):
        x, y, radius = torch.randint(3, 8, (3,), generator=random).tolist()
        across, down = (grid - x - 3).abs(), (grid[:, None] - y - 3).abs()
        square = torch.maximum(across, down) <= radius
        disc = across**2 + down**2 <= radius**2
        label = SHAPES[number % len(SHAPES)]
        shape = {"square": square, "disc": disc, "cross": square & (across * down == 0)}[label]
        noisy = shape + settings.noise * torch.randn(SIZE, SIZE, generator=random)
        pixels = bytes((80 * noisy + 80).clamp(0, 255).byte().flatten())
        rows.append({"id": str(number), "label": label, "pixels": pixels.hex()})
    return rows


def images(rows: Rows) -> Tensor:
    """Float32 [rows, 1, 16, 16], about 0 on the ground and 1 in a shape."""
    pixels = torch.tensor([list(bytes.fromhex(row["pixels"])) for row in rows])
    return (pixels / 80 - 1).view(-1, 1, SIZE, SIZE)


def split(settings: Settings, task: Path) -> dict[str, TensorDataset]:
    """The images, kept under a manifest, dealt to the splits alike by shape; the test as a task."""
    every = task.with_name("images.toml")
    write_task(every, draw(settings), metrics=["accuracy"], target="label")
    rows = [row.values for row in read_manifest(every.with_suffix(".json")).rows()]
    where = stratified_split({row["id"]: row["label"] for row in rows}, SPLITS)
    parts = {name: [row for row in rows if where[row["id"]] == name] for name in SPLITS}
    write_task(task, parts["test"], metrics=["accuracy", "f1_macro"], target="label")
    labels = {n: torch.tensor([SHAPES.index(row["label"]) for row in parts[n]]) for n in parts}
    return {name: TensorDataset(images(part), labels[name]) for name, part in parts.items()}


def loss(model: nn.Module, batch: list[Tensor]) -> tuple[Tensor, int]:
    """Cross-entropy summed over the images, and how many those are."""
    pixels, labels = (tensor.to(next(model.parameters()).device) for tensor in batch)
    return functional.cross_entropy(model(pixels), labels, reduction="sum"), len(labels)


def predict(model: nn.Module, rows: Rows) -> Rows:
    """The shape in each row's image."""
    with torch.inference_mode():
        logits = model.eval()(images(rows).to(next(model.parameters()).device))
    return [{"prediction": SHAPES[number]} for number in logits.argmax(dim=1).tolist()]


def classifier(run: Path | None) -> Predict:
    """The model of a run, for `python -m codex_ml.predict` and `python -m codex_ml.evaluation`."""
    settings, found = load_run(Schema(Settings), run)
    model = MODELS.get(settings.model)(settings)
    model.load_state_dict(found.weights)
    return partial(predict, model)


def main() -> int:
    """Train and judge a model by the settings; 0 if it reaches the thresholds, else 1."""
    run = Schema(Settings).from_command_line(DEFAULTS, Path(__file__).with_suffix(".yaml"))
    settings, task = run.settings, run.settings.output / "shapes.toml"
    open_run(run)
    parts = split(settings, task)
    model = MODELS.get(settings.model)(settings).to(settings.device)
    trainer = Trainer(
        model,
        settings.optimizer.build(model.parameters()),
        loss,
        ResumableLoader(parts["train"], settings.batch_size, seed=settings.seed),
        settings.trainer,
        schedule=settings.schedule.build(settings.steps),
        evaluation=DataLoader(parts["validation"], settings.batch_size),
        store=CheckpointStore(settings.output / "checkpoints", metric="eval_loss"),
        gate=settings.gate.build(),
        run_config=run.values,
    )
    with watched(run, trainer) as tracker:
        good = train(run, trainer) and judge(run, trainer, tracker, task, partial(predict, model))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(exit_code(main))
