"""One thread of torch: a tiny network gains nothing by more, and busy cores lose much."""

import importlib.util

if importlib.util.find_spec("torch") is not None:
    import torch

    torch.set_num_threads(1)
