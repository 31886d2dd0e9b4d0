"""Boards: computed ahead of time as snapshots, read as rows, narrowed and sorted by a reader's view."""
