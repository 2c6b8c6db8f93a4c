"""The auditor: gates, static scan, capability catalog and report."""

__version__ = "0.1.0"
