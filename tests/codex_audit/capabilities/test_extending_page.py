"""The example of `docs/extending.md` works as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from click.testing import CliRunner

from codex_audit.capabilities.model import FACT_KINDS, CriterionRule, Signal
from codex_audit.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable

    Make = Callable[[dict[str, str]], Path]

PAGE = (Path(__file__).parents[3] / "docs" / "extending.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
TRAINING = (
    "import torch\nmodel = torch.nn.Linear(2, 2)\noptimizer = torch.optim.SGD(model.parameters())\n"
    "for _ in range(3):\n    model(torch.ones(2)).sum().backward()\n    optimizer.step()\n"
)


def test_the_example_works(make_repository: Make) -> None:
    settings, capability, criterion, _entry_point = BLOCKS
    root = make_repository(
        {
            "pyproject.toml": settings.replace('"]', '", "audit/more.toml"]'),
            "audit/house.toml": capability,
            "audit/more.toml": criterion,
            "train.py": TRAINING + "house.write_run_card(model)\n",
            "average.py": "class EMA:\n    def update(self, new):\n        self.old.lerp_(new, 0.1)\n",
        }
    )
    done = CliRunner().invoke(main, ["scan", str(root), "--format", "json"])
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)["capabilities"]
    assert found["house_rules"]["status"] == "Implemented"
    average = found["training_engine"]["criteria"]["weight_average"]
    assert (average["answer"], average["evidence"][0]["path"]) == ("met", "average.py")


def test_the_page_names_every_key_and_kind() -> None:
    named = set(re.findall(r"`(\w+)`", "\n".join(re.findall(r"^\|.*", PAGE, re.MULTILINE))))
    combined = {"all", "any", "none", "calls", "surely", "deep", "criterion", "within"}
    signal = {field for field in Signal.__struct_encode_fields__ if field not in combined}
    assert signal <= named
    assert set(FACT_KINDS) <= named
    assert set(CriterionRule.__struct_encode_fields__) <= named
    assert all(f"`{word}" in PAGE for word in combined)
    assert all(f"`{place}`" in PAGE for place in ("repo", "file", "class", "scope"))
