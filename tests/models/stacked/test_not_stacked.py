"""What a stack has no form of is trained singly, and the sweep says what that is."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from cvtrain.models.stacked.network import StackedNetwork
from cvtrain.sweeps.memory_probe import _refusal

pytestmark = pytest.mark.filterwarnings("ignore:There is a performance drop")


class Packed(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.cell = kind(2, 3, batch_first=True)

    def forward(self, x):
        lengths = torch.arange(6, 6 - len(x), -1)
        packed = pack_padded_sequence(torch.view_as_real(x), lengths, batch_first=True)
        return pad_packed_sequence(self.cell(packed)[0], batch_first=True)[0][:, 0]


class Attention(nn.Module):
    def __init__(self, share):
        super().__init__()
        self.layer, self.share = nn.Linear(2, 4), share

    def forward(self, x):
        h = self.layer(torch.view_as_real(x)).unsqueeze(1)
        share = self.share if self.training else 0.0
        return F.scaled_dot_product_attention(h, h, h, dropout_p=share)[:, 0, -1]


def refusal(make):
    """What a sweep says of a stack of two such networks; None where it is trained."""
    network = StackedNetwork([make(), make()], [0, 1], [0, 1])
    network.seed(torch.device("cpu"))
    try:
        network.train()(torch.randn(2, 5, 6, dtype=torch.complex64))
    except Exception as error:
        return _refusal(error)
    return None


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_packed_sequences_are_the_reason(kind):
    Packed(kind)(torch.randn(5, 6, dtype=torch.complex64))
    assert "packed sequences, of several lengths, are not stacked" in refusal(lambda: Packed(kind))


def test_dropout_within_attention_is_the_reason_and_attention_alone_is_stacked():
    said = refusal(lambda: Attention(0.5))
    assert "draws random numbers by scaled_dot_product_attention" in said
    assert "a stack has those of F.dropout" in said
    assert refusal(lambda: Attention(0.0)) is None
