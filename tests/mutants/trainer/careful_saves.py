"""Saves that survive a kill in other ways than the plain trainer's, tried by their own test."""

from __future__ import annotations

import io
import threading

import torch

from mutants.trainer.plain import Plain


class InTheBackground(Plain):
    """A thread writes what was copied, and is waited for by the next save and at the end."""

    writer = None

    def write(self, path, state):
        copied = io.BytesIO()
        torch.save(state, copied)
        if self.writer is not None:
            self.writer.join()
        self.writer = threading.Thread(target=self.write_later, args=(path, copied))
        self.writer.start()

    def write_later(self, path, copied):
        threading.Event().wait(0.02)
        path.with_suffix(".partial").write_bytes(copied.getvalue())
        path.with_suffix(".partial").replace(path)
        super().prune(path.parent)

    def prune(self, directory):
        pass


class PassesDamageBy(Plain):
    """Written under its final name, but the newest that can be read is taken."""

    def write(self, path, state):
        torch.save(state, path)

    def load(self, directory):
        for path in reversed(self.checkpoints(directory)):
            try:
                state = torch.load(path, weights_only=True)
            except (RuntimeError, EOFError, OSError):
                path.unlink()
                continue
            self.restore(state)
            return
        raise FileNotFoundError(f"{directory}: no checkpoint can be read")


class BehindALink(Plain):
    """A directory each, and a link that is moved to the newest at last."""

    def path(self, directory, step):
        return directory / f"{step:08d}" / "state.pt"

    def checkpoints(self, directory):
        found = directory.glob("*/state.pt")
        return sorted(path for path in found if not path.parent.is_symlink())

    def write(self, path, state):
        path.parent.mkdir(exist_ok=True)
        super().write(path, state)
        link = path.parents[1] / "latest.new"
        link.unlink(missing_ok=True)
        link.symlink_to(path.parent.name)
        link.replace(path.parents[1] / "latest")

    def load(self, directory):
        self.restore(torch.load(directory / "latest" / "state.pt", weights_only=True))
