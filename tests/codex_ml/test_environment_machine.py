"""The machine, and NVIDIA devices through a stand-in for NVML, which needs a driver."""

from __future__ import annotations

import json
import os
import sys
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from codex_ml import environment
from codex_ml.monitoring.machine import measure

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class NvmlError(Exception):
    """As NVML's."""


UUIDS = ("GPU-aaa", "GPU-bbb", "MIG-ccc")


def by_index(index: int) -> int:
    if index >= len(UUIDS):
        raise NvmlError("Invalid Argument")
    return index


def by_uuid(name: str) -> int:
    if name not in UUIDS:
        raise NvmlError("Not Found")
    return UUIDS.index(name)


def utilisation(handle: int) -> SimpleNamespace:
    if handle == 2:
        raise NvmlError("Not Supported")
    return SimpleNamespace(gpu=40 + handle)


def stand_in() -> SimpleNamespace:
    """NVML with three devices of 1000 bytes, of which the third is a slice without utilisation."""
    return SimpleNamespace(
        NVMLError=NvmlError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: len(UUIDS),
        nvmlDeviceGetHandleByIndex=by_index,
        nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetName=lambda handle: f"device {handle}",
        nvmlDeviceGetMemoryInfo=lambda n: SimpleNamespace(total=1000, used=250 * (n + 1)),
        nvmlDeviceGetUtilizationRates=utilisation,
    )


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """What was found before is forgotten, before a test and after it."""
    for function in (environment.gpus, environment._nvml):
        function.cache_clear()
    yield
    for function in (environment.gpus, environment._nvml):
        function.cache_clear()


@pytest.fixture
def nvml(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", stand_in())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        (None, ["device 0", "device 1", "device 2"]),
        ("1,0", ["device 1", "device 0"]),
        ("GPU-bbb, MIG-ccc", ["device 1", "device 2"]),
        ("0,7,1", ["device 0"]),
        ("", []),
        ("-1", []),
    ],
)
@pytest.mark.usefixtures("nvml")
def test_only_the_devices_that_cuda_shows_are_named_in_its_order(
    monkeypatch: pytest.MonkeyPatch, visible: str | None, names: list[str]
) -> None:
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in environment.gpus()] == names


@pytest.mark.usefixtures("nvml")
def test_the_use_of_a_device_is_measured_as_far_as_its_driver_can(tmp_path: Path) -> None:
    pytest.importorskip("psutil", reason="pip install 'codex-audit[monitoring]'")
    found = {name: value for name, value in measure(tmp_path).items() if name.startswith("gpu")}
    assert found == {
        "gpu0/memory_bytes": 250, "gpu0/memory_percent": 25.0, "gpu0/percent": 40.0,
        "gpu1/memory_bytes": 500, "gpu1/memory_percent": 50.0, "gpu1/percent": 41.0,
        "gpu2/memory_bytes": 750, "gpu2/memory_percent": 75.0,
    }  # fmt: skip


def test_a_machine_without_the_package_or_a_driver_has_no_devices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert environment.gpus() == ()
    fresh_nvml = stand_in()

    def no_driver() -> None:
        raise NvmlError("NVML Shared Library Not Found")

    monkeypatch.setattr(fresh_nvml, "nvmlInit", no_driver)
    monkeypatch.setitem(sys.modules, "pynvml", fresh_nvml)
    environment.gpus.cache_clear()
    environment._nvml.cache_clear()
    assert environment.gpus() == ()


def test_the_machine_is_described_in_json() -> None:
    found = json.loads(json.dumps(environment.hardware()))
    assert found["cpu"]
    assert 1 <= found["cpu_cores"] <= (os.cpu_count() or 1)
    assert found["memory_bytes"] > 2**28
    assert isinstance(found["gpus"], list)
