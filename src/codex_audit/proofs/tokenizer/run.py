"""One process of a tokenizer's trial: `python -m codex_audit.proofs.tokenizer.run`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from codex_audit.proofs.child import in_tree, place_of, serve
from codex_audit.proofs.tokenizer import checks
from codex_audit.proofs.tokenizer.texts import CORPUS, HARD_TEXTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from codex_ml.tokenization import HuggingFaceTokenizer

_VOCABULARY = 400


def job(spec: dict[str, Any], report: Callable[[Mapping[str, Any]], None]) -> None:
    """Encode all hard texts, and in the process that `spec["judge"]` marks check everything."""
    # Only now, when the audited repository comes first on the import path.
    import tokenizers  # noqa: PLC0415

    from codex_ml import tokenization  # noqa: PLC0415

    root = Path(spec["root"])
    scratch = Path(spec["result"]).parent
    if spec["path"]:
        text = (root / spec["path"]).read_text(encoding="utf-8")
        document = json.loads(text)
        pad = padding_token(document)
        load = _loader(None if "pad_id" in (document.get("padding") or {}) else pad, document)
        subject = load(root / spec["path"])
        place: dict[str, Any] | None = {"path": spec["path"], "line": 1, "snippet": ""}
        described = {"name": spec["path"], "in_tree": True}
    else:
        pad = tokenization.PAD
        load = tokenization.HuggingFaceTokenizer.load
        subject = tokenization.HuggingFaceTokenizer.train(CORPUS, vocab_size=_VOCABULARY)
        document = json.loads(subject.inner.to_str())
        place = place_of(tokenization.HuggingFaceTokenizer.encode, root)
        file = Path(tokenization.__file__)
        described = {"name": "codex_ml", "in_tree": in_tree(file, root)}
    found = []
    if spec["judge"]:
        found = [
            checks.round_trip(subject, HARD_TEXTS),
            checks.batch_equals_single(subject, HARD_TEXTS),
            checks.padding(subject, HARD_TEXTS) if pad else checks.no_padding_token(),
            checks.special_ids_distinct(subject, HARD_TEXTS, document),
            checks.save_load(subject, HARD_TEXTS, scratch / "saved.json", load),
        ]
    report(
        {
            "subject": described,
            "place": place,
            "versions": {"tokenizers": tokenizers.__version__},
            "checks": msgspec.to_builtins(found),
            "ids": {name: subject.encode(text) for name, text in HARD_TEXTS.items()},
        }
    )


def padding_token(document: Mapping[str, Any]) -> str | None:
    """The padding token of a `tokenizer.json`: the declared one, or a special one of that name."""
    declared = (document.get("padding") or {}).get("pad_token")
    if declared:
        return str(declared)
    added = [token["content"] for token in document.get("added_tokens", ()) if token.get("special")]
    return next((token for token in added if "pad" in token.lower()), None)


def _loader(pad: str | None, document: Mapping[str, Any]) -> Callable[[Path], HuggingFaceTokenizer]:
    from codex_ml.tokenization import HuggingFaceTokenizer  # noqa: PLC0415

    if pad is None and not document.get("padding"):
        pad = _any_token(document)  # to fill batches with; the padding check is then left out

    def load(path: Path) -> HuggingFaceTokenizer:
        return HuggingFaceTokenizer.load(path, pad=pad)

    return load


def _any_token(document: Mapping[str, Any]) -> str:
    added = [str(token["content"]) for token in document.get("added_tokens", ())]
    vocabulary = document.get("model", {}).get("vocab", {})
    first = next(iter(vocabulary), "") if isinstance(vocabulary, dict) else vocabulary[0][0]
    return next(iter(added), str(first))


if __name__ == "__main__":
    serve(job)
