"""`mobilenets import`: a network that another program trained."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..costs import cost
from ..files import check_output
from .cost import NetworkCosts

if TYPE_CHECKING:
    from ..weights import Given, Imported

__all__ = ["ImportedFile", "import_model"]


@dataclass(frozen=True, slots=True, repr=False)
class ImportedFile:
    """The model that `import_model` wrote, and what is known of it."""

    path: Path
    imported: "Imported"

    def __repr__(self) -> str:
        return f"ImportedFile({str(self.path)!r}, {self.imported.model!r})"

    def __str__(self) -> str:
        facts = "\n".join(f"{fact.name}: {fact.value} ({fact.source})" for fact in self.imported.facts)
        return f"{self.path}\n{facts}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON of `mobilenets import`, whose keys docs/json.md lists."""
        model = self.imported.model
        return {
            "model": str(self.path),
            "weights_sha256": model.digest(),
            "facts": [asdict(fact) for fact in self.imported.facts],
            **NetworkCosts(cost(model.network), model).to_dict(),
        }


def import_model(
    files: str | Path | Sequence[str | Path],
    output: str | Path | None = None,
    given: "Given | None" = None,
    *,
    int8: bool = False,
    overwrite: bool = False,
) -> ImportedFile:
    """Write the network in `files` (one, or several that run one after the other) as a `.safetensors` model.

    Parameters
    ----------
    files
        A .h5, .keras, .safetensors, .tflite, .pt, .pth, .bin or .onnx file.
    output
        By default beside the first file; over a file that exists only with `overwrite`.
    given
        What the files do not say, or say wrongly.
    int8
        Keep the integers of a quantised `.tflite`; otherwise they become floats.
    """
    from ..weights import import_files

    paths = [Path(file) for file in ([files] if isinstance(files, str | Path) else files)]
    imported = import_files(paths, given, int8)
    path = Path(output) if output else paths[0].with_suffix(".int8.safetensors" if int8 else ".safetensors")
    check_output(path, (".safetensors",), overwrite, sources=paths)
    return ImportedFile((imported.integers or imported.model).save(path), imported)
