import numpy as np
import pytest

from cvtrain.data.random import complex_gaussian, data_generator


@pytest.mark.parametrize("circularity", [0.0, 0.5, 1.0])
def test_complex_gaussian_has_unit_power_and_the_pseudo_variance_asked_for(circularity):
    u = complex_gaussian(data_generator(0), (200_000,), circularity=circularity)
    assert np.mean(np.abs(u) ** 2) == pytest.approx(1, abs=0.01)
    assert np.mean(u**2) == pytest.approx(circularity, abs=0.01)
    assert abs(np.mean(u)) < 0.01


def test_data_and_batch_order_draw_from_different_streams():
    order = np.random.default_rng((3, 0)).random(4)
    assert order.tolist() == np.random.default_rng(3).random(4).tolist()
    assert order.tolist() != data_generator(3).random(4).tolist()
