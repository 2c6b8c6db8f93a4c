"""Trials of trainers and tokenizers, in processes of their own; only those import torch."""
