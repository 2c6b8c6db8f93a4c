import torch
import torch as t
from torch import load


def bad(path, device):
    # ruleid: torch-load-without-weights-only
    torch.load(path)
    # ruleid: torch-load-without-weights-only
    t.load(path, map_location=device)
    # ruleid: torch-load-without-weights-only
    load(path)
    # ruleid: torch-load-without-weights-only
    return torch.load(path, weights_only=False, map_location="cpu")


def good(path, device, options, strict):
    # ok: torch-load-without-weights-only
    torch.load(path, weights_only=True)
    # ok: torch-load-without-weights-only
    torch.load(path, map_location=device, weights_only=strict)
    # ok: torch-load-without-weights-only
    torch.load(path, **options)
    # ok: torch-load-without-weights-only
    torch.jit.load(path)
    # ok: torch-load-without-weights-only
    return options.load(path)
