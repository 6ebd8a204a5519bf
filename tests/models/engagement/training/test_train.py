"""What torch trains is what numpy serves, and a network learns what can be known."""

from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

from core.errors import ConfigError
from models.engagement.answer import quantiles_of
from models.engagement.features import BASES, FEATURES
from models.engagement.layout import LEVELS
from models.engagement.network import Perceptron, Transformer
from models.engagement.training.boosted import BoostedTrees
from models.engagement.training.columns import TrainingColumns
from models.engagement.training.compare import cells_of, main, skill_interval
from models.engagement.training.fit import Scale, fit, loss_of, predicted, residual_quantiles
from models.engagement.training.networks import shrunk
from models.engagement.training.variants import VARIANTS, Variant, variant_of
from testkit.scorers.untrained import posts

pytestmark = pytest.mark.train
SMALL = Variant(network="mlp", widths=(16,), epochs=20, batch=64, dropout=0.0, learning_rate=0.01)


def columns(number: int = 600) -> TrainingColumns:
    """Posts of which the likes are the base and twice a feature, with noise."""
    features, sequence = posts(number)
    features[:, list(BASES)] = np.abs(np.nan_to_num(features[:, list(BASES)])) + 6
    bases = features[:, list(BASES)]
    told = np.nan_to_num(features[:, FEATURES.index("shape_links")]).clip(-3, 3) / 2
    noise = np.random.default_rng(1).normal(0, 0.2, (number, 3))
    outcomes = (bases + told[:, None] + noise).astype(np.float32)
    outcomes[::5, 1] = np.nan
    return TrainingColumns(features, sequence, bases, outcomes, np.ones(number, np.float32))


def error_of(quantiles: np.ndarray, made: TrainingColumns) -> float:
    return float(np.nanmean(np.abs(quantiles[:, 0, LEVELS.index(0.5)] - made.outcomes[:, 0])))


@pytest.mark.parametrize("network", ["mlp", "transformer"])
def test_numpy_serves_what_torch_has_trained(network: str) -> None:
    made = columns(200)
    width = (16, 8) if network == "mlp" else (16,)
    variant = msgspec.structs.replace(
        SMALL, network=network, widths=width, layers=2, epochs=1, members=2, shrink=0.5
    )
    trained, scale = fit(made, variant)
    tensors = shrunk(trained.tensors(), variant.shrink)
    served = Perceptron(tensors) if network == "mlp" else Transformer(tensors, variant.heads)
    numbers = served.run(made.features, made.sequence)
    found = quantiles_of(numbers, made.features)
    np.testing.assert_allclose(found, predicted(trained, scale, made), atol=0.02)


@pytest.mark.parametrize("network", ["mlp", "transformer"])
def test_shrunk_network_is_nearer_to_the_base_and_as_wide(network: str) -> None:
    made = columns(50)
    width = (16, 8) if network == "mlp" else (16,)
    variant = msgspec.structs.replace(SMALL, network=network, widths=width, epochs=1)
    tensors = fit(made, variant)[0].tensors()
    kind = Perceptron if network == "mlp" else lambda found: Transformer(found, variant.heads)
    before, after = (
        quantiles_of(kind(each).run(made.features, made.sequence), made.features)
        for each in (tensors, shrunk(tensors, 0.5))
    )
    bases = made.bases[:, :, None]
    np.testing.assert_allclose((after - bases)[..., 2], (before - bases)[..., 2] / 2, atol=2e-3)
    np.testing.assert_allclose(np.ptp(after, axis=2), np.ptp(before, axis=2), atol=2e-3)


@pytest.mark.parametrize("network", ["mlp", "gru", "transformer"])
def test_network_learns_what_can_be_known(network: str) -> None:
    made = columns()
    variant = msgspec.structs.replace(SMALL, network=network, epochs=12)
    trained, scale = fit(made, variant)
    flat = float(np.abs(made.outcomes - made.bases)[:, 0].mean())
    assert error_of(predicted(trained, scale, made), made) < 0.75 * flat


@pytest.mark.parametrize("loss", ["mae", "mse", "huber", "quantile"])
@pytest.mark.parametrize("scaling", ["author", "log", "robust"])
def test_each_loss_and_scaling_gives_quantiles_of_logs(loss: str, scaling: str) -> None:
    made = columns(300)
    variant = msgspec.structs.replace(SMALL, loss=loss, scaling=scaling, epochs=8)
    trained, scale = fit(made, variant)
    found = predicted(trained, scale, made)
    assert (np.diff(found, axis=2) >= 0).all()
    assert abs(np.median(found[:, 0, 2]) - np.median(made.outcomes[:, 0])) < 3


def test_steps_leave_the_point_to_its_own_loss() -> None:
    numbers = torch.zeros(1, 4, 15, requires_grad=True)
    wanted, weights = torch.full((4, 3), 5.0), torch.ones(4)
    for loss, expected in (("mse", -5.0), ("mae", -1.0), ("huber", -1.0)):
        (gradient,) = torch.autograd.grad(
            loss_of(residual_quantiles(numbers), wanted, weights, loss), numbers
        )
        of_point = gradient.unflatten(-1, (3, 5))[0, :, 0, 0].sum() * (1.75 / 1.0)
        assert float(of_point) == pytest.approx(expected, rel=1e-5)


