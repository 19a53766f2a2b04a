"""What is no MobileNet is refused at the layer where it stops being one; alpha is told from the widths."""

from dataclasses import replace

import pytest
from chains import classifier, conv, depthwise, norm, paper, pointwise, pool, tiny

from mobilenets.arch.network import BODY, SHALLOW_BODY, Block, Network, Rounding
from mobilenets.errors import ModelFileError
from mobilenets.weights.layers import FileLayer
from mobilenets.weights.skeleton import assemble

STEM, DW, PW, POOL, FC = tiny()
SECOND = [depthwise("dw2", 12, stride=2), pointwise("pw2", 20, 12, stride=1)]
END = "; it is not a MobileNet from there on"


def test_a_sound_chain() -> None:
    skeleton = assemble([STEM, DW, PW, *SECOND, POOL, classifier(3, 20)])
    assert {op: layer.name for op, layer in skeleton.layers.items()} == {
        **{"conv0": "stem", "dw1": "dw", "pw1": "pw", "dw2": "dw2", "pw2": "pw2"},
        **{"pool": "pool", "fc": "fc"},
    }
    assert skeleton.network == Network(stem=8, blocks=(Block(1, 12), Block(2, 20)))


def test_a_classifier_may_be_a_convolution() -> None:
    skeleton = assemble([*tiny()[:4], pointwise("logits", 5, 12)])
    assert skeleton.classifier.weight is not None
    assert skeleton.classifier.weight.shape == (5, 12)


def test_a_head_and_a_flat_end() -> None:
    """A head before the classifier, and no pool: the file flattens 1x1, or does not say."""
    skeleton = assemble([STEM, DW, PW, pointwise("head", 30, 12), classifier(5, 30)])
    assert list(skeleton.body)[-1] == "head" and skeleton.network.head == 30


def test_a_stem_of_one_channel_has_a_depthwise_convolution_that_is_a_full_one_too() -> None:
    chain = [conv("stem", 1, 3, stride=2), conv("dw", 1, 1, stride=1), pointwise("pw", 4, 1), pool(), classifier(2, 4)]
    assert assemble(chain).network == Network(stem=1, blocks=(Block(1, 4),))


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        ([], "only 0 convolutions before the classifier: a MobileNet has at least 3"),
        ([STEM], "only 1 convolutions before the classifier: a MobileNet has at least 3"),
        ([STEM, DW], "only 2 convolutions before the classifier: a MobileNet has at least 3"),
        ([STEM, DW, PW], "it ends with pw, before the classifier: give the file with the classifier as well"),
        ([STEM, DW, PW, POOL], "it ends with pw, before the classifier: give the file with the classifier as well"),
        ([POOL], "layer 1, pool: a pool before a block is complete" + END),
        ([STEM, DW, POOL], "layer 3, pool: a pool before a block is complete" + END),
        ([STEM, DW, PW, SECOND[0], POOL], "layer 5, pool: a pool before a block is complete" + END),
        ([FC], "layer 1, fc: a fully connected layer before a block is complete" + END),
        (
            [STEM, DW, PW, SECOND[0], FC],
            "layer 5, fc: a fully connected layer before a block is complete" + END,
        ),
        (
            [STEM, DW, PW, POOL, FC, classifier(5, 5)],
            "layer 6, fc: a fully connected layer after the classifier" + END,
        ),
        ([STEM, DW, PW, POOL, FC, PW], "layer 6, pw: a pointwise convolution after the classifier" + END),
        ([STEM, depthwise("dw", 9)], "layer 2, dw: it takes 9 channels, but stem gives 8" + END),
        ([STEM, DW, pointwise("pw", 12, 9)], "layer 3, pw: it takes 9 channels, but dw gives 8" + END),
        ([STEM, DW, PW, POOL, classifier(5, 13)], "layer 5, fc: it takes 13 channels, but pw gives 12" + END),
        (
            [STEM, DW, PW, POOL, conv("c", 5, 12)],
            "layer 5, c: a full 3x3 convolution of 12 channels where the classifier should be" + END,
        ),
        (
            [STEM, DW, PW, POOL, depthwise("c", 12)],
            "layer 5, c: a depthwise convolution where the classifier should be" + END,
        ),
        (
            [STEM, DW, PW, POOL, replace(FC, norm=norm(5))],
            "layer 5, fc: a classifier with a batch norm or an activation" + END,
        ),
        (
            [STEM, DW, PW, POOL, replace(FC, activation="relu")],
            "layer 5, fc: a classifier with a batch norm or an activation" + END,
        ),
        (
            [conv("stem", 8, 3, stride=1)],
            "layer 1, stem: a full 3x3 convolution of 3 channels: first comes a 3x3 convolution of 1 or 3 channels "
            "with stride 2" + END,
        ),
        (
            [conv("stem", 8, 4, stride=2)],
            "layer 1, stem: a full 3x3 convolution of 4 channels with stride 2: first comes a 3x3 convolution of 1 or "
            "3 channels with stride 2" + END,
        ),
        (
            [DW],
            "layer 1, dw: a depthwise convolution: first comes a 3x3 convolution of 1 or 3 channels with stride 2"
            + END,
        ),
        ([STEM, PW], "layer 2, pw: a pointwise convolution"),
        (
            [STEM, conv("c", 16, 8, stride=2)],
            "layer 2, c: a full 3x3 convolution of 8 channels with stride 2: depthwise and pointwise convolutions "
            "must alternate" + END,
        ),
        ([STEM, DW, depthwise("dw2", 8)], "layer 3, dw2: a depthwise convolution: depthwise and pointwise"),
        ([STEM, depthwise("dw", 8, stride=3)], "layer 2, dw: a depthwise convolution with stride 3: depthwise and"),
        ([STEM, depthwise("dw", 8, k=1)], "layer 2, dw: a depthwise convolution: depthwise and pointwise"),
        ([STEM, DW, pointwise("pw", 12, 8, stride=2)], "layer 3, pw: a pointwise convolution with stride 2: depthwise"),
        (
            [STEM, DW, PW, pointwise("head", 30, 12), depthwise("dw2", 30)],
            "layer 5, dw2: a depthwise convolution after the head" + END,
        ),
        (
            [STEM, DW, PW, pointwise("head", 30, 12), pointwise("more", 30, 30)],
            "layer 5, more: a pointwise convolution after the head" + END,
        ),
    ],
)
def test_refused(chain: list[FileLayer], message: str) -> None:
    with pytest.raises(ModelFileError) as caught:
        assemble(chain)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize("head", [0, 1024])
