"""What Triton's python backend loads; everything is in `models.serving`."""

from models.serving.triton_model import TritonPythonModel

__all__ = ["TritonPythonModel"]
