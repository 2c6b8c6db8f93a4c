"""Factories are found by name, and what they return is held to the protocol."""

from __future__ import annotations

from pathlib import Path

import pytest

from codex_audit.proofs.trainer.subject import build, resolve


class Complete:
    def train(self, steps: int) -> list[float]:
        return [1.0] * steps

    def save(self, directory: Path) -> None:
        del directory

    load = save

    def state(self) -> dict[str, object]:
        return {}


def test_a_factory_is_called_with_seed_device_and_directory() -> None:
    seen = []

    def factory(seed: int, device: str, directory: Path) -> Complete:
        seen.append((seed, device, directory))
        return Complete()

    assert isinstance(build(factory, "m:f", (1, "cpu", Path("x"))), Complete)
    assert seen == [(1, "cpu", Path("x"))]


def test_a_missing_method_is_named() -> None:
    class Half(Complete):
        save = None  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"m:f returned an object of type Half without save\(\)"):
        build(lambda *_: Half(), "m:f", (1, "cpu", Path("x")))


def test_names_resolve_through_attributes() -> None:
    assert resolve("pathlib:Path.cwd") == Path.cwd
    with pytest.raises(AttributeError):
        resolve("pathlib:Path.nowhere")
    with pytest.raises(ModuleNotFoundError):
        resolve("no_such_module:f")
