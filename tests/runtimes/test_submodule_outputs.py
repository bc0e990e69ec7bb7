"""One call of a module, seen from its submodules."""

from __future__ import annotations

import numpy as np
import torch
from source_models import CALL_OF_X

from turnkey.runtimes.submodule_outputs import watch_submodules

X = {"x": np.ones((2, 3), dtype=np.float32)}


class Pair(torch.nn.Module):
    def forward(self, x):
        return x, x


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.first = torch.nn.Tanh()
        self.shared = torch.nn.Sigmoid()
        self.pair = Pair()
        self.last = torch.nn.Softplus()

    def forward(self, x):
        for _ in range(3):
            x = self.shared(self.pair(x)[0])
        return self.last(self.first(x))


def watched(module, wanted):
    kept, dropped = {}, []
    done = watch_submodules(module, CALL_OF_X, X, wanted, keep=kept.__setitem__, drop=dropped.append)
    return done, kept, dropped


def test_what_returns_one_tensor_is_kept_in_the_order_in_which_it_finishes_and_dropped_once_when_called_again():
    module = Net()
    done, kept, dropped = watched(module, ["last", "pair", "shared", "first"])
    assert done
    assert list(kept) == ["shared", "first", "last"]
    assert dropped == ["shared"]
    np.testing.assert_allclose(kept["last"], np.log1p(np.exp(kept["first"])), rtol=1e-5)
    assert not any(child._forward_hooks for child in module.modules())


def test_a_module_that_takes_no_hooks_is_said_and_nothing_is_kept():
    scripted = torch.jit.script(torch.nn.Sequential(torch.nn.Tanh()))
    done, kept, dropped = watched(scripted, ["0"])
    assert (done, kept, dropped) == (False, {}, [])
