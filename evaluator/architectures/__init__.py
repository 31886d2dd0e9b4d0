"""Which models there are, and what each wants: a built-in list, organisers' folders. Torch-free, but for freeze.py."""
