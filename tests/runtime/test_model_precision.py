"""A model knows its precision, and an open session the number of threads that it can change to."""

import numpy as np
import pytest
from conftest import make_random_model

from mobilenets import Network
from mobilenets.compiler import compile_model, has_compiler
from mobilenets.errors import UsageError
from mobilenets.model import AnyModel
from mobilenets.runtime import CompiledSession, on_threads, open_session
from mobilenets.runtime.activations import min_max_integers

pytestmark = pytest.mark.any_processor

NETWORK = Network(alpha=0.125, height=32, width=32, classes=3)
PIXELS = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
FLOATS = make_random_model(NETWORK)
INTEGERS = min_max_integers(FLOATS, PIXELS)


@pytest.mark.parametrize(("model", "precision"), [(FLOATS, "fp32"), (INTEGERS, "int8")])
def test_both_models_share_what_is_asked_of_a_model(model: AnyModel, precision: str) -> None:
    assert model.precision == precision and model.network == NETWORK and model.labels == FLOATS.labels
    assert model.nbytes > 0 and len(model.digest()) == 64 and model.to_bytes()[8:9] == b"{"


@pytest.mark.parametrize(
    ("model", "precision", "said"),
    [
        (INTEGERS, "fp32", r"precision \(='fp32'\) is of float models, and 0.125-32 int8 is int8"),
        (INTEGERS, "bf16", r"precision \(='bf16'\) is of float models"),
        (FLOATS, "int8", r"precision \(='int8'\) is of int8 models, and 0.125-32 is fp32: quantize it first"),
        (FLOATS, "fp8", r"precision \(='fp8'\) must be one of fp32, fp16, bf16, bf16x3, bf16x6 or int8"),
    ],
)
def test_another_precision_is_refused(model: AnyModel, precision: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        compile_model(model, precision=precision)  # type: ignore[arg-type]


@pytest.mark.skipif(not has_compiler(), reason="no C compiler")
@pytest.mark.parametrize("model", [FLOATS, INTEGERS])
def test_compiled_code_is_shared_by_threads(model: AnyModel) -> None:
    session = open_session(model)  # type: ignore[arg-type]
    assert isinstance(session, CompiledSession) and session.runtime.endswith(f" in {model.precision}")
    one = on_threads(session, 1, model)  # type: ignore[arg-type]
    assert isinstance(one, CompiledSession) and (one.threads, session.threads) == (1, 0)
    assert one._open._code is session._open._code and one._open._weights is session._open._weights
    assert one._open._arenas is not session._open._arenas and one._open._pool is not session._open._pool
    assert np.array_equal(one.run(PIXELS), session.run(PIXELS)) and np.array_equal(
        one.run(PIXELS[:1]), session.run(PIXELS[:1])
    )
    assert on_threads(one, 1, model) is one  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="threads"):
        on_threads(session, -1, model)  # type: ignore[arg-type]


def test_onnx_runtime_opens_a_graph_again_for_other_threads() -> None:
    session = open_session(FLOATS, runtime="onnx")
    one = on_threads(session, 1, FLOATS)
    assert one is not session and one.threads == 1 and one.runtime == session.runtime
    np.testing.assert_allclose(one.run(PIXELS), session.run(PIXELS), rtol=1e-5, atol=1e-7)
