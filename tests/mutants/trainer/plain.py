"""A careful plain PyTorch trainer: every mutant is this one with a single defect.

It has all that a resume could lose and an evaluation could disturb: dropout, augmentation that
draws from Python's, NumPy's and torch's generators, a shuffled loader, samples of unequal length,
a short last window in every epoch, a warm-up schedule, clipping, an average of the weights, a
buffer, a frozen parameter, mixed precision, and checkpoints that are written whole and pruned.
"""

from __future__ import annotations

import importlib
import math
import os
import random
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import distributed, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

# The first optimizer would import this, seconds later.
importlib.import_module("torch._dynamo")

SAMPLES, SYMBOLS, WIDTH, IGNORED = 26, 12, 16, -100


class Sequences(Dataset):
    """Counting sequences of 3 to 9 symbols; the label of a symbol is the next one."""

    def __len__(self):
        return SAMPLES

    def __getitem__(self, index):
        length = 3 + index * 5 % 7
        tokens = (torch.arange(length) * 5 + index * 7) % SYMBOLS
        return tokens, (tokens + 5) % SYMBOLS


def collate(samples):
    tokens, labels = zip(*samples, strict=True)
    pad = nn.utils.rnn.pad_sequence
    return pad(list(tokens), True), pad(list(labels), True, IGNORED)


class Model(nn.Module):
    def __init__(self, dropout):
        super().__init__()
        self.embedding = nn.Embedding(SYMBOLS, WIDTH)
        self.position = nn.Embedding(16, WIDTH)
        self.position.weight.requires_grad = False
        self.body = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.LayerNorm(WIDTH), nn.Tanh(), nn.Dropout(dropout)
        )
        self.head = nn.Linear(WIDTH, SYMBOLS)
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    def forward(self, tokens, noise=None):
        if self.training:
            self.seen += tokens.numel()
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.embedding(tokens) + 0.1 * self.position(places)
        return self.head(self.body(hidden if noise is None else hidden + noise))


