"""What the shipped model is worth: figures on official test splits, beside floors. No torch.

Knows what is to be measured and how, and takes probabilities from anything that scores posts.
Nothing is chosen here: what is tuned is tuned on validation splits, elsewhere.
"""
