"""What stored answers say beyond a score. In: marks of models on one split; out: documents. Torch-free, no Django."""

ANALYSIS_VERSION = "1"
