"""Which folders are copies of libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_audit.tree.copies import copied_folders, foreign_projects
from codex_audit.tree.files import list_tree

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("paths", "folders"),
    [
        (["annotator/mmcv/__init__.py", "annotator/mmcv/utils/config.py"], ("annotator/mmcv/",)),
        (["nlu/src/transformers/modeling_utils.py"], ("nlu/src/transformers/",)),
        # what comes with such a copy, under a license of its own
        (["a/net/mmseg/apis/train.py", "a/net/LICENSE", "a/net/exp.py"], ("a/net/",)),
        (["a/net/mmseg/apis/train.py", "a/LICENSE.txt"], ("a/net/mmseg/",)),
        # a library's own repository
        (["transformers/modeling_utils.py", "LICENSE"], ()),
        (["src/transformers/modeling_utils.py", "LICENSE"], ()),
        # a package of that name, which is not the library
        (["pkg/integrations/transformers/__init__.py"], ()),
        (["pkg/mmcv_custom/utils/config.py"], ()),
        # a license alone: a part that is under another one
        (["text/LICENSE", "text/cleaners.py"], ()),
    ],
)
def test_a_library_is_known_by_a_file_of_its_own(
    paths: list[str], folders: tuple[str, ...]
) -> None:
    assert copied_folders(paths) == folders


def test_copies_are_not_audited(tmp_path: Path) -> None:
    for path in ("train.py", "annotator/mmcv/utils/config.py", "annotator/mmcv/runner/hooks.py"):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x = 1\n")
    tree = list_tree(tmp_path)
    assert [file.path for file in tree.files] == ["train.py"]
    assert [(left.reason, left.count) for left in tree.left_out] == [("vendored", 2)]


OWN = "MIT License\n\nCopyright (c) 2021 Some Group\n"
OTHERS = "BSD License\n\nCopyright (c) 2017-present, Others, Inc. All rights reserved.\n"
APACHE = "Apache License\n\n   Copyright [yyyy] [name of copyright owner]\n"
CODE = ("train.py", "model.py", "data.py", "loss.py")


@pytest.mark.parametrize(
    ("files", "folders"),
    [
        # by what installs it, however large it is
        ({"Eval/LICENSE": OTHERS, "Eval/setup.py": "", **dict.fromkeys(
            (f"Eval/e/{number}.py" for number in range(9)), "")}, ("Eval/",)),
        # by a page about it
        ({"net/tool/LICENSE": OTHERS, "net/tool/README.md": "", "net/tool/a.py": ""}, ("net/tool/",)),
        # by its parts, under a license that names nobody
        ({"a/net/COPYING": APACHE, "a/net/x/a.py": "", "a/net/y/b.py": ""}, ("a/net/",)),
        # a few modules under another license
        ({"text/LICENSE": OTHERS, "text/cleaners.py": ""}, ()),
        # of the same holders
        ({"part/LICENSE": OWN, "part/setup.py": "", "part/a.py": ""}, ()),
        # most of the code, under a license that names nobody
        ({"flax/LICENSE": APACHE, "flax/setup.py": "", **dict.fromkeys(
            (f"flax/{number}.py" for number in range(9)), "")}, ()),
        # an example that is nearly all there is
        ({"examples/x/LICENSE": OTHERS, "examples/x/setup.py": "", **dict.fromkeys(
            (f"examples/x/{number}.py" for number in range(9)), "")}, ()),
        # what a template makes
        ({"x/LICENSE": "Copyright (c) {{ year }} {{ author }}", "x/setup.py": "", "x/a.py": ""}, ()),
        # no code
        ({"fonts/LICENSE": OTHERS, "fonts/README.md": ""}, ()),
    ],
)  # fmt: skip
def test_a_project_of_others_is_known_by_its_license(
    files: dict[str, str], folders: tuple[str, ...]
) -> None:
    tree = {"LICENSE": OWN, **dict.fromkeys(CODE, ""), **files}
    assert foreign_projects(tree, lambda path: tree[path].encode()) == folders


def test_a_license_that_cannot_be_read_says_nothing() -> None:
    def read(path: str) -> bytes:
        raise OSError(path)

    assert foreign_projects(["LICENSE", *CODE, "net/LICENSE", "net/README", "net/a.py"], read) == ()
