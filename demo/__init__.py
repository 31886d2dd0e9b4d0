"""A benchmark and models to show the leaderboard with: drawn micrographs, and tiny models truly trained on them."""
