"""How much the gradients of single examples differ: the noise of mini-batches [F3].

Σ = 1/(m − 1) Σᵢ (hᵢ − ḡ)(hᵢ − ḡ)ᵀ,   hᵢ = m wᵢ ∇ℓᵢ,   ḡ = (1/m) Σᵢ hᵢ

For the weights wᵢ = 1/m of plain batches hᵢ is the gradient of an example; for importance sampling, an unbiased draw. The
standard error of the step's gradient is √(tr Σ / m), for uniform draws.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxopt_course.probes.definition import Observation, Over, Probe, chunked_sum
from jaxopt_course.probes.options import check_chunk, check_over
from jaxopt_course.transform.leaves import check_same_tree
from jaxopt_course.types import Params

__all__ = ["gradient_noise", "noise_along"]


def gradient_noise(*, over: Over = "batch", every: int = 1, chunk: int = 32) -> Probe:
    """The trace of the covariance of the examples' gradients.

    tr Σ = 1/(m − 1) Σᵢ ‖hᵢ − ḡ‖²,   hᵢ = m wᵢ ∇ℓᵢ, at the step's gradient point

    Over the training split it is the population's own, 1/n Σᵢ ‖∇ℓᵢ − ḡ‖², which the batches' are unbiased estimates of.

    Args:
        over: the examples of the step's ``"batch"``, or of the whole ``"train"`` split (as in evaluation).
        every: at every k-th step.
        chunk: how many examples' gradients are in memory at a time, by ``vmap``.

    Returns:
        The probe ``gradient_noise``; NaN for batches of one example. With dropout every example has a mask of its own. A
            look costs 20 steps: as many gradients as examples.

    Raises:
        TypeError, ValueError: an argument is not what it should be. In training, ValueError: examples are coupled.

    >>> import jaxopt_course as jc
    >>> problem = jc.Problem.from_loss(lambda w, y: (w - y) ** 2 / 2, 0.0, jnp.array([1.0, 2.0, 6.0]))  # ∇ℓᵢ = w − yᵢ
    >>> noise = {"estimate": gradient_noise(), "population": gradient_noise(over="train")}
    >>> history = jc.fit(problem, jc.sgd(0.1), sampler=jc.samplers.full(), steps=1, probes=noise).history
    >>> history.estimate.values, history.population.values  # 14/2 and 14/3
    (array([7.], dtype=float32), array([4.6666], dtype=float32))

    References:
        Lectures 001, 004 [F3].
    """
    static = {"over": check_over("gradient_noise", over), "chunk": check_chunk("gradient_noise", chunk)}
    long_name = "trace of the covariance of the examples' gradients"
    return Probe.of(_gradient_noise, "gradient_noise", long_name, static=static, every=every)


def _gradient_noise(at: Observation, *, over: Over, chunk: int) -> jax.Array:
    examples = _examples(at, over)

    def deviation(example, index, factor):  # from the step's gradient, which is near the mean: less is lost in the difference
        one, key = jax.tree.map(lambda leaf: leaf[None], example), None
        if over == "batch":
            key = jax.random.fold_in(at.model_key, index)
        gradient = jax.grad(lambda params: at.losses(params, one, key)[0])(at.point)
        return jax.tree.map(lambda g, near: factor.astype(near.real.dtype) * jnp.conj(g) - near, gradient, at.grads)

    def part(chosen, weights):
        off = jax.vmap(deviation)(*chosen[:3])
        weights = weights * chosen[3]
        squares = jax.vmap(lambda tree: optax.tree.norm(tree, squared=True))(off)
        return _sum(weights, squares), jax.tree.map(lambda leaf: _sum(weights, leaf), off)

    squares, mean = chunked_sum(part, examples, chunk)
    return _unbiased(examples, over, squares, optax.tree.norm(mean, squared=True))


def noise_along(
    direction: Literal["gradient", "update"] | Params = "gradient", *, over: Over = "batch", every: int = 1, chunk: int = 1024
) -> Probe:
    """The variance of the examples' gradients along one direction, by one forward derivative.

    ûᵀΣû = 1/(m − 1) Σᵢ (dᵢ − d̄)²,   dᵢ = m wᵢ ∇ℓᵢ·û = m wᵢ d/dε ℓᵢ(θ + εû),   û = u/‖u‖

    Args:
        direction: u: the step's ``"gradient"``, its ``"update"``, or a tree like the parameters.
        over: the examples of the step's ``"batch"``, or of the whole ``"train"`` split (as in evaluation; then 1/n).
        every: at every k-th step.
        chunk: examples of the split at a time.

    Returns:
        The probe ``noise_along_gradient``, ``noise_along_update`` or ``noise_along``; NaN for batches of one example and where
        u is 0. A look costs half a step.

    Raises:
        TypeError, ValueError: an argument is not what it should be. In training, ValueError: examples are coupled, or the
            direction is not a tree like the parameters.

    >>> import jaxopt_course as jc
    >>> problem = jc.Problem.from_loss(lambda w, y: (w - y) ** 2 / 2, 0.0, jnp.array([1.0, 2.0, 6.0]))  # ∇ℓᵢ = w − yᵢ
    >>> jc.fit(problem, jc.sgd(0.1), batch_size=3, steps=1, probes=noise_along()).history.noise_along_gradient.values
    array([7.], dtype=float32)

    References:
        Lectures 001, 004 [F3].
    """
    static = {"over": check_over("noise_along", over), "chunk": check_chunk("noise_along", chunk)}
    long_name = "variance of the examples' gradients"
    if isinstance(direction, str):
        if direction not in ("gradient", "update"):
            raise ValueError(f"noise_along: direction must be 'gradient', 'update' or a tree of arrays; got {direction!r}")
        name, static["which"] = f"noise_along_{direction}", direction
        return Probe.of(_noise_along, name, f"{long_name} along the {direction}", static=static, every=every)
    numbers = {"direction": direction}
    return Probe.of(
        _noise_along, "noise_along", f"{long_name} along one direction", numbers=numbers, static=static, every=every
    )


def _noise_along(
    at: Observation, *, over: Over, chunk: int, which: Literal["gradient", "update"] | None = None, direction: Params = None
) -> jax.Array:
    if which:
        direction = at.grads if which == "gradient" else at.updates
    check_same_tree("noise_along: direction", direction, "the parameters", at.params)
    unit = optax.tree.scale(1 / optax.tree.norm(direction), direction)
    unit = jax.tree.map(lambda u, p: jnp.asarray(u, jnp.result_type(p)), unit, at.point)
    near = jnp.real(optax.tree.vdot(at.grads, unit))
    key = at.model_key if over == "batch" else None

    def part(chosen, weights):
        batch, _, factors, present = chosen
        slopes = jax.jvp(lambda params: at.losses(params, batch, key), (at.point,), (unit,))[1]
        off, weights = factors.astype(slopes.dtype) * slopes - near, weights * present
        return _sum(weights, off**2), _sum(weights, off)

    examples = _examples(at, over)
    size = examples[1].shape[0]
    squares, mean = chunked_sum(part, examples, chunk if over == "train" else size)
    return _unbiased(examples, over, squares, mean**2)


def _examples(at: Observation, over: Over) -> tuple[Any, jax.Array, jax.Array, jax.Array]:
    """Examples, their indices, the factors m wᵢ of their gradients, and n/m where they count (0 where they only pad)."""
    data = at.batch if over == "batch" else at.split()
    if not jax.tree.leaves(data) or at.coupled:
        at.losses(at.params, data)  # which says so
    size = jax.tree.leaves(data)[0].shape[0]
    if over == "train" or at.weights is None:
        return data, jnp.arange(size), jnp.ones(size), jnp.ones(size)
    present = at.weights > 0
    count = jnp.sum(present)
    return data, jnp.arange(size), at.weights * count, present * (size / count)


def _sum(weights: jax.Array, values: jax.Array) -> jax.Array:
    return jnp.tensordot(weights.astype(values.real.dtype), values, 1, precision="highest")


def _unbiased(examples: tuple[Any, ...], over: Over, squares: jax.Array, square: jax.Array) -> jax.Array:
    """From the mean square and the squared mean of deviations to the variance."""
    variance = jnp.maximum(squares - square, 0)
    if over == "train":
        return variance
    count = jnp.sum(examples[3] > 0)
    return jnp.where(count > 1, variance * (count / jnp.maximum(count - 1, 1)).astype(variance.dtype), jnp.nan)
