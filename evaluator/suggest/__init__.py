"""Which images to label next, for one's own images: folder, pixels, labels, reasons in words, contact sheet.

`read`, `normalise`, `tiff`, `folder` turn files into pixels by stated rules; `embed` is the one module that needs
torch. What is chosen is decided in evaluator.active_learning.suggesting.suggest.
"""
