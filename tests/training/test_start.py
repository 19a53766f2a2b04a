"""Where fine-tuning starts: batch norms restated without changing the function."""

import torch
from conftest import MakeModel

from mobilenets.arch import Network, expand
from mobilenets.training.module import MobileNet, load_weights
from mobilenets.training.start import centre, recompute_statistics

NETWORK = Network(alpha=0.25, height=40, width=48, classes=4, activation="relu6", padding="same")


def test_restating_batch_norms_keeps_the_function_and_makes_training_mode_compute_it(random_model: MakeModel) -> None:
    module = MobileNet(expand(NETWORK)).eval()
    load_weights(module, random_model(NETWORK).weights)
    x = torch.randn(24, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = module(x)
        recompute_statistics(module, [x[:10], x[10:]])
        after = module.eval()(x)
        training = module.train()(x)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(training, before, rtol=1e-3, atol=1e-3)


def test_an_embedding_starts_centred() -> None:
    network = Network(0.25, 32, 32, classes=5, output="l2_normalise")
    module = MobileNet(expand(network)).eval()
    x = torch.randn(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = module(x).detach()
    centre(module, (x[:8], x[8:]))
    torch.testing.assert_close(module(x), before - before.mean(0))
