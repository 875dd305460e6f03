"""``torch.func``: the rates' models stacked, ``vmap`` over ``grad`` of a functional call, all on the same batch."""

import itertools

import torch
from torch import nn
from torch.func import functional_call, grad, stack_module_state, vmap

from benchmarks.sweep_setting import JUDGED, RATES


def prepare(row, data):
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y).long()
    m, trained = row.batch_size, {}

    def build():
        torch.manual_seed(0)
        layers = [layer for a, b in itertools.pairwise(row.sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        return nn.Sequential(*layers[:-1])

    base = build().to("meta")

    def loss(params, x, y):
        return nn.functional.cross_entropy(functional_call(base, params, (x,)), y)

    gradients = vmap(grad(loss), in_dims=(0, None, None))

    def epoch(trainings):
        params, _ = stack_module_state([build() for _ in range(trainings)])
        params = {name: p.detach() for name, p in params.items()}
        rates = torch.tensor(RATES, dtype=torch.float32).repeat(-(-trainings // 64))[:trainings]
        shaped = {name: rates.reshape(-1, *[1] * (p.ndim - 1)) for name, p in params.items()}
        order = torch.randperm(len(x))
        with torch.no_grad():
            for i in range(0, len(order) - m + 1, m):
                batch = order[i : i + m]
                grads = gradients(params, x[batch], y[batch])
                params = {name: p - shaped[name] * grads[name] for name, p in params.items()}
        trained.update(params)
        return trainings

    def weights():
        return [p[min(JUDGED, len(p) - 1)].numpy().T for p in trained.values()]

    return epoch, weights
