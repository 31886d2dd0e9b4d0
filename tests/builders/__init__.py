"""Small real inputs that tests build for themselves."""
