"""Hard texts, each with the fault it has uncovered somewhere, and a corpus to train on."""

from __future__ import annotations

HARD_TEXTS: dict[str, str] = {
    "empty": "",
    "one space": " ",
    "plain": "The quick brown fox jumps over the lazy dog.",
    "capitals": "NASA, iPhone and McDonald",
    "digits": "3.14159 1,000,000 0x1F 2024-02-29",
    "leading and trailing spaces": "  two before, three after   ",
    "spaces before punctuation": "Hello , world ! How are you ? I 'm fine ; it 's ok .",
    "many spaces and tabs": "a  b   c\td\t\te",
    "blank lines": "first\n\n\nsecond\n",
    "CRLF": "line one\r\nline two\r\n",
    "lone carriage return": "old\rmac",
    "code": "def f(x):\n    return x**2  # sq\n",
    "accents, composed": "caf\u00e9 na\u00efve \u00c5ngstr\u00f6m",
    "accents, combining": "cafe\u0301 nai\u0308ve",
    "stacked combining marks": "Z\u0351\u036b\u0343a\u0334l\u0335",
    "sharp s and dotted i": "Stra\u00dfe \u0130stanbul \u0131",
    "ligature and full width": "\ufb01ne \uff21\uff22\uff23\uff11",
    "Chinese": "\u4f60\u597d\uff0c\u4e16\u754c\u3002",
    "Japanese": "\u3053\u3093\u306b\u3061\u306f\u30ab\u30bf\u30ab\u30ca\u6f22\u5b57",
    "Korean, composed and in parts": "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab",
    "rare Chinese beyond 16 bits": "\U00020000\U0002a6d6",
    "Arabic": "\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
    "Hebrew with points": "\u05e9\u05b8\u05dc\u05d5\u05b9\u05dd",
    "mixed directions": "abc \u05d0\u05d1\u05d2 123 \u200fdef\u200e",
    "Hindi": "\u0928\u092e\u0938\u094d\u0924\u0947",
    "Thai": "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01",
    "emoji joined": "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466 family",
    "emoji with skin and flag": "\U0001f44d\U0001f3fd \U0001f1eb\U0001f1f7",
    "emoji variation": "\u2764\ufe0f \u2764",
    "zero width and no-break": "a\u200bb\u00a0c\ufeffd\u2060e",
    "control characters": "bell\x07 null\x00 escape\x1b[0m",
    "mathematics": "\u2200x\u2208\u211d: x\u00b2 \u2265 0 \U0001d4d0",
    "replacement character": "broken \ufffd byte",
    "like special tokens": "<pad> <bos> [MASK] </s> <|endoftext|> are words here",
}

CORPUS: tuple[str, ...] = (
    *HARD_TEXTS.values(),
    (
        "It was the best of times, it was the worst of times, it was the age of wisdom, it was the "
        "age of foolishness, it was the epoch of belief, it was the epoch of incredulity."
    ),
    (
        "Call me Ishmael. Some years ago, never mind how long precisely, having little or no money "
        "in my purse, and nothing particular to interest me on shore, I thought I would sail."
    ),
    "for step in range(steps):\n    loss = model(batch)\n    loss.backward()\n",
)
