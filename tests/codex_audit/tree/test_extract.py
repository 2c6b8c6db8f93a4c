from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from wanting import Everything

from codex_audit.tree.extract import extract
from codex_audit.tree.requirement_facts import lower_bound

if TYPE_CHECKING:
    from codex_audit.tree.facts import Fact, FileFacts

EVERYTHING = Everything()


def read(path: str, text: str) -> FileFacts:
    return extract(path, "core", text.encode(), EVERYTHING)


def facts(path: str, text: str, kind: str) -> list[Fact]:
    return [fact for fact in read(path, text).facts if fact.kind == kind]


def test_dockerfile_stages_pins_and_the_final_user() -> None:
    found = facts(
        "Dockerfile",
        "ARG TAG=3.12-slim\nFROM python:${TAG} AS build\nRUN pip install x \\\n  && true\n"
        "FROM build\nUSER app\nHEALTHCHECK CMD true\n",
        "docker",
    )
    assert [(f.name, f.line, f.tags) for f in found] == [
        ("arg", 1, ()),
        ("from", 2, ("external", "pinned")),
        ("run", 3, ()),
        ("from", 5, ("final",)),
        ("user", 6, ("final",)),
        ("healthcheck", 7, ("final",)),
    ]


@pytest.mark.parametrize(
    ("image", "pinned"),
    [
        ("python:3.12-slim", True), ("python", False), ("python:latest", False), ("python:slim", False),
        ("nvidia/cuda:12.4.1-devel-ubuntu22.04", True), ("repo:5000/image", False),
        ("python@sha256:" + "0" * 64, True), ("ubuntu:latest-2024", False), ("$BASE", False),
    ],
)  # fmt: skip
def test_a_base_image_is_pinned_by_a_digest_or_a_tag_that_names_a_version(
    image: str, pinned: bool
) -> None:
    (fact,) = facts("Dockerfile", f"FROM {image}\n", "docker")
    assert ("pinned" in fact.tags) is pinned


def test_a_document_given_to_a_command_is_no_instruction() -> None:
    text = "FROM a:1\nRUN python - <<'PY'\nfrom b import c\nuser = 1\nPY\nRUN x <<NEVER\nUSER me\n"
    assert [(fact.name, fact.line) for fact in facts("Dockerfile", text, "docker")] == [
        ("from", 1),
        ("run", 2),
        ("run", 6),
        ("user", 7),
    ]


def test_apptainer_definitions_are_containers() -> None:
    found = facts(
        "train.def", "Bootstrap: docker\nFrom: ubuntu:22.04\n%post\n  apt-get update\n", "docker"
    )
    assert [(f.name, "pinned" in f.tags) for f in found] == [("from", True), ("post", False)]


def test_markdown_headings_code_links_and_prose() -> None:
    text = "# Title\nSee [docs](docs/a.md).\n```bash\n# comment\npip install x\n```\n## Next\n"
    assert [(f.name, f.value, f.line) for f in facts("README.md", text, "heading")] == [
        ("1", "Title", 1),
        ("2", "Next", 7),
    ]
    assert [(f.name, f.value) for f in facts("README.md", text, "code")] == [
        ("bash", "# comment"),
        ("bash", "pip install x"),
    ]
    assert [f.name for f in facts("README.md", text, "link")] == ["docs/a.md"]


def test_what_a_comment_hides_in_markdown_is_left_out() -> None:
    text = "a <!-- b --> c\n<!-- d\n# e\n```\nf\n```\n--> g\n```html\n<!-- h\n```\ni <!-- j\n"
    assert [
        (fact.kind, fact.value, fact.line)
        for fact in read("a.md", text).facts
        if fact.kind != "file"
    ] == [
        ("prose", "a c", 1),
        ("prose", "g", 7),
        ("code", "<!-- h", 9),
        ("prose", "i <!-- j", 11),
    ]


def test_backticks_inside_a_line_open_no_fence() -> None:
    found = facts("a.md", "Use ```pip install x``` here.\n```x``` too\n## Next\n", "heading")
    assert [f.value for f in found] == ["Next"]


def test_rst_headings_and_code() -> None:
    text = "Title\n=====\n\nRun it::\n\n    pip install x\n\n.. code-block:: bash\n\n    train --lr 1\n\nText.\n"
    assert [f.value for f in facts("README.rst", text, "heading")] == ["Title"]
    assert [(f.name, f.value, f.line) for f in facts("README.rst", text, "code")] == [
        ("", "pip install x", 6),
        ("bash", "train --lr 1", 10),
    ]


