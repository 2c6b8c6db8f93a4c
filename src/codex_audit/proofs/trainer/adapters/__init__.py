"""Kinds of trainers that can stand trial, one module each; see `choosing`."""
