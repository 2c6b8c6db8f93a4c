"""From files to facts: which files, what they say, and what they add up to."""
