"""What labels are worth, on the server: studies asked for, computed from stored embeddings, and read."""
