"""How a model answers the questions of a split. Sees images, questions and weights; never a key."""
