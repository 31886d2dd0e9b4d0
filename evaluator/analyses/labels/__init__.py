"""What labels are worth: label efficiency of encoders, comparisons of strategies. Torch-free."""
