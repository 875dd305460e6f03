"""PyTorch, eager: ``nn.Sequential``, ``torch.optim.SGD``, and the five lines of every tutorial.

Batches are indexed from tensors in memory: ``DataLoader`` over ``TensorDataset`` collates example by example, and takes
longer than the step. On a GPU, the data lie there. PyTorch gets one thread or all, whichever is faster here: on small
layers, and where others compute too, its threads mostly wait for each other.
"""

import itertools
import time

import torch
from torch import nn

from benchmarks.setting import LEARNING_RATE, MOMENTUM


def prepare(row, data):
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    x, y = torch.from_numpy(data.x).to(device), torch.from_numpy(data.y).long().to(device)
    layers = [layer for a, b in itertools.pairwise(row.sizes) for layer in (nn.Linear(a, b), nn.ReLU())]
    model = nn.Sequential(*layers[:-1]).to(device)
    loss_fn = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE, momentum=MOMENTUM)
    m = row.batch_size

    def epoch(steps):
        order = torch.randperm(len(x), device=device)
        for i in range(steps):
            batch = order[i * m : (i + 1) * m]
            loss = loss_fn(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()
        return steps

    def seconds(threads):
        torch.set_num_threads(threads)
        epoch(10)
        start = time.perf_counter()
        epoch(50)
        return time.perf_counter() - start

    torch.set_num_threads(min({1, torch.get_num_threads()}, key=lambda threads: min(seconds(threads) for _ in range(3))))

    def weights():
        return [p.detach().cpu().numpy().T for p in model.parameters()]

    return epoch, weights
