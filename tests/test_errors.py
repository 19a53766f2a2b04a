"""Messages of errors are one line that a terminal shows as it is, whatever files and users say."""

import pickle

import pytest

from mobilenets.errors import Interrupted, MissingExtraError, ModelFileError, UsageError, printable, shown


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("plain", "plain"),
        ("a  b\n\tc", "a b c"),
        ("\x1b[31mred\x07", r"\x1b[31mred\x07"),
        ("\ud800", r"\ud800"),
        ("Ελιά 橄榄", "Ελιά 橄榄"),
        ("\u202eexe.gpj", r"\u202eexe.gpj"),
        ("x" * 255, "x" * 255),
        ("x" * 20_000, f"{'x' * 80}...{'x' * 20}"),
        ("/".join(["folder"] * 60), "/".join(["folder"] * 60)),
    ],
)
def test_one_line(text: str, line: str) -> None:
    assert shown(text) == line
    assert str(ModelFileError(text)) == line and str(UsageError(text)) == line


def test_what_can_be_shown_is_shown() -> None:
    """Joiners of Persian and emoji and wide blanks stay; what would move a terminal's cursor does not."""
    for text in ("\u0645\u06cc\u200c\u0631\u0648\u0645", "black\u00a0cat", "\U0001f469\u200d\U0001f52c", "two  blanks"):
        assert printable(text) == text
    assert printable("a\x1b[1mb\u202ec\udcff\n") == r"a\x1b[1mb\u202ec\udcff\n"
    assert shown("\u0645\u06cc\u200c\u0631  \u0648\u0645") == "\u0645\u06cc\u200c\u0631 \u0648\u0645"


def test_a_message_of_many_words_is_cut() -> None:
    line = str(ModelFileError("start " + "word " * 10_000 + "end"))
    assert len(line) == 1000 and line.startswith("start word") and line.endswith("word end")


def test_errors_survive_another_process() -> None:
    error = pickle.loads(pickle.dumps(ModelFileError("a\nb")))
    assert (type(error), str(error)) == (ModelFileError, "a b")
    assert str(Interrupted(2, "stopped\n")) == "stopped"


def test_a_missing_package_is_named_with_what_installs_it() -> None:
    said = str(MissingExtraError("reading Parquet needs pyarrow", "train"))
    assert said == "reading Parquet needs pyarrow: pip install 'mobilenets[train]' (in a clone: pip install '.[train]')"
