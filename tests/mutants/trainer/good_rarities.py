"""Good subjects in rare styles: several optimizers, passes at several points, no module, keys."""

from __future__ import annotations

import random

import torch
from torch import nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, Dataset, Sampler

from mutants.trainer.good_styles import PlainLoop, numbers


def put(path, state):
    """Whole or not at all."""
    torch.save(state, path.with_suffix(".partial"))
    path.with_suffix(".partial").replace(path)


def finite(loss):
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss}")
    return loss


class Adversaries:
    """A critic and a generator, each with an optimizer and a limit of its own; the critic first."""

    GOOD = "two optimizers that take turns: a critic's two steps to one of the generator's"

    def __init__(self, seed, device, directory, *, clip_norm=None):
        del device, directory
        torch.manual_seed(seed)
        self.clip_norm = clip_norm
        self.made = nn.Sequential(nn.Linear(3, 12), nn.ReLU(), nn.Linear(12, 2))
        self.critic = nn.Sequential(nn.Linear(2, 12), nn.LeakyReLU(0.2), nn.Linear(12, 1, False))
        self.maker = torch.optim.RMSprop(self.made.parameters(), lr=2e-3)
        self.judge = torch.optim.RMSprop(self.critic.parameters(), lr=2e-3)
        self.done = 0

    def update(self, module, optimizer, loss):
        self.clear(optimizer)
        finite(loss).backward()
        if self.clip_norm is not None:
            nn.utils.clip_grad_norm_(module.parameters(), self.clip_norm)
        optimizer.step()

    def clear(self, optimizer):
        optimizer.zero_grad()

    def train(self, steps):
        while self.done < steps:
            for _ in range(2):
                angle = torch.rand(16, 1) * 6.28
                real = torch.cat([angle.cos(), angle.sin()], 1)
                fake = self.made(torch.randn(16, 3)).detach()
                loss = functional.softplus(self.critic(fake)) + functional.softplus(
                    -self.critic(real)
                )
                self.update(self.critic, self.judge, loss.mean())
            loss = functional.softplus(-self.critic(self.made(torch.randn(16, 3)))).mean()
            self.update(self.made, self.maker, loss)
            self.done += 1

    def parts(self):
        return {name: getattr(self, name) for name in ("made", "critic", "maker", "judge")}

    def save(self, directory):
        state = {name: part.state_dict() for name, part in self.parts().items()}
        put(directory / "all.pt", state | {"done": self.done, "random": torch.get_rng_state()})

    def load(self, directory):
        state = torch.load(directory / "all.pt", weights_only=True)
        for name, part in self.parts().items():
            part.load_state_dict(state[name])
        self.done = state["done"]
        torch.set_rng_state(state["random"])


class Kept(Dataset):
    """Makes a sample once for each epoch and keeps it; asked for by (place, epoch)."""

    def __init__(self):
        self.inputs, self.targets = numbers()
        self.kept = {}

    def __len__(self):
        return len(self.inputs)

    def __getitem__(self, key):
        if key not in self.kept:
            place, epoch = key
            own = random.Random(place * 1009 + epoch)
            noise = torch.tensor([own.gauss(0, 0.01) for _ in range(6)])
            self.kept[key] = self.inputs[place] + noise, self.targets[place]
        return self.kept[key]


class Keys(Sampler):
    def __init__(self, seed, done):
        self.seed, self.done = seed, done

    def __iter__(self):
        epoch, start = divmod(self.done, 6)
        while True:
            order = torch.randperm(24, generator=torch.Generator().manual_seed(self.seed + epoch))
            yield from ((place, epoch) for place in order.tolist()[4 * start :])
            epoch, start = epoch + 1, 0


class LooksAround:
    """Sharpness-aware: the gradient where the loss is highest nearby; load() makes all anew."""

    GOOD = "two passes a step, at two points (SAM); keys (place, epoch); all made anew by load()"

    def __init__(self, seed, device, directory):
        del device, directory
        self.seed = seed
        torch.manual_seed(seed)
        self.data, self.done = Kept(), 0
        self.make()

    def make(self):
        self.model = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.05), nn.Linear(12, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.02, momentum=0.8)
        self.batches = None

    def loader(self):
        own = torch.Generator().manual_seed(0)
        return DataLoader(self.data, 4, sampler=Keys(self.seed, self.done), generator=own)

    def train(self, steps):
        losses = []
        if self.batches is None:
            self.batches = iter(self.loader())
        while self.done < steps:
            inputs, targets = next(self.batches)
            loss = finite(functional.mse_loss(self.model(inputs), targets))
            loss.backward()
            before = [parameter.detach().clone() for parameter in self.model.parameters()]
            norm = nn.utils.get_total_norm(p.grad for p in self.model.parameters())
            with torch.no_grad():
                for parameter in self.model.parameters():
                    parameter.add_(parameter.grad, alpha=float(0.05 / norm))
            self.optimizer.zero_grad()
            functional.mse_loss(self.model(inputs), targets).backward()
            with torch.no_grad():
                for parameter, value in zip(self.model.parameters(), before, strict=True):
                    parameter.copy_(value)
            self.optimizer.step()
            self.optimizer.zero_grad()
            self.done += 1
            losses.append(loss.item())
        return losses

    def save(self, directory):
        state = [self.model.state_dict(), self.optimizer.state_dict(), self.done]
        put(directory / "all.pt", [*state, torch.get_rng_state()])

    def load(self, directory):
        self.make()
        state = torch.load(directory / "all.pt", weights_only=True)
        self.model.load_state_dict(state[0])
        self.optimizer.load_state_dict(state[1])
        self.done = state[2]
        torch.set_rng_state(state[3])


