"""Each submodule is back in the mode that it was in."""

from __future__ import annotations

import pytest
from torch import nn

from codex_ml.modes import modes_kept


def test_what_was_frozen_stays_frozen_and_the_rest_trains_again_also_after_a_fault() -> None:
    model = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2))
    model[1].eval()

    @modes_kept(model)
    def fails() -> None:
        model.eval()
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fails()
    assert [module.training for module in model.modules()] == [True, True, False]
