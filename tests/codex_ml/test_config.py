"""Settings: layers over layers, each error with its key, versions, a hash that stays."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field, make_dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct

from codex_ml.config import Config, ConfigError, Schema


class Item(Struct, frozen=True, forbid_unknown_fields=True):
    a: int = 1


@dataclass(frozen=True)
class Optimizer:
    lr: Annotated[float, Meta(gt=0)] = 0.1
    betas: tuple[float, float] = (0.9, 0.99)
    momentum: Annotated[float, Meta(le=1)] | None = None

    def __post_init__(self) -> None:
        if sum(self.betas) >= 2:
            raise ValueError(f"betas={self.betas}: their sum must be less than 2")


@dataclass(frozen=True)
class Settings:
    """A run."""

    steps: Annotated[int, Meta(ge=1)]
    name: str = "run"
    out: Path = Path("runs")
    note: str | None = None
    fast: bool = False
    precision: Literal["fp32", "bf16"] = "fp32"
    items: list[Item] = field(default_factory=list)
    tags: dict[str, Any] = field(default_factory=dict)
    optimizer: Optimizer = field(default_factory=Optimizer)


SCHEMA = Schema(Settings)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "run.yaml"
    path.write_text("schema_version: 1\nsteps: 3\noptimizer: {lr: 1e-3}\ntags: {decay: 1e-2}\n")
    return path


def load(
    *files: Path, environ: dict[str, str] | None = None, overrides: dict[str, str] | None = None
) -> Config[Settings]:
    return SCHEMA.load(*files, environ=environ or {}, overrides=overrides)


def test_each_layer_overrides_single_keys_of_those_below(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("schema_version: 1\nname: other\noptimizer: {betas: [0.5, 0.6]}\n")
    environ = {"CONFIG__NAME": "environment", "CONFIG__OPTIMIZER__LR": "0.2", "PATH": "/bin"}
    found = load(file, other, environ=environ, overrides={"name": "argument"})
    assert found.settings == Settings(
        3, "argument", tags={"decay": 0.01}, optimizer=Optimizer(0.2, (0.5, 0.6))
    )
    assert found.sources["steps"] == str(file)
    assert found.sources["optimizer.betas"] == str(other)
    assert found.sources["optimizer.lr"] == "environment variable CONFIG__OPTIMIZER__LR"
    assert found.sources["name"] == "command line"
    assert found.sources["fast"] == "default"


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("steps", "7", 7),
        ("name", "5", "5"),
        ("name", "no", "no"),
        ("name", "a: [", "a: ["),
        ("note", "null", None),
        ("fast", "true", True),
        ("out", "/data/1", Path("/data/1")),
        ("tags", "{a: [1, 2e5]}", {"a": [1, 200000.0]}),
        ("items", "[{a: 4}]", [Item(4)]),
    ],
)
def test_text_is_read_as_its_key_asks(file: Path, key: str, text: str, value: object) -> None:
    assert getattr(load(file, overrides={key: text}).settings, key) == value
    from_environment = load(file, environ={f"CONFIG__{key.upper()}": text})
    assert getattr(from_environment.settings, key) == value


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"steps": "many"}, "command line: steps: Expected `int`, got `str` ('many'); give int"),
        ({"steps": "0"}, "command line: steps: Expected `int` >= 1 (0); give int"),
        ({"steps": "true"}, "command line: steps: Expected `int`, got `bool` (True); give int"),
        ({"optimizer.lr": "-1"}, "optimizer.lr: Expected `float` > 0.0 (-1); give float"),
        ({"optimizer.betas": "[1, x]"}, "optimizer.betas[1]: Expected `float`, got `str`"),
        ({"optimizer.betas": "1"}, "Expected `array`, got `int` (1); give a list of float"),
        ({"optimizer.momentum": "2"}, "Expected `float` <= 1.0 (2); give float or null"),
        ({"optimizer.betas": "[1, 1]"}, "command line: optimizer.betas: betas=(1.0, 1.0): their"),
        ({"precision": "fp8"}, "precision: Invalid enum value 'fp8' ('fp8'); give fp32|bf16"),
        ({"optimizer.lrr": "1"}, "optimizer.lrr: unknown key; did you mean 'optimizer.lr'"),
        ({"betas": "1"}, "betas: unknown key; did you mean 'optimizer.betas'"),
        ({"zzz": "1"}, "zzz: unknown key; known are steps, name, out, note"),
        (
            {"items": "[{a: 1}, {b: 2}]"},
            "command line: items[1]: Object contains unknown field `b`",
        ),
        ({"items": "[{a: x}]"}, "items[0].a: Expected `int`, got `str`"),
    ],
)
def test_an_error_names_the_key_and_its_source(
    file: Path, overrides: dict[str, str], message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        load(file, overrides=overrides)
    assert message in str(raised.value)
    assert str(raised.value).startswith("command line: ")


def test_an_environment_variable_is_named_in_its_error(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^environment variable CONFIG__STEPS: steps: Expected"):
        load(file, environ={"CONFIG__STEPS": "x"})
    with pytest.raises(ConfigError, match=r"CONFIG__STEP: step: unknown key; did you mean 'steps'"):
        load(file, environ={"CONFIG__STEP": "1"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("steps: 1", "schema_version: missing; write `schema_version: 1`"),
        ("schema_version: one", "schema_version: 'one'; write"),
        ("schema_version: 2", "schema_version: 2 is newer than 1"),
        ("schema_version: 1\nsteps: 1\nsteps: 2", "run.yaml:3: not valid YAML (the key 'steps'"),
        ("schema_version: 1\n: [", "run.yaml:2: not valid YAML"),
        (f"tags: {'[' * 3000}{']' * 3000}", "run.yaml: not valid YAML (maximum recursion depth"),
        ("- a", "expected keys and values, got ['a']"),
        ("schema_version: 1\noptimizer:", "optimizer: expected a section, got None"),
        ("schema_version: 1\nstepz: 1", "stepz: unknown key; did you mean 'steps'?"),
        ("schema_version: 1\nname: x", "steps: missing; give it a value"),
        ("schema_version: 1\nsteps: 1\nname: 5", "name: Expected `str`, got `int` (5); give str"),
        ("schema_version: 1\nsteps: 1\nout: 5", "out: Expected `Path`, got `int` (5); give Path"),
    ],
)
def test_a_bad_file_is_refused(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        load(path)
    assert message in str(raised.value)
    assert str(raised.value).startswith(str(path))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load(tmp_path / "none.yaml")


def test_old_files_are_migrated(tmp_path: Path) -> None:
    old = tmp_path / "old.yaml"
    old.write_text("schema_version: 1\nsteps: 5\nlearning_rate: 0.5\n")

    def renamed(values: dict[str, Any]) -> dict[str, Any]:
        return {("lr" if key == "learning_rate" else key): value for key, value in values.items()}

    def moved(values: dict[str, Any]) -> dict[str, Any]:
        rate = values.pop("lr", None)
        return {**values, "optimizer": {"lr": rate}} if rate else values

    schema = Schema(Settings, version=3, migrations={1: renamed, 2: moved})
    found = schema.load(old, environ={})
    assert found.settings.optimizer.lr == 0.5
    assert found.values["schema_version"] == 3
    old.write_text("schema_version: 2\nsteps: 5\nlearning_rate: 0.5\n")
    with pytest.raises(ConfigError, match="learning_rate: unknown key"):
        schema.load(old, environ={})


def test_a_schema_without_a_migration_is_refused() -> None:
    with pytest.raises(ValueError, match="Settings: no migration from version 2"):
        Schema(Settings, version=3, migrations={1: lambda values: values})
    with pytest.raises(ValueError, match=r"several: make what it holds a msgspec\.Struct"):
        Schema(make_dataclass("Of", [("several", list[Optimizer] | None)]))


def test_a_saved_run_loads_to_the_same(file: Path, tmp_path: Path) -> None:
    found = load(
        file, overrides={"note": "5", "items": "[{a: 2}]", "optimizer.betas": "[0.1, 0.2]"}
    )
    saved = found.save(tmp_path / "runs" / "1")
    assert saved == tmp_path / "runs" / "1" / "config.yaml"
    assert saved.read_text().startswith(f"# SHA-256 {found.hash}\nschema_version: 1\n")
    assert [path.name for path in saved.parent.iterdir()] == ["config.yaml"]
    again = load(saved)
    assert again.settings == found.settings
    assert again.hash == found.hash


def test_the_hash_is_of_the_values_however_they_were_given(file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    other.write_text(
        "tags:\n  decay: 0.01\noptimizer:\n  lr: 0.0010\nsteps: 3\nschema_version: 1\n"
    )
    assert load(file).hash == load(other).hash
    assert load(file, environ={"CONFIG__OPTIMIZER__LR": "1e-3"}).hash == load(file).hash
    assert load(file, overrides={"optimizer.lr": "2e-3"}).hash != load(file).hash
    # Pinned: a hash that changes with the program would tell equal runs apart.
    expected = "d726a6bdf2110b5c"
    assert load(file).hash.startswith(expected)


def test_bad_input_on_the_command_line_is_one_line(tmp_path: Path) -> None:
    script = tmp_path / "program.py"
    script.write_text(
        "from dataclasses import dataclass\n"
        "from codex_ml.config import Schema\n"
        "@dataclass\nclass Settings:\n    'A run.'\n    steps: int = 1\n    fast: bool = False\n"
        "print(Schema(Settings).from_command_line().settings)\n"
    )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, script, *arguments], env={**os.environ, "CONFIG__STEPS": "9"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip

    assert run("--fast").stdout == "Settings(steps=9, fast=True)\n"
    bad = run("--stepz", "4")
    assert bad.returncode == 2
    assert bad.stderr.splitlines()[1:] == [
        "program.py: error: command line: stepz: unknown key; did you mean 'steps'?"
    ]


def test_the_command_line(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def parse(*arguments: str) -> Settings:
        return SCHEMA.from_command_line(file, arguments=list(arguments), environ={}).settings

    more = tmp_path / "more.yaml"
    more.write_text("schema_version: 1\nname: more\nsteps: 8\n")
    assert parse("--config", str(more), "--fast", "--optimizer.lr=0.5", "--steps", "9") == Settings(
        9, "more", fast=True, tags={"decay": 0.01}, optimizer=Optimizer(0.5)
    )
    with pytest.raises(SystemExit) as ended:
        parse("--print-config", "--steps", "9")
    assert ended.value.code == 0
    printed = tmp_path / "printed.yaml"
    printed.write_text(capsys.readouterr().out)
    assert load(printed).settings == parse("--steps", "9")
    with pytest.raises(SystemExit) as ended:
        parse("--help")
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "--optimizer.lr float" in shown
    assert "--precision fp32|bf16" in shown
