"""From a static audit and outcomes to the status document, in every format."""
