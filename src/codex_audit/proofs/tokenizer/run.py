"""One process of a tokenizer's trial: `python -m codex_audit.proofs.tokenizer.run`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.child import in_tree, place_of, serve
from codex_audit.proofs.tokenizer import domain, loading
from codex_audit.proofs.tokenizer.proof import Trial, battery, try_proof
from codex_audit.proofs.tokenizer.subject import is_refused
from codex_audit.proofs.tokenizer.texts import CORPUS, HARD_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from codex_audit.proofs.tokenizer.subject import Subject

KIT = "codex_ml"
EXAMPLES, THOROUGH = 120, 2500
_PATIENCE = 0.02
_TRAINING = "training_deterministic"


def job(spec: dict[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
    """Load the subject, tell its ids to the other process, and try the proofs of `spec`."""
    root, own = Path(spec["root"]), Path(spec["result"])
    # Or it would keep its tables in the audited repository.
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(own.parent / "hypothesis")
    subject = _subject(root, spec["path"], spec["factory"])
    own_texts = _domain(subject, root, spec["domain"])
    texts = domain.hard(own_texts) if own_texts else HARD_TEXTS
    texts = {name: text for name, text in texts.items() if not is_refused(subject, text)}
    ids = {name: _ids(subject, text) for name, text in texts.items()}
    unsteady = any(_ids(subject, text) != ids[each] for each, text in texts.items())
    _tell(own.parent, spec["name"], "ids", ids)
    if _TRAINING not in spec["proofs"]:
        _tell(own.parent, spec["name"], "trained", _trained(subject, texts, own_texts or CORPUS))
    scratch = own.parent / f"{spec['name']}-files"
    checks = []
    for name in spec["proofs"]:
        (scratch / name).mkdir(parents=True)
        elsewhere = trained = None
        if name == "new_process_same_ids":
            elsewhere = _wait(own.parent, spec["other"], "ids", spec["timeout"])
        if name == _TRAINING:
            trained = _wait(own.parent, spec["other"], "trained", spec["timeout"])
        trial = Trial(
            subject=subject,
            texts=texts,
            scratch=scratch / name,
            normalization=(*spec["normalization"], *subject.implied),
            examples=THOROUGH if spec["thorough"] else EXAMPLES,
            other=_other(root, spec["same_as"]),
            elsewhere=elsewhere,
            trained=trained,
            domain=own_texts,
            raises=None in ids.values(),
            unsteady=unsteady,
        )
        checks.append(try_proof(battery()[name], trial))
    report(
        {
            "subject": _described(subject, root, spec),
            "place": _place(subject, root, spec),
            "versions": {name: importlib.metadata.version(name) for name in subject.libraries},
            "checks": msgspec.to_builtins(checks),
        }
    )


def _subject(root: Path, path: str | None, factory: str | None) -> Subject:
    if factory:
        return loading.from_factory(factory)
    if path:
        return loading.from_path(root / path)
    from codex_audit.proofs.tokenizer.adapters import kit  # noqa: PLC0415 - only by default

    return kit.trained(CORPUS)


def _other(root: Path, named: str | None) -> Subject | None:
    if named is None:
        return None
    if loading.is_factory(named):
        return loading.from_factory(named)
    return loading.from_path(root / named)


def _ids(subject: Subject, text: str) -> list[int] | None:
    """The ids of a text; none where the subject raises, which the proofs judge."""
    try:
        return subject.encode(text)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - also a panic of a compiled library
        return None


def _domain(subject: Subject, root: Path, named: str | None) -> tuple[str, ...]:
    """The texts that settings name, or the subject itself; none where it is made for all."""
    if named:
        return domain.read(root / named, named)
    told = subject.domain
    return domain.checked(told, f"{type(subject.inner).__name__}.domain") if told else ()


def _trained(
    subject: Subject, texts: Mapping[str, str], corpus: Sequence[str]
) -> dict[str, list[int] | None] | None:
    """The ids from a tokenizer that is trained here; none where training is not offered."""
    try:
        again = subject.train(corpus)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # noqa: BLE001 - the proof of training judges it
        return None
    return {name: _ids(again, text) for name, text in texts.items()}


def _tell(scratch: Path, name: str, what: str, told: object) -> None:
    """Write for the other process, so that it never reads half of it."""
    path = scratch / f"{name}-{what}.json"
    whole = path.with_suffix(".part")
    whole.write_text(json.dumps(told), encoding="utf-8")
    whole.rename(path)


def _wait(scratch: Path, name: str, what: str, timeout: float) -> dict[str, list[int]]:
    """What the other process wrote; it is given time.

    Raises:
        TimeoutError: nothing came.
    """
    path = scratch / f"{name}-{what}.json"
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            found: dict[str, list[int]] = json.loads(path.read_text(encoding="utf-8"))
        except OSError:  # not there yet
            time.sleep(_PATIENCE)
        else:
            return found
    raise TimeoutError(f"the other process reported no {what} within {timeout:g} s")


def _described(subject: Subject, root: Path, spec: Mapping[str, Any]) -> dict[str, Any]:
    if spec["factory"] or spec["path"]:
        return {"name": spec["factory"] or spec["path"], "in_tree": True, "kind": subject.kind}
    import codex_ml  # noqa: PLC0415 - the default subject

    return {"name": KIT, "in_tree": in_tree(Path(codex_ml.__file__), root)}


def _place(subject: Subject, root: Path, spec: Mapping[str, Any]) -> dict[str, Any] | None:
    if spec["path"] and not spec["factory"]:
        return {"path": spec["path"], "line": 1, "snippet": ""}
    method = getattr(type(subject.inner), "encode", None)
    found = place_of(method, root)
    if found is not None or not spec["factory"]:
        return found
    module, _, name = spec["factory"].partition(":")
    function: Any = importlib.import_module(module)
    for part in name.split("."):
        function = getattr(function, part)
    return place_of(function, root)


if __name__ == "__main__":
    serve(job)
