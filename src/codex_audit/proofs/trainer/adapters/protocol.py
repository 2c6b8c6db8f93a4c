"""Subjects that offer the methods of `codex_audit.proofs.trainer.subject.Subject` themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, SupportsFloat

from torch import Tensor, nn

from codex_audit.proofs.trainer.adapters.choosing import knobs_of
from codex_audit.proofs.trainer.subject import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from codex_audit.proofs.trainer.session import Session

LIBRARY = ""


def prepare(session: Session) -> AbstractContextManager[object]:
    """Nothing is to be done around the factory."""
    del session
    return nullcontext()


def adapt(made: Any, factory: Callable[..., Any], session: Session) -> _Driver | None:
    """A driver of anything that has the protocol's methods."""
    if all(callable(getattr(made, method, None)) for method in METHODS):
        return _Driver(made, factory, session)
    return None


class _Driver:
    def __init__(self, subject: Any, factory: Callable[..., Any], session: Session) -> None:
        self._subject = subject
        self._factory = factory
        self._session = session
        self.knobs = knobs_of(factory)
        optional = {"evaluate": "evaluate", "state": "extra"}
        self.abilities = frozenset(
            ability for name, ability in optional.items() if callable(getattr(subject, name, None))
        ) | ({"distributed"} if "ranks" in self.knobs else set())
        cited = type(getattr(subject, "trainer", subject))
        names = (*METHODS, "evaluate")
        self.methods = {name: getattr(cited, name, None) for name in names} | {"factory": factory}

    def models(self) -> list[nn.Module]:
        """What the subject, or its `trainer`, calls `model`."""
        holders = (self._subject, getattr(self._subject, "trainer", None))
        found = [getattr(holder, "model", None) for holder in holders]
        return [model for model in found if isinstance(model, nn.Module)]

    def extra(self) -> Mapping[str, Tensor]:
        """What `state()` tells, where there is one."""
        state = getattr(self._subject, "state", None)
        told: Mapping[str, Tensor] = state() if callable(state) else {}
        return told

    def go(self) -> list[float]:
        """Load if asked to, then train from point to point, evaluating and saving there."""
        subject, session = self._subject, self._session
        if session.source is not None:
            subject.load(session.source)
            session.has_loaded()
        losses: list[float] = []
        done = session.run.source_step or 0
        for point in session.points:
            losses += self._train(done, point)
            done = max(done, point)
            if point in session.run.evaluate_at:
                with session.evaluating() as tell:
                    loss = subject.evaluate()
                    if isinstance(loss, int | float):
                        tell(float(loss))
            if point in session.run.saves:
                with session.saving(point) as where:
                    subject.save(where)
        return losses

    def order(self) -> Mapping[int, Sequence[int]] | None:
        """What `order()` tells, where there is one."""
        order = getattr(self._subject, "order", None)
        told: Mapping[int, Sequence[int]] | None = order() if callable(order) else None
        return told

    def _train(self, done: int, until: int) -> list[float]:
        run, watch = self._session.run, self._session.recorder
        if not run.stepwise and not run.together:
            return list(_losses(self._subject.train(until)))
        losses: list[float] = []
        for step in range(done + 1, until + 1):
            if run.together:
                with watch.one_step():
                    losses += _losses(self._subject.train(step))
                continue
            watch.begin_step()
            known = len(losses)
            for loss in _losses(self._subject.train(step)):
                losses.append(loss)
                watch.end_step(loss)
                watch.begin_step()
            if len(losses) == known:
                watch.end_step()
        return losses


def _losses(told: object) -> Iterator[float]:
    """The losses that `train` tells, one a step, as it comes to them.

    Many loops return something else, such as the mean loss or a mapping of metrics. That says
    nothing of single steps, and is no reason to refuse them.
    """
    single = isinstance(told, Tensor) and not told.ndim
    if single or isinstance(told, Mapping | str) or not isinstance(told, Iterable):
        return
    for loss in told:
        if isinstance(loss, SupportsFloat) and getattr(loss, "ndim", 0) == 0:
            yield float(loss)
