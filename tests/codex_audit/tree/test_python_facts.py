from __future__ import annotations

from textwrap import dedent
from typing import TYPE_CHECKING

import pytest
from wanting import Everything, Only

from codex_audit.tree.python_facts import python_facts

if TYPE_CHECKING:
    from codex_audit.tree.facts import Fact, FileFacts

EVERYTHING = Everything()


def read(source: str, path: str = "pkg/module.py") -> FileFacts:
    return python_facts(path, "core", dedent(source).encode(), EVERYTHING)


def names(found: FileFacts, kind: str) -> list[str]:
    return [fact.name for fact in found.facts if fact.kind == kind]


def one(found: FileFacts, kind: str, name: str) -> Fact:
    (fact,) = [fact for fact in found.facts if (fact.kind, fact.name) == (kind, name)]
    return fact


def test_versions_of_tensorflows_api_are_one() -> None:
    found = read(
        """
        import tensorflow as tf
        import tensorflow.compat.v1 as tf1
        from tensorflow.compat import v2
        from tensorflow.compat.v1.train import Saver
        tf.compat.v1.disable_eager_execution()
        tf1.app.run()
        v2.summary.scalar("loss", 1.0)
        Saver()
        """
    )
    assert names(found, "import") == [
        "tensorflow",
        "tensorflow",
        "tensorflow",
        "tensorflow.train.Saver",
    ]
    assert names(found, "call") == [
        "tensorflow.disable_eager_execution",
        "tensorflow.app.run",
        "tensorflow.summary.scalar",
        "tensorflow.train.Saver",
    ]


def test_calls_are_named_through_aliases() -> None:
    found = read(
        """
        import torch as t
        import torch.nn.functional as F
        from torch.nn.utils import clip_grad_norm_ as clip
        t.save({}, "x.pt")
        F.cross_entropy(a, b)
        clip(p, 1.0)
        """
    )
    assert names(found, "call") == [
        "torch.save",
        "torch.nn.functional.cross_entropy",
        "torch.nn.utils.clip_grad_norm_",
    ]


def test_relative_imports_are_named_from_the_package() -> None:
    found = read(
        "from ..utils import seed_all\nfrom . import data\nseed_all(1)\ndata.load()\n",
        "src/kit/train/run.py",
    )
    assert names(found, "import") == ["kit.utils.seed_all", "kit.train.data"]
    assert names(found, "call") == ["kit.utils.seed_all", "kit.train.data.load"]


def test_methods_of_an_instance_are_named_by_its_class_and_by_the_variable() -> None:
    found = read(
        """
        from transformers import Trainer
        trainer = Trainer(model)
        trainer.train()
        class Loop:
            def __init__(self):
                self.tracker = Trainer(None)
            def run(self, other: Trainer):
                self.tracker.save_model()
                other.evaluate()
        """
    )
    call = one(found, "call", "transformers.Trainer.train")
    assert call.alt == "trainer.train"
    assert one(found, "call", "transformers.Trainer.save_model").scope == "Loop.run"
    assert one(found, "call", "transformers.Trainer.evaluate").alt == "other.evaluate"


def test_calling_an_instance_is_not_making_one() -> None:
    found = read("from torch.nn.parallel import DistributedDataParallel as DDP\nm = DDP(n)\nm(x)\n")
    assert names(found, "call") == ["torch.nn.parallel.DistributedDataParallel", "m"]


def test_a_parameter_hides_the_name_outside() -> None:
    found = read(
        "import torch\ndef f(torch):\n    torch.save(1)\nfrom x import Y\nv = Y()\nv = 3\nv.go()\n"
    )
    assert one(found, "call", "torch.save").alt == ""
    assert "v.go" in names(found, "call")


def test_a_call_of_an_item_is_written_of_what_holds_it() -> None:
    found = read("self.optimizers[0].step()\nmake()['x'].close()\n(a + b)[0].run()\n")
    assert one(found, "call", "?.step").alt == "self.optimizers.step"
    assert one(found, "call", "?.close").alt == ""
    assert one(found, "call", "?.run").alt == ""


def test_keywords_and_arguments_are_kept_as_text() -> None:
    call = one(
        read("import torch\ntorch.load(path,\n   weights_only = True)\n"), "call", "torch.load"
    )
    assert call.value == "path, weights_only=True"
    assert call.keywords == (("weights_only", "True"),)
    assert call.line == 2


def test_comments_docstrings_and_strings_are_no_code() -> None:
    found = read(
        '"""torch.save(x)"""\n# torch.save(x)\ndef f():\n    "clip_grad_norm_(p)"\n    return "torch.save"\n'
    )
    assert names(found, "call") == []
    assert names(found, "string") == ["torch.save"]


