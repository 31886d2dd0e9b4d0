"""Which images to label, and what their labels are worth: heads on frozen embeddings, starts, query strategies, curves.

After Gupte et al., TMLR 2024 (arXiv 2401.14555). What the server imports is torch-free: `names`, `tasks`,
`experiments.metrics` and, but for `study`, `studies`.
"""

ACTIVE_LEARNING_VERSION = "1"  # of heads, starts and strategies: a change of it makes stored results stale