class StepsInBackward:
    """Each parameter has an optimizer, which steps as soon as its gradient is there."""

    GOOD = "an optimizer for each parameter, in a hook of backward; evaluation keeps gradients on"

    def __init__(self, seed, device, directory, *, evaluate_every=None):
        del device, directory
        torch.manual_seed(seed)
        self.inputs, self.targets = numbers()
        self.model = nn.Sequential(
            nn.Linear(6, 12), nn.BatchNorm1d(12), nn.Tanh(), nn.Dropout(0.05), nn.Linear(12, 1)
        )
        self.own = {p: torch.optim.Adam([p], lr=0.02) for p in self.model.parameters()}
        for parameter in self.own:
            parameter.register_post_accumulate_grad_hook(self.step)
        self.done, self.every = 0, evaluate_every

    def step(self, parameter):
        self.own[parameter].step()
        parameter.grad = None

    def train(self, steps):
        self.model.train()
        while self.done < steps:
            rows = torch.randint(24, (6,))
            finite(
                functional.mse_loss(self.model(self.inputs[rows]), self.targets[rows])
            ).backward()
            self.done += 1
            if self.every and self.done % self.every == 0:
                self.evaluate()

    def evaluate(self):
        self.model.eval()
        halves = zip(self.inputs.split(12), self.targets.split(12), strict=True)
        total = sum(functional.mse_loss(self.model(x), y).item() for x, y in halves)
        self.model.train()
        return total / 2

    def save(self, directory):
        slots = [optimizer.state_dict() for optimizer in self.own.values()]
        put(
            directory / "all.pt", [self.model.state_dict(), slots, self.done, torch.get_rng_state()]
        )

    def load(self, directory):
        state = torch.load(directory / "all.pt", weights_only=True)
        self.model.load_state_dict(state[0])
        for optimizer, slots in zip(self.own.values(), state[1], strict=True):
            optimizer.load_state_dict(slots)
        self.done = state[2]
        torch.set_rng_state(state[3])


class Descent:
    """Momentum, written by hand."""

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.momentum = [torch.zeros_like(p) for p in self.parameters]

    def step(self):
        for parameter, slot in zip(self.parameters, self.momentum, strict=True):
            slot.mul_(0.8).add_(parameter.grad)
            parameter.data -= 0.01 * slot
            parameter.grad = None


class OwnDescent:
    """What steps is no optimizer of torch, and `train` tells nothing."""

    GOOD = "an optimizer that is none of torch's, and a train() that returns nothing"

    def __init__(self, seed, device, directory):
        del device, directory
        torch.manual_seed(seed)
        self.inputs, self.targets = numbers()
        self.model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 1))
        self.optimizer = Descent(self.model.parameters())
        self.done = 0

    def train(self, steps):
        while self.done < steps:
            for rows in torch.randint(24, (2, 6)):
                loss = functional.mse_loss(self.model(self.inputs[rows]), self.targets[rows])
                (finite(loss) / 2).backward()
            self.optimizer.step()
            self.done += 1

    def state(self):
        return {f"momentum.{n}": slot for n, slot in enumerate(self.optimizer.momentum)}

    def save(self, directory):
        state = [self.model.state_dict(), self.optimizer.momentum, self.done]
        put(directory / "all.pt", [*state, torch.get_rng_state()])

    def load(self, directory):
        weights, slots, self.done, generator = torch.load(directory / "all.pt", weights_only=True)
        self.model.load_state_dict(weights)
        self.optimizer.momentum = slots
        torch.set_rng_state(generator)


class WithoutState:
    """A function of parameters, differentiated by torch.func; momentum in a dictionary."""

    GOOD = "torch.func: a function of a dictionary of parameters, and no optimizer of torch"

    def __init__(self, seed, device, directory):
        del device, directory
        torch.manual_seed(seed)
        self.inputs, self.targets = numbers()
        self.net = nn.Sequential(nn.Linear(6, 12), nn.GELU(), nn.Linear(12, 1))
        self.parameters = {name: p.detach() for name, p in self.net.named_parameters()}
        self.momentum = {name: torch.zeros_like(p) for name, p in self.parameters.items()}
        self.done = 0

    def loss(self, parameters, rows):
        given = torch.func.functional_call(self.net, parameters, (self.inputs[rows],))
        return functional.mse_loss(given, self.targets[rows])

    def train(self, steps):
        losses = []
        while self.done < steps:
            rows = torch.randint(24, (8,))
            gradients, loss = torch.func.grad_and_value(self.loss)(self.parameters, rows)
            for name, gradient in gradients.items():
                self.momentum[name] = 0.8 * self.momentum[name] + gradient
                self.parameters[name] = self.parameters[name] - 0.01 * self.momentum[name]
            self.done += 1
            losses.append(finite(loss).item())
        return losses

    def state(self):
        slots = {f"momentum.{name}": value for name, value in self.momentum.items()}
        return self.parameters | slots

    def save(self, directory):
        state = [self.parameters, self.momentum, self.done, torch.get_rng_state()]
        put(directory / "all.pt", state)

    def load(self, directory):
        state = torch.load(directory / "all.pt", weights_only=True)
        self.parameters, self.momentum, self.done = state[:3]
        torch.set_rng_state(state[3])


class Recomputed(nn.Module):
    """Computes its body anew in the backward pass, by passes within it."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Dropout(0.05))
        self.head = nn.Linear(12, 1)

    def forward(self, inputs):
        given = inputs.clone().requires_grad_()
        return self.head(checkpoint(self.body, given, use_reentrant=True))


class Recomputes(PlainLoop):
    """As the tutorial's loop."""

    GOOD = "a body that is computed anew in the backward pass (re-entrant checkpointing)"

    def __init__(self, seed, device, directory):
        super().__init__(seed, device, directory)
        self.model = Recomputed()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.01, momentum=0.8)
