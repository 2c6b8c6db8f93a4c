"""Which distribution an import name belongs to, and where a repository lists it."""

from __future__ import annotations

import json
import re
from importlib.metadata import (
    PackageNotFoundError,
    distribution,
    packages_distributions,
    version,
)
from typing import TYPE_CHECKING, Any

import tomli

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Import names that differ from the name to install.
DISTRIBUTIONS = {
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "dateutil": "python-dateutil",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "pymupdf",
    "git": "GitPython",
    "google.protobuf": "protobuf",
    "hydra": "hydra-core",
    "jwt": "PyJWT",
    "lightning_fabric": "lightning-fabric",
    "mpl_toolkits": "matplotlib",
    "OpenSSL": "pyOpenSSL",
    "PIL": "pillow",
    "pkg_resources": "setuptools",
    "pytorch_lightning": "pytorch-lightning",
    "pynvml": "nvidia-ml-py",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "PyYAML",
}
# Names that a repository must not take for itself, installed here or not.
WELL_KNOWN = frozenset({
    "accelerate", "click", "cv2", "datasets", "deepspeed", "einops", "evaluate", "fastapi",
    "flax", "hydra", "jax", "jaxlib", "jinja2", "lightning", "matplotlib", "mlflow", "msgspec",
    "numpy", "omegaconf", "onnx", "onnxruntime", "optuna", "pandas", "peft", "PIL", "pydantic",
    "pytest", "pytorch_lightning", "ray", "requests", "rich", "safetensors", "scipy",
    "sentencepiece", "sklearn", "tensorboard", "tensorflow", "tiktoken", "timm", "tokenizers",
    "torch", "torchaudio", "torchmetrics", "torchvision", "tqdm", "transformers", "triton", "trl",
    "wandb", "xformers", "yaml"
})  # fmt: skip


def normalized(name: str) -> str:
    """A distribution's name as packaging tools compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def distribution_of(module: str) -> str:
    """The name to install for the top-level import name `module`."""
    found = packages_distributions().get(module)
    return found[0] if found else DISTRIBUTIONS.get(module, module)


def installed(module: str) -> str | None:
    """The public version of the distribution that provides `module`; none if none is installed."""
    try:
        return version(distribution_of(module)).split("+")[0]
    except PackageNotFoundError:
        return None


def project_table(root: Path) -> dict[str, Any]:
    """`pyproject.toml` of `root`, or nothing when it has none that can be read."""
    try:
        return tomli.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomli.TOMLDecodeError):
        return {}  # the cause sought is another one; settings report this one themselves


def own_name(root: Path) -> str:
    """The normalized name under which `root` is itself distributed, or `""`."""
    name = _table(project_table(root), "project").get("name")
    if isinstance(name, str):
        return normalized(name)
    for file, pattern in (
        ("setup.cfg", r"(?m)^name\s*=\s*([\w.-]+)"),
        ("setup.py", r"""\bname\s*=\s*["']([\w.-]+)["']"""),
    ):
        path = root / file
        if path.is_file():
            match = re.search(pattern, path.read_text(encoding="utf-8", errors="replace"))
            if match:
                return normalized(match.group(1))
    return ""


def installed_from(name: str, root: Path) -> bool:
    """Whether the distribution `name` is installed from `root` itself, as `pip install -e` does."""
    try:
        record = distribution(name).read_text("direct_url.json")
    except PackageNotFoundError:
        return False
    return record is not None and json.loads(record).get("url") == root.resolve().as_uri()


def install_remedy(root: Path, name: str) -> str:
    """The shortest command by which this repository itself installs the distribution `name`."""
    for names, command in _declared(root):
        if normalized(name) in names:
            return command
    return f"pip install {name}"


def _declared(root: Path) -> Iterator[tuple[set[str], str]]:
    data = project_table(root)
    project = _table(data, "project")
    for extra, entries in _table(project, "optional-dependencies").items():
        yield _names(entries), f'pip install -e ".[{extra}]"'
    for group, entries in _table(data, "dependency-groups").items():
        yield _names(entries), f"pip install --group {group}"
    poetry = _table(_table(data, "tool"), "poetry")
    for extra, entries in _table(poetry, "extras").items():
        yield _names(entries), f'pip install -e ".[{extra}]"'
    for group, table in _table(poetry, "group").items():
        names = {normalized(name) for name in _table(table, "dependencies")}
        yield names, f"poetry install --with {group}"
    dependencies = _names(project.get("dependencies")) | {
        normalized(name) for name in _table(poetry, "dependencies")
    }
    yield dependencies, "pip install -e ."
    for pattern in ("requirements*.txt", "requirements/*.txt", "requirements/*.in"):
        for path in sorted(root.glob(pattern)):
            lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
            names = _names([line for line in lines if re.match(r"\s*[A-Za-z0-9]", line)])
            yield names, f"pip install -r {path.relative_to(root).as_posix()}"


def _table(data: object, key: str) -> dict[str, Any]:
    found = data.get(key) if isinstance(data, dict) else None
    return found if isinstance(found, dict) else {}


def _names(entries: object) -> set[str]:
    if not isinstance(entries, list):
        return set()
    found = (
        re.match(r"\s*([A-Za-z0-9][\w.-]*)", entry) for entry in entries if isinstance(entry, str)
    )
    return {normalized(match.group(1)) for match in found if match}
