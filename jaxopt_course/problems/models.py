"""Models: ``init(key, x_example) → (params, model_state)`` and ``apply(params, model_state, x, *, key, train)`` [A4].

A model is frozen and compares by value, so that two problems built alike share their compiled code. Dense stacks are a few
lines of JAX below; convolutional nets and everybody's flax modules come through adapters, which load flax on first use.
Every model takes images as they are stored: :func:`pixels` is the one place where bytes become floats.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero

from jaxopt_course.checks import check_choice, check_integer
from jaxopt_course.types import Key, ModelState, Params

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Shaped

    from jaxopt_course.problems.flax_models import convnet, from_linen, from_nnx

__all__ = [
    "Model", "Dense", "linear", "logistic", "softmax", "mlp", "convnet", "from_linen", "from_nnx",
    "ACTIVATIONS", "NAMES", "as_model", "pixels",
]  # fmt: skip

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu, "leaky_relu": jax.nn.leaky_relu, "elu": jax.nn.elu, "gelu": jax.nn.gelu, "silu": jax.nn.silu,
    "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "softplus": jax.nn.softplus,
}  # fmt: skip
NARROW = 16  # outputs, and a quarter of the inputs at most: a product for which Eigen is slow
NAMES = ("linear", "logistic", "softmax", "mlp", "convnet")


@runtime_checkable
class Model(Protocol):
    """What a problem needs of a model; anything hashable of this form will do."""

    def init(self, key: Key, x_example: Shaped[Array, "one ..."]) -> tuple[Params, ModelState]:
        """Parameters and state for inputs like ``x_example``, a batch of one."""
        ...

    def apply(
        self, params: Params, model_state: ModelState, x: Shaped[Array, "batch ..."], *, key: Key | None, train: bool
    ) -> tuple[Array, ModelState]:
        """Outputs, and the state after them. ``key`` feeds what is random in training; ``train`` switches it on."""
        ...


def pixels(x: Shaped[Array, " *shape"]) -> Shaped[Array, " *shape"]:
    """Bytes as floats in [0, 1]; anything else as it is.

    x / 255 if x is uint8. Image data stays in bytes until here: a batch of bytes is four times less to gather.

    Args:
        x: inputs of any shape and dtype.

    Returns:
        Inputs that a model computes with.

    >>> pixels(jnp.array([0, 255], jnp.uint8)), pixels(jnp.array([255]))
    (Array([0., 1.], dtype=float32), Array([255], dtype=int32))
    """
    return jnp.asarray(x, float) / 255 if x.dtype == jnp.uint8 else x


def product(x: Float[Array, "batch inputs"], kernel: Float[Array, "inputs outputs"]) -> Float[Array, "batch outputs"]:
    """``x @ kernel``, whose derivative by a kernel of few outputs is worked out as (∂ᵀx)ᵀ on a CPU: twice as fast as xᵀ∂.

    XLA would turn it back; it does not look through a barrier.

    >>> jax.grad(lambda kernel: product(jnp.ones((3, 8)), kernel)[0, 1])(jnp.ones((8, 2)))[0]
    Array([0., 1.], dtype=float32)
    """
    inputs, outputs = kernel.shape
    narrow = 1 < outputs <= NARROW and 4 * outputs <= inputs and x.ndim == 2 and x.dtype == kernel.dtype
    return _narrow_product(x, kernel) if narrow and jax.default_backend() == "cpu" else x @ kernel


@jax.custom_jvp
def _narrow_product(x, kernel):
    return x @ kernel


def _narrow_jvp(primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    if isinstance(dkernel, SymbolicZero):
        return x @ kernel, dx @ kernel
    turned = jax.lax.optimization_barrier(dkernel.T)
    change = jax.lax.dot_general(x, turned, (((1,), (1,)), ((), ())))
    return x @ kernel, change if isinstance(dx, SymbolicZero) else change + dx @ kernel


_narrow_product.defjvp(_narrow_jvp, symbolic_zeros=True)


@dataclasses.dataclass(frozen=True)
class Dense:
    """A stack of dense layers: θ_kᵀσ(…σ(θ₁ᵀx + b₁)…) + b_k [A4].

    Parameters are ``{"dense0": {"kernel": [in, out], "bias": [out]}, …}``; inputs are flattened, one output is ``[B]``.
    Kernels start uniform in ±√(6/fan_in) (He) before a rectifier and ±√(6/(fan_in + fan_out)) (Glorot) elsewhere, biases
    at 0. One draw feeds all kernels: compiling a random draw costs far more than running it.

    Args:
        widths: the layers' outputs.
        activation: σ, a name in :data:`ACTIVATIONS`.

    >>> model = Dense((5, 3))
    >>> params, state = model.init(jax.random.key(0), jnp.zeros((1, 8, 8)))
    >>> jax.tree.map(jnp.shape, params)
    {'dense0': {'bias': (5,), 'kernel': (64, 5)}, 'dense1': {'bias': (3,), 'kernel': (5, 3)}}
    >>> model.apply(params, state, jnp.ones((2, 8, 8)))[0].shape
    (2, 3)
    """

    widths: tuple[int, ...]
    activation: str = "relu"

    def init(self, key: Key, x_example: Shaped[Array, "one ..."]) -> tuple[Params, ModelState]:
        """He or Glorot uniform kernels, zero biases, and no state."""
        sizes = (math.prod(x_example.shape[1:]), *self.widths)
        shapes = list(itertools.pairwise(sizes))
        draws = jax.random.uniform(key, (sum(a * b for a, b in shapes),), minval=-1.0)
        params, start = {}, 0
        for layer, (fan_in, fan_out) in enumerate(shapes):
            rectified = layer < len(shapes) - 1 and self.activation in ("relu", "leaky_relu", "elu", "gelu", "silu")
            bound = math.sqrt(6 / (fan_in if rectified else fan_in + fan_out))
            kernel = bound * draws[start : start + fan_in * fan_out].reshape(fan_in, fan_out)
            params[f"dense{layer}"] = {"kernel": kernel, "bias": jnp.zeros(fan_out)}
            start += fan_in * fan_out
        return params, {}

    def apply(
        self,
        params: Params,
        model_state: ModelState,
        x: Shaped[Array, "batch ..."],
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[Float[Array, " batch *outputs"], ModelState]:
        """Outputs ``[B, k]``, or ``[B]`` if there is one; the same in training and evaluation."""
        x = pixels(x).reshape(x.shape[0], -1)
        for layer in range(len(self.widths)):
            x = ACTIVATIONS[self.activation](x) if layer else x
            x = product(x, params[f"dense{layer}"]["kernel"]) + params[f"dense{layer}"]["bias"]
        return (x[:, 0] if self.widths[-1] == 1 else x), model_state

    def module(self, params: Params, model_state: ModelState) -> Callable[[Array], Array]:
        """The trained model as a function ``x → outputs``."""
        return functools.partial(_predict, self, params, model_state)


def _predict(model: Dense, params: Params, model_state: ModelState, x: Any) -> Array:
    return model.apply(params, model_state, jnp.asarray(x))[0]


def linear(outputs: int = 1) -> Dense:
    """A linear model with bias; its sign decides between labels −1 and +1 [A4].

    ŷ = θᵀx + b

    Args:
        outputs: how many numbers to predict for each example; one is ``[B]``, k are ``[B, k]``.

    Returns:
        A model.

    Raises:
        ValueError: ``outputs`` is not an integer ≥ 1.

    >>> linear() == linear(1), linear() == linear(2)
    (True, False)
    """
    return Dense((check_integer("linear", "outputs", outputs),))


def logistic() -> Dense:
    """The binary log-linear model: σ(θᵀx + b) is the probability of label 1 [A4].

    Its output is the logit θᵀx + b, so it is :func:`linear` with one output; the loss makes the difference.

    Returns:
        A model.

    >>> logistic()
    Dense(widths=(1,), activation='relu')
    """
    return linear(1)


def softmax(classes: int) -> Dense:
    """The multi-class log-linear model: softmax(θᵀx + b) are the probabilities [A4].

    Args:
        classes: K ≥ 2; the outputs are K logits.

    Returns:
        A model.

    Raises:
        ValueError: ``classes`` is not an integer ≥ 2.

    >>> softmax(10)
    Dense(widths=(10,), activation='relu')
    """
    if check_integer("softmax", "classes", classes) < 2:
        raise ValueError(f"softmax: classes must be an integer >= 2; got {classes} (for two classes, also logistic())")
    return Dense((classes,))


def mlp(hidden: tuple[int, ...] = (64,), classes: int = 10, activation: str = "relu") -> Dense:
    """A multi-layer perceptron [A4].

    θ_kᵀσ(…σ(θ₁ᵀx + b₁)…) + b_k

    Args:
        hidden: the widths of the hidden layers, any number of them.
        classes: the width of the last layer: K logits; 1 for one logit, k for k regression outputs.
        activation: σ: relu, leaky_relu, elu, gelu, silu, sigmoid, tanh or softplus.

    Returns:
        A model.

    Raises:
        ValueError: a width is not an integer ≥ 1, or the activation is unknown.

    >>> mlp(hidden=(128, 32), classes=10, activation="tanh")
    Dense(widths=(128, 32, 10), activation='tanh')
    """
    check_choice("mlp", "activation", activation, ACTIVATIONS)
    hidden = (hidden,) if isinstance(hidden, int) else tuple(hidden)
    widths = [check_integer("mlp", f"hidden[{i}]", width) for i, width in enumerate(hidden)]
    return Dense((*widths, check_integer("mlp", "classes", classes)), activation)


def as_model(where: str, model: Any, outputs: int) -> Model:
    """A model from what users write: a name, a model, or a flax module.

    Args:
        where: whose argument it is, for messages.
        model: a name in :data:`NAMES`, a :class:`Model`, a linen module, or an nnx module or module class.
        outputs: how many outputs a model given by name gets.

    Returns:
        The model.

    Raises:
        ValueError: the name is unknown. TypeError: it is none of these.

    >>> as_model("digits", "mlp", 10)
    Dense(widths=(64, 10), activation='relu')
    """
    if isinstance(model, str):
        check_choice(where, "model", model, NAMES)
        if model == "logistic":
            return logistic()
        build = globals().get(model) or __getattr__(model)
        return build(classes=outputs) if model in ("mlp", "convnet") else build(max(outputs, 2 * (model == "softmax")))
    if "flax" in sys.modules:  # else it cannot be a flax module
        from jaxopt_course.problems import flax_models

        if (adapted := flax_models.adapt(model)) is not None:
            return adapted
    if isinstance(model, Model) and not isinstance(model, type):
        return model
    raise TypeError(
        f"{where}: model must be one of {', '.join(NAMES)}, a model with init and apply, a flax linen module, or an "
        f"nnx module or module class; got {model!r}"
    )


def __getattr__(name: str) -> Any:
    if name in ("convnet", "from_linen", "from_nnx"):
        from jaxopt_course.problems import flax_models

        return getattr(flax_models, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
