"""Where fine-tuning starts: batch norms restated without changing the function, the classifier from class means."""

import numpy as np
import torch
from conftest import MakeModel
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from mobilenets.arch import Network, expand
from mobilenets.train.module import MobileNet, load_weights
from mobilenets.train.start import SHRINKAGE, class_means, restate

NETWORK = Network(alpha=0.25, height=40, width=48, classes=4, activation="relu6", padding="same")


def test_restating_batch_norms_keeps_the_function_and_makes_training_mode_compute_it(random_model: MakeModel) -> None:
    module = MobileNet(expand(NETWORK)).eval()
    load_weights(module, random_model(NETWORK).weights)
    x = torch.randn(24, 3, 40, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = module(x)
        features = restate(module, [x[:10], x[10:]])
        after = module.eval()(x)
        training = module.train()(x)
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(training, before, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(module.get_submodule("fc")(features[:, :, None, None]), after, rtol=1e-4, atol=1e-4)


def test_class_means_are_linear_discriminant_analysis() -> None:
    """The same answers as scikit-learn's, on classes of unequal size."""
    rng = np.random.default_rng(0)
    labels = rng.choice(4, 400, p=[0.5, 0.3, 0.15, 0.05])
    mixing = rng.normal(size=(256, 256))
    x = (rng.normal(size=(400, 256)) @ mixing + 8 * rng.normal(size=(4, 256))[labels]).astype(np.float32)
    module = MobileNet(expand(NETWORK))
    class_means(module, torch.from_numpy(x), torch.from_numpy(labels))
    ours = module.get_submodule("fc")(torch.from_numpy(x)[:, :, None, None]).softmax(1).detach().numpy()
    peer = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=SHRINKAGE).fit(x.astype(np.float64), labels)
    np.testing.assert_allclose(ours, peer.predict_proba(x), atol=2e-3)
