from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from codex_audit.collection import no_collection


def test_the_collector_is_held_and_goes_on_after_an_error() -> None:
    assert gc.isenabled()
    with pytest.raises(ZeroDivisionError), no_collection():
        assert 1 / gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off() -> None:
    gc.disable()
    try:
        with no_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_process_ends_without_looking_for_garbage() -> None:
    code = (
        "import atexit, gc\n"
        "from codex_audit.collection import no_collection_at_exit\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 0))\n"
        "no_collection_at_exit()\n"
        "print(gc.get_freeze_count())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["0", "True"]