def test_scripts_makefiles_and_scheduler_directives_are_commands() -> None:
    assert [
        f.value
        for f in facts("run.sh", "#!/bin/bash\n#SBATCH --nodes=2\npython train.py\n", "shell")
    ] == [
        "#SBATCH --nodes=2",
        "python train.py",
    ]
    assert [
        (f.name, f.line) for f in facts("Makefile", "test: ## run\n\t@pytest -q\n", "shell")
    ] == [("pytest", 2)]
    text = 'score:\n\t@if [ -n "$(ALL)" ]; then \\\n\t\tscore \\\n\t\t  --all; \\\n\tfi\n\tls\n'
    assert [(f.value, f.line) for f in facts("Makefile", text, "shell")] == [
        ('@if [ -n "$(ALL)" ]; then', 2),
        ("score --all;", 3),
        ("fi", 5),
        ("ls", 6),
    ]
    assert [f.value for f in facts("Makefile", "a:\n\tpytest \\\n", "shell")] == ["pytest"]
    assert [f.name for f in facts("Makefile", "test:\n\tpytest\nX := 1\n", "config")] == [
        "target.test"
    ]
    assert [
        (f.name, f.line) for f in facts("Justfile", "@test *options: init\n  pytest -q\n", "shell")
    ] == [("pytest", 2)]


def test_notebook_cells_are_code_and_prose_at_their_lines() -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Demo\n", "text"]},
        {
            "cell_type": "code",
            "source": ["!pip install x\n", "import torch\n", "torch.save({}, 'x')"],
        },
    ]
    text = json.dumps({"cells": cells, "nbformat": 4}, indent=1)
    found = read("demo.ipynb", text)
    (call,) = [fact for fact in found.facts if fact.kind == "call"]
    assert call.name == "torch.save"
    assert "torch.save" in text.splitlines()[call.line - 1]
    assert [fact.value for fact in found.facts if fact.kind == "heading"] == ["Demo"]
    assert found.code_lines == 2
    assert read("bad.ipynb", "{").problem is not None


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("requirements.txt", "# x\n-r base.txt\nTorch>=2.6 ; python_version>'3'\nnumpy\n",
         [("torch", ">=2.6", "runtime"), ("numpy", "", "runtime")]),
        ("requirements/dev.txt", "pytest==8\n", [("pytest", "==8", "extra:dev")]),
        ("pyproject.toml", '[project]\ndependencies = ["torch>=2"]\n[project.optional-dependencies]\nlog = ["mlflow"]\n',
         [("torch", ">=2", "runtime"), ("mlflow", "", "extra:log")]),
        ("pyproject.toml", '[tool.poetry.dependencies]\npython = "^3.9"\ntorch = "^2.1"\n',
         [("torch", ">=2.1", "runtime")]),
        ("setup.py", "from setuptools import setup\nsetup(install_requires=['torch>=1.9', 'tqdm'])\n",
         [("torch", ">=1.9", "runtime"), ("tqdm", "", "runtime")]),
        ("setup.cfg", "[options]\ninstall_requires =\n    torch>=2\n    tqdm\n",
         [("torch", ">=2", "runtime"), ("tqdm", "", "runtime")]),
        ("environment.yaml", "dependencies:\n  - pytorch::torch=2.3\n  - pip:\n    - wandb>=0.1\n",
         [("torch", "==2.3", "runtime"), ("wandb", ">=0.1", "runtime")]),
    ],
)  # fmt: skip
def test_requirements(path: str, text: str, expected: list[tuple[str, str, str]]) -> None:
    assert [(f.name, f.value, f.tags[0]) for f in facts(path, text, "requirement")] == expected


def test_lower_bound() -> None:
    assert lower_bound(">=2.6,<3") == (2, 6)
    assert lower_bound("==2.9.1") == (2, 9, 1)
    assert lower_bound("<3") is None


def test_binary_files_have_a_name_and_nothing_else() -> None:
    found = extract("model.bin", "core", b"\0\1\2", EVERYTHING)
    assert [(fact.kind, fact.name) for fact in found.facts] == [("file", "model.bin")]


