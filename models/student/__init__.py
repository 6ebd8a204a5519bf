"""A student of the post encoder: a small convolutional network, a hundred times cheaper.

It reads the same word pieces, answers every head, and learned all of it from the encoder's answers.
Served beside the encoder in one model (`models.serving.cascade`): it answers when it is sure.
"""
