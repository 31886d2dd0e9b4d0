"""A person's own images: found, read, developed to what encoders take."""
