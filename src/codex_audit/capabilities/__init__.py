"""The capability catalog: rules as data, and what answers them from facts."""