class Plain:
    """The subject; it and each subclass is a factory."""

    GOOD = "plain PyTorch, with everything that a resume could lose"

    weight_decay = 0.01

    def __init__(
        self,
        seed,
        device,
        directory,
        *,
        batch_size=2,
        accumulate=2,
        workers=0,
        clip_norm=1.0,
        evaluate_every=None,
        save_every=None,
        keep=None,
        keep_best=False,
        dropout=True,
        precision="fp32",
        horizon=100,
        ranks=1,
    ):
        self.seed, self.device, self.directory = seed, device, Path(directory)
        self.batch_size, self.accumulate, self.workers = batch_size, accumulate, workers
        self.clip_norm, self.evaluate_every = clip_norm, evaluate_every
        self.save_every, self.keep, self.keep_best = save_every, keep, keep_best
        self.ranks = ranks
        self.noisy, self.precision, self.horizon = dropout, precision, horizon
        self.seed_everything(seed)
        self.data = Sequences()
        self.model = self.make_model().to(device)
        self.rank, self.called = 0, self.model
        if ranks > 1:
            self.join()
        self.optimizer = self.make_optimizer()
        self.schedule = self.make_schedule()
        self.scaler = torch.amp.GradScaler(device, init_scale=1024.0, enabled=precision == "fp16")
        self.average = {n: p.detach().clone() for n, p in self.model.named_parameters()}
        self.step = self.epoch = self.position = 0
        self.best, self.best_step = math.inf, 0
        self.stream = None

    # What it is made of

    def seed_everything(self, seed):
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)

    def make_model(self):
        return Model(0.1 if self.noisy else 0.0)

    def trained(self):
        return [p for p in self.model.parameters() if p.requires_grad]

    def make_optimizer(self):
        return torch.optim.AdamW(self.trained(), lr=0.02, weight_decay=self.weight_decay)

    def make_schedule(self):
        return torch.optim.lr_scheduler.LambdaLR(self.optimizer, self.rate)

    def rate(self, step):
        warmup = min(1.0, (step + 1) / 4)
        return warmup * (0.6 + 0.4 * math.cos(math.pi * min(1.0, step / self.horizon)))

    # Ranks

    def join(self):
        distributed.init_process_group("gloo")
        self.rank = distributed.get_rank()
        self.called = self.wrap()
        self.seed_everything(self.seed + self.rank)  # no two ranks drop or augment alike

    def wrap(self):
        return nn.parallel.DistributedDataParallel(self.model)

    def share(self, order):
        """This rank's samples of an epoch, as many as each other's."""
        return order[self.rank :: self.ranks][: SAMPLES // self.ranks]

    # Data

    def permutation(self, epoch):
        generator = torch.Generator().manual_seed(self.seed * 1009 + epoch)
        return torch.randperm(SAMPLES, generator=generator).tolist()

    def plan(self, epoch):
        """The micro-batches of an epoch, as lists of samples."""
        order = self.share(self.permutation(epoch))
        return [order[i : i + self.batch_size] for i in range(0, len(order), self.batch_size)]

    def loader(self, micros):
        # A generator of its own: an iterator's base seed would be drawn from the global one.
        return DataLoader(
            self.data,
            batch_sampler=micros,
            collate_fn=collate,
            num_workers=self.workers,
            generator=torch.Generator().manual_seed(0),
        )

    def windows(self):
        """The micro-batches of each step; an epoch's last window may be short."""
        while True:
            micros = self.plan(self.epoch)
            batches = iter(self.loader(micros[self.position :]))
            while self.position < len(micros):
                count = min(self.accumulate, len(micros) - self.position)
                window = [next(batches) for _ in range(count)]
                self.position += count
                yield window
            self.epoch, self.position = self.epoch + 1, 0

    def augment(self, tokens, labels):
        if not self.noisy:
            return tokens, labels, None
        if random.random() < 0.2:
            tokens[0, random.randrange(tokens.shape[1])] = 0
        if np.random.random() < 0.2:
            labels[0, np.random.randint(1, 3)] = IGNORED
        return tokens, labels, torch.randn(*tokens.shape, WIDTH) * 0.02

    # A step

    def autocast(self):
        if self.precision == "fp32":
            return nullcontext()
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device, kind)

    def loss_of(self, model, tokens, labels, noise):
        """The sum over the tokens that count."""
        with self.autocast():
            logits = model(tokens, noise)
        return functional.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="sum"
        )

    def weigh(self, loss, labels, window):
        """A micro-batch's part of the mean over the tokens of all ranks' windows."""
        del labels
        return loss / self.mean_of_ranks(sum(int((each != IGNORED).sum()) for _, each, _ in window))

    def mean_of_ranks(self, count):
        """By which each rank divides, as torch takes the mean of the ranks' gradients."""
        if self.ranks == 1:
            return count
        total = torch.tensor(float(count))
        distributed.all_reduce(total)
        return total.item() / self.ranks

    def before_window(self):
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)

    def one_step(self, batches):
        self.before_window()
        window = [
            tuple(None if x is None else x.to(self.device) for x in self.augment(*batch))
            for batch in batches
        ]
        total = 0.0
        for tokens, labels, noise in window:
            loss = self.weigh(self.loss_of(self.called, tokens, labels, noise), labels, window)
            self.check(loss)
            self.backward(loss)
            total += loss.item()
        self.update()
        return total

    def check(self, loss):
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of step {self.step + 1} is {loss.item()}")

    def backward(self, loss):
        self.scaler.scale(loss).backward()

    def clip(self):
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.trained(), self.clip_norm)

    def update(self):
        self.scaler.unscale_(self.optimizer)
        self.clip()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()
        self.update_average()

    def update_average(self):
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                self.average[name].lerp_(parameter, 0.1)

    # The protocol

    def train(self, steps):
        losses = []
        self.stream = self.stream or self.windows()
        while self.step < steps:
            losses.append(self.one_step(next(self.stream)))
            self.step += 1
            if self.evaluate_every and self.step % self.evaluate_every == 0:
                self.evaluate()
            if self.save_every and self.step % self.save_every == 0:
                self.save(self.directory / "checkpoints")
        return losses

    def held_out(self):
        """Batches to evaluate on."""
        return self.loader([[0, 1, 2, 3], [4, 5]])

    def evaluate(self):
        modes = {module: module.training for module in self.model.modules()}
        self.model.eval()
        total, count = 0.0, 0
        with torch.no_grad():
            for tokens, labels in self.held_out():
                tokens, labels = tokens.to(self.device), labels.to(self.device)
                total += self.loss_of(self.model, tokens, labels, None).item()
                count += int((labels != IGNORED).sum())
        for module, mode in modes.items():
            module.training = mode
        if total / count < self.best:
            self.best, self.best_step = total / count, self.step
        return total / count

    def state(self):
        return {f"average.{name}": value for name, value in self.average.items()}

    # Checkpoints

    def random_state(self):
        name, keys, *rest = np.random.get_state()
        return {
            "python": random.getstate(),
            "numpy": [name, torch.from_numpy(keys.astype(np.int64)), *rest],
            "torch": torch.get_rng_state(),
        }

    def restore_random_state(self, state):
        random.setstate(state["python"])
        name, keys, *rest = state["numpy"]
        np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
        torch.set_rng_state(state["torch"])

    def collect(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average,
            "progress": [self.step, self.epoch, self.position],
            "best": [self.best, self.best_step],
            "random": self.random_states(),
        }

    def random_states(self):
        """Of each rank."""
        states = [self.random_state()] * self.ranks
        if self.ranks > 1:
            distributed.all_gather_object(states, self.random_state())
        return states

    def restore(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.scaler.load_state_dict(state["scaler"])
        self.average = state["average"]
        self.step, self.epoch, self.position = state["progress"]
        self.best, self.best_step = state["best"]
        self.stream = None
        self.restore_random_state(state["random"][self.rank])

    def write(self, path, state):
        """Whole or not at all, and there after a crash."""
        partial = path.with_suffix(".partial")
        with partial.open("wb") as stream:
            torch.save(state, stream)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)

    def checkpoints(self, directory):
        return sorted(directory.glob("step-*.pt"))

    def path(self, directory, step):
        return directory / f"step-{step:08d}.pt"

    def prune(self, directory):
        for path in self.checkpoints(directory)[: -self.keep] if self.keep else []:
            if not (self.keep_best and path == self.path(directory, self.best_step)):
                path.unlink()

    def save(self, directory):
        directory.mkdir(parents=True, exist_ok=True)
        state = self.collect()
        if self.rank == 0:
            self.write(self.path(directory, self.step), state)
            self.prune(directory)
        if self.ranks > 1:
            distributed.barrier()

    def load(self, directory):
        newest = self.checkpoints(directory)[-1]
        state = torch.load(newest, map_location=self.device, weights_only=True)
        if len(state["random"]) != self.ranks:
            raise ValueError(f"{newest} is of {len(state['random'])} ranks, not of {self.ranks}")
        self.restore(state)
