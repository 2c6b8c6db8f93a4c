"""Which code tests reach: what they call, and what that surely calls; never a mere import."""

from __future__ import annotations

from textwrap import dedent

import pytest
from wanting import Everything

from codex_audit.tree.extract import extract
from codex_audit.tree.facts import Found
from codex_audit.tree.outline import packed
from codex_audit.tree.reach import MOST_CALLS, Reach, Reached
from codex_audit.tree.roles import role_of
from codex_audit.tree.symbols import Symbols

TRAINER = """\
import torch


class Trainer:
    def __init__(self):
        self.step = 0

    def fit(self):
        for _ in range(3):
            self.update()
        if self.step > 100:
            self.rarely()

    def update(self):
        torch.step()

    def rarely(self):
        torch.rare()


def save(path):
    if not path:
        return
    torch.save(path)


def load(path):
    return torch.load(path)
"""


def reach(files: dict[str, str]) -> Reach:
    found = []
    for path, text in files.items():
        role = role_of(path)
        facts = extract(path, role, dedent(text).encode(), Everything())
        found.append(Found(path, role, facts.lines, outline=packed(facts.outline)))
    return Reach(found, Symbols(found))


def line_of(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def reached(test: str, part: str, **more: str) -> Reached | None:
    """The test that reaches the line of the trainer with `part`, where `test` is the only test."""
    files = {"pkg/__init__.py": "", "pkg/trainer.py": TRAINER, "tests/test_it.py": test, **more}
    return reach(files).test_of("pkg/trainer.py", line_of(TRAINER, part))


CALLS = """\
from pkg.trainer import load

def test_load():
    assert load("x")
"""


def test_a_function_that_a_test_calls_is_reached_with_the_line_of_the_call() -> None:
    assert reached(CALLS, "torch.load") == Reached("tests/test_it.py", 4)


@pytest.mark.parametrize(
    "test",
    [
        "import pkg.trainer\ndef test_it():\n    assert pkg.trainer\n",
        "from pkg.trainer import load\ndef test_it():\n    assert load is not None\n",
        "from pkg.trainer import load\ndef helper():\n    load(1)\n",  # nobody calls it
        "def load(path): ...\ndef test_it():\n    load(1)\n",  # another function of that name
        "from other.trainer import load\ndef test_it():\n    load(1)\n",
        "import pytest\nfrom pkg.trainer import load\n@pytest.mark.skip\ndef test_it():\n    load(1)\n",
        "# load(1)\ndef test_it():\n    '''load(1)'''\n",
    ],
    ids=["module", "named", "helper", "other", "elsewhere", "skipped", "comment"],
)
def test_what_is_only_imported_named_or_never_run_is_not_reached(test: str) -> None:
    assert reached(test, "torch.load") is None


def test_a_method_is_reached_only_where_it_is_called() -> None:
    made = "from pkg.trainer import Trainer\ndef test_it():\n    trainer = Trainer()\n"
    assert reached(made, "self.step = 0") == Reached("tests/test_it.py", 3)
    assert reached(made, "torch.step") is None
    fitted = made + "    trainer.fit()\n"
    assert reached(fitted, "torch.step") == Reached("tests/test_it.py", 4, ("Trainer.fit",))


def test_a_call_under_a_condition_leads_nowhere() -> None:
    test = "from pkg.trainer import Trainer\ndef test_it():\n    Trainer().fit()\n"
    assert reached(test, "for _ in range") is not None
    assert reached(test, "self.rarely()") is None
    assert reached(test, "torch.rare") is None


def test_what_follows_a_conditional_return_is_not_sure() -> None:
    test = "from pkg.trainer import save\ndef test_it():\n    save('x')\n"
    assert reached(test, "if not path") is not None
    assert reached(test, "torch.save") is None


def test_names_are_followed_through_packages_that_hand_them_on() -> None:
    files = {
        "src/pkg/__init__.py": "from pkg.api import *\n",
        "src/pkg/api.py": "from .inner.work import do as run\n",
        "src/pkg/inner/__init__.py": "",
        "src/pkg/inner/work.py": "def do():\n    return 1\n",
        "tests/test_it.py": "import pkg\ndef test_it():\n    pkg.run()\n",
    }
    assert reach(files).test_of("src/pkg/inner/work.py", 2) == Reached("tests/test_it.py", 3)


def test_modules_that_import_each_other_s_names_come_to_an_end() -> None:
    files = {
        "pkg/__init__.py": "from .a import *\n",
        "pkg/a.py": "from pkg import *\nfrom .b import x\n",
        "pkg/b.py": "from .a import x\nclass C(C): ...\n",
        "tests/test_it.py": "import pkg\nfrom pkg.b import C\ndef test_it():\n    pkg.x()\n    C().m()\n",
    }
    assert reach(files).test_of("pkg/b.py", 1) is None


def test_a_package_is_found_wherever_it_lies_unless_two_could_be_meant() -> None:
    test = {"tests/test_it.py": "from train import go\ndef test_it():\n    go()\n"}
    code = "def go():\n    return 1\n"
    assert reach({"jobs/train.py": code, **test}).test_of("jobs/train.py", 2)
    both = reach({"jobs/train.py": code, "old/train.py": code, **test})
    assert both.test_of("jobs/train.py", 2) is None
    assert both.test_of("old/train.py", 2) is None


def test_inherited_methods_and_calls_of_instances_are_followed() -> None:
    files = {
        "net.py": "class Base:\n    def fit(self):\n        return 1\n    def forward(self, x):\n        return 2\n",
        "deep.py": "from net import Base\nclass Deep(Base):\n    pass\n",
        "tests/test_it.py": (
            "from deep import Deep\ndef test_it():\n    deep = Deep()\n    deep.fit()\n    deep(1)\n"
        ),
    }
    found = reach(files)
    assert found.test_of("net.py", 3) == Reached("tests/test_it.py", 4)
    assert found.test_of("net.py", 5) == Reached("tests/test_it.py", 5)


def test_helpers_and_fixtures_of_tests_are_part_of_them() -> None:
    files = {
        "lib.py": "def made():\n    return 1\n\ndef done():\n    return 2\n",
        "tests/conftest.py": (
            "import pytest\nfrom lib import made\n@pytest.fixture\ndef thing():\n    return made()\n"
        ),
        "tests/help.py": "from lib import done\ndef helper():\n    return done()\n",
        "tests/test_it.py": "from help import helper\ndef test_it(thing):\n    helper()\n",
    }
    found = reach(files)
    assert found.test_of("lib.py", 2) == Reached("tests/conftest.py", 5)
    assert found.test_of("lib.py", 5) == Reached("tests/test_it.py", 3)  # the test's own line


def test_a_way_longer_than_the_bound_is_not_followed() -> None:
    code = "".join(f"def f{n}():\n    f{n + 1}()\n" for n in range(10)) + "def f10():\n    pass\n"
    found = reach(
        {"chain.py": code, "tests/test_it.py": "from chain import f0\ndef test_it():\n    f0()\n"}
    )
    assert found.test_of("chain.py", 2 * MOST_CALLS) is not None
    assert found.test_of("chain.py", 2 * MOST_CALLS + 2) is None


def test_a_test_that_replaces_parts_reaches_only_what_it_calls_itself() -> None:
    code = "def outer():\n    inner()\ndef inner():\n    return 1\n"
    plain = "from lib import outer\ndef test_it():\n    outer()\n"
    patched = (
        "from unittest import mock\nfrom lib import outer\n"
        "def test_it():\n    with mock.patch('lib.inner'):\n        outer()\n"
    )
    assert reach({"lib.py": code, "tests/test_it.py": plain}).test_of("lib.py", 4)
    found = reach({"lib.py": code, "tests/test_it.py": patched})
    assert found.test_of("lib.py", 2) == Reached("tests/test_it.py", 5)
    assert found.test_of("lib.py", 4) is None


SCRIPT = """\
import argparse

def main():
    return argparse.ArgumentParser()

if __name__ == "__main__":
    main()
"""


@pytest.mark.parametrize(
    "command",
    [
        'subprocess.run([sys.executable, "train.py", "--steps", "2"])',
        'subprocess.check_call("python train.py --steps 2", shell=True)',
        'subprocess.run([sys.executable, "-m", "train"])',
        'runpy.run_path("./train.py")',
    ],
)
def test_a_script_that_a_test_runs_is_reached(command: str) -> None:
    test = f"import runpy, subprocess, sys\ndef test_it():\n    {command}\n"
    found = reach({"train.py": SCRIPT, "tests/test_it.py": test})
    assert found.test_of("train.py", 1) == Reached("tests/test_it.py", 3)
    assert found.test_of("train.py", 4) == Reached("tests/test_it.py", 3, ("train.py",))


@pytest.mark.parametrize(
    "body",
    [
        'print("train.py")',
        'make({"train.py": "print(1)"})\n    subprocess.run(["python", "train.py"])',
        '(tmp_path / "train.py").write_text("")\n    subprocess.run(["python", "train.py"])',
        'subprocess.run(["python", "other.py"])',
        "import train",
    ],
    ids=["printed", "made", "written", "another", "imported"],
)
def test_a_script_that_no_test_runs_is_not_reached(body: str) -> None:
    test = f"import subprocess\ndef test_it(tmp_path):\n    {body}\n"
    found = reach({"train.py": SCRIPT, "tests/test_it.py": test})
    assert found.test_of("train.py", 4) is None


def test_a_file_that_is_no_code_is_reached_where_a_test_opens_it() -> None:
    files = {"conf/run.yaml": "a: 1\n", "conf/other.yaml": "a: 1\n", "README.md": "# x\n"}
    test = (
        "def test_it():\n    open('conf/run.yaml')\n    compose(config_name='other')\n"
        "    make({'README.md': ''})\n    print('README.md')\n"
    )
    found = reach({**files, "tests/test_it.py": test})
    assert found.test_of("conf/run.yaml", 1) == Reached("tests/test_it.py", 2)
    assert found.test_of("conf/other.yaml", 1) == Reached("tests/test_it.py", 3)
    assert found.test_of("README.md", 1) is None


def test_a_test_is_no_test_of_itself_and_a_fixture_tree_is_nobody_s_code() -> None:
    files = {
        "tests/test_it.py": CALLS,
        "tests/fixtures/pkg/__init__.py": "",
        "tests/fixtures/pkg/trainer.py": TRAINER,
    }
    found = reach(files)
    assert found.test_of("tests/test_it.py", 4) is None
    assert found.test_of("tests/fixtures/pkg/trainer.py", line_of(TRAINER, "torch.load")) is None


def test_the_shortest_way_is_shown_and_of_those_the_first() -> None:
    code = "def outer():\n    inner()\ndef inner():\n    return 1\n"
    files = {
        "lib.py": code,
        "tests/test_a.py": "from lib import outer\ndef test_it():\n    outer()\n",
        "tests/test_b.py": "from lib import inner\ndef test_it():\n    inner()\n",
        "tests/test_c.py": "from lib import inner\ndef test_it():\n    inner()\n",
    }
    assert reach(files).test_of("lib.py", 4) == Reached("tests/test_b.py", 3)
