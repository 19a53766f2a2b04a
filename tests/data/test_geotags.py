"""Photos with places: CSV columns, GPS in EXIF, and what is no place."""

from pathlib import Path

import pytest
from PIL import ExifTags, Image

from mobilenets.data.geotags import list_geotagged
from mobilenets.errors import DataError


def photo(path: Path, gps: dict[int, object] | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if gps:
        exif.get_ifd(ExifTags.IFD.GPSInfo).update(gps)
    Image.new("RGB", (8, 8), "green").save(path, exif=exif)


def gps(latitude: tuple[float, float, float], north: str, longitude: tuple[float, float, float], east: str) -> dict:
    tags = ExifTags.GPS
    values = (north, latitude, east, longitude)
    names = (tags.GPSLatitudeRef, tags.GPSLatitude, tags.GPSLongitudeRef, tags.GPSLongitude)
    return dict(zip(names, values, strict=True))


def test_gps_of_exif_in_all_four_quarters(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", gps((48, 8, 14), "N", (11, 34, 31.8), "E"))
    photo(tmp_path / "b" / "c.jpg", gps((33.5, 0, 0), "S", (70, 30, 0), "W"))
    photo(tmp_path / "none.jpg", None)
    photo(tmp_path / "odd.jpg", gps((95, 0, 0), "N", (11, 0, 0), "E"))
    (tmp_path / "broken.jpg").write_bytes(b"nothing")
    listing, locations = list_geotagged(tmp_path)
    assert [row.name for row in listing.rows] == ["a.jpg", "b/c.jpg"]
    assert locations == [pytest.approx((48.137222, 11.5755)), (-33.5, -70.5)]
    assert listing.notes == ["3 of 5 images have no GPS coordinates in EXIF: broken.jpg, none.jpg, odd.jpg"]


def test_a_folder_without_any_place(tmp_path: Path) -> None:
    photo(tmp_path / "a.jpg", None)
    with pytest.raises(DataError, match=r"none of its 1 images has GPS coordinates in EXIF"):
        list_geotagged(tmp_path)


def test_a_table(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("Path,LATITUDE,longitude,split\na.jpg,-12.5,180,train\nb.jpg, 1e1 ,-0.25,val\n")
    listing, locations = list_geotagged(table)
    assert locations == [(-12.5, 180.0), (10.0, -0.25)]
    assert [(row.name, row.split) for row in listing.rows] == [("a.jpg", "train"), ("b.jpg", "val")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,latitude\na.jpg,1\n", "must name the columns path,latitude,longitude; lacks longitude"),
        ("path,latitude,longitude\na.jpg,91,0\n", r"line 2: latitude \(='91'\) must be a number from -90 to 90"),
        ("path,latitude,longitude\na.jpg,1,2\nb.jpg,nan,0\n", r"line 3: latitude \(='nan'\) must be a number"),
        ("path,latitude,longitude\na.jpg,0,180.5\n", r"longitude \(='180.5'\) must be a number from -180 to 180"),
        ("path,latitude,longitude\na.jpg,north,0\n", r"latitude \(='north'\) must be"),
        ("path,latitude,longitude\na.jpg,,0\n", "line 2 has an empty latitude"),
        ("path,latitude,longitude\na.jpg,1\n", "line 2 has 2 of 3 columns"),
    ],
)
def test_what_is_no_place_names_file_line_and_value(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        list_geotagged(tmp_path / "t.csv")
    assert "\n" not in str(caught.value) and "t.csv" in str(caught.value)