def test_keys_written_and_read_assignments_tests_and_loops() -> None:
    found = read(
        """
        state = {"optimizer": opt.state_dict()}
        state["step"] = step
        resumed = state["step"] + state.get("epoch", 0)
        total += loss.item()
        lr: float = 1e-3
        if not math.isfinite(loss):
            raise FloatingPointError("loss")
        for micro in range(accumulation):
            pass
        """
    )
    assert one(found, "key", "optimizer").value == "opt.state_dict()"
    assert one(found, "key", "step").value == "step"
    assert names(found, "lookup") == ["step", "epoch"]
    assert one(found, "assign", "total").value == "+= loss.item()"
    assert one(found, "assign", "lr").tags == ("annotated", "float")
    assert one(found, "test", "if").value == "not math.isfinite(loss)"
    assert one(found, "raise", "FloatingPointError").value == '"loss"'
    assert one(found, "loop", "for").value == "micro in range(accumulation)"


@pytest.mark.parametrize(
    ("source", "tag"),
    [
        ("import wandb\n", "top"),
        ("try:\n    import wandb\nexcept ImportError:\n    wandb = None\n", "guarded"),
        ("try:\n    import wandb\nexcept ValueError:\n    pass\n", "top"),
        ("def f():\n    import wandb\n", "lazy"),
        ("if use:\n    import wandb\n", "lazy"),
    ],
)
def test_imports_say_whether_they_are_guarded(source: str, tag: str) -> None:
    assert one(read(source), "import", "wandb").tags == (tag,)


def test_a_class_stands_in_its_own_scope_and_items_are_marked() -> None:
    found = read("class A:\n    x: int = 1\nTABLE['a'] = A\ngroups[0]['rate'] *= 2\nlr = 1\n")
    assert one(found, "class", "A").scope == one(found, "assign", "x").scope == "A"
    assert one(found, "assign", "TABLE").tags == ("item",)
    assert one(found, "assign", "groups").tags == ("item",)
    assert one(found, "assign", "groups").value == "*= 2"
    assert one(found, "assign", "lr").tags == ()


def test_stubs_are_bodies_that_say_nothing_and_are_not_meant_to() -> None:
    found = read(
        '''
        from abc import ABC, abstractmethod
        from typing import Protocol, overload
        def one(): pass
        def two():
            """Documented."""
            raise NotImplementedError("later")
        async def three(): ...
        class Base(ABC):
            @abstractmethod
            def exempt(self): ...
            def four(self): raise NotImplementedError
        class Shape(Protocol):
            def member(self): ...
        @overload
        def typed(x: int) -> int: ...
        def real(): return None
        def documented():
            """Deliberately does nothing."""
        '''
    )
    assert [stub.name for stub in found.stubs] == ["one", "two", "three", "four"]
    assert python_facts("a.pyi", "core", b"def f(): ...\n", EVERYTHING).stubs == ()


def test_markers_are_words_of_comments() -> None:
    found = read('x = 1  # TODO: later\n# a FIXME here\ny = "TODO"\nTODO = 3\n# TODOLIST\n')
    assert [(one.line, one.name) for one in found.markers] == [(1, "TODO"), (2, "FIXME")]


@pytest.mark.parametrize("source", [b"print 'two'\n", b"def f(:\n", b"x = 1\0\n", b"\xff\xfe\n"])
def test_what_does_not_parse_is_a_problem_with_its_line(source: bytes) -> None:
    found = python_facts("old.py", "core", source, EVERYTHING)
    assert found.facts == ()
    assert found.problem is not None
    assert found.problem.line == 1
    assert "Error" in found.problem.reason


def test_only_facts_that_somebody_asks_for_are_kept() -> None:
    found = python_facts(
        "a.py",
        "core",
        b"import torch\ntorch.save({'Optimizer': 1, 'x': 2})\nprint(1)\ndef f(): pass\n",
        Only(("call", "torch.save"), ("key", "Optimizer"), ("def", "main")),
    )
    assert [(fact.kind, fact.name) for fact in found.facts] == [
        ("call", "torch.save"), ("key", "Optimizer"),
    ]  # fmt: skip


def test_a_call_that_an_if_of_its_line_chooses_is_marked() -> None:
    source = b"a = f() if x else g()\nb = f(g() if x else None)\nc = h()\n"
    facts = python_facts("a.py", "core", source, Everything()).facts
    calls = [(fact.name, fact.line, fact.tags) for fact in facts if fact.kind == "call"]
    assert calls == [
        ("f", 1, ("chosen",)), ("g", 1, ("chosen",)), ("f", 2, ()), ("g", 2, ("chosen",)), ("h", 3, ()),
    ]  # fmt: skip


def test_what_a_function_returns_is_assigned_to_its_call() -> None:
    found = read(
        """
        def split(rows, cut):
            if not rows:
                return
            return rows[:cut], load(rows[cut:])
        """
    )
    fact = one(found, "assign", "return")
    assert (fact.value, fact.scope, fact.line) == ("rows[:cut], load(rows[cut:])", "split", 5)
    assert fact.tags == ("return",)
    assert names(found, "call") == ["load"]
