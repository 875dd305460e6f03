"""The catalog: every optimizer, with what the laws and the race need to know about it.

A later optimizer only adds a row.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import optax

from jaxopt_course.linesearch import armijo, wolfe
from jaxopt_course.optimizers.adagrad import adagrad
from jaxopt_course.optimizers.adam import adam, adamw
from jaxopt_course.optimizers.adamax import adamax
from jaxopt_course.optimizers.amsgrad import amsgrad
from jaxopt_course.optimizers.averaging import averaged_sgd
from jaxopt_course.optimizers.descent import sgd
from jaxopt_course.optimizers.momentum import momentum, nesterov
from jaxopt_course.optimizers.nadam import nadam
from jaxopt_course.optimizers.normalized import normalized_sgd
from jaxopt_course.optimizers.rmsprop import adadelta, rmsprop
from jaxopt_course.optimizers.search import line_search

__all__ = ["CATALOG", "Entry"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """A row of the catalog.

    Attributes:
        factory: the optimizer's factory.
        lecture: the checklist row that it comes from.
        settings: arguments with which it decreases a convex quadratic.
        variants: other settings under which the laws must hold.
        learning_rates: the grid on which the race tunes it, ascending.
        changes: argument → (settings, other value): the setting in which that argument makes a difference.
        exceptions: law → the reason why it does not hold.
        held: the state's fields that :func:`jaxopt_course.theory.unroll` must hold: what the step is divided by.
    """

    factory: Callable[..., optax.GradientTransformationExtraArgs]
    lecture: str
    settings: Mapping[str, Any]
    changes: Mapping[str, tuple[Mapping[str, Any], Any]]
    variants: tuple[Mapping[str, Any], ...] = ()
    learning_rates: tuple[float, ...] = ()
    exceptions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    held: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """The first line of the factory's docstring."""
        return (self.factory.__doc__ or "").strip().splitlines()[0]


_LARGE = (0.01, 0.03, 0.1, 0.3, 1.0)
_SMALL = (0.0003, 0.001, 0.003, 0.01, 0.03)
_HEAVY_BALL = optax.sgd(1.0, momentum=0.5)  # ours would start JAX's backend at import

