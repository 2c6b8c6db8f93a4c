"""The reference kit: a small exemplary PyTorch training library."""
