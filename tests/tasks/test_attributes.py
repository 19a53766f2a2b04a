"""Attributes: what is read, what is refused, the loss and the figures against others', a whole small run."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from marked import NAMES, NETWORK, RECIPE, make_marked, save
from sklearn.metrics import accuracy_score, average_precision_score
from torch.nn.functional import binary_cross_entropy_with_logits

from mobilenets import evaluate, predict, train
from mobilenets.cli import main
from mobilenets.errors import DataError, UsageError, WorkError
from mobilenets.tasks.attributes import Attributes, known_cross_entropy
from mobilenets.tasks.multilabel import average_precisions, evaluate_attributes

CELEBA = "2\nBald Smiling\n000001.jpg -1  1\n000002.jpg  1 -1\n"


def table(folder: Path, text: str, name: str = "a.csv", images: tuple[str, ...] = ("1.png", "2.png")) -> Path:
    for i, image in enumerate(images):
        save(folder / image, (40 * i, 0, 0), np.random.default_rng(i))
    (folder / name).write_text(text)
    return folder / name


def test_missing_values_are_not_known(tmp_path: Path) -> None:
    path = table(tmp_path, "path,hat,split,bag\n1.png,1,train,\n2.png,0,val,1\n")
    dataset = Attributes().open(path)
    assert dataset.labels == ("hat", "bag")
    np.testing.assert_array_equal(dataset.splits["train"][0].target, np.float32([1, np.nan]))
    np.testing.assert_array_equal(dataset.splits["val"][0].target, np.float32([0, 1]))
    assert any("same value of hat, bag" in note for note in dataset.notes)


def test_celeba_as_published(tmp_path: Path) -> None:
    (tmp_path / "Eval").mkdir()
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 2\n")
    images = ("../Img/img_align_celeba/000001.jpg", "../Img/img_align_celeba/000002.jpg")
    (tmp_path / "Anno").mkdir()
    table(tmp_path / "Anno", CELEBA, "list_attr_celeba.txt", images)
    dataset = Attributes().open(tmp_path, None)
    assert dataset.labels == ("Bald", "Smiling")
    assert [sample.target.tolist() for sample in dataset.splits["all"]] == [[0, 1], [1, 0]]
    with pytest.raises(DataError, match=r"no train split|no image|can be held out"):
        (tmp_path / "Eval" / "list_eval_partition.txt").write_text("000001.jpg 1\n000002.jpg 2\n")
        Attributes().open(tmp_path)


def test_celebas_partition_is_train_val_and_test(tmp_path: Path) -> None:
    images = tuple(f"{number:06}.jpg" for number in range(1, 7))
    marks = "".join(f"{image} {1 if at % 2 else -1}\n" for at, image in enumerate(images))
    path = table(tmp_path, f"6\nBald\n{marks}", "list_attr_celeba.txt", images)
    parts = "".join(f"{image} {at // 2}\n" for at, image in enumerate(images))
    (tmp_path / "list_eval_partition.txt").write_text(parts)
    found = {split: [sample.name for sample in samples] for split, samples in Attributes().open(path).splits.items()}
    assert found == {"train": [*images[:2]], "val": [*images[2:4]], "test": [*images[4:]]}


@pytest.mark.parametrize("low, high, logits", [(0.0, 1.0, False), (-0.1, 1.0, True), (0.0, 1.1, True), (-9, 9, True)])
def test_a_teachers_numbers_outside_0_to_1_are_logits(low: float, high: float, logits: bool, tmp_path: Path) -> None:
    dataset = Attributes().open(table(tmp_path, "path,hat,bag\n1.png,1,0\n2.png,0,1\n"), None)
    said = np.float32([[low, 0.5], [0.25, high]])
    found = Attributes(teacher=tmp_path / "any.onnx").teacher_targets(said, None, dataset)
    np.testing.assert_allclose(found, torch.from_numpy(said).sigmoid() if logits else said, rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,hat\n1.png,2\n2.png,1\n", r"a\.csv: line 2, column hat: '2' must be 0, 1, or empty"),
        ("path,hat\n1.png,yes\n2.png,1\n", "line 2, column hat: 'yes'"),
        ("path,hat\n1.png,-1\n2.png,0\n", "line 2, column hat: '-1' must be 0, because the file uses 0 and 1"),
        ("path,hat\n1.png,1\n9.png,0\n", "line 3: image '9.png' does not exist"),
        ("path,hat\n9.png,1\n", "line 2: image '9.png' is neither next to"),
        ("path,hat\n\n9.png,1\n1.png,0\n", "line 3: image '9.png' is neither next to"),
        ("path,hat\n1.png,1\n1.png,0\n", "line 3 repeats '1.png' of line 2"),
        ("path,hat\n1.png\n", "line 2 has 1 of 2 columns"),
        ("path,hat,hat\n1.png,1,1\n", "two columns are named 'hat'"),
        ("path,hat,\n1.png,1,1\n", "has no name"),
        ("path,split\n1.png,train\n", "no attribute column"),
        ("path,hat,split\n1.png,1,later\n", "line 2: split"),
        ("hat,bag\n1,1\n", "first line must be path,ATTRIBUTE"),
        ("path,hat\n", "no row below the header"),
        ("", "begins with nothing"),
        ('path,hat\n"1.png,1\n', "is not CSV"),
        ("path,hat\n1.png,\n2.png,\n", None),
    ],
)
def test_a_malformed_table_is_named(tmp_path: Path, text: str, said: str | None) -> None:
    path = table(tmp_path, text)
    if said is None:
        Attributes().open(path)
        return
    with pytest.raises(DataError, match=said) as caught:
        Attributes().open(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (CELEBA.replace("2\n", "3\n", 1), "line 1 states 3 images, the file lists 2"),
        (CELEBA.replace("-1  1", "-1"), "line 3 has 2 of 3 columns"),
        (CELEBA.replace("-1  1", "-1  7"), "line 3, column Smiling: '7'"),
        ("nothing\n", "line 1 must be the number of images"),
    ],
)
def test_a_malformed_celeba_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = table(tmp_path, text, "list_attr_celeba.txt", ("000001.jpg", "000002.jpg"))
    with pytest.raises(DataError, match=said):
        Attributes().open(path)


def test_a_partition_without_an_image_is_named(tmp_path: Path) -> None:
    path = table(tmp_path, CELEBA, "list_attr_celeba.txt", ("000001.jpg", "000002.jpg"))
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 0\n")
    with pytest.raises(DataError, match=r"line 4: list_eval_partition.txt does not list 000002.jpg"):
        Attributes().open(path)
    (tmp_path / "list_eval_partition.txt").write_text("000001.jpg 5\n")
    with pytest.raises(DataError, match=r"line 1 .* must be an image and 0, 1 or 2"):
        Attributes().open(path)


def test_a_folder_of_two_tables_or_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="it holds none"):
        Attributes().open(tmp_path)
    table(tmp_path, "path,hat\n1.png,1\n"), table(tmp_path, "path,hat\n1.png,1\n", "b.csv")
    with pytest.raises(DataError, match=r"it holds a.csv, b.csv"):
        Attributes().open(tmp_path)


def test_the_loss_is_torchs_over_what_is_known() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, target = torch.randn(8, 5, generator=generator), torch.rand(8, 5, generator=generator).round()
    torch.testing.assert_close(known_cross_entropy(logits, target), binary_cross_entropy_with_logits(logits, target))
    known = torch.rand(8, 5, generator=generator) > 0.3
    gappy = target.where(known, torch.tensor(torch.nan)).requires_grad_(False)
    summed = binary_cross_entropy_with_logits(logits[known], target[known], reduction="sum")
    torch.testing.assert_close(known_cross_entropy(logits, gappy), summed / 40)
    parts = known_cross_entropy(logits[:3], gappy[:3]) * 3 / 8 + known_cross_entropy(logits[3:], gappy[3:]) * 5 / 8
    torch.testing.assert_close(parts, known_cross_entropy(logits, gappy))
    assert known_cross_entropy(logits, torch.full((8, 5), torch.nan)) == 0


def test_average_precision_is_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, (50, 4)).astype(np.float32)
    probabilities = rng.random((50, 4)).astype(np.float32)
    truth[:10, 1], truth[:, 3] = np.nan, 0
    found = average_precisions(probabilities, truth)
    assert found[0] == average_precision_score(truth[:, 0], probabilities[:, 0])
    assert found[1] == average_precision_score(truth[10:, 1], probabilities[10:, 1])
    assert np.isnan(found[3])
    scores = evaluate_attributes(probabilities, truth, "abcd", [str(i) for i in range(50)])
    assert scores.mean_ap == pytest.approx(np.nanmean(found)) and scores.without == ("d",)
    assert "of 3 attributes (no image has d)" in scores.headline()
    assert scores.per_attribute[1].images == 40 and scores.per_attribute[3].ap is None


def test_accuracy_is_over_what_is_known() -> None:
    rng = np.random.default_rng(0)
    truth, probabilities = rng.integers(0, 2, (40, 3)).astype(np.float32), rng.random((40, 3)).astype(np.float32)
    probabilities[0] = 0.5  # says yes
    truth[rng.random((40, 3)) < 0.4] = np.nan
    known = ~np.isnan(truth)
    scores = evaluate_attributes(probabilities, truth, "abc", [str(i) for i in range(40)])
    assert scores.accuracy == accuracy_score(truth[known], probabilities[known] >= 0.5)
    assert [one.images for one in scores.per_attribute] == known.sum(axis=0).tolist()
    assert [one.positives for one in scores.per_attribute] == np.nansum(truth, axis=0).tolist()


def test_mistakes_are_the_surest_wrong_answers_to_what_is_known() -> None:
    truth = np.float32([[1, 0], [np.nan, 0], [0, 1], [0, np.nan]])
    probabilities = np.float32([[0.2, 0.9], [0.99, 0.5], [0.6, 0.3], [0.1, 0.01]])
    found = evaluate_attributes(probabilities, truth, ("hat", "bag"), tuple("wxyz")).errors
    said = [(one.name, one.index, one.label, one.truth, round(one.probability, 5)) for one in found]
    assert said == [
        ("w", 0, "bag", False, 0.9),
        ("w", 0, "hat", True, 0.2),
        ("y", 2, "bag", True, 0.3),
        ("y", 2, "hat", False, 0.6),
    ]


def test_by_hand() -> None:
    truth = np.float32([[1], [0], [1]])
    scores = evaluate_attributes(np.float32([[0.9], [0.8], [0.7]]), truth, ["hat"], ["x", "y", "z"])
    assert scores.mean_ap == pytest.approx((1 + 2 / 3) / 2) and scores.accuracy == pytest.approx(2 / 3)
    assert [(one.name, one.truth) for one in scores.errors] == [("y", False)]


def test_what_cannot_be_scored() -> None:
    one = np.ones((1, 1), np.float32)
    with pytest.raises(WorkError, match="from 0 to 1"):
        evaluate_attributes(one * 2, one, ["a"], ["x"])
    with pytest.raises(DataError, match="average precision is undefined"):
        evaluate_attributes(one, one * 0, ["a"], ["x"])
    with pytest.raises(DataError, match="no images"):
        evaluate_attributes(one[:0], one[:0], ["a"], [])


def test_a_run_learns_and_answers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = make_marked(tmp_path / "data", missing=True)
    trained = train(data, NETWORK, RECIPE, task=Attributes(), project=tmp_path)
    assert trained.model.network.output == "sigmoid" and trained.model.labels == NAMES
    assert trained.evaluated.evaluation.score > 0.8
    page = trained.report.read_text()
    assert "Attributes" in page and "mean AP" in page
    again = evaluate(trained.run, data)
    assert again.evaluation.to_dict() == trained.evaluated.evaluation.to_dict()
    (answer,) = predict(trained.run, [data / "images" / "0.png"])
    assert set(answer.prediction.to_dict()["attributes"]) == set(NAMES)
    assert main(["evaluate", str(trained.run), str(data), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["per_attribute"]) == 3
    assert main(["predict", str(trained.run), str(data / "images" / "1.png"), "--csv"]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "image,attribute,probability,error"


def test_data_in_another_order_and_with_fewer_attributes(tmp_path: Path) -> None:
    dataset = Attributes().open(table(tmp_path, "path,hat,bag\n1.png,1,0\n2.png,0,1\n"), None)
    moved = Attributes().align_labels(dataset, ("bag", "coat", "hat"), {})
    np.testing.assert_array_equal(moved.splits["all"][0].target, np.float32([0, np.nan, 1]))
    with pytest.raises(DataError, match="the model does not have the attributes hat"):
        Attributes().align_labels(dataset, ("bag",), {})


@pytest.mark.parametrize("wish", [{"smoothing": 0.1}, {"balance": "sample"}])
def test_what_it_cannot_follow_is_refused(tmp_path: Path, wish: dict[str, object]) -> None:
    from dataclasses import replace

    data = make_marked(tmp_path / "data", 24)
    with pytest.raises(UsageError, match="with the task attributes"):
        train(data, NETWORK, replace(RECIPE, **wish), task=Attributes(), project=tmp_path)


def test_clothing_attributes(shared_data: Path) -> None:
    dataset = Attributes().open(shared_data / "clothing-attributes")
    assert len(dataset.labels) == 39 and sum(map(len, dataset.splits.values())) == 2098
    assert any("two labels" in note for note in dataset.notes)
