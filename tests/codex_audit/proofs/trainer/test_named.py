"""A parameter has one name from before the first step on, whichever process asks."""

from __future__ import annotations

import torch
from torch import nn

from codex_audit.proofs.trainer.named import Named


def test_modules_are_found_before_they_are_called() -> None:
    first, second = nn.Linear(2, 3), nn.Sequential(nn.Linear(3, 1))
    optimizers = [torch.optim.SGD(module.parameters(), lr=0.1) for module in (first, second)]
    named, again = Named(), Named()
    for optimizer in optimizers:
        named.add(optimizer)
        again.add(optimizer)
    named.meet(second)
    again.meet(first)
    names = list(named.parameters())
    assert names == list(again.parameters())
    assert sorted(name.rpartition(".")[2] for name in names) == ["bias", "bias", "weight", "weight"]
    assert not any(name.startswith("parameter") for name in names)


def test_what_no_optimizer_trains_is_not_looked_for() -> None:
    trained, average = nn.Linear(2, 1), nn.Linear(2, 1)
    named = Named()
    optimizer = torch.optim.SGD(trained.parameters(), lr=0.1)
    named.add(optimizer)
    named.meet(trained)
    held = {id(parameter) for parameter in named.parameters().values()}
    assert held.isdisjoint(map(id, average.parameters()))


def test_the_given_model_comes_first_and_its_parts_are_not_named_twice() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    named = Named()
    named.know(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    named.add(optimizer)
    named.meet(model[1])
    assert list(named.parameters()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_optimizers_of_one_shape_keep_the_order_in_which_they_were_made() -> None:
    twins = [nn.Linear(2, 1) for _ in range(5)]
    optimizers = [torch.optim.SGD(twin.parameters(), lr=0.1) for twin in twins]
    named = Named()
    for optimizer in optimizers:
        named.add(optimizer)
    assert named.optimizers() == optimizers


def test_a_parameter_that_no_module_holds_is_named_by_its_number() -> None:
    alone = nn.Parameter(torch.zeros(2))
    named = Named()
    optimizer = torch.optim.SGD([alone], lr=0.1)
    named.add(optimizer)
    assert list(named.parameters()) == ["parameter0"]
