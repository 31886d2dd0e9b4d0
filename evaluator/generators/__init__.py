"""Models that answer by writing. In: images and prompts; out: replies, or how likely each letter is as the reply."""
