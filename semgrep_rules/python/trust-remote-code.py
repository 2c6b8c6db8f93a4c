import torch
from datasets import load_dataset
from transformers import AutoModelForCausalLM, AutoTokenizer


def bad(name):
    # ruleid: trust-remote-code
    AutoModelForCausalLM.from_pretrained(name, trust_remote_code=True)
    # ruleid: trust-remote-code
    AutoTokenizer.from_pretrained(name, revision="main", trust_remote_code=True)
    # ruleid: trust-remote-code
    torch.hub.load("owner/name", "model", trust_repo=True)
    # ruleid: trust-remote-code
    return load_dataset(name, trust_remote_code=True)


def good(name, trust):
    # ok: trust-remote-code
    AutoModelForCausalLM.from_pretrained(name)
    # ok: trust-remote-code
    AutoTokenizer.from_pretrained(name, trust_remote_code=False)
    # ok: trust-remote-code
    AutoModelForCausalLM.from_pretrained(
        name, revision="0123456789abcdef0123456789abcdef01234567", trust_remote_code=True
    )
    # ok: trust-remote-code
    return load_dataset(name, trust_remote_code=trust)
