"""Which folders are copies of libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_audit.tree.copies import copied_folders
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
