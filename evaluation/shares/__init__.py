"""How often each class occurs in a window, when single posts are misjudged now and then.

Fits the corrections that ship with the model (`fit`), holds the methods they are compared with
(`estimators`) and measures all of them over windows of any mix (`windows`). Numpy only. What reads
a window needs none of it: `core.quantification` has the one function.
"""
