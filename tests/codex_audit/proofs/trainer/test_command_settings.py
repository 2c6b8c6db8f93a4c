"""What settings say of a training command: read, or refused in one line that names the key."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from codex_audit.proofs.trainer.commands.line import parse
from codex_audit.proofs.trainer.commands.losses import Logged, Reader, Where, where_of
from codex_audit.proofs.trainer.commands.plan import Plan, plan_of, program_of
from codex_audit.settings import LossFile, SettingsError, TrainerSettings, load_settings

GOOD: dict[str, Any] = {
    "command": "python train.py --steps={steps} --out={dir}",
    "losses": r"loss (?P<loss>\S+)",
    "checkpoints": "*.pt",
}


def plan(root: Path, **changes: Any) -> Plan:
    made = plan_of(TrainerSettings(**{**GOOD, **changes}), root, "cpu")
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"command": "python train.py"}, "command: has no {dir}; give the option that says where"),
        (
            {"command": "python t.py {dir} {sed}"},
            "command: unknown placeholder {sed}; there are: {steps}, {dir}, {seed}, {device}",
        ),
        (
            {"command": "python t.py {dir} {checkpoint}"},
            "command: unknown placeholder {checkpoint};",
        ),
        (
            {"resume": "python t.py {dir} {checkpoint}", "checkpoints": None},
            "resume: has {checkpoint}, and nothing says which; add `checkpoints`",
        ),
        ({"command": None, "losses": None, "checkpoints": None, "copy": True}, "copy: means"),
        ({"command": "python 't.py {dir}"}, "command: cannot be split into words (No closing"),
        ({"command": " "}, "command: is empty; write the command that trains"),
        (
            {"command": "python t.py {dir} | tee log"},
            "command: has '|', and no shell runs it; put that into a script",
        ),
        (
            {"command": "SEED=1 python t.py {dir}"},
            "command: begins with the variable SEED; move it to the table `environment`",
        ),
        (
            {"command": "no-such-trainer {dir}"},
            "command: the program 'no-such-trainer' is not found; install it, or give its path",
        ),
        (
            {"command": "./train.sh {dir}"},
            "command: './train.sh' is no program that can be run; correct the path",
        ),
        ({"resume": "python t.py --resume"}, "resume: has no {dir};"),
        (
            {"losses": r"loss (\S+)"},
            "losses: has no group named `loss`; write (?P<loss>\\S+) where the number stands",
        ),
        ({"losses": "("}, "losses: is no regular expression ("),
        (
            {"losses": LossFile(file="{dir}/log.jsonl")},
            "losses: give `key` for JSON lines or a CSV, or else `regex`, with `file`",
        ),
        (
            {"losses": LossFile(file="../log.jsonl", key="loss")},
            "losses.file: '../log.jsonl' is no file below {dir}; write {dir}/NAME",
        ),
        ({"checkpoints": "{dir}"}, "checkpoints: '{dir}' is no pattern below {dir}, such as"),
        ({"losses": None, "checkpoints": None}, "command: nothing says what it writes; add"),
        ({"factory": "a:b"}, "command: stands beside `factory`; leave one of them out"),
        ({"python": "env/bin/python"}, "python: 'env/bin/python' is no interpreter; make its"),
        (
            {"endless": True, "command": "python t.py {dir} {steps}"},
            "endless: the command has {steps}, and ends by itself; leave one out",
        ),
        (
            {"endless": True, "command": "python t.py {dir}", "losses": None},
            "endless: means `steps` logged losses, and none are told; add `losses`",
        ),
        (
            {
                "endless": True,
                "command": "python t.py {dir}",
                "resume": "... -r",
            },
            "endless: lets no resumed run be ended at the same step; tell `step` or `epoch`",
        ),
        ({"cwd": "sub"}, "cwd: 'sub' is no directory of the repository; correct it"),
        ({"command": None}, "losses: means nothing without `command`; write that, too"),
    ],
)
def test_a_slip_is_refused_before_anything_runs(
    tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SettingsError) as refused:
        plan(tmp_path, **changes)
    text = str(refused.value)
    assert text.startswith(f"pyproject.toml: [tool.codex-audit.trainer] {words}"), text
    assert "\n" not in text


def test_without_a_command_there_is_no_plan(tmp_path: Path) -> None:
    assert plan_of(TrainerSettings(), tmp_path, "cpu") is None


def test_placeholders_are_filled_word_by_word(tmp_path: Path) -> None:
    line = plan(tmp_path, command="python t.py '--out={dir}/{seed}' '{\"a\": 1}' {device}").command
    told = {"steps": "9", "dir": "/a b/c;d", "seed": "7", "device": "cpu"}
    assert line.filled(told) == ["python", "t.py", "--out=/a b/c;d/7", '{"a": 1}', "cpu"]
    assert line.takes("seed")
    assert not line.takes("steps")


@pytest.mark.parametrize("dots", ["...", "\u2026"])
def test_dots_stand_for_the_command(dots: str) -> None:
    command = parse("command", "python t.py {dir}")
    resume = parse("resume", f"{dots} --resume", continues=command)
    assert resume.words == ("python", "t.py", "{dir}", "--resume")


def test_settings_are_read_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        """
[tool.codex-audit.trainer]
command = "python train.py {dir}"
losses = { file = "{dir}/log.jsonl", key = "loss" }
checkpoints = "*.pt"
environment = { OMP_NUM_THREADS = "2" }
"""
    )
    settings = load_settings(tmp_path).trainer
    made = plan_of(settings, tmp_path, "cpu")
    assert made is not None
    assert made.losses == Where(files="log.jsonl", key="loss")
    assert made.environment["OMP_NUM_THREADS"] == "2"
    assert made.environment["CUDA_VISIBLE_DEVICES"] == ""


def test_an_unknown_key_of_the_losses_names_the_near_one(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text(
        '[tool.codex-audit.trainer]\nlosses = { file = "a", keys = "loss" }\n'
    )
    with pytest.raises(
        SettingsError, match=r"trainer\.losses\.keys: unknown key; did you mean 'key'"
    ):
        load_settings(tmp_path)


def test_python_is_this_one_or_the_one_that_the_settings_name(tmp_path: Path) -> None:
    made = plan(tmp_path)
    assert Path(program_of(made, made.command)).resolve() == Path(sys.executable).resolve()
    own = tmp_path / "env" / "bin" / "python"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    made = plan(tmp_path, python="env/bin/python")
    assert program_of(made, made.command) == str(own)
    assert made.environment["PATH"].startswith(f"{own.parent}{os.pathsep}")


def read(where: Where, directory: Path, text: str = "") -> list[Logged]:
    reader = Reader(where, directory)
    reader.feed(text)
    reader.finish()
    return reader.found


def test_losses_on_the_output_also_between_carriage_returns(tmp_path: Path) -> None:
    where = where_of(r"(?P<step>[\d,]+) loss (?P<loss>\S+)")
    assert where is not None
    reader = Reader(where, tmp_path)
    for part in ("x\r1,000 loss 1.5\r1,001 lo", "ss 2e-3\nepoch loss\n1,002 loss nan"):
        reader.feed(part)
    assert reader.found == [Logged(1.5, 1000), Logged(0.002, 1001)]
    reader.finish()
    assert reader.found[2].step == 1002
    assert reader.found[2].same_as(Logged(float("nan"), 1002))


def test_a_bar_that_overwrites_itself_counts_once_a_step(tmp_path: Path) -> None:
    bar = where_of(r"(?P<epoch>\d+): (?P<step>\d+)/9 loss=(?P<loss>\S+)")
    assert bar is not None
    text = (
        "\r1: 0/9 \r1: 1/9 loss=old\r1: 1/9 loss=3\r1: 2/9 loss=2\n2: 2/9 loss=1\n2: 2/9 loss=0\n"
    )
    reader = Reader(bar, tmp_path)
    for character in text.replace("old", "4"):
        reader.feed(character)
    places = [(1, 1), (1, 2), (2, 2), (2, 2)]
    assert [(each.place, each.loss) for each in reader.found] == list(
        zip(places, [3, 2, 1, 0], strict=True)
    )
    assert reader.overwritten == 1
    # without a step, the last loss of the line is what stays to be seen
    plain = where_of(r"loss=(?P<loss>\S+)")
    assert plain is not None
    assert read(plain, tmp_path, "\rloss=3\rloss=2\r\nloss=1\r\n") == [Logged(2.0), Logged(1.0)]


def test_a_heading_tells_the_epoch_of_the_losses_below_it(tmp_path: Path) -> None:
    where = where_of(r"Epoch (?P<epoch>\d+)|(?P<step>\d+): (?P<loss>\S+)")
    assert where is not None
    found = read(where, tmp_path, "0: 9\nEpoch 1\n0: 8\n1: 7\nEpoch 2\n0: 6\n")
    places = [(0, 0), (1, 0), (1, 1), (2, 0)]
    assert [(each.place, each.loss) for each in found] == list(
        zip(places, [9, 8, 7, 6], strict=True)
    )


def test_losses_in_json_lines_and_csv(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(
        '{"run": 1}\n{"t": {"loss": 2.0}, "n": 1}\nnoise\n{"t": {"loss": 1.0}, "n": 2}\n{"t": {"l'
    )
    (tmp_path / "b.csv").write_text("n,loss\n1,0.5\n2,\n3,0.25\n")
    (tmp_path / "c.txt").write_text("loss=3\n")
    json_lines = where_of(LossFile(file="{dir}/*.jsonl", key="t.loss", step="n"))
    table = where_of(LossFile(file="b.csv", key="loss", step="n"))
    text = where_of(LossFile(file="c.txt", regex=r"loss=(?P<loss>\d)"))
    assert json_lines is not None
    assert table is not None
    assert text is not None
    # lines that were there before the process began are not its own
    assert read(json_lines, tmp_path) == []
    assert [each.loss for each in read_new(table, tmp_path)] == [0.5, 0.25]
    assert read_new(json_lines, tmp_path) == [Logged(2.0, 1), Logged(1.0, 2)]
    assert read_new(text, tmp_path) == [Logged(3.0)]


def read_new(where: Where, directory: Path) -> list[Logged]:
    """As of a process that wrote all that lies there."""
    fresh = directory.with_name(f"{directory.name}-{where.files[-4:]}")
    fresh.mkdir()
    reader = Reader(where, fresh)
    for path in directory.iterdir():
        if path.is_file():
            (fresh / path.name).write_bytes(path.read_bytes())
    reader.finish()
    return reader.found


def test_an_epoch_may_stand_beside_the_step(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("epoch,step,loss\n1,0,0.5\n1,1,0.4\n2,,0.3\n")
    table = where_of(LossFile(file="log.csv", key="loss", step="step", epoch="epoch"))
    assert table is not None
    found = read_new(table, tmp_path)
    assert [each.name for each in found] == ["epoch 1 step 0", "epoch 1 step 1", "epoch 2"]
    with pytest.raises(SettingsError, match="'x' as step, which is no number"):
        read(Where(pattern="(?P<loss>.)(?P<step>.)"), tmp_path, "1x\n")


def test_a_resumed_process_appends_to_the_log_of_the_first(tmp_path: Path) -> None:
    where = Where(files="log.csv", key="loss")
    log = tmp_path / "log.csv"
    log.write_text("loss\n3\n2\n")
    reader = Reader(where, tmp_path)
    with log.open("a") as stream:
        stream.write("1\n")
    reader.finish()
    assert reader.found == [Logged(1.0)]
