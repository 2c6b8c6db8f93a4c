"""Good subjects in other styles than `plain`: no proof may fail on any of them."""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from mutants.trainer.plain import Plain


def numbers(samples=24, width=6):
    """A learnable task without a random number: features and a smooth target."""
    inputs = torch.linspace(-3, 3, samples * width).reshape(samples, width).sin()
    return inputs, inputs.sum(1, keepdim=True).sin() + 3


class PlainLoop:
    """The tutorial's loop: SGD, a shuffled DataLoader, no schedule; the epoch's seed is its number."""

    GOOD = "a tutorial's loop that resumes at any batch by skipping, with a generator an epoch"

    def __init__(self, seed, device, directory):
        del device, directory
        self.seed = seed
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)
        self.data = TensorDataset(*numbers())
        self.model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.05), nn.Linear(12, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.8)
        self.done = 0

    def train(self, steps):
        losses = []
        while self.done < steps:
            generator = torch.Generator().manual_seed(self.seed + self.done // 6)
            loader = DataLoader(self.data, batch_size=4, shuffle=True, generator=generator)
            skip = self.done % 6
            for number, (inputs, targets) in enumerate(loader):
                if number < skip:
                    continue
                if self.done == steps:
                    break
                loss = functional.mse_loss(self.model(inputs), targets)
                if torch.isnan(loss):
                    raise ValueError("NaN loss")
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.done += 1
                losses.append(loss.item())
        return losses

    def evaluate(self):
        self.model.eval()
        with torch.no_grad():
            value = functional.mse_loss(self.model(self.data.tensors[0]), self.data.tensors[1])
        self.model.train()
        return value.item()

    def save(self, directory):
        name, keys, *rest = np.random.get_state()
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "torch": torch.get_rng_state(),
            "python": random.getstate(),
            "numpy": (name, keys.tolist(), *rest),
        }
        torch.save(state, directory / "checkpoint.partial")
        (directory / "checkpoint.partial").replace(directory / "checkpoint.pt")

    def load(self, directory):
        state = torch.load(directory / "checkpoint.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done = state["done"]
        torch.set_rng_state(state["torch"])
        random.setstate(state["python"])
        name, keys, *rest = state["numpy"]
        np.random.set_state((name, np.array(keys, dtype=np.uint32), *rest))

    def state(self):
        return self.model.state_dict()


class Blocks(nn.Module):
    """A model that returns its own loss, as transformers' do."""

    def __init__(self, symbols=11, width=16):
        super().__init__()
        self.embedding = nn.Embedding(symbols, width)
        self.body = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Dropout(0.1))
        self.head = nn.Linear(width, symbols, bias=False)

    def forward(self, tokens, labels=None):
        logits = self.head(self.body(self.embedding(tokens)))
        loss = None
        if labels is not None:
            loss = functional.cross_entropy(logits.float().flatten(0, 1), labels.flatten())
        return SimpleNamespace(logits=logits, loss=loss)


