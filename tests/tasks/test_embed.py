"""Embeddings: triplets against a loop, figures against scikit-learn's, identities and pairs, a whole small run."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from marked import NETWORK, RECIPE, make_identities, save
from PIL import Image
from sklearn.metrics import roc_auc_score
from torch.nn.functional import normalize

from mobilenets import evaluate, train
from mobilenets.cli import main
from mobilenets.data.split import split_by_group
from mobilenets.errors import DataError, UsageError, WorkError
from mobilenets.image import Preprocess, prepare
from mobilenets.tasks.embed import Embed
from mobilenets.tasks.verification import metrics
from mobilenets.tasks.verification.metrics import evaluate_embeddings, nearest, verification_auc
from mobilenets.tasks.verification.triplets import imitation_loss, photos_of_each, triplet_loss


def naive_triplet_loss(outputs: np.ndarray, identity: np.ndarray, margin: float) -> float:
    """FaceNet's semi-hard negatives, one triplet after the other."""
    x = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    far = ((x[:, None] - x[None]) ** 2).sum(2)
    total = 0.0
    for a in range(len(x)):
        positives = [p for p in range(len(x)) if p != a and identity[p] == identity[a]]
        others = [far[a, n] for n in range(len(x)) if identity[n] != identity[a]]
        if not positives or not others:
            continue
        losses = []
        for p in positives:
            beyond = [d for d in others if d > far[a, p]]
            losses.append(max(0.0, far[a, p] - (min(beyond) if beyond else max(others)) + margin))
        total += float(np.mean(losses))
    return total / len(x)


@given(st.integers(1, 14), st.integers(1, 5), st.integers(0, 10_000), st.sampled_from([0.05, 0.2, 1.0]))
@settings(max_examples=60)
def test_semi_hard_mining_is_the_loops(photos: int, identities: int, seed: int, margin: float) -> None:
    rng = np.random.default_rng(seed)
    outputs, identity = rng.normal(size=(photos, 6)), rng.integers(0, identities, photos)
    x = torch.from_numpy(outputs).requires_grad_()
    found = triplet_loss(margin)(x, torch.from_numpy(identity))
    assert found.item() == pytest.approx(naive_triplet_loss(outputs, identity, margin), abs=1e-9)
    found.backward()
    assert torch.isfinite(x.grad).all()  # type: ignore[union-attr,arg-type]


def test_the_squared_difference() -> None:
    generator = torch.Generator().manual_seed(0)
    x, taught = torch.randn(5, 4, generator=generator), normalize(torch.randn(5, 4, generator=generator))
    assert imitation_loss(taught * 3, taught) < 1e-12
    expected = np.mean([float(((normalize(a[None])[0] - b) ** 2).sum()) for a, b in zip(x, taught, strict=True)])
    assert imitation_loss(x, taught).item() == pytest.approx(expected)


def test_an_epoch_has_every_photo_and_photos_of_one_together() -> None:
    identities = np.array([0] * 7 + [1] * 4 + [2] * 2)
    order = photos_of_each(identities, 4)(np.random.default_rng(0))
    assert set(order.tolist()) == set(range(13))
    assert all(len(set(identities[order[at : at + 4]])) == 1 for at in range(0, len(order), 4))
    assert (order != photos_of_each(identities, 4)(np.random.default_rng(1))).any()


def test_verification_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    identities = rng.integers(0, 6, 40)
    centres = rng.normal(size=(6, 8))
    vectors = centres[identities] + rng.normal(size=(40, 8))
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    first, second = np.triu_indices(40, 1)
    same = identities[first] == identities[second]
    similarity = (vectors[first] * vectors[second]).sum(1)
    found = evaluate_embeddings(vectors, identities, [str(i) for i in range(40)])
    assert found.auc == pytest.approx(roc_auc_score(same, similarity), abs=1e-6)
    assert found.pairs == 780 and found.identities == 6
    limit = np.sort(similarity[~same])[::-1][int((~same).sum() * 0.1)]
    assert found.accepted["0.1"] == pytest.approx((similarity[same] > limit).mean(), abs=0.03)
    assert found.accepted["0.0001"] is None  # 700 pairs cannot tell
    cosines = vectors @ vectors.T - 2 * np.eye(40)
    right = [identities[np.argsort(-row)[:5]] == identities[i] for i, row in enumerate(cosines)]
    assert found.recall["5"] == pytest.approx(np.mean([r.any() for r in right]))
    assert found.recall["1"] == pytest.approx(np.mean([r[0] for r in right]))