DEEP = {
    "json": "[" * 100_000, "object.json": '{"a":' * 990 + "1" + "}" * 990, "yaml": "[" * 100_000,
    "self.yaml": "&a [*a, *a]", "toml": "a=" + "[" * 5000, "key.toml": "a." * 3000 + "a=1",
    "laughs.yaml": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(
        f"{this}: &{this} [{','.join([f'*{last}'] * 9)}]\n"
        for last, this in zip("abcdefghi", "bcdefghij", strict=True)
    ),
    "parentheses.py": "x=" + "(" * 5000, "minus.py": "-" * 100_000 + "1",
    "names.py": "a" + ".a" * 3000, "calls.py": "a" + "()" * 1400,
}  # fmt: skip


@pytest.mark.parametrize("name", DEEP)
def test_what_is_nested_too_deeply_is_a_problem_of_its_file(name: str) -> None:
    problem = read(name if "." in name else f"a.{name}", DEEP[name]).problem
    assert problem is not None
    assert problem.reason


def test_long_chains_are_read() -> None:
    chain = "if a: pass\n" + "elif a: pass\n" * 900 + "else: last()\n"
    assert [(one.name, one.line) for one in facts("a.py", chain, "call")] == [("last", 902)]
    assert read("setup.py", "x=" + "+".join(["a"] * 2900)).path == "setup.py"


# Each of these once took minutes or more, or would have.
SLOW = {
    "brackets.md": ("[" * 4000 + "\n") * 50, "links.md": ("[a](" * 1000 + "\n") * 50,
    "fence.md": ("```" + "a" * 3900 + "`\n") * 50, "one.md": "[" * 1_000_000,
    "target.mk": ("a" * 4000 + "\n") * 50, "one.mk": "a" * 1_000_000, "rule.rst": "=" * 1_000_000,
    "lines.json": "\n" * 400_000 + "{", "array.toml": "x=[\n[" + " " * 300_000 + "\n]]\n",
    "spaces.ini": "[a]\nb" + " " * 400_000 + "c\n", "keys.ini": "[s]\n" + "".join(f"k{n}=1\n" for n in range(20_000)),
    "sections.ini": "".join(f"[s{n}]\nk=1\n" for n in range(15_000)),
    "hashes.py": "#" * 1_000_000 + " TODO", "list.py": "x=[" + "{'a':1}," * 50_000 + "]\n",
    "names.py": "a" * 200_000 + "(1)\nx = {'" + "_" * 200_000 + "': 1}\n",
    "continued.sh": "\\\n" * 300_000, "Dockerfile": "FROM " + "$a:-" * 200_000,
    "requirements.txt": ("a" + " " * 5000 + "[\n") * 50, "codec.py": "# coding: punycode\n" + "a" * 200_000,
}  # fmt: skip


@pytest.mark.parametrize("name", SLOW)
def test_hostile_text_takes_no_time(name: str) -> None:
    begun = time.monotonic()
    assert read(name, SLOW[name]).path == name
    assert time.monotonic() - begun < 10


def test_offsets_count_in_the_declared_encoding() -> None:
    source = "# -*- coding: latin-1 -*-\nx = 'ééé'; f(abc)\n"
    (call,) = (
        fact
        for fact in extract("a.py", "core", source.encode("latin-1"), EVERYTHING).facts
        if fact.kind == "call"
    )
    assert (call.name, call.value) == ("f", "abc")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_marks_are_no_text(encoding: str) -> None:
    found = extract("requirements.txt", "core", "torch\n".encode(encoding), EVERYTHING)
    assert [fact.name for fact in found.facts if fact.kind == "requirement"] == ["torch"]


def test_templates_and_empty_files_are_no_problem_but_python_2_is() -> None:
    assert read("{{ cookiecutter.x }}/train.py", "import {{ cookiecutter.y }}\n").problem is None
    assert read("{{ cookiecutter.x }}/pyproject.toml", "{% if a %}\n").problem is None
    for suffix in ("py", "json", "yaml", "toml", "ini", "md", "ipynb"):
        assert read(f"a.{suffix}", "").problem is None
    assert "print" in str(read("a.py", "print 'x'\n").problem)


def test_a_line_that_continues_nothing_in_an_ini_file() -> None:
    assert "continues a key" in str(read("a.ini", "[a]\nkey\n  more\n").problem)


def test_large_python_is_no_source() -> None:
    found = read("a.py", "x = 1\n" * 400_000)
    assert "larger than" in str(found.problem)
    assert found.lines == 400_000
