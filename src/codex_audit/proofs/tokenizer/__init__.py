"""The trial of a tokenizer: hard texts there and back, alone, in batches and in new processes."""
