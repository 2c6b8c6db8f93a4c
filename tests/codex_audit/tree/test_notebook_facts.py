from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from wanting import Everything

from codex_audit.tree.notebook_facts import notebook_facts

if TYPE_CHECKING:
    from codex_audit.tree.facts import FileFacts

EVERYTHING = Everything()


def read(text: str) -> FileFacts:
    return notebook_facts("a.ipynb", "example", text.encode(), EVERYTHING)


def places(found: FileFacts) -> list[tuple[str, int]]:
    return [(fact.name, fact.line) for fact in found.facts if fact.kind == "call"]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_equal_and_escaped_lines_have_places_of_their_own(*, ascii_only: bool) -> None:
    cell = {"cell_type": "code", "source": ['é = "\\t"\n', "step()\n", "step()\n", "one(", ")"]}
    text = json.dumps({"cells": [cell]}, indent=1, ensure_ascii=ascii_only)
    lines = text.splitlines()
    expected = [number for number, line in enumerate(lines, 1) if "step" in line or "one" in line]
    assert places(read(text)) == list(zip(["step", "step", "one"], expected, strict=True))


def test_nbformat_3() -> None:
    cells = [{"cell_type": "code", "input": ["import torch\n", "torch.manual_seed(1)"]}]
    text = json.dumps({"worksheets": [{"cells": cells}], "nbformat": 3}, indent=1)
    ((name, line),) = places(read(text))
    assert name == "torch.manual_seed"
    assert "manual_seed" in text.splitlines()[line - 1]


def test_a_cell_as_one_string_and_cells_of_nonsense() -> None:
    cells = [7, {"source": {"a": 1}}, {"cell_type": "code", "source": [1, None, "a()"]},
             {"cell_type": "code", "source": "b()\nc()\n"}, {"cell_type": "code", "source": "\ud800"}]  # fmt: skip
    found = read(json.dumps({"cells": cells[:4]}))
    assert places(found) == [("a", 1), ("b", 1), ("c", 1)]
    assert read(json.dumps({"cells": cells})).problem is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"cells": {"a": 1}}', '{"worksheets": 3}', '{"cells":' + "[" * 5000]
)
def test_what_is_no_notebook_is_a_problem(text: str) -> None:
    problem = read(text).problem
    assert problem is not None
    assert problem.reason.startswith("notebook: ")


def test_an_empty_file_is_none() -> None:
    assert read("").problem is None


def test_a_large_notebook_on_one_line_takes_no_time() -> None:
    cell = {"cell_type": "code", "source": [f"é = {number}\n" for number in range(20_000)]}
    begun = time.monotonic()
    assert read(json.dumps({"cells": [cell]})).code_lines == 20_000
    assert time.monotonic() - begun < 10
