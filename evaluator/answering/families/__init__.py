"""How each family of models answers."""
