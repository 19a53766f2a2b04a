"""Lifetimes and peak memory against a brute-force simulation, and against the paper's body by hand."""

from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch import Graph, Network, Op, expand
from mobilenets.arch.fold import without_batch_norm
from mobilenets.arch.ops import OPS
from mobilenets.costs.count import cost
from mobilenets.costs.memory import lifetimes, peak_elements

IN_PLACE = tuple(kind for kind, spec in OPS.items() if spec.in_place)


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Any order of ops with up to three earlier inputs; what works in place keeps the shape of the first."""
    ops: list[Op] = []
    for position in range(draw(st.integers(1, 12))):
        earlier = st.integers(0, position - 1) if position else st.nothing()
        inputs = tuple(draw(st.lists(earlier, min_size=min(position, 1), max_size=min(position, 3))))
        kind = draw(st.sampled_from(["conv", *IN_PLACE])) if inputs else "input"
        side = draw(st.integers(1, 9))
        shape = ops[inputs[0]].shape_out if kind in IN_PLACE else (side, draw(st.integers(1, 9)), 1)
        ops.append(Op(kind, f"op{position}", inputs, shape, shape))
    return Graph(Network(), tuple(ops))


def brute_force_peak(graph: Graph) -> int:
    """What is stored at each step of a run; each place is named after the op that first wrote to it."""
    readers: list[list[int]] = [[p for p, op in enumerate(graph.ops) if i in op.inputs] for i in range(len(graph.ops))]
    place: list[int] = []
    for position, op in enumerate(graph.ops):
        over = op.kind in IN_PLACE and max(readers[op.inputs[0]]) == position
        place.append(place[op.inputs[0]] if over else position)
    peak = 0
    for now in range(len(graph.ops)):
        alive = {
            place[i]: graph.ops[i].shape_out[0] * graph.ops[i].shape_out[1] * graph.ops[i].shape_out[2]
            for i in range(now + 1)
            if i == now or max(readers[i], default=i) >= now
        }
        peak = max(peak, sum(alive.values()))
    return peak


@given(graphs())
def test_peak_is_that_of_a_simulation(graph: Graph) -> None:
    assert peak_elements(graph) == brute_force_peak(graph)


@given(graphs())
def test_no_buffer_dies_before_its_last_reader(graph: Graph) -> None:
    buffers = lifetimes(graph)
    assert all(0 <= buffer.first <= buffer.last < len(graph.ops) for buffer in buffers)
    assert [buffer.first for buffer in buffers] == sorted({buffer.first for buffer in buffers})
    for position, op in enumerate(graph.ops):
        for i in op.inputs:
            h, w, c = graph.ops[i].shape_out
            assert any(b.first <= i and b.last >= position and b.elements == h * w * c for b in buffers)


def test_the_paper_s_body_peaks_in_the_first_pointwise() -> None:
    """112 x 112 x 32 in, 112 x 112 x 64 out; batch norm and ReLU work in place."""
    counted = cost(Network())
    assert counted.peak_elements == 112 * 112 * (32 + 64)
    assert counted.peak_ram("fp32") == 4 * counted.peak_elements == 4_816_896
    assert counted.peak_ram("int8") == counted.peak_elements


def test_folding_changes_no_peak() -> None:
    graph = expand(Network(alpha=0.3, height=57, width=33))
    assert peak_elements(graph) == peak_elements(without_batch_norm(graph))


def test_one_buffer_per_layer() -> None:
    buffers = lifetimes(expand(Network(classes=7)))
    assert len(buffers) == 1 + 27 + 1 + 1  # image, convolutions, pool, classifier (its softmax in place)
    assert buffers[-1].elements == 7
