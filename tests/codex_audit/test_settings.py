from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from codex_audit.settings import SettingsError, declared, load_settings

if TYPE_CHECKING:
    from pathlib import Path


def write(root: Path, text: str) -> Path:
    (root / "pyproject.toml").write_text(text)
    return root


def test_without_settings_there_are_defaults_and_the_project_has_a_name(tmp_path: Path) -> None:
    assert load_settings(tmp_path).project == tmp_path.name
    settings = load_settings(write(tmp_path, '[project]\nname = "kit"\n'))
    assert settings.project == "kit"
    assert "trainer-smoke-cuda" in settings.gates
    assert "trainer-smoke-cuda" not in settings.required_gates


def test_settings_are_read_with_their_types(tmp_path: Path) -> None:
    settings = load_settings(
        write(
            tmp_path,
            '[tool.codex-audit]\nproject = "p"\ngates = ["lint", "type"]\nrequired = ["lint"]\nexclude = ["old/"]\n'
            'timeouts = { type = 5 }\n[tool.codex-audit.trainer]\nfactory = "kit.train:make"\n',
        )
    )
    assert (settings.project, settings.required_gates, settings.exclude) == (
        "p",
        ("lint",),
        ("old/",),
    )
    assert (settings.gate_timeout("type"), settings.gate_timeout("lint")) == (5, 1800)
    assert settings.trainer.factory == "kit.train:make"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[tool.codex-audit\n", ["not valid TOML", "mend"]),
        (
            "[tool.codex-audit]\nprojekt = 'x'\n",
            ["projekt", "unknown key", "did you mean 'project'?"],
        ),
        (
            "[tool.codex-audit]\ntimeout = 'long'\n",
            ["timeout", "expected `float`", "correct the value"],
        ),
        ("[tool.codex-audit]\ntimeout = 0\n", ["timeout", "> 0"]),
        (
            "[tool.codex-audit.trainer]\nfactori = 'x'\n",
            ["trainer.factori", "did you mean 'factory'?"],
        ),
        ("[tool.codex-audit.trainer]\nsteps = 1\n", ["trainer.steps", ">= 4"]),
        ("[tool.codex-audit]\nrequired = ['lnt']\n", ["required", "'lnt'", "not among gates"]),
        ("tool = { codex-audit = 3 }\n", ["codex-audit", "correct the value"]),
    ],
)
def test_a_wrong_setting_names_the_file_the_key_and_the_remedy(
    tmp_path: Path, text: str, words: list[str]
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings(write(tmp_path, text))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'pyproject.toml'}: ")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="UTF-8"):
        load_settings(tmp_path)


def test_what_is_declared_is_what_differs_from_the_defaults(tmp_path: Path) -> None:
    text = '[tool.codex-audit]\nproject = "x"\ntimeout = 1800\nlint-paths = ["a"]\n'
    write(tmp_path, text + "[tool.codex-audit.trainer]\nsteps = 8\n")
    assert declared(load_settings(tmp_path)) == {"lint-paths": ("a",), "trainer.steps": 8}
