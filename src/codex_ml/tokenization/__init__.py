"""Text to ids and back, exactly: one protocol and an adapter for each of four libraries.

`HuggingFaceTokenizer` (`tokenizers`), `TransformersTokenizer`, `SentencePieceTokenizer` and
`TiktokenTokenizer` wrap what a library has loaded; `HuggingFaceTokenizer.train` learns a BPE,
WordPiece or Unigram vocabulary. A library is imported when its adapter is first used.
"""

from __future__ import annotations

from codex_ml.tokenization.huggingface import HuggingFaceTokenizer
from codex_ml.tokenization.pretrained import TransformersTokenizer
from codex_ml.tokenization.protocol import BOS, EOS, PAD, Batch, Side, Tokenizer, pack, pad
from codex_ml.tokenization.saving import load_tokenizer, save_tokenizer
from codex_ml.tokenization.spm import SentencePieceTokenizer
from codex_ml.tokenization.tiktokens import TiktokenTokenizer

__all__ = [
    "BOS",
    "EOS",
    "PAD",
    "Batch",
    "HuggingFaceTokenizer",
    "SentencePieceTokenizer",
    "Side",
    "TiktokenTokenizer",
    "Tokenizer",
    "TransformersTokenizer",
    "load_tokenizer",
    "pack",
    "pad",
    "save_tokenizer",
]