class RandomBlocks:
    """As nanoGPT: blocks of a long text at random places, equal parts, gradients divided by k."""

    GOOD = "as nanoGPT: random blocks of a text, bf16, accumulation by equal parts, no DataLoader"

    def __init__(
        self,
        seed,
        device,
        directory,
        *,
        batch_size=3,
        accumulate=2,
        clip_norm=1.0,
        dropout=True,
        precision="bf16",
        horizon=60,
    ):
        del directory
        torch.manual_seed(seed)
        self.device, self.batch_size, self.accumulate = device, batch_size, accumulate
        self.clip_norm, self.precision, self.horizon = clip_norm, precision, horizon
        self.text = (torch.arange(400) ** 2 + 3 * torch.arange(400)) % 11
        self.model = Blocks().to(device)
        if not dropout:
            self.model.body[2].p = 0.0
        decayed = [p for p in self.model.parameters() if p.dim() > 1]
        others = [p for p in self.model.parameters() if p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
        self.optimizer = torch.optim.AdamW(groups, lr=0.02, betas=(0.9, 0.95))
        self.iteration = 0
        self.ahead = self.get_batch()

    def get_batch(self):
        """A step's blocks, drawn at once: the same whichever way they are divided."""
        count = self.batch_size * self.accumulate
        places = torch.randint(len(self.text) - 9, (count,)).tolist()
        tokens = torch.stack([self.text[p : p + 8] for p in places])
        labels = torch.stack([self.text[p + 1 : p + 9] for p in places])
        return tokens.to(self.device), labels.to(self.device)

    def train(self, steps):
        losses = []
        while self.iteration < steps:
            rate = 0.02 * min(1.0, (self.iteration + 1) / 3, 1.2 - self.iteration / self.horizon)
            for group in self.optimizer.param_groups:
                group["lr"] = rate
            total = 0.0
            for tokens, labels in zip(*(t.split(self.batch_size) for t in self.ahead), strict=True):
                with torch.autocast(self.device, torch.bfloat16, enabled=self.precision == "bf16"):
                    loss = self.model(tokens, labels).loss / self.accumulate
                loss.backward()
                total += loss.item()
            if not torch.isfinite(torch.tensor(total)):
                raise FloatingPointError(f"the loss is {total}")
            self.ahead = self.get_batch()  # as nanoGPT does, fetched while the step is made
            if self.clip_norm:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.iteration += 1
            losses.append(total)
        return losses

    def save(self, directory):
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "iteration": self.iteration,
            "ahead": self.ahead,
            "rng": torch.get_rng_state(),
        }
        torch.save(state, directory / "ckpt.tmp")
        (directory / "ckpt.tmp").replace(directory / "ckpt.pt")

    def load(self, directory):
        state = torch.load(directory / "ckpt.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.iteration, self.ahead = state["iteration"], state["ahead"]
        torch.set_rng_state(state["rng"].cpu())

    def state(self):
        return self.model.state_dict()


class SignMomentum(torch.optim.Optimizer):
    """Lion: the sign of an interpolated momentum."""

    def __init__(self, parameters, lr):
        super().__init__(parameters, {"lr": lr, "decay": 0.01})

    @torch.no_grad()
    def step(self, closure=None):
        del closure
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                slot = self.state[parameter]
                average = slot.setdefault("average", torch.zeros_like(parameter))
                update = average.lerp(parameter.grad, 0.1).sign_()
                parameter.mul_(1 - group["lr"] * group["decay"]).sub_(update, alpha=group["lr"])
                average.lerp_(parameter.grad, 0.01)


class OwnOptimizer:
    """Full epochs, an optimizer written by hand, BatchNorm, and a scheduler an epoch."""

    GOOD = "an optimizer written by hand, BatchNorm, a schedule by epochs, saves at any step"

    def __init__(self, seed, device, directory, *, clip_norm=None):
        del device, directory
        self.generator = torch.Generator().manual_seed(seed)
        torch.manual_seed(seed)
        self.inputs, self.targets = numbers(30)
        self.model = nn.Sequential(
            nn.Linear(6, 10), nn.BatchNorm1d(10), nn.Tanh(), nn.Linear(10, 1)
        )
        self.optimizer = SignMomentum(self.model.parameters(), lr=0.03)
        self.schedule = torch.optim.lr_scheduler.StepLR(self.optimizer, 1, 0.8)
        self.clip_norm = clip_norm
        self.step, self.rows = 0, []

    def batch(self):
        if len(self.rows) < 5:
            if self.step:
                self.schedule.step()
            self.rows = torch.randperm(30, generator=self.generator).tolist()
        rows, self.rows = self.rows[:5], self.rows[5:]
        return self.inputs[rows], self.targets[rows]

    def train(self, steps):
        losses = []
        while self.step < steps:
            self.model.train()
            inputs, targets = self.batch()
            self.optimizer.zero_grad()
            loss = functional.smooth_l1_loss(self.model(inputs), targets)
            loss.backward()
            if self.clip_norm is not None:
                nn.utils.clip_grad_norm_(self.model.parameters(), self.clip_norm)
            if not all(torch.isfinite(p.grad).all() for p in self.model.parameters()):
                print(f"step {self.step + 1} is skipped: its gradient is not finite")
            else:
                self.optimizer.step()
            self.step += 1
            losses.append(loss.item())
        return losses

    def evaluate(self):
        self.model.eval()
        with torch.inference_mode():
            return float((self.model(self.inputs) - self.targets).abs().mean())

    def save(self, directory):
        state = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "step": self.step,
            "rows": self.rows,
            "generator": self.generator.get_state(),
        }
        torch.save(state, directory / "partial")
        (directory / "partial").replace(directory / "state.pt")

    def load(self, directory):
        state = torch.load(directory / "state.pt", weights_only=True)
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.step, self.rows = state["step"], state["rows"]
        self.generator.set_state(state["generator"])

    def state(self):
        return self.model.state_dict()


