from __future__ import annotations

import re
import time
from importlib import import_module
from typing import Any

import msgspec
import pytest

from codex_audit.capabilities import catalog as module
from codex_audit.capabilities.catalog import CatalogError, load_catalog
from codex_audit.capabilities.model import CapabilityRule, Signal
from codex_audit.cli import main

# The published criteria, in their published order: adding one is a change of this list as well.
PUBLISHED = {
    "checkpointing_resume": "model_state_saved optimizer_state_saved progress_saved resume cpu_rng_restored cuda_rng_restored retention atomic_write provenance safe_load",
    "config_mgmt": "config_files typed_schema cli_overrides overrides_documented config_saved_with_run config_versioned",
    "data_handling": "dataset_code deterministic_split manifest integrity_check worker_seeding position_resumed",
    "deployment": "container base_image_pinned non_root_user healthcheck dockerignore orchestration inference_entrypoint",
    "docs_examples": "quickstart docs_beyond_readme runnable_examples repro_metadata cpu_smoke_documented contributing_guide changelog license",
    "evaluation_metrics": "metric_computed eval_entrypoint eval_during_training eval_mode results_saved quality_gate",
    "experiment_tracking": "tracker tracker_optional offline_default params_logged metrics_logged provenance_logged",
    "extensibility": "registry entry_points hooks interfaces",
    "internal_ci_test": "tests task_runner ci_workflow lint_enforced types_enforced coverage_measured training_smoke_test",
    "logging_monitoring": "logging_library logging_configured log_to_file system_metrics throughput rank_aware",
    "security_safety": "sast secret_scanning dependencies_locked dependency_updates security_policy no_unsafe_deserialization no_committed_secrets",
    "tokenization": "tokenizer vocabulary_training batch_encoding special_tokens roundtrip_tested saved_with_model",
    "training_engine": "training_loop gradient_accumulation gradient_clipping mixed_precision lr_schedule distributed all_rngs_seeded deterministic_mode non_finite_guard",
}


def test_every_published_criterion_is_declared_in_order() -> None:
    declared = {rule.id: " ".join(rule.criteria) for rule in load_catalog().capabilities.values()}
    assert dict(sorted(declared.items())) == PUBLISHED


@pytest.mark.parametrize("capability", list(PUBLISHED))
def test_a_rule_says_all_that_a_reader_needs(capability: str) -> None:
    rule = load_catalog().capabilities[capability]
    assert any(one.required for one in rule.criteria.values())
    for name, one in rule.criteria.items():
        assert one.question.endswith("?"), name
        assert one.why, name
        assert one.gap, name
        assert one.remedy, name
        if one.near:  # a sentence that goes on from `path:line`
            assert re.fullmatch(
                r"[a-z][^.]*\b(but|no|neither|without|not|what|which)\b[^.]*", one.miss
            ), name
        assert (
            one.met
            or one.unless
            or f"{capability}.{name}"
            in {
                key
                for framework in load_catalog().frameworks.values()
                for key in framework.criteria
            }
        ), name


def test_every_signal_is_sound_and_every_reference_leads_somewhere() -> None:
    module.check(load_catalog())


def test_no_expression_tries_all_ways_to_part_a_line() -> None:
    units = [
        "_",
        "a",
        " ",
        "-",
        ".",
        "/",
        "=",
        ",",
        "(",
        "#",
        "|",
        "a ",
        "a_",
        "a.",
        "a(",
        "a,",
        "0.",
    ]
    lines = [(unit * 32)[:32] + "!" for unit in units]
    signals = list(load_catalog().signals())
    texts = {text for one in signals for text in (one.value, one.not_value, one.scope) if text}
    for text in sorted(texts.union(*(one.kw.values() for one in signals))):
        expression = re.compile(text)
        begun = time.process_time()
        for line in lines:
            expression.search(line)
        assert time.process_time() - begun < 0.5, text


