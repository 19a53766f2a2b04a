"""Pictures of predictions: each image with its answer drawn on it."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path

from PIL import Image

from ..errors import UsageError
from ..files import write_atomic
from ..image import Source, decode, prepare
from ..runtime import Explainer, PredictedImage
from ..runtime.explain import view_box
from ..tasks import Task
from ..tasks.drawing import heated, scaled

__all__ = ["draw_each", "keep", "new_folder", "save_picture"]


def new_folder(path: Path) -> Path:
    """Make the folder `path`; `UsageError` where it holds files, which could be overwritten."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise UsageError(f"pictures (={path}): the folder must be empty, or not be there yet")
    except OSError as exc:
        raise UsageError(f"pictures (={path}): cannot be made: {exc.strerror}") from exc
    return path


def keep(sources: Iterable[tuple[str, Source]], at_hand: dict[str, Source]) -> Iterator[tuple[str, Source]]:
    """Yield the sources; those that are no files are put into `at_hand` by name, from where `draw_each` takes them."""
    for name, source in sources:
        if not isinstance(source, Path):
            at_hand[name] = source
        yield name, source


def draw_each(
    predictions: Iterable[PredictedImage],
    at_hand: dict[str, Source],
    task: Task,
    folder: Path,
    explainer: Explainer | None = None,
) -> Iterator[PredictedImage]:
    """Yield the predictions, each drawn in a JPEG named after its image; frame 3 of clip.mp4 is clip-3.jpg.

    With an `explainer` the first label's class activation map is laid over the image.
    """
    taken: Counter[str] = Counter()
    for predicted in predictions:
        source = at_hand.pop(predicted.name, Path(predicted.name))
        if predicted.error is None:
            stem = Path(re.sub(r"(\.\w+)?#(\d+)$", r"-\2\1", predicted.name)).stem
            taken[stem] += 1
            number = f"-{taken[stem]}" if taken[stem] > 1 else ""
            image = decode(source)
            if explainer is not None:
                image = explained(image, explainer, predicted.prediction.top[0][0])
            save_picture(folder / f"{stem}{number}.jpg", task.draw(image, predicted.prediction))
        yield predicted


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
