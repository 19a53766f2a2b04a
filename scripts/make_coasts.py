"""Write mobilenets/tasks/geo/coasts.json, the land of the maps, from the npm package world-atlas.

    npm pack world-atlas@2.0.2 && tar xzf world-atlas-2.0.2.tgz
    python scripts/make_coasts.py package/land-110m.json

The land is Natural Earth's at 1:110 million, which is in the public domain; world-atlas (ISC) has it as TopoJSON: rings
are made of shared arcs, whose points are steps of a grid. The result is a list of rings, each
[longitude, latitude, longitude, ...] in tenths of a degree, of land and of lakes in it. A ring across the date line is
there twice, once for each edge of the map, and leads beyond it.
"""

import argparse
import json
from itertools import accumulate
from pathlib import Path
from typing import Any

TARGET = Path(__file__).parents[1] / "mobilenets" / "tasks" / "geo" / "coasts.json"
TURN = 3600
Point = tuple[int, int]


def arcs_of(topology: dict[str, Any]) -> list[list[Point]]:
    """Each arc as points in tenths of a degree."""
    (x_scale, y_scale), (x_zero, y_zero) = topology["transform"]["scale"], topology["transform"]["translate"]
    arcs = []
    for arc in topology["arcs"]:
        steps = accumulate(arc, lambda at, step: [at[0] + step[0], at[1] + step[1]])
        arcs.append([(round(10 * (x * x_scale + x_zero)), round(10 * (y * y_scale + y_zero))) for x, y in steps])
    return arcs


def rings_of(indices: list[int], arcs: list[list[Point]]) -> list[list[int]]:
    """The arcs behind one another, a negative index backwards: a ring, twice where it lies on both edges of the map."""
    points = [point for i in indices for point in (arcs[i] if i >= 0 else arcs[~i][::-1])]
    ring = unwrapped([point for point, before in zip(points, [None, *points], strict=False) if point != before])
    west, east = min(x for x, _ in ring), max(x for x, _ in ring)
    shifts = [shift for shift in (-TURN, 0, TURN) if west + shift < TURN // 2 and east + shift > -TURN // 2]
    return [[number for x, y in ring for number in (x + shift, y)] for shift in shifts]


def unwrapped(ring: list[Point]) -> list[Point]:
    """The ring without jumps at the date line, so that it may lead beyond 180 degrees; round a pole it takes it in."""
    points = [ring[0]]
    for x, y in ring[1:]:
        points.append((x + TURN * round((points[-1][0] - x) / TURN), y))
    if points[0][0] == points[-1][0]:
        return points
    pole = 900 if points[0][1] > 0 else -900
    return [*points, (points[-1][0], pole), (points[0][0], pole), points[0]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("land", type=Path, help="land-110m.json of world-atlas")
    topology = json.loads(parser.parse_args().land.read_text())
    arcs = arcs_of(topology)
    polygons = [polygon for shape in topology["objects"]["land"]["geometries"] for polygon in shape["arcs"]]
    land = [ring for polygon in polygons for ring in rings_of(polygon[0], arcs)]
    lakes = [ring for polygon in polygons for hole in polygon[1:] for ring in rings_of(hole, arcs)]
    TARGET.write_text(json.dumps({"land": land, "lakes": lakes}, separators=(",", ":")) + "\n")
    print(f"{TARGET}: {len(land)} pieces of land, {len(lakes)} lakes, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
