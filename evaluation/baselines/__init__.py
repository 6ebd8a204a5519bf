"""What the post encoder has to beat: floors, the papers' own baselines, and other designs.

Each gives probabilities of a test set, and `evaluation.encoder` measures them all alike. `linear`,
`frozen`, `centroid` and `neighbours` need scikit-learn and no torch; `sequence`, `language_model`
and what they import need torch and transformers. None of this runs in the stream.
"""