CATALOG: Mapping[str, Entry] = MappingProxyType({
    "sgd": Entry(
        sgd,
        lecture="B1",
        settings={"learning_rate": 0.1},
        changes={"learning_rate": ({"learning_rate": 0.1}, 0.2)},
        learning_rates=_LARGE,
    ),
    "normalized_sgd": Entry(
        normalized_sgd,
        lecture="B2",
        settings={"learning_rate": 0.03},
        changes={"learning_rate": ({"learning_rate": 0.1}, 0.2), "eps": ({"learning_rate": 0.1}, 0.1)},
        variants=({"learning_rate": 0.03, "eps": 0.1},),
        held=("norm",),
        learning_rates=_LARGE,
    ),
    "averaged_sgd": Entry(
        averaged_sgd,
        lecture="F5",
        settings={"learning_rate": 0.1},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "decay": ({"learning_rate": 0.1}, 0.5),
            "start": ({"learning_rate": 0.1}, 2),
            "bias_correction": ({"learning_rate": 0.1, "decay": 0.5}, False),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=({"learning_rate": 0.1, "decay": 0.9}, {"learning_rate": 0.1, "decay": 0.9, "bias_correction": False}),
        learning_rates=_LARGE,
    ),
    "momentum": Entry(
        momentum,
        lecture="D1",
        settings={"learning_rate": 0.03, "momentum": 0.8},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "momentum": ({"learning_rate": 0.1}, 0.5),
            "dampening": ({"learning_rate": 0.1}, 0.5),
            "rate_inside": ({"learning_rate": lambda step: 0.1 / (1 + step)}, False),
            "dampen_first": ({"learning_rate": 0.1, "dampening": 0.5}, False),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=(
            {"learning_rate": 0.03, "momentum": 0.8, "rate_inside": False},
            {"learning_rate": 0.05, "momentum": 0.8, "dampening": 0.3, "rate_inside": False, "dampen_first": False},
        ),
        learning_rates=_LARGE,
    ),
    "nesterov": Entry(
        nesterov,
        lecture="D3",
        settings={"learning_rate": 0.03, "momentum": 0.8},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "momentum": ({"learning_rate": 0.1}, 0.5),
            "form": ({"learning_rate": 0.1}, "shifted"),
            "rate_inside": ({"learning_rate": lambda step: 0.1 / (1 + step), "form": "shifted"}, False),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=(
            {"learning_rate": 0.03, "momentum": 0.8, "form": "shifted"},
            {"learning_rate": 0.03, "momentum": 0.8, "form": "shifted", "rate_inside": False},
        ),
        learning_rates=_LARGE,
    ),
    "adam": Entry(
        adam,
        lecture="E4",
        settings={"learning_rate": 0.03, "b1": 0.8, "b2": 0.95},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "b1": ({"learning_rate": 0.1}, 0.5),
            "b2": ({"learning_rate": 0.1}, 0.9),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "eps_root": ({"learning_rate": 0.1}, 0.1),
            "bias_correction": ({"learning_rate": 0.1}, False),
            "eps_inside_sqrt": ({"learning_rate": 0.1, "eps": 0.1}, True),
            "eps_before_correction": ({"learning_rate": 0.1, "eps": 0.1}, True),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=(
            {"learning_rate": 0.03, "bias_correction": False, "b2": 0.9},
            {"learning_rate": 0.03, "eps_inside_sqrt": True},
            {"learning_rate": 0.03, "eps_root": 1e-8, "eps_before_correction": True},
        ),
        held=("v",),
        learning_rates=_SMALL,
    ),
    "adagrad": Entry(
        adagrad,
        lecture="E1",
        settings={"learning_rate": 0.3, "eps": 1e-8},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "initial_accumulator": ({"learning_rate": 0.1}, 0.1),
            "eps_inside_sqrt": ({"learning_rate": 0.1, "eps": 0.1}, True),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=({"learning_rate": 0.3, "eps": 1e-7, "initial_accumulator": 0.1, "eps_inside_sqrt": True},),
        held=("v",),
        learning_rates=_LARGE,
    ),
    "rmsprop": Entry(
        rmsprop,
        lecture="E2",
        settings={"learning_rate": 0.01, "decay": 0.8, "eps": 1e-6},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "decay": ({"learning_rate": 0.1}, 0.5),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "momentum": ({"learning_rate": 0.1}, 0.5),
            "initial_accumulator": ({"learning_rate": 0.1}, 1.0),
            "centred": ({"learning_rate": 0.1, "eps": 0.1}, True),
            "bias_correction": ({"learning_rate": 0.1}, True),
            "rate_inside": ({"learning_rate": lambda step: 0.1 / (1 + step), "momentum": 0.5}, False),
            "nesterov": ({"learning_rate": 0.1, "momentum": 0.5}, True),
            "eps_inside_sqrt": ({"learning_rate": 0.1, "eps": 0.1}, True),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=(
            {"learning_rate": 0.01, "eps": 1e-4, "centred": True, "eps_inside_sqrt": True},
            {"learning_rate": 0.003, "momentum": 0.8, "rate_inside": False, "initial_accumulator": 1.0},
            {"learning_rate": 0.003, "momentum": 0.8, "nesterov": True},
            {"learning_rate": 0.01, "eps": 1e-6, "bias_correction": True},
        ),
        held=("v",),  # and "mean" if centred
        learning_rates=_SMALL,
    ),
    "adadelta": Entry(
        adadelta,
        lecture="E3",
        settings={"decay": 0.8, "eps": 1e-3},
        changes={
            "learning_rate": ({}, 0.5),
            "decay": ({}, 0.5),
            "eps": ({}, 1e-2),
            "accumulator_dtype": ({}, "bfloat16"),
        },
        variants=({"learning_rate": 0.7, "eps": 1e-3},),
        held=("v", "d"),
        learning_rates=(0.3, 1.0, 3.0, 10.0, 30.0),
    ),
    "adamax": Entry(
        adamax,
        lecture="E5",
        settings={"learning_rate": 0.03, "b1": 0.8, "b2": 0.95},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "b1": ({"learning_rate": 0.1}, 0.5),
            "b2": ({"learning_rate": 0.1}, 0.5),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "eps_place": ({"learning_rate": 0.1, "eps": 0.1, "b2": 0.5}, "maximum"),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=({"learning_rate": 0.03, "eps_place": "maximum"},),
        held=("u",),
        learning_rates=_SMALL,
    ),
    "nadam": Entry(
        nadam,
        lecture="E5",
        settings={"learning_rate": 0.03, "b1": 0.8, "b2": 0.95},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "b1": ({"learning_rate": 0.1}, 0.5),
            "b2": ({"learning_rate": 0.1}, 0.9),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "momentum_decay": ({"learning_rate": 0.1}, 0.004),
            "eps_root": ({"learning_rate": 0.1}, 0.1),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=({"learning_rate": 0.03, "b2": 0.95, "momentum_decay": 0.004},),
        held=("v",),
        learning_rates=_SMALL,
    ),
    "amsgrad": Entry(
        amsgrad,
        lecture="E4",
        settings={"learning_rate": 0.03, "b1": 0.8, "b2": 0.95},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "b1": ({"learning_rate": 0.1}, 0.5),
            "b2": ({"learning_rate": 0.1}, 0.9),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "eps_root": ({"learning_rate": 0.1}, 0.1),
            "bias_correction": ({"learning_rate": 0.1}, True),
            "eps_before_correction": ({"learning_rate": 0.1, "bias_correction": True, "eps": 0.1}, True),
            "max_after_correction": ({"learning_rate": 0.1, "bias_correction": True, "b2": 0.5}, True),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=(
            {"learning_rate": 0.03, "b2": 0.95, "bias_correction": True, "max_after_correction": True},
            {"learning_rate": 0.03, "b2": 0.95, "eps_root": 1e-8, "bias_correction": True, "eps_before_correction": True},
        ),
        held=("v", "v_max"),
        learning_rates=_SMALL,
    ),
    "adamw": Entry(
        adamw,
        lecture="E4",
        settings={"learning_rate": 0.03, "b1": 0.8, "b2": 0.95, "weight_decay": 0.1},
        changes={
            "learning_rate": ({"learning_rate": 0.1}, 0.2),
            "b1": ({"learning_rate": 0.1}, 0.5),
            "b2": ({"learning_rate": 0.1}, 0.9),
            "eps": ({"learning_rate": 0.1}, 0.1),
            "weight_decay": ({"learning_rate": 0.1}, 0.5),
            "decay_by_rate": ({"learning_rate": 0.1}, False),
            "eps_inside_sqrt": ({"learning_rate": 0.1, "eps": 0.1}, True),
            "accumulator_dtype": ({"learning_rate": 0.1}, "bfloat16"),
        },
        variants=({"learning_rate": 0.03, "b2": 0.95, "weight_decay": 0.001, "decay_by_rate": False},),
        held=("v",),
        learning_rates=_SMALL,
    ),
    "line_search": Entry(
        line_search,
        lecture="B7",
        settings={"search": armijo(0.3), "initial_step": 0.5},
        changes={
            "search": ({"search": armijo()}, wolfe(c2=0.1)),
            "direction": ({"search": armijo()}, _HEAVY_BALL),
            "initial_step": ({"search": armijo()}, 0.3),
            "growth": ({"search": armijo()}, 2.0),
            "warm_start": ({"search": armijo(), "initial_step": 0.1}, False),
        },
        variants=({"search": wolfe(c2=0.5), "direction": _HEAVY_BALL, "warm_start": False},),
    ),
})  # fmt: skip
