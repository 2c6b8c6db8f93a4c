"""Factories are found by name, and what they return is held to the protocol."""

from __future__ import annotations

from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from codex_audit.proofs.trainer.adapters.choosing import knobs_of, make_driver
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
def session(tmp_path: Path, **knobs: int) -> Iterator[Session]:
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
