"""Images as models take them: decoded and cropped once, kept as files that many models share. Torch-free."""
