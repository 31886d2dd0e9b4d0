"""Pages of labels: the efficiency of encoders, strategies compared."""
