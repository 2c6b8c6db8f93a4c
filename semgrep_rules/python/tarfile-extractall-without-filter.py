import tarfile
import zipfile


def bad(path, out):
    with tarfile.open(path) as archive:
        # ruleid: tarfile-extractall-without-filter
        archive.extractall(out)
    other = tarfile.open(path)
    # ruleid: tarfile-extractall-without-filter
    other.extract("weights.pt", out)
    # ruleid: tarfile-extractall-without-filter
    tarfile.open(path).extractall()
    with tarfile.open(path) as third:
        # ruleid: tarfile-extractall-without-filter
        third.extractall(out, filter="fully_trusted")


def good(path, out):
    with tarfile.open(path) as archive:
        # ok: tarfile-extractall-without-filter
        archive.extractall(out, filter="data")
        # ok: tarfile-extractall-without-filter
        archive.extract("weights.pt", out, filter="tar")
    with zipfile.ZipFile(path) as archive:
        # ok: tarfile-extractall-without-filter
        archive.extractall(out)
