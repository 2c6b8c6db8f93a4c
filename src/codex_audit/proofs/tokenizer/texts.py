"""Hard texts, each with the fault it has uncovered somewhere, a corpus, and a text a script."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# One character for each byte that begins one in UTF-8, and for each that goes on.
BYTES = "".join(
    map(
        chr,
        (
            *range(0xC0), *range(0xC0, 0x800, 0x40), *range(0x800, 0xD800, 0x1000), 0xD000, 0xE000,
            0xF000, *range(0x10000, 0x110000, 0x30000), 0x40000, 0x80000, 0x100000,
        ),
    )
)  # fmt: skip

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
    "contractions": "I'm sure they don't, can't, won't; he's, we've, you're, I'd, it'll 's n't 'm",
    "brackets and marks": "(a) [b] {c} <d> a/b a\\b \"q\" 'q' # ## @x $5 % ^ & * ~ ` | _ - -- ...",
    "camelCase, snake_case": "camelCase snake_case kebab-case SCREAMING_CASE x1y2 v1.2.3-rc.4",
    "spaces of other kinds": "a\u2003b\u3000c\u2028d\u2029e\x0bf\x0cg\x85h",
    "word marks of tokenizers": "a##b \u0120c \u010ad </w> @@ \u2581 <0x0A> <unk>",
    "byte order mark": "\ufeffname,value\n",
    "only white space": " \n\t \n",
    "deep indentation": "if x:\n" + " " * 70 + "y\n" + "\t" * 12 + "z",
    "long runs": "sooooooo goooood!!!!!! ........ -------- ======== hahahaha",
    "links and names": "https://www.example.com/a?b=c&d=%20#e, me@example.org, @you #tag $UP",
    "markup": "<b>bold</b> a &amp; b &lt;br&gt; &#39;c&#39;&nbsp;<!-- d --> [e](f) **g** `h`",
    "escapes": "C:\\new\\table \\n \\t \\u0041 \\x41 {{x}} {y} %s $z",
    "every UTF-8 byte": BYTES,
    "a long word": "Donaudampfschifffahrtselektrizit\u00e4tenwerk" * 5,
    "a long paragraph": "The 3 quick foxes, at 7:45, jumped over e-mail's lazy dogs. " * 20,
    # For a cache whose key is a beginning and a length.
    "another of that length": "The 3 quick foxes, at 7:45, jumped over e-mail's lazy dogs. " * 19
    + "The 3 quick foxes, at 8:54, jumped over v-mail's calm cats. ",
}


def every_character(size: int = 64) -> Iterator[str]:
    """All that Unicode assigns in its first two planes, in texts of `size` characters.

    A normalizer that rewrites a handful of characters is seen by nothing less.
    """
    assigned = [
        chr(point)
        for point in range(0x20000)
        if unicodedata.category(chr(point)) not in {"Cs", "Cn", "Co"}
    ]
    for start in range(0, len(assigned), size):
        yield "".join(assigned[start : start + size])


SCRIPTS: dict[str, str] = {
    "English": "All human beings are born free and equal in dignity and rights.",
    "German": "Alle Menschen sind frei und gleich an W\u00fcrde und Rechten geboren.",
    "French": (
        "Tous les \u00eatres humains naissent libres et \u00e9gaux en dignit\u00e9 et en "
        "droits."
    ),
    "Russian": (
        "\u0412\u0441\u0435 \u043b\u044e\u0434\u0438 \u0440\u043e\u0436\u0434\u0430\u044e"
        "\u0442\u0441\u044f \u0441\u0432\u043e\u0431\u043e\u0434\u043d\u044b\u043c\u0438"
    ),
    "Greek": (
        "\u038c\u03bb\u03bf\u03b9 \u03bf\u03b9 \u03ac\u03bd\u03b8\u03c1\u03c9\u03c0\u03bf"
        "\u03b9 \u03b5\u03bb\u03b5\u03cd\u03b8\u03b5\u03c1\u03bf\u03b9"
    ),
    "Arabic": (
        "\u064a\u0648\u0644\u062f \u062c\u0645\u064a\u0639 \u0627\u0644\u0646\u0627\u0633"
        " \u0623\u062d\u0631\u0627\u0631\u0627"
    ),
    "Hebrew": (
        "\u05db\u05dc \u05d1\u05e0\u05d9 \u05d4\u05d0\u05d3\u05dd \u05e0\u05d5\u05dc"
        "\u05d3\u05d5 \u05d7\u05d5\u05e4\u05e9\u05d9\u05dd"
    ),
    "Hindi": (
        "\u0938\u092d\u0940 \u092e\u0928\u0941\u0937\u094d\u092f \u0938\u094d\u0935\u0924"
        "\u0928\u094d\u0924\u094d\u0930 \u0939\u0948\u0902"
    ),
    "Thai": (
        "\u0e21\u0e19\u0e38\u0e29\u0e22\u0e4c\u0e17\u0e31\u0e49\u0e07\u0e2b\u0e25\u0e32"
        "\u0e22\u0e40\u0e01\u0e34\u0e14\u0e21\u0e32\u0e2d\u0e34\u0e2a\u0e23\u0e30"
    ),
    "Chinese": (
        "\u4eba\u4eba\u751f\u800c\u81ea\u7531\uff0c\u5728\u5c0a\u4e25\u548c\u6743\u5229"
        "\u4e0a\u4e00\u5f8b\u5e73\u7b49"
    ),
    "Japanese": (
        "\u3059\u3079\u3066\u306e\u4eba\u9593\u306f\u751f\u307e\u308c\u306a\u304c\u3089"
        "\u306b\u3057\u3066\u81ea\u7531\u3067\u3042\u308b"
    ),
    "Korean": (
        "\ubaa8\ub4e0 \uc0ac\ub78c\uc740 \ud0dc\uc5b4\ub0a0 \ub54c\ubd80\ud130 \uc790"
        "\uc720\ub85c\uc6b0\uba70"
    ),
    "emoji": "\U0001f600\U0001f44d\U0001f3fd\U0001f468\u200d\U0001f469\u200d\U0001f467\u2764\ufe0f",
    "code": "for step in range(steps):\n    loss = model(batch)\n    loss.backward()\n",
    "digits": "3.14159 1,000,000 0x1F 2024-02-29",
}  # fmt: skip

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
