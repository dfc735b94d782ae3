import torch

from cvtrain.data.article import article


def test_the_weight_one_gives_the_published_loss_gradient_and_step():
    sample = article(dtype=torch.complex128).train
    weight = torch.ones(1, 1, dtype=torch.complex128, requires_grad=True)
    loss = (sample.targets - sample.inputs @ weight.T).abs().square().mean()
    loss.backward()
    assert loss.item() == 1
    assert weight.grad.item() == 2 + 2j
    assert (weight - weight.grad).item() == -1 - 2j


def test_the_solution_has_no_error():
    dataset = article(dtype=torch.complex128)
    assert torch.equal(dataset.test.inputs @ dataset.solution["weight"].T, dataset.test.targets)