def test_unknown_outcome_teaches_nothing() -> None:
    numbers = torch.zeros(1, 2, 15, requires_grad=True)
    wanted = torch.tensor([[1.0, float("nan"), 1.0], [float("nan")] * 3])
    loss = loss_of(residual_quantiles(numbers), wanted, torch.ones(2), "quantile")
    loss.backward()
    gradient = numbers.grad.unflatten(-1, (3, 5))[0]
    assert gradient[0, 0].abs().sum() > 0
    assert gradient[0, 1].abs().sum() == gradient[1].abs().sum() == 0


@pytest.mark.parametrize("scaling", ["author", "log", "robust"])
def test_scaled_outcomes_come_back(scaling: str) -> None:
    made = columns(50)
    scale = Scale.of(made, msgspec.structs.replace(SMALL, scaling=scaling))
    outcomes, bases = torch.from_numpy(made.outcomes), torch.from_numpy(made.bases)
    scaled = (outcomes[..., None] - scale.offset(bases)) / scale.width
    back = scaled * scale.width + scale.offset(bases)
    np.testing.assert_allclose(back[..., 0], outcomes, atol=1e-5)


def test_trees_learn_it_too_and_have_an_interval() -> None:
    made = columns()
    found = BoostedTrees(made, Variant(network="trees", trees=30)).predicted(made)
    flat = float(np.abs(made.outcomes - made.bases)[:, 0].mean())
    assert error_of(found, made) < 0.9 * flat
    assert (np.diff(found[:, 0], axis=1) >= 0).all()


def test_every_variant_that_is_shipped_can_be_read() -> None:
    names = [path.stem for path in VARIANTS.glob("*.json")]
    assert {"mlp", "gru", "transformer", "trees", "shipped"} <= set(names)
    assert all(variant_of(name).network for name in names)
    with pytest.raises(ConfigError, match="expected one of"):
        variant_of("perceptron")


def test_variant_with_an_unknown_setting_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.json"
    file.write_text('{"network": "mlp", "epoch": 3}')
    with pytest.raises(ConfigError, match="epoch"):
        variant_of(str(file))
    with pytest.raises(ConfigError, match="mea"):
        cells_of("mlp", "mea", "author", ("musk",))


def test_trees_without_a_huber_loss_are_left_out() -> None:
    found = cells_of("mlp,trees", "mae,huber", "author,log", ("musk", "brand"))
    assert [cell.name for cell in found] == [
        "mlp-mae-author-musk+brand", "mlp-mae-log-musk+brand", "mlp-huber-author-musk+brand",
        "mlp-huber-log-musk+brand", "trees-mae-author-musk+brand", "trees-mae-log-musk+brand",
    ]  # fmt: skip


def test_interval_of_a_skill_is_wider_where_groups_differ() -> None:
    chance = np.random.default_rng(0)
    floor = np.ones(2_000)
    by = np.repeat(np.arange(20), 100)
    alike = skill_interval(floor - 0.1 + chance.normal(0, 0.1, 2_000), floor, by)
    apart = skill_interval(floor - 0.1 + chance.normal(0, 0.1, 20)[by], floor, by)
    assert alike[0] < 0.1 < alike[1]
    assert apart[1] - apart[0] > 3 * (alike[1] - alike[0])


def test_comparison_keeps_finished_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from models.engagement.training import compare
    from models.engagement.training.dataset import examples
    from models.engagement.training.sets import read_set
    from testkit.scorers.untrained import write_set

    write_set(tmp_path, "musk")
    read = examples(read_set(tmp_path, "musk"))
    monkeypatch.setattr(compare, "load_sets", lambda data, names: {"musk": read})
    out = tmp_path / "out"
    asked = {"variants": "mlp,gru", "losses": "mae", "scalings": "author", "sets": "musk"}
    main(tmp_path, out, **asked, rows=100)
    table = (out / "table.md").read_text()
    assert table.count("| musk | musk |") == 2
    kept = {path: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert len(kept) == 2
    main(tmp_path, out, **asked | {"scalings": "author,log"}, rows=100)
    assert len(list(out.glob("*.json"))) == 4
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())
    assert "cell 1 of 2 (4 in all)" in capsys.readouterr().err
    main(tmp_path, out, **asked, rows=90)
    assert "cell 1 of 2 (2 in all)" in capsys.readouterr().err  # of other settings they are others


def test_only_what_can_be_served_is_packed(tmp_path: Path) -> None:
    from models.engagement.training.dataset import examples
    from models.engagement.training.sets import read_set
    from models.engagement.training.train import train
    from models.serving.engagement import open_engagement
    from testkit.scorers.untrained import write_set

    write_set(tmp_path, "made")
    found = {"made": examples(read_set(tmp_path, "made"))}
    with pytest.raises(ConfigError, match="served"):
        train(found, msgspec.structs.replace(SMALL, network="gru"), tmp_path / "weights")
    for network in ("mlp", "transformer"):
        variant = msgspec.structs.replace(SMALL, network=network, epochs=1)
        record = train(found, variant, tmp_path / network)
        service = open_engagement(tmp_path / network, is_built=False)
        assert service.version == record["version"]
        assert record["figures"]["made"]["posts"] > 0
        assert (tmp_path / network / "training.json").is_file()
