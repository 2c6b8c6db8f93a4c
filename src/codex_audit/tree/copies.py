"""Somebody else's code inside a repository, whatever it shows: libraries and whole projects."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

from codex_audit.tree.roles import role_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# A package of that name alone may be the repository's own (`integrations/transformers`); with a
# file that the library has, it is the library.
_KNOWN_BY = {
    "accelerate": ("accelerator.py",),
    "basicsr": ("archs/arch_util.py", "models/archs/arch_util.py"),
    "detectron2": ("engine/defaults.py",),
    "diffusers": ("pipeline_utils.py", "pipelines/pipeline_utils.py"),
    "fairseq": ("tasks/fairseq_task.py",),
    "mmcls": ("apis/train.py", "apis/inference.py"),
    "mmcv": ("utils/config.py", "runner/base_runner.py"),
    "mmdet": ("apis/train.py", "apis/inference.py"),
    "mmengine": ("runner/runner.py",),
    "mmpose": ("apis/train.py", "apis/inference.py"),
    "mmseg": ("apis/train.py", "apis/inference.py"),
    "open_clip": ("factory.py",),
    "peft": ("peft_model.py",),
    "pytorch_lightning": ("trainer/trainer.py",),
    "timm": ("models/registry.py", "models/_registry.py"),
    "torchvision": ("models/_api.py", "models/resnet.py"),
    "transformers": ("modeling_utils.py",),
}
_MARKS = {
    f"/{library}/{file}": library for library, files in _KNOWN_BY.items() for file in files
}  # fmt: skip
_NAMES = frozenset(mark.rpartition("/")[2] for mark in _MARKS)
# A library's own repository has it here.
_HOMES = frozenset({"", "src"})
_LICENSES = frozenset({"license", "licence", "copying"})
_INSTALLED_BY = frozenset({"setup.py", "setup.cfg", "pyproject.toml"})
# Folders with code of their own, from which on it is a project without a page about it, too.
_PARTS = 2
# Bytes at whose beginning a license says whose it is; what others wrote may be made to cost time.
_HEAD = 4000
_HOLDER = re.compile(
    r"(?im)^[ \t]*copyright[ \t]*(?=\(c\)|\xa9|\d{4})(?:\(c\)|\xa9)?"
    r"(?:\d{4}|present|[-,\s])+(?:by )?"
    r"([^\n.,\[{<]*[a-z][^\n.,\[{<]*)"
)


def copied_folders(paths: Iterable[str]) -> tuple[str, ...]:
    """The folders, each with a slash at its end, that are copies of libraries.

    Where a folder that has such a copy in it has a license of its own, it came along with it.

    Args:
        paths: POSIX paths of all files, relative to the root.
    """
    found, licensed = set(), set()
    for path in paths:
        folder, _, name = path.rpartition("/")
        if folder and name.lower().partition(".")[0] in _LICENSES:
            licensed.add(folder)
        if name not in _NAMES:
            continue
        for mark, library in _MARKS.items():
            home = path.removesuffix(mark)
            if home != path and home not in _HOMES:
                found.add((home, library))
    return tuple(
        sorted(
            {f"{home}/" if home in licensed else f"{home}/{library}/" for home, library in found}
        )
    )


def foreign_projects(paths: Iterable[str], read: Callable[[str], bytes]) -> tuple[str, ...]:
    """The folders, each with a slash at its end, that are projects of other authors.

    Each has a license that names other holders than that of the repository, and is a project: by
    what installs it, or by a page or parts of its own where it is no more than half of the modules.
    A part of the repository that came under another license is less than that, and an example that
    is nearly all there is belongs to it.

    Args:
        paths: POSIX paths of all files, relative to the root.
        read: the bytes of one of them; an OSError where it cannot be read.
    """
    licenses: dict[str, str] = {}
    installed: set[str] = set()
    pages: set[str] = set()
    parts: dict[str, set[str]] = defaultdict(set)
    modules: Counter[str] = Counter()  # of each folder and those below it; "" is the root
    for path in paths:
        folder, _, name = path.rpartition("/")
        if name.lower().partition(".")[0] in _LICENSES and not name.endswith(".py"):
            licenses.setdefault(folder, path)
        elif name in _INSTALLED_BY:
            installed.add(folder)
        elif name.lower().startswith("readme"):
            pages.add(folder)
        if name.endswith(".py"):
            parts[folder.rpartition("/")[0]].add(folder)
            modules.update({"", *accumulate(folder.split("/"), "{}/{}".format)})
    if "" not in licenses or len(licenses) == 1:
        return ()
    own = _License(read, licenses.pop(""))
    found = []
    for folder, path in licenses.items():
        inside = modules[folder]
        if folder in _HOMES or not inside or inside == modules[""]:
            continue
        small = inside <= modules[""] / 2
        whole = folder in installed and (small or role_of(f"{folder}/setup.py") == "core")
        if whole or (small and (folder in pages or len(parts[folder]) >= _PARTS)):
            other = _License(read, path)
            if other.names_others(own) or (small and other.is_another(own)):
                found.append(f"{folder}/")
    return tuple(sorted(found))


class _License:
    """What a license says of whose it is; a template of one says nothing."""

    def __init__(self, read: Callable[[str], bytes], path: str) -> None:
        try:
            text = read(path)[:_HEAD].decode("utf-8", "replace")
        except OSError:
            text = ""
        text = "" if "{{" in text else text
        self._holders = {" ".join(name.lower().split()) for name in _HOLDER.findall(text)}
        self._title = next((line.strip().lower() for line in text.splitlines() if line.strip()), "")

    def names_others(self, own: _License) -> bool:
        """Whether both name holders, and none in common."""
        return bool(self._holders and own._holders) and not self._holders & own._holders

    def is_another(self, own: _License) -> bool:
        """Whether it is another license, where not both name holders."""
        named = self._holders and own._holders
        return bool(self._title and own._title) and not named and self._title != own._title
