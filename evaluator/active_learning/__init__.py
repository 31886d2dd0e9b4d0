"""Which images to label, and what their labels are worth: heads on frozen embeddings, starts, query strategies, curves.

After Gupte et al., TMLR 2024 (arXiv 2401.14555). `names`, `tasks` and `process` are torch-free; the rest runs on torch.
"""

ACTIVE_LEARNING_VERSION = "1"  # of heads, starts and strategies: a change of it makes stored results stale