@pytest.mark.parametrize("rounding", ["floor", "multiple_of_8"])
@pytest.mark.parametrize("alpha", [0.1, 0.25, 0.35, 0.43, 0.5, 0.75, 1, 1.25, 1.4, 2])
@pytest.mark.parametrize("blocks", [BODY, SHALLOW_BODY], ids=["paper", "shallow"])
def test_alpha_is_told_from_the_widths(alpha: float, rounding: Rounding, head: int, blocks: tuple[Block, ...]) -> None:
    network = Network(alpha, rounding=rounding, head=head, blocks=blocks)
    found = assemble(chain_of(network)).network
    assert (found.alpha, found.head, found.blocks) == (alpha, head, blocks)
    assert widths_of(found) == widths_of(network)


def widths_of(network: Network) -> list[int]:
    """The channels after the stem, each block and the head."""
    channels = [network.stem, *(block.channels for block in network.blocks), *([network.head] if network.head else [])]
    return [network.scaled(c) for c in channels]


def chain_of(network: Network) -> list[FileLayer]:
    stem, *widths = widths_of(network)
    layers, now = [conv("stem", stem, 3, stride=2)], stem
    for number, (block, after) in enumerate(zip(network.blocks, widths, strict=False), 1):
        layers += [depthwise(f"dw{number}", now, stride=block.stride), pointwise(f"pw{number}", after, now)]
        now = after
    if network.head:
        layers.append(pointwise("head", widths[-1], now))
        now = widths[-1]
    return [*layers, pool(), classifier(2, now)]


def test_widths_that_follow_no_alpha_stay() -> None:
    chain = chain_of(Network(0.25).replace(blocks=(*BODY[:-1], Block(1, 777)), alpha=1.0, stem=10))
    found = assemble(chain).network
    assert (found.alpha, found.stem, found.blocks[-1].channels) == (1.0, 10, 777)


def test_a_network_wider_than_any_alpha() -> None:
    blocks = (*(Block(block.stride, 1) for block in BODY[:-1]), Block(1, 20_000))
    found = assemble(chain_of(Network(1.0, stem=1, blocks=blocks))).network
    assert (found.alpha, found.blocks[-1].channels) == (1.0, 20_000)


def test_strides_that_are_not_said() -> None:
    assert assemble(paper(strides=False)).network == Network(0.25)
    with pytest.raises(
        ModelFileError, match="1 blocks, and the file does not say their strides: MobileNet v1 has 13, or 8"
    ):
        assemble(tiny(stride=None))
    with pytest.raises(ModelFileError, match="does not say their strides"):
        assemble([STEM, DW, PW, depthwise("dw2", 12), pointwise("pw2", 20, 12), classifier(2, 20)])


def test_other_strides_than_the_papers() -> None:
    chain = paper()
    chain[3] = replace(chain[3], stride=1)
    found = assemble(chain).network
    assert [block.stride for block in found.blocks] == [1, 1, *(block.stride for block in BODY[2:])]
    assert widths_of(found) == widths_of(Network(0.25))


def test_metadata_that_states_the_network() -> None:
    """Of a file that this package exported: it goes before what can be told, and must be of these layers."""
    stated = Network(1.0, stem=8, blocks=tuple(Block(block.stride, block.channels // 4) for block in BODY))
    assert assemble(paper(), stated=stated).network == stated
    for other in (stated.replace(stem=9), Network(0.5), Network(0.25, blocks=SHALLOW_BODY), Network(0.25, head=64)):
        with pytest.raises(ModelFileError, match=r"its metadata states .*, but layer \d+ does not match it"):
            assemble(paper(), stated=other)
    blocks = (Block(2, 64), *BODY[1:])
    with pytest.raises(ModelFileError, match="but layer 2 does not match it"):
        assemble(paper(), stated=Network(0.25, blocks=blocks))
