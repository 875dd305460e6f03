"""PyTorch, eager, rate after rate: the five lines of every tutorial. One thread: faster than two on layers so small."""

import itertools

import torch
from torch import nn

from benchmarks.sweep_setting import JUDGED, RATES


def prepare(row, data):
    torch.set_num_threads(1)
    x, y = torch.from_numpy(data.x), torch.from_numpy(data.y).long()
    loss_fn, m = nn.CrossEntropyLoss(), row.batch_size

    def train(rate, order):
        torch.manual_seed(0)
        layers = [layer for a, b in itertools.pairwise(row.sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
        model = nn.Sequential(*layers[:-1])
        optimizer = torch.optim.SGD(model.parameters(), lr=float(rate))
        for i in range(0, len(order) - m + 1, m):
            batch = order[i : i + m]
            loss = loss_fn(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return model

    def epoch(trainings):
        order = torch.randperm(len(x))
        for i in range(trainings):
            train(RATES[i % 64], order)
        return trainings

    def weights():
        return [p.detach().numpy().T for p in train(RATES[JUDGED], torch.randperm(len(x))).parameters()]

    return epoch, weights
