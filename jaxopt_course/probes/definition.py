"""What a probe is: a pure pair, like an optimizer, and what it sees of a step.

    memory = init(params);   value, memory = observe(at, memory)

Training holds probes as a pytree from names to :class:`Probe`: their rules are static and compare by value, so equal probes
built again share one compiled program, and their numbers are data.
"""

from __future__ import annotations

import dataclasses
import functools
import keyword
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from jaxopt_course import checks
from jaxopt_course.transform.leaves import cast_like
from jaxopt_course.types import Batch, Grads, Key, OptState, Parametric, Params, Updates

__all__ = ["UNKNOWN", "Observation", "Over", "Probe", "chunked_sum", "named", "observe", "start"]

Over = Literal["batch", "train"]

PREFIXES = ("validation_", "epoch_")  # of what the history has for each evaluation

UNKNOWN: Any = object()  # the data of a loop of one's own, which shows each step its batch alone


@jax.tree_util.register_pytree_with_keys_class
class _Observe(Parametric):
    """A rule with numbers in it, for probes with a memory too."""

    def __call__(self, argument: Any, *memory: Any) -> Any:
        return self.rule(argument, *memory, **self.numbers, **dict(self.static))


@functools.partial(
    jax.tree_util.register_dataclass,
    data_fields=["observe"],
    meta_fields=["name", "init", "every", "long_name", "units"],
)
@dataclasses.dataclass(frozen=True)
class Probe:
    """Something to record at each step, or every so many; goes to ``probes=`` of ``fit``, ``minimize`` and ``make_step``.

    value = observe(at);   or, with a memory:   value, memory = observe(at, memory),   memory = init(params)

    The value is in the history under the probe's name, over ``step``, as it is before the update of its row. At steps that it
    leaves out it is NaN, its memory stays, and it costs nothing: ``history[name].dropna("step")`` has the others.

    Args:
        name: what the history calls it.
        observe: a pure function of an :class:`Observation`; the value is a real number or an array of them. It is part of the
            compiled program: a function of a module compiles once, a lambda made anew compiles anew.
        init: the first memory, a pytree of arrays; none by default. It is part of ``result.state``, so that a run goes on
            exactly.
        every: observe at steps 0, k, 2k, … of the run (the rows 1, k + 1, 2k + 1, … of the history).
        long_name, units: attributes of the history's variable, which plots show.

    Raises:
        TypeError, ValueError: an argument is not what it should be.

    >>> import jaxopt_course as jc
    >>> problem = jc.problems.linear_regression(num_examples=80, num_features=3)
    >>> size = Probe("size", lambda at: optax.tree.norm(at.params), every=4, long_name="norm of the parameters")
    >>> def travelled(at, length):
    ...     length = length + optax.tree.norm(at.updates)
    ...     return length, length
    >>> length = Probe("length", travelled, init=lambda params: jnp.zeros(()))
    >>> history = jc.fit(problem, jc.sgd(0.1), batch_size=8, epochs=1, probes=[size, length]).history
    >>> history["size"].dropna("step").step.values, bool((history.length.diff("step") > 0).all())
    (array([1, 5, 9]), True)
    """

    name: str
    observe: Callable[..., Any]
    init: Callable[[Params], Any] | None = None
    every: int = 1
    long_name: str = ""
    units: str = ""

    def __post_init__(self):
        _check_name("Probe", self.name)
        if not callable(self.observe):
            raise TypeError(f"{self.name}: observe must be a function of an Observation; got {self.observe!r}")
        if not isinstance(self.observe, _Observe):
            object.__setattr__(self, "observe", _Observe(self.observe))
        checks.check_integer(self.name, "every", self.every)
        if self.init is not None and not callable(self.init):
            raise TypeError(f"{self.name}: init must be a function of the parameters; got {self.init!r}")

    @classmethod
    def of(
        cls,
        rule: Callable[..., Any],
        name: str,
        long_name: str,
        *,
        numbers: Mapping[str, Any] | None = None,
        static: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Probe:
        """A probe of ``rule(at, *memory, **numbers, **static)``: other numbers share its compiled program."""
        observe = _Observe(rule, dict(numbers or {}), tuple((static or {}).items()))
        return cls(name, observe, long_name=long_name, **options)

    @property
    def attributes(self) -> dict[str, Any]:
        """What the history says about it."""
        long_name = self.long_name or self.name
        often = f", every {self.every} steps" if self.every > 1 else ""
        units = {"units": self.units} if self.units else {}
        return {"description": long_name + often, "long_name": long_name, "every": self.every, **units}


@dataclasses.dataclass(frozen=True, eq=False)
class Observation:
    """What a probe sees of a step.

    Attributes:
        step: updates done before this one. params: θ before it. point: where the gradient was taken (θ itself, but for
            look-aheads). grads: the gradient there, of the objective. updates: what is added to θ. opt_state: after it.
        loss, objective: Σ wᵢ ℓᵢ of the batch, and with λR, at the point.
        batch: the step's. weights: wᵢ, [B], 0 for what pads a ragged batch; None for 1/m each. data: the training split.
        key: for the probe's own randomness; another one at each step. model_key: the model's, of this step.
        value: ``value(params)``, the objective of the step's batch elsewhere, with the step's own dropout.
        evaluate: ``evaluate(params, batch, key=None)``, losses ℓᵢ, [B], or a scalar; as in evaluation without a key.
        regularizer: λR(θ), or None. coupled: an example's loss depends on its batch. probe: the name of the probe that looks.
    """

    step: jax.Array
    params: Params
    point: Params
    grads: Grads
    updates: Updates
    opt_state: OptState
    loss: jax.Array
    objective: jax.Array
    batch: Batch
    weights: jax.Array | None
    data: Batch
    key: Key
    model_key: Key
    value: Callable[[Params], jax.Array]
    evaluate: Callable[..., jax.Array]
    regularizer: Callable[[Params], jax.Array] | None
    coupled: bool
    probe: str = ""

    def losses(self, params: Params, batch: Batch, key: Key | None = None) -> jax.Array:
        """``evaluate``, for probes that need a loss for each example, [B].

        Raises:
            ValueError: examples have no losses of their own.
        """
        losses = None if self.coupled else self.evaluate(params, batch, key)
        if losses is None or losses.ndim == 0:
            raise ValueError(
                f"the probe {self.probe} needs one loss for each example, [B], that does not depend on the others; here the "
                "examples are coupled (a scalar loss, batch statistics, or a function without examples)"
            )
        return losses

    def split(self) -> Batch:
        """The training split.

        Raises:
            ValueError: the step's loop shows its batches only.
        """
        if self.data is UNKNOWN:
            raise ValueError(f"the probe {self.probe} looks over='train', and make_step has batches only: use over='batch'")
        return self.data

    def total(self, operator: Callable[[Callable[[Params], jax.Array]], Any], over: Over = "batch", chunk: int = 1024) -> Any:
        """``operator(L)``, for an operator that is linear in the function: a value, a gradient, a Hessian times a vector.

        Args:
            operator: from ``function(params) → scalar`` to a tree of arrays.
            over: L is the objective of the step's batch, as in the step; or of the training split, as in evaluation.
            chunk: how many examples of the split at a time (static).
        """
        if over == "batch":
            return operator(self.value)
        data = self.split()
        if jax.eval_shape(self.evaluate, self.params, data).ndim == 0:  # a scalar is the mean of what it is given at once
            share = operator(lambda params: self.evaluate(params, data))
        else:
            share = chunked_sum(
                lambda part, new: operator(lambda params: _mean(self.evaluate(params, part), new)), data, chunk
            )
        return share if self.regularizer is None else optax.tree.add(share, operator(self.regularizer))

    def gradient(self, over: Over = "batch", chunk: int = 1024) -> Grads:
        """The objective's gradient at the gradient point: the step's own, or the training split's."""
        if over == "batch":
            return self.grads
        return self.total(lambda function: jax.tree.map(jnp.conj, jax.grad(function)(self.point)), over, chunk)


def _mean(losses: jax.Array, weights: jax.Array) -> jax.Array:
    return jnp.sum(weights.astype(losses.dtype) * losses)


def chunked_sum(function: Callable[[Batch, jax.Array], Any], data: Batch, chunk: int) -> Any:
    """Σ ``function(part, weights)`` over parts of ``chunk`` examples, whose weights are 1/n each.

    The last part overlaps the one before; what it repeats weighs 0.

    >>> chunked_sum(lambda part, weights: jnp.sum(part * weights), jnp.arange(5.0), chunk=2)  # the mean of 0 … 4
    Array(2., dtype=float32)
    """
    n = jax.tree.leaves(data)[0].shape[0]
    if chunk >= n:
        return function(data, jnp.full(n, 1 / n))

    def part(i):
        first = jnp.minimum(i * chunk, n - chunk)
        examples = jax.tree.map(lambda leaf: jax.lax.dynamic_slice_in_dim(leaf, first, chunk), data)
        return function(examples, (first + jnp.arange(chunk) >= i * chunk) / n)

    zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(part, jnp.int32(0)))
    return jax.lax.fori_loop(0, -(-n // chunk), lambda i, total: optax.tree.add(total, part(i)), zeros)


def named(where: str, probes: Any, taken: Iterable[str] = ()) -> dict[str, Probe]:
    """``probes``, one, several, or ``{name: probe}``, as a checked mapping.

    Raises:
        TypeError: something is no probe. ValueError: two have one name, or the history uses it already.
    """
    if isinstance(probes, Mapping):
        pairs = list(probes.items())
    else:
        listed = list(probes) if isinstance(probes, Iterable) and not isinstance(probes, str) else [probes]
        pairs = [(getattr(probe, "name", ""), probe) for probe in listed]
    found: dict[str, Probe] = {}
    for name, probe in pairs:
        if isinstance(probe, type) or not isinstance(probe, Probe):
            hint = " (call it: jc.probes.gradient_norm())" if callable(probe) else ""
            raise TypeError(f"{where}: probes takes jc.probes, one, several, or {{name: probe}}; got {probe!r}{hint}")
        _check_name(where, name)
        if name in found:
            raise ValueError(f"{where}: two probes are called {name!r}; give them names: probes={{name: probe, ...}}")
        if name in taken or name.startswith(PREFIXES):
            raise ValueError(f"{where}: a probe must not be called {name!r}: the history has something else under this name")
        found[name] = probe
    return found


def _check_name(where: str, name: Any) -> None:
    if not isinstance(name, str):
        raise TypeError(f"{where}: a probe's name must be a string; got {name!r}")
    if not name.isidentifier() or keyword.iskeyword(name):
        raise ValueError(f"{where}: a probe's name must be an identifier, as history.<name>; got {name!r}")


def start(probes: Mapping[str, Probe], params: Params) -> dict[str, Any]:
    """The first memories, by name."""
    return {name: () if probe.init is None else probe.init(params) for name, probe in probes.items()}


def observe(
    probes: Mapping[str, Probe], memories: Mapping[str, Any], at: Observation
) -> tuple[dict[str, jax.Array], dict[str, Any]]:
    """All probes' values and next memories; a ``cond`` on the step for those that do not look at every step."""
    seen = {name: _observe(probe, memories[name], dataclasses.replace(at, probe=name)) for name, probe in probes.items()}
    return {name: value for name, (value, _) in seen.items()}, {name: memory for name, (_, memory) in seen.items()}


def _observe(probe: Probe, memory: Any, at: Observation) -> tuple[jax.Array, Any]:
    def look():
        if probe.init is None:
            return _real(at.probe, probe.observe(at)), memory
        value, new = probe.observe(at, memory)
        if (have := jax.tree.map(jnp.shape, new)) != (want := jax.tree.map(jnp.shape, memory)):
            raise ValueError(f"the probe {at.probe}: observe returned a memory of shapes {have}; init gave {want}")
        return _real(at.probe, value), cast_like(new, memory)

    if probe.every == 1:
        return look()
    value = jax.eval_shape(look)[0]
    return jax.lax.cond(at.step % probe.every == 0, look, lambda: (jnp.full(value.shape, jnp.nan, value.dtype), memory))


def _real(name: str, value: Any) -> jax.Array:
    """What a probe returned, as floating-point numbers."""
    try:
        value = jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"the probe {name} must return a number or an array; got {value!r:.200}") from error
    if jnp.iscomplexobj(value):
        raise TypeError(f"the probe {name} must return real numbers; got {value.dtype}")
    return value if jnp.issubdtype(value.dtype, jnp.floating) else value.astype(jnp.result_type(float))
