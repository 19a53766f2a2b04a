"""`predict --pictures FOLDER`: each image with what was said of it drawn on it."""

from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..errors import UsageError
from ..files import write_atomic
from ..image import decode, prepare
from ..runtime import Explainer, Prediction
from ..runtime.explain import view_box
from ..tasks import Task
from ..tasks.drawing import heated, scaled

__all__ = ["drawn", "new_folder", "save_picture"]


def new_folder(path: Path) -> Path:
    """`path`, made where it is not there; `UsageError` where something lies in it, which could be overwritten."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"--pictures {path}: the folder must be empty, or not be there yet")
    except OSError as exc:
        raise UsageError(f"--pictures {path}: cannot be made: {exc.strerror}") from exc
    return path


def drawn(
    predictions: Iterable[Prediction],
    sources: dict[str, bytes],
    task: Task,
    folder: Path,
    explainer: Explainer | None = None,
) -> Iterator[Prediction]:
    """The predictions as they come, each drawn as a JPEG named after its image; `sources`: of what is no file.

    With an `explainer` the first label's class activation map is laid over the image.
    """
    taken: Counter[str] = Counter()
    for prediction in predictions:
        if prediction.error is None:
            stem = Path(prediction.name).stem
            taken[stem] += 1
            number = f"-{taken[stem]}" if taken[stem] > 1 else ""
            image = decode(sources.get(prediction.name, Path(prediction.name)))
            if explainer is not None:
                image = explained(image, explainer, prediction.answer.top[0][0])
            save_picture(folder / f"{stem}{number}.jpg", task.draw(image, prediction.answer))
        yield prediction


def explained(image: Image.Image, explainer: Explainer, label: str) -> Image.Image:
    """Return the image under the map of the class `label`, and below it what the colours mean."""
    how = explainer.preprocess
    heat = explainer.maps(prepare(image, how)[None])[0, :, :, explainer.labels.index(label)]
    return scaled(heated(image, heat, view_box(image.width, image.height, how)), label)


def save_picture(path: Path, image: Image.Image) -> None:
    """Encode `image` by the ending of `path` and write it; `WorkError` where it cannot be written."""
    content = BytesIO()
    image.convert("RGB").save(content, Image.registered_extensions()[path.suffix.lower()], quality=90)
    write_atomic(path, content.getvalue())
