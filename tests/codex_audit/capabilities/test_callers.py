"""Functions are found by what they do, whatever they are called, where code that runs calls them."""

from __future__ import annotations

from typing import Any

import pytest
from test_match import find

BACKWARD = {"call": "*.backward"}
LOOP = {"loop": "for"}
UTILS = "def advance(model, batch):\n    model(batch).backward()\n"


def called(files: dict[str, str], inside: dict[str, Any] = BACKWARD, deep: int = 1) -> list[str]:
    found = find(files, {"calls": [inside], "deep": deep})
    return sorted(f"{path}:{line}" for path, line in found)


def test_a_call_of_a_function_of_another_file_whatever_it_is_called() -> None:
    main = "from pkg.utils import advance as go\n\n\ndef run(m, b):\n    go(m, b)\n    print(b)\n"
    assert called({"pkg/utils.py": UTILS, "main.py": main}) == ["main.py:5"]


def test_methods_inherited_ones_and_instances_that_are_called() -> None:
    code = (
        "class Base:\n    def forward(self, x):\n        x.backward()\n"
        "class Own(Base):\n    def fit(self, x):\n        self.forward(x)\n"
        "def main(x):\n    own = Own()\n    own(x)\n"
    )
    assert called({"a.py": code}) == ["a.py:6", "a.py:9"]


@pytest.mark.parametrize(("deep", "lines"), [(1, ["a.py:4"]), (2, ["a.py:4", "a.py:6"])])
def test_as_many_calls_away_as_asked_for(deep: int, lines: list[str]) -> None:
    code = (
        "def one(x):\n    x.backward()\ndef two(x):\n    one(x)\n"
        "def three(x):\n    two(x)\ndef four(x):\n    three(x)\n"
    )
    assert called({"a.py": code}, deep=deep) == lines


def test_a_function_inside_another_one_belongs_to_it() -> None:
    code = "def fit(x):\n    def step():\n        x.backward()\n    step()\nfit(1)\n"
    assert called({"a.py": code}) == ["a.py:3", "a.py:5"]


def test_calls_of_tests_and_of_others_of_the_same_name_are_none() -> None:
    files = {
        "pkg/utils.py": UTILS,
        "tests/test_a.py": "from pkg.utils import advance\nadvance(1, 2)\n",
        "pkg/other.py": "def advance(a, b):\n    return a\n\n\nadvance(1, 2)\n",
        "pkg/foreign.py": "from elsewhere import advance\n\nadvance(1, 2)\n",
    }
    assert called(files) == []


def test_it_combines_with_what_stands_in_the_same_function() -> None:
    loop = "from utils import advance\ndef fit(m, d):\n    for b in d:\n        advance(m, b)\n"
    once = "from utils import advance\ndef once(m, b):\n    advance(m, b)\n"
    files = {"utils.py": UTILS, "loop.py": loop, "once.py": once}
    asked = {"all": [LOOP, {"calls": [BACKWARD]}], "within": "scope"}
    assert find(files, asked) == [("loop.py", 3)]


def test_functions_that_call_each_other_end() -> None:
    code = "def a(x):\n    x.backward()\n    b(x)\ndef b(x):\n    a(x)\n"
    assert called({"a.py": code}, deep=3) == ["a.py:3", "a.py:5"]


METHOD = "class Pipe:\n    def sgd_iter(self, x):\n        x.backward()\n"
GIVEN = "def run(pipe, x):\n    pipe.sgd_iter(x)\n"


def test_a_method_of_nobody_knows_what_where_only_such_have_that_name() -> None:
    assert called({"pipe.py": METHOD, "main.py": GIVEN}) == ["main.py:2"]
    own = "class Run:\n    def go(self, x):\n        self.pipe.sgd_iter(x)\n"
    assert called({"pipe.py": METHOD, "main.py": own}) == ["main.py:3"]
    stub = "class Base:\n    def sgd_iter(self, x):\n        pass\n"
    assert called({"pipe.py": METHOD, "base.py": stub, "main.py": GIVEN}) == ["main.py:2"]
    other = "class Mock:\n    def sgd_iter(self, x):\n        return x.sum()\n"
    assert called({"pipe.py": METHOD, "other.py": other, "main.py": GIVEN}) == []


def test_a_method_that_lists_and_dictionaries_have_is_not_known_by_its_name() -> None:
    method = METHOD.replace("sgd_iter", "update")
    assert called({"pipe.py": method, "main.py": GIVEN.replace("sgd_iter", "update")}) == []


def test_a_function_of_a_module_is_no_method_of_nobody_knows_what() -> None:
    given = "import torch\n\n\ndef run(x):\n    torch.sgd_iter(x)\n"
    assert called({"pipe.py": METHOD, "main.py": given}) == []


def test_surely_is_what_stands_in_no_branch_of_its_function_or_module() -> None:
    code = (
        "def main(a):\n"
        "    a.backward()\n"
        "    if a:\n        a.backward()\n"
        "    with a:\n        a.backward()\n"
        "if __name__ == '__main__':\n    b.backward()\n"
        "if b:\n    b.backward()\n"
    )
    assert [line for _, line in find({"a.py": code}, {"surely": [BACKWARD]})] == [2, 6, 8]
