"""What the shipped model is worth: figures on official test splits, beside floors. No torch.

Owns what is measured and how, and takes probabilities from anything that scores posts. It
ignores how they came about, and chooses nothing: what is tuned is tuned on validation splits,
elsewhere. `ablate` and `crossvalidate` train what they compare, and need torch.
"""
