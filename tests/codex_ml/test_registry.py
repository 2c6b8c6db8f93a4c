"""Components by name: from here, by import path, and from packages that are installed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from codex_ml.registry import Registry, RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GROUP = "codex_ml_test.components"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Install a distribution of one module, as an installer leaves it on the disk."""

    def make(name: str, module: str, entries: str) -> None:
        site = tmp_path / name
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{GROUP}]\n{entries}\n")
        (site / f"{name}.py").write_text(module)
        monkeypatch.syspath_prepend(site)

    return make


def test_a_decorated_component_is_found_and_unchanged() -> None:
    registry: Registry[Callable[[], int]] = Registry("number")

    @registry.register("one")
    def one() -> int:
        return 1

    assert registry.get("one") is one
    assert registry.names() == ["one"]


def test_a_builtin_is_imported_when_it_is_asked_for() -> None:
    program = (
        "import sys\nfrom codex_ml.registry import Registry\n"
        "registry = Registry('parser', builtin={'dom': 'xml.dom.minidom:parseString'})\n"
        "registry.check('dom')\nassert registry.names() == ['dom']\n"
        "assert 'xml.dom.minidom' not in sys.modules\n"
        "registry.get('dom')\nassert 'xml.dom.minidom' in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_package_adds_a_component(install: Callable[..., None]) -> None:
    registry: Registry[Any] = Registry("number", group=GROUP)
    install("ninepack", "class Nine:\n    value = 9\n", "nine = ninepack:Nine")
    install("badpack", "raise RuntimeError('not on this machine')\n", "bad = badpack:Bad")
    assert registry.names() == ["bad", "nine"]
    assert "ninepack" not in sys.modules
    assert registry.get("nine").value == 9
    assert registry.get("nine") is registry.get("nine")
    with pytest.raises(RegistryError) as raised:
        registry.get("bad")
    assert str(raised.value) == (
        "the number 'bad' cannot be imported from badpack:Bad of badpack "
        "(RuntimeError: not on this machine); mend or remove that package"
    )


def test_installed_packages_are_read_on_first_use(install: Callable[..., None]) -> None:
    registry: Registry[Any] = Registry("number", group=GROUP)
    install("latepack", "late = 1\n", "late = latepack:late")  # after the registry was made
    assert registry.get("late") == 1


def test_an_unknown_name_gives_the_near_ones() -> None:
    registry: Registry[Any] = Registry("optimizer", builtin={"adamw": "a:b", "sgd": "a:c"})
    with pytest.raises(RegistryError, match=r"^unknown optimizer 'adamv'; did you mean 'adamw'\?$"):
        registry.get("adamv")
    with pytest.raises(RegistryError, match=r"^unknown optimizer 'x'; known are adamw, sgd$"):
        registry.check("x")
    with pytest.raises(RegistryError, match=r"known are none$"):
        Registry("optimizer").check("x")


def test_a_taken_name_is_refused_at_once() -> None:
    registry: Registry[Any] = Registry("optimizer", builtin={"adamw": "torch.optim:AdamW"})
    registry.register("adamw2")(int)
    with pytest.raises(RegistryError) as raised:
        registry.register("adamw")(float)
    assert str(raised.value) == (
        "the optimizer 'adamw' is already registered, as torch.optim:AdamW; choose another name "
        "for builtins:float; near it there is 'adamw2'"
    )
    with pytest.raises(RegistryError, match=r"already registered, as builtins:int"):
        registry.register("adamw2")(float)


def test_two_packages_with_one_name_are_refused(install: Callable[..., None]) -> None:
    registry: Registry[Any] = Registry("number", group=GROUP)
    registry.register("mine")(1)
    install("pack1", "x = 1\n", "both = pack1:x\nmine = pack1:x\nother = pack1:x")
    install("pack2", "x = 2\n", "both = pack2:x")
    with pytest.raises(
        RegistryError, match=r"'both' is declared by .*pack[12] and by pack[12]:x of"
    ):
        registry.get("both")
    with pytest.raises(RegistryError, match=r"'mine' is declared by builtins:1 and by pack1:x of"):
        registry.get("mine")
    assert registry.get("other") == 1
