"""Copies of well-known libraries inside a repository: somebody else's code, whatever it shows."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

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
