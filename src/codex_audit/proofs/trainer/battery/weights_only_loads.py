"""What a resume unpickles, it unpickles with `weights_only=True`."""

from __future__ import annotations

from pickle import UnpicklingError  # nosec B403 - for its name
from typing import TYPE_CHECKING

from codex_audit.proofs.trainer import resuming
from codex_audit.proofs.trainer.trial import Seen, Skip, TrainerProof

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from codex_audit.proofs.trainer.runs import Result
    from codex_audit.proofs.trainer.trial import Measured, Trial


def judge(trial: Trial, results: Mapping[str, Result]) -> Seen | Skip:
    """Look at the files of a checkpoint, and at which of them the resumed run read, and how.

    A file that only more than the default allows (NumPy's arrays, for one) passes if the subject
    allows just that. One that no resume reads is told of, but harms nobody.
    """
    resumes = [each.result for each in resuming.resumes(trial, results) if each.result.files]
    resumed = next((each for each in resumes if each.completed), None)
    if resumed is None:
        return _none_ended(resumes)
    files = resumed.files
    refused = [file for file in files if file.refused and not file.safely]
    unsafe = next((file for file in refused if file.read), None)
    measured: Measured = {"files": len(files), "refused": len(refused)}
    if unsafe is not None:
        return Seen(
            good=False,
            summary=(
                f"`{unsafe.path}` of the checkpoint is read on resume, and not with "
                f"weights_only=True, which refuses it: {unsafe.refused}"
            ),
            measured=measured,
            method="save",
        )
    besides = "".join(
        f"; `{file.path}` would be refused, and no resume reads it" for file in refused[:1]
    )
    return Seen(
        good=True,
        summary=f"all {len(files) - len(refused)} files of a checkpoint load safely{besides}",
        measured=measured,
        method="save",
    )


def _none_ended(resumes: Sequence[Result]) -> Seen | Skip:
    """What is known where each resume broke: perhaps torch refused the file that it read."""
    for result in resumes:
        refused = [file for file in result.files if file.refused]
        if refused and result.failure and result.failure.type == UnpicklingError.__name__:
            return Seen(
                good=False,
                summary=(
                    f"the resume reads `{refused[0].path}` of the checkpoint with "
                    f"weights_only=True, which refuses it ({refused[0].refused}), and ends"
                ),
                measured={"files": len(result.files), "refused": len(refused)},
                method="load",
            )
    return Skip("not judged: no run that resumed came to its end, or a save left no file")


PROOF = TrainerProof(
    id="weights_only_loads",
    claim="A checkpoint loads with weights_only=True",
    why="Anything else runs code that a checkpoint brings: loading a stranger's is running it.",
    catches=("an argparse.Namespace, a NumPy array or a whole module in the checkpoint",),
    remedy="save tensors, numbers, strings, lists and dicts only, and load with weights_only=True",
    runs=resuming.runs,
    judge=judge,
    order=24,
)