def test_by_hand() -> None:
    vectors = np.float32([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]])
    assert verification_auc(vectors, np.array([0, 0, 1, 1])) == 0.75
    apart = np.float32([[1, 0], [1, 0], [0, 1], [0, 1]])
    assert verification_auc(apart, np.array([0, 0, 1, 1])) == 1
    positions, cosines = nearest(vectors, vectors[:1], 2)
    assert positions.tolist() == [[0, 1]] and np.allclose(cosines, [[1, 0.8]])


def test_many_pairs_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    identities = np.repeat(np.arange(30), 4)
    vectors = rng.normal(size=(120, 4)).astype(np.float32) + 2 * rng.normal(size=(30, 4)).astype(np.float32)[identities]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = verification_auc(vectors, identities)
    monkeypatch.setattr(metrics, "MOST_DIFFERENT", 3000)
    first, _, same = metrics.all_pairs(identities)
    assert same.sum() == 30 * 6 and len(first) <= 3180
    assert verification_auc(vectors, identities) == pytest.approx(exact, abs=0.02)


def test_what_cannot_be_judged() -> None:
    ones = np.ones((3, 2), np.float32)
    with pytest.raises(DataError, match="of the same identity"):
        evaluate_embeddings(ones, np.arange(3), ["a", "b", "c"])
    with pytest.raises(DataError, match="of different identities"):
        evaluate_embeddings(ones, np.zeros(3, int), ["a", "b", "c"])
    with pytest.raises(WorkError, match="b: its embedding must be finite"):
        evaluate_embeddings(np.float32([[1, 0], [np.nan, 0]]), np.zeros(2, int), ["a", "b"])


def test_identities_are_held_out_whole_and_by_their_names(tmp_path: Path) -> None:
    dataset = Embed().open(make_identities(tmp_path, 20, 2))
    found = {split: {sample.target for sample in samples} for split, samples in dataset.splits.items()}
    assert set(found) == {"train", "val", "test"}
    assert sum(map(len, found.values())) == len(set.union(*found.values())) == 20
    assert min(map(len, found.values())) >= 2
    parts = split_by_group([f"person{i}" for i in range(20)], 0.2)
    more = split_by_group([f"person{i}" for i in range(200)], 0.2)
    assert sum(a == b for a, b in zip(parts, more, strict=False)) >= 18  # others hardly move them
    assert 20 < more.count("val") < 60 and 20 < more.count("test") < 60


def test_strangers_must_be_strangers(tmp_path: Path) -> None:
    for split in ("train", "val"):
        make_identities(tmp_path / split, 3, 2)
    with pytest.raises(DataError, match=r"identity 'person0' is in val \(val/person0/0.png\) and in train"):
        Embed().open(tmp_path)
    for i in range(3):
        shutil.move(tmp_path / "val" / f"person{i}", tmp_path / "val" / f"other{i}")
        for file in (tmp_path / "val" / f"other{i}").iterdir():
            save(file, (i, 80 * i, 5), np.random.default_rng(10 * i + int(file.stem)))
    assert set(Embed().open(tmp_path).splits) == {"train", "val"}


def test_an_identity_with_one_photo_is_named(tmp_path: Path) -> None:
    make_identities(tmp_path, 8, 2)
    (tmp_path / "person3" / "1.png").unlink()
    with pytest.raises(DataError, match=r"identity 'person3' has one photo, person3/0\.png: at least 2"):
        Embed().open(tmp_path)


def test_too_few_identities(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="4 identities are too few to hold some out, at least 6"):
        Embed().open(make_identities(tmp_path, 4, 2))


def test_a_photo_is_seen_up_to_its_border(tmp_path: Path) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[:2] = pixels[-2:] = pixels[:, :2] = pixels[:, -2:] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    seen = prepare(tmp_path / "a.png", Embed().configure_preprocessing(Preprocess(32, 32)))
    assert np.array_equal(seen[:, :, 0] > 127, np.pad(np.zeros((30, 30), bool), 1, constant_values=True))


def lfw(folder: Path, text: str) -> Path:
    rng = np.random.default_rng(0)
    for name, colour in (("Ann_Lee", (200, 30, 30)), ("Bo", (30, 200, 30)), ("Cy", (30, 30, 200))):
        for photo in (1, 2):
            save(folder / name / f"{name}_{photo:04d}.jpg", colour, rng)
    (folder / "pairs.txt").write_text(text)
    return folder / "pairs.txt"


