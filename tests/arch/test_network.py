"""`Network`: what it refuses, its JSON, its channel rounding."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobilenets.arch.network import BODY, SHALLOW_BODY, Block, Network
from mobilenets.errors import NetworkError

blocks = st.lists(st.builds(Block, st.integers(1, 2), st.integers(1, 2048)), min_size=1, max_size=20).map(tuple)
networks = st.builds(
    Network,
    alpha=st.floats(0.001, 16, exclude_min=True) | st.integers(1, 16),
    height=st.integers(32, 8192),
    width=st.integers(32, 8192),
    channels=st.sampled_from([1, 3]),
    classes=st.integers(1, 1 << 24),
    stem=st.integers(1, 1 << 16),
    blocks=st.sampled_from([BODY, SHALLOW_BODY]) | blocks,
    head=st.integers(0, 2048),
    convolution=st.sampled_from(["separable", "full"]),
    activation=st.sampled_from(["relu", "relu6"]),
    padding=st.sampled_from(["symmetric", "same", "keras"]),
    epsilon=st.floats(0, 1, exclude_min=True),
    rounding=st.sampled_from(["floor", "multiple_of_8"]),
)


@given(networks)
def test_json_round_trip(network: Network) -> None:
    again = Network.from_json(network.to_json())
    assert again == network
    assert again.to_json() == network.to_json()


def test_json_of_the_default_is_pinned() -> None:
    values = json.loads(Network().to_json())
    assert (values.pop("format"), values.pop("version")) == ("mobilenets.network", 1)
    assert values.pop("blocks")[:2] == [{"stride": 1, "channels": 64}, {"stride": 2, "channels": 128}]
    assert values == {
        "alpha": 1.0,
        "height": 224,
        "width": 224,
        "channels": 3,
        "classes": 1000,
        "stem": 32,
        "head": 0,
        "convolution": "separable",
        "activation": "relu",
        "padding": "symmetric",
        "epsilon": 1e-5,
        "rounding": "floor",
        "output": "softmax",
    }


REFUSED = [
    ("alpha", [0, -1, 16.1, float("nan"), float("inf"), "1", None, True, [1]]),
    ("epsilon", [0, -1e-5, 1.5, float("nan"), "x", None]),
    ("height", [31, 0, -224, 8193, 224.0, "224", None, True]),
    ("width", [31, 0, -224, 8193, 224.0, "224", None, True]),
    ("channels", [0, 2, 4, "3", None, True, 3.0]),
    ("classes", [0, -1, 1.0, (1 << 24) + 1, None, True]),
    ("stem", [0, -1, 32.0, (1 << 16) + 1, None]),
    ("convolution", ["Full", "", None, 1, [], {}]),
    ("activation", ["swish", None, []]),
    ("padding", ["valid", None, {}]),
    ("rounding", ["ceil", None, 8]),
    ("blocks", [[], None, "ab", 5, {}, [1], [[1, 64]], [{"stride": 1}], [{"stride": 3, "channels": 64}]]),
    (
        "blocks",
        [[{"stride": 1, "channels": 0}], [{"stride": True, "channels": 8}], [{"stride": 1, "channels": 8.0}]],
    ),
    ("blocks", [[{"stride": 1, "channels": 8}] * 257, [{"stride": 1, "channels": 8, "more": 1}]]),
]


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in REFUSED for value in values])
def test_from_json_refuses(field: str, value: object) -> None:
    text = json.dumps(json.loads(Network().to_json()) | {field: value})
    with pytest.raises(NetworkError) as caught:
        Network.from_json(text)
    assert field.rstrip("s") in str(caught.value) or "network field of the wrong type" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_as_many_blocks_as_are_allowed() -> None:
    assert len(Network(blocks=(Block(1, 8),) * 256).blocks) == 256
    with pytest.raises(NetworkError, match="blocks must be a tuple of 1 to 256"):
        Network(blocks=(Block(1, 8),) * 257)


@pytest.mark.parametrize("blocks", [(), [], [Block(1, 64)], ((1, 64),), (Block(1, 64), None), (Block(1, "64"),), None])
def test_refused_blocks(blocks: object) -> None:
    with pytest.raises(NetworkError, match="block"):
        Network(blocks=blocks)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("1" * 5000, "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("null", "holds no network"),
        ("[]", "holds no network"),
        ("3", "holds no network"),
        ("{}", "holds no network"),
        ('{"format": "mobilenets.model", "version": 1}', "holds no network"),
        ('{"format": "mobilenets.network"}', "version None"),
        ('{"format": "mobilenets.network", "version": 2}', "version 2"),
        ('{"format": "mobilenets.network", "version": "1"}', "version '1'"),
        ('{"format": "mobilenets.network", "version": 1, "rho": 1, "al\\npha": 1}', "unknown fields: .*rho"),
    ],
)
def test_from_json_refuses_the_text(text: str, reason: str) -> None:
    with pytest.raises(NetworkError, match=reason) as caught:
        Network.from_json(text)
    assert "\n" not in str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(sorted(json.loads(Network().to_json()))), json_values, max_size=3))
def test_any_json_gives_a_network_or_a_network_error(changes: dict[str, object]) -> None:
    try:
        network = Network.from_json(json.dumps(json.loads(Network().to_json()) | changes))
    except NetworkError as error:
        assert "\n" not in str(error)
    else:
        assert Network.from_json(network.to_json()) == network


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    with pytest.raises(NetworkError):
        Network.from_json(text)


@pytest.mark.parametrize("channels", [32, 64, 128, 256, 512, 1024])
def test_floor_is_exact_for_decimal_alphas(channels: int) -> None:
    for thousandths in range(1, 4001):
        scaled = Network(alpha=thousandths / 1000).scaled(channels)
        assert scaled == max(1, thousandths * channels // 1000), thousandths


def make_divisible(v: float, divisor: int = 8, min_value: int = 8) -> int:
    """tensorflow/models, research/slim/nets/mobilenet/conv_blocks.py, _make_divisible."""
    new_v = max(min_value, int(v + divisor / 2) // divisor * divisor)
    if new_v < 0.9 * v:
        new_v += divisor
    return new_v


@pytest.mark.parametrize("channels", [8, 32, 64])
def test_multiples_of_8_never_take_away_more_than_a_tenth(channels: int) -> None:
    for thousandths in range(1, 4001):
        network = Network(alpha=thousandths / 1000, rounding="multiple_of_8")
        assert network.scaled(channels) == make_divisible(thousandths / 1000 * channels), thousandths


@given(st.floats(0.001, 4), st.integers(1, 2048))
def test_multiples_of_8_follow_tf_slim(alpha: float, channels: int) -> None:
    scaled = Network(alpha=alpha, rounding="multiple_of_8").scaled(channels)
    assert scaled == make_divisible(alpha * channels)
    assert scaled % 8 == 0 and scaled >= 0.9 * alpha * channels


@pytest.mark.parametrize(("alpha", "expected"), [(0.35, [16, 24, 48, 88]), (0.25, [8, 16, 32, 64])])
def test_multiples_of_8_by_hand(alpha: float, expected: list[int]) -> None:
    network = Network(alpha=alpha, rounding="multiple_of_8")
    assert [network.scaled(channels) for channels in (32, 64, 128, 256)] == expected
