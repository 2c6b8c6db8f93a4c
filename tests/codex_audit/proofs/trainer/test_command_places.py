"""Which lines are cited as evidence of what a command was seen to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.commands.places import places
from codex_audit.proofs.trainer.commands.plan import Plan, plan_of
from codex_audit.settings import TrainerSettings

if TYPE_CHECKING:
    from pathlib import Path


def plan_for(root: Path, command: str = "python train.py {dir}") -> Plan:
    made = plan_of(TrainerSettings(command=command, checkpoints="*.pt"), root, "cpu")
    assert made is not None
    return made


def test_places_are_lines_of_the_script(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(
        "import torch\ntorch.manual_seed(0)\nloss.backward()\n# torch.save(x)\ntorch.save(x, y)\n"
    )
    found = places(plan_for(tmp_path), tmp_path)
    assert {name: place.line for name, place in found.items()} == {
        "train": 3, "save": 5, "load": 1, "factory": 2,
    }  # fmt: skip
    assert places(plan_for(tmp_path, "python -m train {dir}"), tmp_path)["train"].line == 3
    assert places(plan_for(tmp_path, "python gone.py {dir}"), tmp_path) == {}


def test_places_are_also_in_what_the_script_imports(tmp_path: Path) -> None:
    for name, text in {
        "train.py": "import torch, json\nfrom lib.base import Trainer\njson.load(x)\nTrainer()\n",
        "lib/__init__.py": "",
        "lib/base.py": "from . import files\nfrom .broken import y\nloss.backward()\n",
        "lib/files.py": "x = '\\d'  # nothing\ntorch.save(a, b)\n",
        "lib/broken.py": "set_seed(1)\ndef (",
        "lib/unused.py": "model.load_state_dict(x)\n",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = places(plan_for(tmp_path), tmp_path)
    assert {name: (place.path, place.line) for name, place in found.items()} == {
        "train": ("lib/base.py", 3),
        "save": ("lib/files.py", 2),
        "load": ("train.py", 3),
        "factory": ("lib/broken.py", 1),
    }
