"""Reading and setting the hyperparameters of any state that has some, and what they are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_course import checks
from jaxopt_course.transform.hyperparams import HyperparamsState, check_state, is_schedule
from jaxopt_course.types import OptState, Schedule, value_at

__all__ = ["check_schedules", "hyperparams", "set_hyperparams"]

LOOKED_AT = 128  # steps of a coming run at which its schedules are checked
ROUNDING = 1e-6  # of a schedule's largest value: so far outside, a value is not


def hyperparams(opt_state: OptState) -> dict[str, jax.Array]:
    """What the last update used (before the first: what it will use), by name.

    Names are short (``"learning_rate"``) where they are unique, else paths: labels of a partition
    (``"weights/learning_rate"``), positions in a chain (``"0/decay"``, of its first member), and so on inwards; with the
    fields' names where those do not tell them apart (``"adv_state/learning_rate"``, of optax's SAM).

    Args:
        opt_state: any optimizer state with states of ours, or of ``optax.inject_hyperparams``, in it.

    Returns:
        Name → array.

    Raises:
        TypeError: an optimizer in the place of its state.

    >>> import jaxopt_course as jc
    >>> state = jc.sgd(jc.schedules.linear(1.0, 0.0, 10)).init(jnp.zeros(2))
    >>> hyperparams(state)
    {'learning_rate': Array(1., dtype=float32)}
    >>> twice = jc.averaged(jc.rmsprop(0.1, decay=0.9), decay=0.99)  # a chain: first RMSProp, then the average
    >>> {name: round(float(value), 2) for name, value in hyperparams(twice.init(jnp.zeros(2))).items() if "decay" in name}
    {'0/decay': 0.9, '1/decay': 0.99}
    """
    check_state("hyperparams", opt_state)
    nodes = _nodes(opt_state)
    values = {(path, *tail): value for path, node in nodes for tail, value in _leaves(_last_values(node))}
    names = _short_names(nodes)
    return {names[full]: value for full, value in values.items()}


def set_hyperparams(opt_state: OptState, values: Mapping[str, Any] | None = None, **named: Any) -> OptState:
    """The state with other hyperparameters: mid-run, or to differentiate by them, or to stack a population.

    Args:
        opt_state: any optimizer state that :func:`hyperparams` can read.
        values: name or path → number or array. A schedule's own numbers are at ``"learning_rate/decay_rate"``.
        named: the same, as keywords.

    Returns:
        A state of the same structure.

    Raises:
        ValueError: an unknown or ambiguous name, a value outside what the optimizer accepts, or a scheduled
            hyperparameter (its schedule's numbers are named).

    >>> import jaxopt_course as jc
    >>> state = jc.sgd(0.1).init(jnp.zeros(2))
    >>> hyperparams(set_hyperparams(state, learning_rate=0.01))
    {'learning_rate': Array(0.01, dtype=float32)}
    """
    nodes = _nodes(opt_state)
    short = _short_names(nodes)
    settable = {(path, *tail): (path, tail) for path, node in nodes for tail in _settable(node)}
    names = {short[full]: place for full, place in settable.items()}
    scheduled = {short[full]: full for full in short if full not in settable}
    if not nodes and (values or named):
        raise ValueError(
            "set_hyperparams: opt_state must be the state of an optimizer with hyperparameters, as result.state.opt_state; "
            f"got {type(opt_state).__name__}, without any"
        )
    changes: dict[tuple[str, ...], dict[tuple[str, ...], Any]] = {}
    for name, value in {**(values or {}), **named}.items():
        if name in scheduled:
            full = scheduled[name]
            parts = [short[part] for part in settable if part[: len(full)] == full] or ["(a function: nothing)"]
            raise ValueError(f"set_hyperparams: {name} follows a schedule; set its numbers: {', '.join(parts)}")
        if name not in names:
            raise ValueError(f"set_hyperparams: no hyperparameter {name!r}{checks.closest(name, names)}")
        path, tail = names[name]
        changes.setdefault(path, {})[tail] = value
    for path, change in changes.items():
        old = dict(_nodes(opt_state))[path]
        new = _with_values(old, change)
        opt_state = _substitute(opt_state, old, new)
    return opt_state


def check_schedules(where: str, opt_state: OptState, steps: int) -> None:
    """Raise if a schedule leaves what its hyperparameter accepts during a run's coming updates.

    Checked at up to 128 steps: all of a short run's; evenly spaced ones of a longer run, its first and last among them.
    A schedule inside ``optax.MultiSteps``, which counts otherwise, passes.

    Args:
        where: who asks, for the message.
        opt_state: the state that the run begins with.
        steps: how many updates it has.

    Raises:
        ValueError: a value outside the hyperparameter's interval, by more than rounding, or not finite; says the first such
            step found.

    >>> import jaxopt_course as jc
    >>> state = jc.sgd(lambda step: 0.1 * (1 - step / 100)).init(jnp.zeros(2))
    >>> check_schedules("fit", state, 101)
    >>> check_schedules("fit", state, 128)
    Traceback (most recent call last):
    ValueError: fit: sgd's learning_rate must be a number >= 0 at each of the run's 128 steps; at step 101 it is -0.001
    """
    if not steps:
        return
    ahead = np.unique(np.linspace(0, steps - 1, min(steps, LOOKED_AT)).round().astype(int))
    for _, node in _nodes(jax.tree.map(_without_multi_steps, opt_state, is_leaf=_is_multi_steps)):
        for name, interval, schedule in _scheduled(node):
            numbers = ahead + int(node.step)
            values = np.array([float(value_at(schedule, int(step))) for step in numbers])
            rounding = ROUNDING * np.nanmax(np.abs(values), initial=0)  # 0.1 − 0.01 · 10 may be −7e−9
            for step, value in zip(numbers, values, strict=True):
                if not any(near in interval for near in (value, value - rounding, value + rounding)):
                    raise ValueError(
                        f"{where}: {node.rule.name}'s {name} must be {interval} at each of the run's {steps} steps; "
                        f"at step {step} it is {value:.4g}"
                    )


def _is_multi_steps(node: Any) -> bool:
    return isinstance(node, optax.MultiStepsState)


def _without_multi_steps(node: Any) -> Any:
    return None if _is_multi_steps(node) else node


def _scheduled(node: Any) -> list[tuple[str, checks.Interval, Schedule]]:
    """A node's schedules, with what each one's values must be."""
    if not isinstance(node, HyperparamsState):
        return []
    accepted, found = dict(node.rule.accepted), []
    for tail, leaf in _leaves(node.hyperparams, is_schedule):
        if isinstance(leaf, Schedule):
            inner = tail[1:]
            interval = _schedules_interval(node.hyperparams[tail[0]], inner) if inner else accepted.get(tail[0])
            found.append(("/".join(tail), interval or checks.Interval(), leaf))
    return found


def _has_hyperparams(node: Any) -> bool:
    return isinstance(node, (HyperparamsState, optax.InjectStatefulHyperparamsState))


def _nodes(opt_state: OptState) -> list[tuple[tuple[str, ...], Any]]:
    """Every state with hyperparameters, outermost first, with its path: keys and positions; fields where two share one."""
    found = list(_walk(opt_state, ()))
    short = [tuple(name for name, is_field in path if not is_field) for path, _ in found]
    return [
        (here if short.count(here) == 1 else tuple(name for name, _ in path), node)
        for here, (path, node) in zip(short, found, strict=True)
    ]


def _walk(opt_state: OptState, prefix: tuple[tuple[str, bool], ...]) -> Iterator[tuple[tuple[tuple[str, bool], ...], Any]]:
    """Every state with hyperparameters, with its path: names, and whether each is a field's."""
    name = lambda key: str(getattr(key, "name", getattr(key, "key", getattr(key, "idx", ""))))
    for path, node in jax.tree_util.tree_leaves_with_path(opt_state, is_leaf=_has_hyperparams):
        if _has_hyperparams(node):
            here = (*prefix, *((name(key), hasattr(key, "name")) for key in path))
            yield here, node
            ours = isinstance(node, HyperparamsState)
            inner, label = (node.inner, node.rule.name) if ours else (node.inner_state, "injected")
            yield from _walk(inner, (*here, (label, False)))


def _last_values(node: Any) -> dict[str, Any]:
    if isinstance(node, HyperparamsState):
        return node.values(None if node.step is None else jnp.maximum(node.step - 1, 0))
    return dict(node.hyperparams)


def _is_scheduled(node: Any, name: str) -> bool:
    if isinstance(node, HyperparamsState):
        return isinstance(node.hyperparams[name], Schedule)
    return name in node.hyperparams_states


def _settable(node: Any) -> list[tuple[str, ...]]:
    """The paths, inside a node, of the numbers that can be set."""
    return [tail for tail, _ in _leaves(node.hyperparams) if tail[1:] or not _is_scheduled(node, tail[0])]


def _leaves(numbers: dict[str, Any], is_leaf: Callable[[Any], bool] | None = None) -> list[tuple[tuple[str, ...], Any]]:
    """A node's numbers, with their paths inside it."""
    leaves = jax.tree_util.tree_leaves_with_path(numbers, is_leaf=is_leaf)
    return [(tuple(str(key.key) for key in path), leaf) for path, leaf in leaves]


def _short_names(nodes: list[tuple[tuple[str, ...], Any]]) -> dict[Any, str]:
    """(node path, *tail), of all that can be read or set → the tail where it is unique, else the whole path."""
    paths = list(dict.fromkeys(
        (path, *tail) for path, node in nodes for whole in (is_schedule, None) for tail, _ in _leaves(node.hyperparams, whole)
    ))  # fmt: skip
    tails = ["/".join(tail) for _, *tail in paths]
    return {
        full: tail if tails.count(tail) == 1 else "/".join((*full[0], tail)) for full, tail in zip(paths, tails, strict=True)
    }


def _schedules_interval(schedule: Schedule, path: tuple[str, ...]) -> checks.Interval | None:
    """What a schedule's number accepts; the schedule may be inside others."""
    for name in path[:-1]:
        schedule = schedule.numbers[name]
    return checks.intervals(schedule.rule).get(path[-1])


def _substitute(tree: Any, old: Any, new: Any) -> Any:
    """The tree with one node, found by identity, exchanged."""

    def exchange(node):
        if node is old:
            return new
        if isinstance(node, HyperparamsState):
            return dataclasses.replace(node, inner=_substitute(node.inner, old, new))
        if isinstance(node, optax.InjectStatefulHyperparamsState):
            return node._replace(inner_state=_substitute(node.inner_state, old, new))
        return node

    return jax.tree.map(exchange, tree, is_leaf=_has_hyperparams)


def _with_values(node: Any, change: dict[tuple[str, ...], Any]) -> Any:
    ours = isinstance(node, HyperparamsState)
    name, accepted = (node.rule.name, dict(node.rule.accepted)) if ours else ("inject_hyperparams", {})

    def replace(path, old):
        tail = tuple(str(key.key) for key in path)
        if tail not in change:
            return old
        value, shown = change[tail], "/".join(tail)
        interval = accepted.get(shown) if len(tail) == 1 else _schedules_interval(node.hyperparams[tail[0]], tail[1:])
        checks.check_number(f"set_hyperparams({name})", shown, value, interval, scalar=False)
        if jnp.shape(value) not in ((), jnp.shape(old)):
            raise ValueError(
                f"set_hyperparams({name}): {shown} has shape {jnp.shape(old)}; got an array of shape {jnp.shape(value)}"
            )
        return jnp.broadcast_to(jnp.asarray(value, old.dtype), jnp.shape(old))

    numbers = jax.tree_util.tree_map_with_path(replace, node.hyperparams)
    return dataclasses.replace(node, hyperparams=numbers) if ours else node._replace(hyperparams=numbers)
