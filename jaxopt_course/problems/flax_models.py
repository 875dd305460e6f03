"""Flax modules as models, batch statistics and dropout included; :mod:`~jaxopt_course.problems.models` loads it when asked.

Parameters and state are nested dicts of arrays, whatever the library keeps them in. What a module carries besides
parameters (batch statistics) is the model's state and moves in training only. What is random in training draws from the
step's key, so a run is a function of its key, and no generator is carried along.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from flax import linen, nnx

from jaxopt_course.checks import Interval, check_bool, check_integer, check_number
from jaxopt_course.problems.models import pixels
from jaxopt_course.types import Key, ModelState, Params, is_key

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Shaped

__all__ = ["ConvNet", "LinenModel", "NNXModel", "adapt", "convnet", "from_linen", "from_nnx"]


def convnet(
    channels: tuple[int, ...] = (16, 32), classes: int = 10, *, batch_norm: bool = False, dropout: float = 0.0
) -> LinenModel:
    """A small convolutional net: 3 × 3 convolutions with stride 2 and relu, then one dense layer [A4].

    Strides halve the image; on a CPU they train about four times faster than convolution and pooling. Kernels start as in
    :class:`~jaxopt_course.problems.models.Dense`: He uniform, the last layer Glorot uniform.

    Args:
        channels: of each convolution, any number of them.
        classes: the width of the last layer: K logits.
        batch_norm: normalise by the batch after each convolution, which couples the examples of a batch.
        dropout: the probability of dropping a feature before the last layer, in [0, 1).

    Returns:
        A model for images ``[B, H, W]`` or ``[B, H, W, C]``.

    Raises:
        TypeError, ValueError: a width is not an integer ≥ 1, ``batch_norm`` is no bool, or ``dropout`` is outside [0, 1).

    >>> model = convnet((4,), classes=3)
    >>> params, state = model.init(jax.random.key(0), jnp.zeros((1, 8, 8)))
    >>> model.apply(params, state, jnp.ones((2, 8, 8)))[0].shape, model == convnet((4,), classes=3)
    ((2, 3), True)
    """
    for i, width in enumerate(channels):
        check_integer("convnet", f"channels[{i}]", width)
    check_number("convnet", "dropout", dropout, Interval(0, 1, open_high=True))
    check_integer("convnet", "classes", classes)
    return from_linen(ConvNet(tuple(channels), classes, check_bool("convnet", "batch_norm", batch_norm), dropout))


def from_linen(module: linen.Module, *, rngs: tuple[str, ...] = ("dropout",)) -> LinenModel:
    """A model from a flax linen module.

    Args:
        module: called as ``module(x)``. If its ``__call__`` has an argument ``train``, ``training``, ``is_training``,
            ``deterministic`` or ``use_running_average``, that is set to suit.
        rngs: the names of the random streams that it draws from in training.

    Returns:
        A model, equal to another one of an equal module. ``problem.module(params, model_state)`` is the bound module.

    Raises:
        TypeError: not a linen module.

    >>> model = from_linen(linen.Dense(3))
    >>> params, state = model.init(jax.random.key(0), jnp.zeros((1, 4)))
    >>> jax.tree.map(jnp.shape, params), model == from_linen(linen.Dense(3))
    ({'bias': (3,), 'kernel': (4, 3)}, True)
    """
    if not isinstance(module, linen.Module):
        raise TypeError(f"from_linen: module must be a flax.linen.Module (an instance); got {module!r}")
    return LinenModel(module, tuple(rngs))


def from_nnx(factory: Callable[..., nnx.Module] | nnx.Module, **options: Any) -> NNXModel:
    """A model from a flax nnx module class, a factory of modules, or one module.

    Args:
        factory: a module class or function, called as ``factory(**options, rngs=...)``, or a module. A class with equal
            options makes equal models, which share compiled code; it starts from the given key. A module starts from
            its own parameters whatever the key, is not changed, and makes a model equal to itself only.
        options: static keyword arguments of the factory, hashable.

    Returns:
        A model. ``problem.module(params, model_state)`` is a new module in evaluation mode.

    Raises:
        TypeError: not a factory or module, options given with a module, or an option is not hashable.

    >>> model = from_nnx(nnx.Linear, in_features=4, out_features=3)
    >>> params, state = model.init(jax.random.key(0), jnp.zeros((1, 4)))
    >>> jax.tree.map(jnp.shape, params), model == from_nnx(nnx.Linear, out_features=3, in_features=4)
    ({'bias': (3,), 'kernel': (4, 3)}, True)
    """
    if isinstance(factory, nnx.Module):
        if options:
            raise TypeError(f"from_nnx: a module takes no options; got {', '.join(options)}")
        return NNXModel(_Given(*nnx.split(factory)))
    if not callable(factory):
        raise TypeError(f"from_nnx: factory must be an nnx module class, a function or an nnx module; got {factory!r}")
    model = NNXModel(factory, tuple(sorted(options.items())))
    try:
        hash(model)
    except TypeError as error:
        raise TypeError(f"from_nnx: options must be hashable: {error}") from None
    return model


def adapt(module: Any) -> LinenModel | NNXModel | None:
    """The model of a flax module (or nnx module class); None for anything else."""
    if isinstance(module, linen.Module):
        return from_linen(module)
    if isinstance(module, nnx.Module) or (isinstance(module, type) and issubclass(module, nnx.Module)):
        return from_nnx(module)
    return None


class ConvNet(linen.Module):
    """The module of :func:`convnet`."""

    channels: tuple[int, ...] = (16, 32)
    classes: int = 10
    batch_norm: bool = False
    dropout: float = 0.0

    @linen.compact
    def __call__(self, x: Float[Array, "batch h w *c"], train: bool = False) -> Float[Array, "batch classes"]:
        x = x[..., None] if x.ndim == 3 else x
        for channels in self.channels:
            x = linen.Conv(channels, (3, 3), strides=2, kernel_init=linen.initializers.he_uniform())(x)
            x = linen.BatchNorm(use_running_average=not train, momentum=0.9)(x) if self.batch_norm else x
            x = linen.relu(x)
        x = linen.Dropout(self.dropout, deterministic=not train)(x.reshape(x.shape[0], -1))
        return linen.Dense(self.classes, kernel_init=linen.initializers.glorot_uniform())(x)


@dataclasses.dataclass(frozen=True)
class LinenModel:
    """A linen module as a :class:`~jaxopt_course.problems.models.Model`; see :func:`from_linen`."""

    net: linen.Module
    rngs: tuple[str, ...] = ("dropout",)

    def init(self, key: Key, x_example: Shaped[Array, "one ..."]) -> tuple[Params, ModelState]:
        """The module's own initialisation."""
        start: Any = self.net.init
        streams = self._streams(key, ("params", *self.rngs))
        variables = dict(start(streams, pixels(x_example), **_mode(self.net, train=False)))
        return variables.pop("params", {}), variables

    def apply(
        self,
        params: Params,
        model_state: ModelState,
        x: Shaped[Array, "batch ..."],
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[Array, ModelState]:
        """Outputs, and the state: moved in training, as it was in evaluation."""
        run: Any = functools.partial(self.net.apply, {"params": params, **model_state}, pixels(x), **_mode(self.net, train))
        if not train:
            return run(), model_state
        outputs, moved = run(rngs={} if key is None else self._streams(key, self.rngs), mutable=list(model_state))
        return outputs, dict(moved)

    def module(self, params: Params, model_state: ModelState) -> linen.Module:
        """The bound module: call it on floats (:func:`~jaxopt_course.problems.models.pixels`)."""
        return self.net.bind({"params": params, **model_state})

    @staticmethod
    def _streams(key: Key, names: tuple[str, ...]) -> dict[str, Key]:
        return {name: jax.random.fold_in(key, i) for i, name in enumerate(names)}


@dataclasses.dataclass(frozen=True)
class NNXModel:
    """An nnx module as a :class:`~jaxopt_course.problems.models.Model`; see :func:`from_nnx`."""

    factory: Callable[..., nnx.Module]
    options: tuple[tuple[str, Any], ...] = ()

    def init(self, key: Key, x_example: Shaped[Array, "one ..."]) -> tuple[Params, ModelState]:
        """The module's own initialisation."""
        _, params, _, state = _split(self.build(key))
        return nnx.to_pure_dict(params), nnx.to_pure_dict(state)

    def apply(
        self,
        params: Params,
        model_state: ModelState,
        x: Shaped[Array, "batch ..."],
        *,
        key: Key | None = None,
        train: bool = False,
    ) -> tuple[Array, ModelState]:
        """Outputs, and the state: moved in training, as it was in evaluation."""
        module = self._merge(params, model_state, key, train)
        outputs = module(pixels(x), **_mode(module, train))  # type: ignore[operator]  # nnx modules are called
        return outputs, nnx.to_pure_dict(_split(module)[3]) if train else model_state

    def module(self, params: Params, model_state: ModelState) -> nnx.Module:
        """A new module with these values, in evaluation mode: call it on floats."""
        return self._merge(jax.tree.map(jnp.array, params), jax.tree.map(jnp.array, model_state), None, train=False)

    def build(self, key: Key) -> nnx.Module:
        """A fresh module."""
        return self.factory(**dict(self.options), rngs=nnx.Rngs(key))

    def _merge(self, params: Params, model_state: ModelState, key: Key | None, train: bool) -> nnx.Module:
        graph, *skeletons = _skeleton(self)
        filled, random, state = (jax.tree.map(lambda leaf: leaf, skeleton) for skeleton in skeletons)  # ours to fill
        if train and key is None and jax.tree.leaves(random):
            raise ValueError("apply: key must be given to train a model that draws random numbers; got None")
        nnx.replace_by_pure_dict(filled, params)
        nnx.replace_by_pure_dict(state, model_state)
        module = nnx.merge(graph, filled, _reseeded(random, jax.random.key(0) if key is None else key), state)
        module.train() if train else module.eval()
        return module


@dataclasses.dataclass(frozen=True, eq=False)
class _Given:
    """The factory that returns copies of one module."""

    graph: Any
    state: Any

    def __call__(self, *, rngs: nnx.Rngs) -> nnx.Module:
        return nnx.merge(self.graph, self.state, copy=True)


def _split(module: nnx.Module) -> tuple[Any, Any, Any, Any]:
    """Graph, parameters, random streams, and everything else that a module holds."""
    return nnx.split(module, nnx.Param, nnx.RngState, ...)  # type: ignore[return-value]  # four parts for three filters


@functools.lru_cache(maxsize=64)
def _skeleton(model: NNXModel) -> tuple[Any, Any, Any, Any]:
    """What :func:`_split` gives, with shapes in the place of arrays."""
    return _split(nnx.eval_shape(lambda: model.build(jax.random.key(0))))


def _reseeded(streams: Any, key: Key) -> Any:
    """Every stream of the module from the step's key, its count at 0."""
    if not is_key(key):
        key = jax.random.wrap_key_data(key)
    leaves, structure = jax.tree.flatten(streams)
    fresh = [
        jax.random.split(jax.random.fold_in(key, i), leaf.shape) if is_key(leaf) else jnp.zeros(leaf.shape, leaf.dtype)
        for i, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, fresh)


def _mode(module: Any, train: bool) -> dict[str, bool]:
    """The arguments by which this module's ``__call__`` is told whether it trains."""
    known = {"train": train, "training": train, "is_training": train}
    known |= {"deterministic": not train, "use_running_average": not train}
    accepted = inspect.signature(type(module).__call__).parameters
    return {name: value for name, value in known.items() if name in accepted}