CRITERION = """question = "Is it {}?"
why = "It matters."
gap = "it is not"
remedy = "Do it."
impact = 1
effort = 1
required = false
met = [{{ call = "x" }}]
"""
FOLDER = {
    "style/capability.toml": 'id = "style"\ntitle = "Style"\nwhy = "It shows."\ncriteria = ["short"]\n',
    "style/clear.toml": CRITERION.format("clear"),
    "style/short.toml": CRITERION.format("short"),
    "styles/other.toml": CRITERION.format("of another folder"),
}


def test_a_criterion_is_a_file_of_its_capability_in_the_order_of_its_head() -> None:
    rule = module._capability("style/", FOLDER)
    assert (rule.id, rule.title, rule.why) == ("style", "Style", "It shows.")
    assert {name: one.question for name, one in rule.criteria.items()} == {
        "short": "Is it short?",
        "clear": "Is it clear?",
    }
    assert list(rule.criteria) == ["short", "clear"]


def test_a_criterion_that_has_no_file_is_named_with_the_remedy() -> None:
    lacking = {name: text for name, text in FOLDER.items() if "short" not in name}
    with pytest.raises(CatalogError) as caught:
        module._capability("style/", lacking)
    assert str(caught.value) == (
        "style/capability.toml: criteria: there is no style/short.toml; add it"
    )


def test_the_version_follows_the_rules() -> None:
    assert load_catalog().version.count("+") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = [", "x.toml: not valid TOML"),
        (
            'id = "x"\ntitle = "X"\nwhy = "y"\n[criteria.a]\nquestion = 1\n',
            "x.toml: Expected `str`",
        ),
        ('id = "x"\ntitle = "X"\nwhy = "y"\nspelled-wrong = 1\n[criteria]\n', "spelled-wrong"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_with_its_key(text: str, message: str) -> None:
    with pytest.raises(CatalogError, match=r"x\.toml") as caught:
        module._read("x.toml", text, CapabilityRule)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "signal",
    [
        {"call": "a", "key": "b"},
        {"call": "a", "value": "("},
        {"criterion": "no.such"},
        {"call": "re:("},
    ],
)
def test_a_signal_that_cannot_be_understood_is_refused(signal: dict[str, Any]) -> None:
    catalog = load_catalog()
    rule = catalog.capabilities["tokenization"]
    broken = msgspec.structs.replace(
        rule.criteria["tokenizer"], met=(msgspec.convert(signal, Signal),)
    )
    capability = msgspec.structs.replace(rule, criteria={**rule.criteria, "tokenizer": broken})
    with pytest.raises(CatalogError, match="signal"):
        module.check(
            msgspec.structs.replace(
                catalog, capabilities={**catalog.capabilities, rule.id: capability}
            )
        )


def test_a_remedy_names_only_what_exists() -> None:
    remedies = [
        one.remedy
        for rule in load_catalog().capabilities.values()
        for one in rule.criteria.values()
    ]
    modules = {name for text in remedies for name in re.findall(r"codex_\w+(?:\.[a-z_]+)+", text)}
    assert "codex_ml.checkpoint" in modules
    for name in sorted(modules):
        module, _, attribute = name.rpartition(".")
        found = import_module(module)
        assert hasattr(found, attribute) or import_module(name), name
    commands = {name for text in remedies for name in re.findall(r"`codex-audit (\w+)", text)}
    assert commands <= set(main.commands)


def test_the_kit_has_what_is_said_to_close_a_gap() -> None:
    named = {
        f"{rule.id}.{name}": one.kit
        for rule in load_catalog().capabilities.values()
        for name, one in rule.criteria.items()
        if one.kit
    }
    assert "checkpointing_resume.retention" in named
    for key, path in named.items():
        package, module, *attributes = path.split(".")
        found: Any = import_module(f"{package}.{module}")
        assert package == "codex_ml", key
        assert attributes, key
        for attribute in attributes:
            assert hasattr(found, attribute), f"{key}: {path}"
            found = getattr(found, attribute)
        assert found.__module__.startswith("codex_ml."), key
        assert found.__doc__, key
