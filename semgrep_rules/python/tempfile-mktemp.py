import tempfile
from tempfile import mktemp


def bad():
    # ruleid: tempfile-mktemp
    first = tempfile.mktemp()
    # ruleid: tempfile-mktemp
    return first, mktemp(suffix=".pt")


def good():
    # ok: tempfile-mktemp
    handle, name = tempfile.mkstemp()
    # ok: tempfile-mktemp
    with tempfile.TemporaryDirectory() as directory:
        return handle, name, directory
