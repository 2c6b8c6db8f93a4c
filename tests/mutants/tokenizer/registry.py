"""What a mutant declares: the proof that must catch it, and a word its summary must hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Mutant(NamedTuple):
    """A tokenizer with one defect, and where such a defect was seen, if it was published."""

    make: Callable[[], Any]
    proof: str
    word: str
    seen: str = ""
    normalization: tuple[str, ...] = ()
    other: Callable[[], Any] | None = None

    @property
    def what(self) -> str:
        """Its defect, in the words of its docstring."""
        return (self.make.__doc__ or "").split("\n")[0].rstrip(".")


MUTANTS: dict[str, Mutant] = {}


def mutant(
    proof: str, word: str, seen: str = "", *, normalization: tuple[str, ...] = (), other: Any = None
) -> Callable[[Any], Any]:
    """Register a class or function whose call gives the mutant."""

    def register(make: Any) -> Any:
        name = make.__name__.strip("_").lower()
        if name in MUTANTS:
            raise ValueError(f"two mutants are called {name}")
        MUTANTS[name] = Mutant(make, proof, word, seen, normalization, other)
        return make

    return register
