"""Pages of fine-tunes: bases, what they forgot, merges."""
