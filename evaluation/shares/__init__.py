"""How often each class occurs in a window, when single posts are misjudged now and then.

Owns how the corrections that ship with the model are fitted (`fit`), the methods that they are
compared with (`estimators`) and windows of any mix to measure all of them on (`windows`). Numpy
only. It ignores where a window comes from: what reads one needs `core.quantification` alone.
"""
