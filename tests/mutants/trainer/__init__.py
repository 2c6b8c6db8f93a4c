"""Trainers on trial: `plain` and other good ones, and mutants with one defect each."""
