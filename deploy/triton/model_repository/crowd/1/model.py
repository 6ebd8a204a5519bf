"""What Triton's python backend loads; everything is in `models.serving`."""

import os
import sys

# Triton's own Python looks at no PYTHONPATH; who starts it says where our packages are.
sys.path.append(os.environ.get("GROUNDSWELL_CODE", ""))

from models.serving.triton_crowd import TritonCrowdModel as TritonPythonModel

__all__ = ["TritonPythonModel"]