class Stream(IterableDataset):
    """An endless stream that knows where it is."""

    def __init__(self, seed):
        self.seed, self.sent = seed, 0

    def __iter__(self):
        inputs, targets = numbers(40)
        while True:
            own = random.Random(self.seed * 100_003 + self.sent)
            row = own.randrange(40)
            self.sent += 1
            noise = torch.tensor([own.gauss(0, 0.01) for _ in range(6)])
            yield inputs[row] + noise, targets[row]


class Streaming:
    """An IterableDataset whose state is saved, Adam, and a trainer object apart from the subject."""

    GOOD = "a stream (IterableDataset) with a state of its own, full state in one file"

    def __init__(self, seed, device, directory):
        del device, directory
        torch.manual_seed(seed)
        self.stream = Stream(seed)
        self.model = nn.Sequential(nn.Linear(6, 16), nn.SiLU(), nn.Linear(16, 1))
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=0.03)
        self.batches = None
        self.done = 0

    def train(self, steps):
        losses = []
        if self.batches is None:
            own = torch.Generator().manual_seed(0)
            self.batches = iter(DataLoader(self.stream, batch_size=4, generator=own))
        while self.done < steps:
            inputs, targets = next(self.batches)
            loss = (self.model(inputs) - targets).square().mean()
            if not loss.isfinite():
                raise RuntimeError("the loss is not finite")
            loss.backward()
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.done += 1
            losses.append(float(loss.detach()))
        return losses

    def save(self, directory):
        weights, slots = self.model.state_dict(), self.optimizer.state_dict()
        rng = torch.get_rng_state()
        torch.save([weights, slots, self.done, self.stream.sent, rng], directory / "partial")
        (directory / "partial").replace(directory / "whole.pt")

    def load(self, directory):
        parts = torch.load(directory / "whole.pt", weights_only=True)
        self.model.load_state_dict(parts[0])
        self.optimizer.load_state_dict(parts[1])
        self.done, self.stream.sent = parts[2], parts[3]
        torch.set_rng_state(parts[4])

    def state(self):
        return self.model.state_dict()


class HalfPrecision(Plain):
    """As `plain`, in fp16 with a gradient scaler."""

    GOOD = "plain PyTorch in fp16 with a gradient scaler"

    def __init__(self, seed, device, directory, *, accumulate=1, horizon=100):
        settings = {"accumulate": accumulate, "horizon": horizon, "precision": "fp16"}
        super().__init__(seed, device, directory, **settings)


class MadeAnewOnLoad(Plain):
    """Loading makes model, optimizer and schedule anew, as `from_pretrained` does."""

    GOOD = "loading makes the model and its optimizer anew"

    def restore(self, state):
        self.former = self.model, self.optimizer  # alive, but not trained any more
        self.called = self.model = self.make_model().to(self.device)
        if self.ranks > 1:
            self.called = self.wrap()
        self.optimizer = self.make_optimizer()
        self.schedule = self.make_schedule()
        super().restore(state)
