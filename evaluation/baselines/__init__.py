"""What the post encoder has to beat: floors, the papers' own baselines, and other designs.

Owns how each is trained; `evaluation.encoder` measures them all alike. `linear`, `frozen` and
`centroid` need scikit-learn and no torch; `sequence`, `language_model` and what they import
need torch and transformers. It ignores the stream: none of this runs there.
"""