def test_lfws_pairs_as_published(tmp_path: Path) -> None:
    dataset = Embed().open(lfw(tmp_path, "1\t2\nAnn_Lee\t1\t2\nBo\t1\t2\nAnn_Lee\t1\tCy\t2\nBo\t2\tCy\t1\n"))
    samples = dataset.splits["all"]
    assert [sample.name for sample in samples[:2]] == ["Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee/Ann_Lee_0002.jpg"]
    targets = np.stack([sample.target for sample in samples])
    vectors = np.eye(3, dtype=np.float32)[targets[:, 0]]
    found = evaluate_embeddings(vectors, targets, [sample.name for sample in samples])
    assert found.auc == 1 and found.pairs == 4 and found.recall == {}
    lost = evaluate_embeddings(np.delete(vectors, 2, 0), np.delete(targets, 2, 0), ["x"] * 7)
    assert lost.pairs == 3  # one photo of the second pair could not be decoded


def test_tabs_or_blanks_part_a_pair_and_a_name_may_have_blanks_between_tabs(tmp_path: Path) -> None:
    path = lfw(tmp_path, "1\t2\nAnn_Lee\t1\t2\nBo\t1\tCy\t2\n")
    tabs = [(sample.name, sample.target.tolist()) for sample in Embed().open(path).splits["all"]]
    path.write_text("1 2\nAnn_Lee 1 2\n\nBo  1 Cy 2\n")
    assert [(sample.name, sample.target.tolist()) for sample in Embed().open(path).splits["all"]] == tabs
    for photo in (1, 2):
        save(tmp_path / "Dee Dee" / f"Dee Dee_{photo:04d}.jpg", (9, 9, 9), np.random.default_rng(photo))
    path.write_text("Dee Dee\t1\t2\nBo\t1\tDee Dee\t2\n")
    names = [sample.name for sample in Embed().open(path).splits["all"]]
    assert names == [f"Dee Dee/Dee Dee_{i:04d}.jpg" for i in (1, 2)] + ["Bo/Bo_0001.jpg", "Dee Dee/Dee Dee_0002.jpg"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("Ann_Lee\t1\n", "line 2 .* must be NAME N N or NAME N NAME N"),
        ("Ann_Lee\tone\t2\n", "line 2 .* must be NAME"),
        ("Ann_Lee\t1\t7\n", "line 2: photo Ann_Lee/Ann_Lee_0007"),
        ("", "has no pair"),
    ],
)
def test_malformed_pairs_are_named(tmp_path: Path, line: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        Embed().open(lfw(tmp_path, "10\t300\n" + line))


@pytest.mark.parametrize("values", [{"dimensions": 1}, {"margin": 0}, {"photos": 1}])
def test_settings_have_bounds(values: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="must be from"):
        Embed(**values)


def test_a_run_learns_and_tells_strangers_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_identities(tmp_path / "data")
    trained = train(data, NETWORK, RECIPE, task=Embed(dimensions=16), project=tmp_path)
    assert trained.model.network.output == "l2_normalise" and len(trained.model.labels) == 16
    assert trained.evaluated.split == "test" and trained.evaluated.evaluation.score > 0.8
    assert "Nearest neighbours" in trained.report.read_text()
    again = evaluate(trained.run, data)
    assert again.evaluation.to_dict() == trained.evaluated.evaluation.to_dict()
    assert main(["predict", str(trained.run), str(data / "person0" / "0.png"), "--json"]) == 0
    (prediction,) = json.loads(capsys.readouterr().out)["predictions"]
    assert np.linalg.norm(prediction["embedding"]) == pytest.approx(1, abs=1e-5)
    pairs = lfw(tmp_path / "lfw", "Ann_Lee\t1\t2\nBo\t1\t2\nAnn_Lee\t1\tCy\t2\nBo\t2\tCy\t1\n")
    judged = evaluate(trained.run, pairs)
    assert judged.split == "all" and judged.evaluation.to_dict()["pairs"] == 4


def test_orl_faces(shared_data: Path) -> None:
    dataset = Embed().open(shared_data / "orl-faces")
    sizes = {split: len(samples) for split, samples in dataset.splits.items()}
    assert sizes == {"train": 280, "val": 40, "test": 80}
