"""What runs inside the model server: text in, calibrated probabilities out.

Never imports torch, a broker or a store. The model repository's `model.py` only calls this.
"""
