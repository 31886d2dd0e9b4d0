"""What workers do with claimed work: validate files, run evaluations, score answers."""
