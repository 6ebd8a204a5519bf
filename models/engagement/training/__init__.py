"""Data, training and comparison of engagement models; nothing here is imported by what serves them.

torch and scikit-learn are imported here alone.
"""
