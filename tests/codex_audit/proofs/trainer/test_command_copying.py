"""What a copy of the repository holds, and that no run can write over what lies in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from codex_audit.proofs.trainer.commands import copying

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_data_are_linked_to_and_weights_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_LARGE", 1000)
    monkeypatch.setattr(copying, "_ROOM_FOR_WEIGHTS", 3500)
    root, copy = tmp_path / "repository", tmp_path / "copy"
    copy.mkdir()
    for name, start in {
        "data/train.bin": b"",
        "train.py": b"",
        "model_best.pth.tar": b"PK\x03\x04 archive/data.pkl",
        "run.log": b"",
        "old.pt": b"",
        "old2.pt": b"",
        "checkpoint/ckpt.pth": b"",
        ".git/config": b"",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(start + b"x" * (10 if name == "train.py" else 1500))
    found = copying.lay_copy(root, copy, glob="checkpoint/*.pth")
    there = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert there == {"data/train.bin", "train.py", "model_best.pth.tar", "run.log", "old.pt"}
    assert found == {str(copy / name) for name in there}
    linked = {name for name in there if (copy / name).is_symlink()}
    assert linked == {"data/train.bin"}
    (copy / "model_best.pth.tar").write_text("of this run")
    assert (root / "model_best.pth.tar").stat().st_size > 1000


def test_a_link_to_where_checkpoints_go_is_not_followed(tmp_path: Path) -> None:
    root, copy, disk = (tmp_path / name for name in ("repository", "copy", "disk"))
    for path in (root, copy, disk, root / "runs"):
        path.mkdir()
    (disk / "ckpt.pt").write_text("of a real run")
    (root / "runs" / "one").symlink_to(disk)
    (root / "data").symlink_to(disk)
    copying.lay_copy(root, copy, glob="runs/*/*.pt")
    assert (copy / "runs" / "one").is_dir()
    assert not (copy / "runs" / "one").is_symlink()
    assert not list((copy / "runs" / "one").iterdir())
    assert (copy / "data").is_symlink()
    copying.lay_copy(root, copy / "again", glob="")
    assert (copy / "again" / "runs" / "one").is_symlink()
