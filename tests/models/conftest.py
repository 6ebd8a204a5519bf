"""Which of these tests an environment can run, and what several of them share.

The model server and training have environments of their own. A file that needs a package which
is not here is not collected at all, so nothing is skipped: `make test` runs pytest in each.
"""

import importlib.util
from pathlib import Path

import pytest

_NEEDS = {
    "torch": (
        "test_lora.py",
        "test_assemble.py",
        "encoder/test_ablate.py",
        "encoder/test_crossvalidate.py",
        "encoder/test_distil.py",
        "encoder/test_heads.py",
        "encoder/test_model.py",
        "encoder/test_refit.py",
        "encoder/test_soft.py",
        "encoder/test_student.py",
        "encoder/test_teachers.py",
        "encoder/test_train.py",
        "baselines/test_heavy.py",
    ),
    "openvino": (
        "test_build.py",
        "test_parity.py",
        "test_bench_bare.py",
        "test_bench_model.py",
        "evaluation/test_built_model.py",
        "evaluation/test_frontier.py",
        "serving/test_batch_invariance.py",
        "serving/test_post_encoder.py",
        "scorers/test_openvino_scorer.py",
    ),
    "sklearn": ("baselines/test_linear.py",),
    "onnxruntime": ("test_assemble.py",),
    "tritonclient": ("scorers/test_triton.py",),
    "fasttext": ("serving/test_language.py",),
    "huggingface_hub": ("test_backbone_hub.py",),
}

collect_ignore = [
    file
    for package, files in _NEEDS.items()
    if importlib.util.find_spec(package) is None
    for file in files
]


@pytest.fixture(scope="session")
def built_repository() -> Path:
    """The project's model repository, built now if it is not up to date (server environment)."""
    from models.build import DEFAULT_OUTPUT, PROJECT_ROOT, build

    repository = PROJECT_ROOT / DEFAULT_OUTPUT
    build(repository)
    return repository
