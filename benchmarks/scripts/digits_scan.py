"""Digits by hand: the job of ``digits_fit.py`` on the same arrays (an .npz file), with nothing but jax and optax.

``python -m benchmarks.scripts.digits_scan DIGITS.npz numpy|jax``: who draws the parameters and the order. With jax, two
sorts and the inverse error function have to be compiled, which takes longer than everything that follows.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax

M, EPOCHS, HIDDEN = 32, 10, 64

path, draws = sys.argv[1:]
data = np.load(path)
x, y = jnp.asarray(data["x"]).reshape(len(data["x"]), -1), jnp.asarray(data["y"])
x_validation = jnp.asarray(data["x_validation"]).reshape(len(data["x_validation"]), -1)
y_validation = jnp.asarray(data["y_validation"])
optimizer = optax.sgd(0.05, momentum=0.9)


def scaled(w1, w2):
    w1, w2 = w1 * (2 / x.shape[1]) ** 0.5, w2 / HIDDEN**0.5
    params = {"w1": w1, "b1": jnp.zeros(HIDDEN), "w2": w2, "b2": jnp.zeros(10)}
    return params, optimizer.init(params)


@jax.jit
def init(key):
    k1, k2 = jax.random.split(key)
    return scaled(jax.random.normal(k1, (x.shape[1], HIDDEN)), jax.random.normal(k2, (HIDDEN, 10)))


def logits(params, x):
    return jax.nn.relu(x @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def loss_fn(params, x, y):
    return optax.softmax_cross_entropy_with_integer_labels(logits(params, x), y).mean()


@jax.jit
def train(params, state, order, x, y):
    def step(carry, batch):
        params, state = carry
        loss, grads = jax.value_and_grad(loss_fn)(params, x[batch], y[batch])
        updates, state = optimizer.update(grads, state, params)
        return (optax.apply_updates(params, updates), state), loss

    if draws == "jax":
        order = jax.random.permutation(order, len(x))
    return jax.lax.scan(step, (params, state), order[: len(x) // M * M].reshape(-1, M))


@jax.jit
def accuracy(params, x, y):
    return jnp.mean(jnp.argmax(logits(params, x), axis=-1) == y)


rng = np.random.default_rng(0)
if draws == "jax":
    params, state = init(jax.random.key(0))
else:
    params, state = jax.jit(scaled)(*(np.float32(rng.normal(size=shape)) for shape in ((x.shape[1], HIDDEN), (HIDDEN, 10))))
for epoch in range(EPOCHS):
    order = jax.random.key(epoch) if draws == "jax" else rng.permutation(len(x)).astype(np.int32)
    (params, state), losses = train(params, state, order, x, y)
    score = accuracy(params, x_validation, y_validation)
print(float(score))
