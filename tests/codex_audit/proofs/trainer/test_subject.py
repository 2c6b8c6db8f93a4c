"""Factories are found by name, and what they return is held to the protocol."""

from __future__ import annotations

import math
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from codex_audit.proofs.trainer.adapters.choosing import call, knobs_of, make_driver
from codex_audit.proofs.trainer.recorder import Recorder
from codex_audit.proofs.trainer.runs import Faults, Run
from codex_audit.proofs.trainer.session import Session
from codex_audit.proofs.trainer.subject import resolve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


class Complete:
    def train(self, steps: int) -> list[float]:
        return [1.0] * steps

    def save(self, directory: Path) -> None:
        del directory

    load = save


@contextmanager
def session(tmp_path: Path, **knobs: int | None) -> Iterator[Session]:
    run = Run(until=4, horizon=8, seed=1).with_knobs(**knobs)
    with closing(Recorder(tmp_path / "trace", Faults())) as recorder:
        yield Session(run, tmp_path, None, recorder)


def test_a_factory_is_called_with_seed_device_directory_and_the_settings_it_takes(
    tmp_path: Path,
) -> None:
    seen = []

    def factory(
        seed: int, device: str, directory: Path, *, accumulate: int = 1, horizon: int = 0
    ) -> Complete:
        seen.append((seed, device, directory, accumulate, horizon))
        return Complete()

    with session(tmp_path, accumulate=2, workers=3) as asked:
        name, driver = make_driver(factory, "m:f", asked)
        assert name == "protocol"
        assert driver.knobs == {"accumulate", "horizon"}
        assert seen == [(1, "cpu", tmp_path / "work", 2, 8)]
        assert list(driver.go()) == [1.0] * 4


def test_never_is_a_number_for_a_factory_that_does_not_know_of_none(tmp_path: Path) -> None:
    def plain(
        seed: int, device: str, directory: Path, evaluate_every: int = 5, clip_norm: float = 1.0
    ) -> tuple[float | None, ...]:
        del seed, device, directory
        return (evaluate_every, clip_norm)

    def knowing(
        seed: int,
        device: str,
        directory: Path,
        evaluate_every: int | None = 5,
        clip_norm: float = None,  # type: ignore[assignment] # noqa: RUF013 - as many write it
    ) -> tuple[float | None, ...]:
        del seed, device, directory
        return (evaluate_every, clip_norm)

    with session(tmp_path, evaluate_every=None, clip_norm=None) as asked:
        assert call(plain, asked, plain=True) == (10**9, math.inf)
        assert call(plain, asked) == (None, None)
        assert call(knowing, asked, plain=True) == (None, None)


@pytest.mark.parametrize(
    ("told", "losses"),
    [
        (0.5, []),
        (torch.tensor(0.5), []),
        ({"loss": 0.5}, []),
        ([{"loss": 0.5}], []),
        (None, []),
        (torch.tensor([0.5, 0.25]), [0.5, 0.25]),
        ((torch.tensor(0.5),), [0.5]),
    ],
)
def test_what_train_returns_is_taken_for_losses_only_where_it_tells_one_a_step(
    tmp_path: Path, told: object, losses: list[float]
) -> None:
    class Telling(Complete):
        def train(self, steps: int) -> object:  # type: ignore[override]
            del steps
            return told

    make: Callable[..., Telling] = lambda *_: Telling()  # noqa: E731
    with session(tmp_path) as asked:
        assert list(make_driver(make, "m:f", asked)[1].go()) == losses


def test_a_missing_method_is_named(tmp_path: Path) -> None:
    class Half(Complete):
        save = None  # type: ignore[assignment]

    make: Callable[..., Half] = lambda *_: Half()  # noqa: E731
    said = r"m:f returned an object of type Half without save\(\)"
    with session(tmp_path) as asked, pytest.raises(TypeError, match=said):
        make_driver(make, "m:f", asked)


def test_a_factory_of_anything_is_given_nothing_that_it_does_not_name() -> None:
    def factory(seed: int, device: str, directory: Path, **more: int) -> None: ...

    assert knobs_of(factory) == frozenset()


def test_names_resolve_through_attributes() -> None:
    assert resolve("pathlib:Path.cwd") == Path.cwd
    with pytest.raises(AttributeError):
        resolve("pathlib:Path.nowhere")
    with pytest.raises(ModuleNotFoundError):
        resolve("no_such_module:f")
