"""Documents that speak of what no code does: expressions that hit, and what only sounds like it."""

from __future__ import annotations

import re

import msgspec
import pytest

from codex_audit.capabilities.catalog import CatalogError, check, load_catalog

# criterion -> what a document says, and what only sounds like it.
LINES = {
    "checkpointing_resume.model_state_saved": ("Model weights are saved: checkpoints are written to out/", "Save your work"),
    "checkpointing_resume.optimizer_state_saved": ("The checkpoint holds the optimizer state", "AdamW is the optimizer"),
    "checkpointing_resume.resume": ("Pass `--resume` to go on", "A pretrained resume parser"),
    "checkpointing_resume.cpu_rng_restored": ("RNG states are part of it", "Choose a random state of the world map"),
    "checkpointing_resume.cuda_rng_restored": ("also the CUDA RNG states", "CUDA is needed"),
    "checkpointing_resume.retention": ("keeps the last 3 checkpoints", "keep the last line of the file"),
    "checkpointing_resume.atomic_write": ("Checkpoints are written atomically", "atomic physics"),
    "checkpointing_resume.safe_load": ("use torch.load(path, weights_only=True)", "torch.load(path)"),
    "config_mgmt.config_files": ("Edit the config file", "a `.netrc` config file is read"),
    "config_mgmt.typed_schema": ("Hydra's structured configs", "structured data"),
    "config_mgmt.cli_overrides": ("Override any value from the command line", "a command line tool"),
    "config_mgmt.config_saved_with_run": ("The config is saved with the run", "save the config yourself"),
    "config_mgmt.config_versioned": ("a hash of the config", "a hash of the file"),
    "data_handling.deterministic_split": ("train/val splits are fixed", "split the string"),
    "data_handling.manifest": ("Write a dataset manifest first", "the package manifest"),
    "data_handling.integrity_check": ("Verify the checksum of the file", "Verify your account"),
    "data_handling.worker_seeding": ("each DataLoader worker is seeded: seeds workers", "four workers"),
    "data_handling.position_resumed": ("the dataloader state is kept", "a dataloader"),
    "deployment.container": ("docker run --gpus all image", "a container for toys"),
    "deployment.healthcheck": ("It answers health checks", "a healthy diet"),
    "deployment.orchestration": ("sbatch job.sh", "an orchestra"),
    "deployment.inference_entrypoint": ("python predict.py --text hi", "inference is fun"),
    "evaluation_metrics.metric_computed": ("Validation loss falls to 2.9", "The training loss falls"),
    "evaluation_metrics.eval_entrypoint": ("python eval.py --ckpt out.pt", "We evaluated many ideas"),
    "evaluation_metrics.eval_during_training": ("--eval-every 100", "the evaluation of ideas"),
    "evaluation_metrics.results_saved": ("Results are written to results.json", "Results are good"),
    "evaluation_metrics.quality_gate": ("uses early stopping", "stop early in the morning"),
    "experiment_tracking.tracker": ("Losses are logged to wandb", "Take aim at the target"),
    "experiment_tracking.offline_default": ("Set WANDB_MODE=offline", "offline shops"),
    "experiment_tracking.params_logged": ("Hyperparameters are logged", "Hyperparameters of the model"),
    "experiment_tracking.metrics_logged": ("The loss is logged each step", "The loss is high"),
    "experiment_tracking.provenance_logged": ("The git commit hash is recorded", "git commit -m x"),
    "extensibility.registry": ("Register your own model", "register for the workshop"),
    "extensibility.entry_points": ("Plugins are found through entry points", "the entry point of the program"),
    "extensibility.hooks": ("Write custom callbacks", "a hook on the wall"),
    "internal_ci_test.tests": ("pytest tests/", "test accuracy is 90 %"),
    "internal_ci_test.lint_enforced": ("Format the code with black", "a black cat"),
    "internal_ci_test.types_enforced": ("mypy must pass", "types of data"),
    "internal_ci_test.coverage_measured": ("Test coverage is 90 %", "coverage of topics"),
    "logging_monitoring.log_to_file": ("Logs are written to out/run.log", "Logs of the past"),
    "logging_monitoring.system_metrics": ("GPU utilization is recorded", "GPU memory of 8 GB is needed"),
    "logging_monitoring.throughput": ("about 12k tokens/s", "a billion tokens"),
    "security_safety.sast": ("bandit is run", "multi-armed thieves"),
    "security_safety.secret_scanning": ("gitleaks looks for secrets", "the secret of success"),
    "security_safety.dependencies_locked": ("uv.lock pins them", "a locked door"),
    "security_safety.dependency_updates": ("Dependabot keeps them fresh", "update your packages"),
    "security_safety.security_policy": ("Report a vulnerability by mail", "report a bug"),
    "tokenization.vocabulary_training": ("Train your own tokenizer", "train the model"),
    "tokenization.special_tokens": ("special tokens are added", "a special offer"),
    "training_engine.gradient_accumulation": ("supports gradient accumulation", "accumulate points"),
    "training_engine.gradient_clipping": ("with gradient clipping", "a clipping from the news"),
    "training_engine.mixed_precision": ("Train in bf16: train with bf16", "quantized to fp16 weights on disk"),
    "training_engine.lr_schedule": ("a cosine learning rate schedule: cosine decay", "the learning rate is 0.1"),
    "training_engine.distributed": ("torchrun --nproc_per_node 8 train.py", "a distributed system"),
    "training_engine.all_rngs_seeded": ("python train.py --seed 1", "sow the seeds"),
    "training_engine.deterministic_mode": ("runs are bit-for-bit reproducible", "reproduce the results"),
    "training_engine.non_finite_guard": ("NaN losses: a NaN loss stops the run", "banana bread"),
}  # fmt: skip


def says(criterion: str, line: str) -> bool:
    signals = load_catalog().mentions[criterion]
    return any(re.search(signal.value or "", line) for signal in signals)


def test_every_expression_s_criterion_is_tried() -> None:
    assert set(LINES) == set(load_catalog().mentions)


@pytest.mark.parametrize("criterion", LINES)
def test_a_document_that_speaks_of_it(criterion: str) -> None:
    assert says(criterion, LINES[criterion][0])


@pytest.mark.parametrize("criterion", LINES)
def test_a_line_that_only_sounds_like_it(criterion: str) -> None:
    assert not says(criterion, LINES[criterion][1])


def test_a_mention_of_an_unknown_criterion_is_refused() -> None:
    catalog = load_catalog()
    mentions = {"tokenization.no_such": catalog.mentions["tokenization.special_tokens"]}
    broken = msgspec.structs.replace(catalog, mentions=mentions)
    with pytest.raises(CatalogError, match=r"mentions\.toml.*tokenization\.no_such"):
        check(broken)
