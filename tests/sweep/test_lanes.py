"""Every lane of a sweep is the run that ``jc.fit`` does: the same start, the same batches, the same numbers."""

from __future__ import annotations

import inspect

import jax
import numpy as np
import optax
import pytest
import xarray as xr

import jaxopt_course as jc
from jaxopt_course import samplers, schedules
from jaxopt_course.sweep import programs, spaces, sweep

RATES = [0.003, 0.05, 0.2]
CLIP = optax.clip_by_global_norm(0.7)

FACTORIES = {
    "sgd": (jc.sgd, {"learning_rate": RATES}),
    "momentum with a schedule": (
        lambda learning_rate, decay_rate: jc.momentum(schedules.exponential(learning_rate, decay_rate), momentum=0.8),
        {"learning_rate": RATES, "decay_rate": [0.5, 0.97]},
    ),
    "look-ahead nesterov": (jc.nesterov, {"learning_rate": RATES, "momentum": [0.3, 0.9]}),
    "adam": (jc.adam, {"learning_rate": RATES, "b1": [0.5, 0.9]}),
    "optax's factory": (optax.adam, {"learning_rate": RATES[1:]}),
    "optax's factory, injected": (jc.inject(optax.lion), {"learning_rate": RATES}),
    "a lambda with a schedule of optax": (
        lambda rate: optax.chain(optax.clip(0.4), optax.sgd(optax.cosine_decay_schedule(rate, 9), momentum=0.6)),
        {"rate": RATES[1:]},
    ),
    "a schedule of optax in ours": (lambda rate: jc.adam(optax.exponential_decay(rate, 3, 0.7)), {"rate": RATES}),
    "a chain with a foreign member": (lambda learning_rate: jc.chain(CLIP, jc.sgd(learning_rate)), {"learning_rate": RATES}),
    "accumulation": (lambda rate: optax.MultiSteps(optax.adam(rate), every_k_schedule=2), {"rate": RATES}),
    "an average": (optax.contrib.schedule_free_sgd, {"learning_rate": RATES}),
    "a line search": (
        lambda decrease_factor: optax.chain(
            optax.sgd(1.0),
            optax.scale_by_backtracking_linesearch(max_backtracking_steps=6, decrease_factor=decrease_factor),
        ),
        {"decrease_factor": [0.5, 0.8]},
    ),
    "strings and booleans": (jc.nesterov, {"learning_rate": RATES[:2], "form": ["lookahead", "shifted"]}),
    "one of each": (jc.sgd, {"learning_rate": [0.1]}),
}


def close(actual, desired, ulps):
    """Within ``ulps`` units in the last place of the largest number: sums are taken in another order."""
    eps = np.finfo(np.asarray(actual).dtype).eps
    np.testing.assert_allclose(actual, desired, rtol=0, atol=ulps * eps * np.abs(desired).max())


def check(problem, factory, space, *, fit_problem=None, ulps=64, seeds=(3, 5), **options):
    """Each lane against ``fit``, on every evaluation and on the losses of the steps."""
    options = {"batch_size": 10, "epochs": 3} | options
    results = sweep(problem, factory, space, seeds=seeds, **options)
    for number, values in enumerate(space.configurations()):
        place = dict(zip([name for name, _ in space.axes], np.unravel_index(number, space.shape), strict=True))
        own, rest = (problem, values) if fit_problem is None else fit_problem(values)
        size = {"batch_size": rest.pop("batch_size")} if "batch_size" in rest else {}
        for seed in seeds:
            run = jc.fit(own, factory(**rest), key=seed, nonfinite="continue", **(options | size))
            lane = results.isel(place).sel(seed=seed)
            for name in ("validation_loss", "validation_residual"):
                close(lane[name].values, run.history[name].values, ulps)
            for name, value in run.evaluate("test").items():
                if f"test_{name}" in lane:
                    close(lane[f"test_{name}"].values, value, ulps)
            per_step = run.history.loss.values
            examples = np.diff(run.history.examples.values, prepend=0)
            epochs = np.ceil(run.history.step_epoch.values).astype(int)
            for epoch in range(1, options["epochs"] + 1):
                mean = np.average(per_step[epochs == epoch], weights=examples[epochs == epoch])
                close(lane["loss"].sel(epoch=epoch).values, mean, ulps)
    return results


QUICK = ("sgd", "adam", "optax's factory")
LONG = ("momentum with a schedule", "a lambda with a schedule of optax")
MARKS = dict.fromkeys(FACTORIES, pytest.mark.slow) | dict.fromkeys(LONG, pytest.mark.long) | dict.fromkeys(QUICK, ())


@pytest.mark.parametrize("name", [pytest.param(name, marks=MARKS[name]) for name in FACTORIES])
def test_a_lane_is_the_fit_of_its_configuration(problems, name):
    factory, axes = FACTORIES[name]
    check(problems.model(), factory, jc.grid(**axes))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dropout", "statistics"])
def test_dropout_and_batch_statistics_are_those_of_fit(problems, kind):
    check(problems.model(kind), jc.adam, jc.grid(learning_rate=RATES))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"sampler": samplers.full(), "batch_size": None},
        {"sampler": samplers.uniform()},
        {"drop_remainder": True},
        {"batch_size": 37},
    ],
    ids=str,
)
def test_samplers_and_sizes_are_those_of_fit(problems, options):
    check(problems.model(), jc.momentum, jc.grid(learning_rate=RATES), **options)


@pytest.mark.long
def test_configurations_in_double_precision_agree_to_rounding(problems):
    """In single precision, a traced 1 − b2 has lost digits that Python's 1 − 0.999 has."""
    with jax.enable_x64(True):
        space = jc.grid(learning_rate=[0.05], b1=[0.8, 0.95], b2=[0.999])
        results = check(problems.model(), optax.adam, space, seeds=[3], epochs=2)
        assert results.validation_loss.dtype == np.float64


def scaled_loss(scale):
    return lambda outputs, batch: scale * (outputs - batch["y"]) ** 2


@pytest.mark.long
@pytest.mark.parametrize(
    ("make", "axes"),
    [
        (
            lambda problems, regularization: problems.model(regularizer=jc.problems.l2(regularization)),
            {"regularization": [0.01, 0.3]},
        ),
        (lambda problems, scale: problems.model(loss=scaled_loss(scale)), {"scale": [0.5, 2.0]}),
        (
            lambda problems, spread: jc.Problem(
                lambda key: (jax.tree.map(lambda x: spread * x, problems.model().init(key)[0]), {}),
                *(getattr(problems.model(), part) for part in ("apply", "loss", "data", "metrics")),
            ),
            {"spread": [0.1, 2.0]},
        ),
        pytest.param(lambda problems, size: problems.model(n=size), {"size": [37, 25]}, marks=pytest.mark.slow),
    ],
    ids=["regularisation", "a number in the loss", "initial scale", "data"],
)
def test_hyperparameters_of_the_problem_are_swept_by_name(problems, make, axes):
    (name,) = axes

    def problem(**values):
        return make(problems, **values)

    problem.__signature__ = inspect.Signature([inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)])

    def fit_problem(values):
        return make(problems, values[name]), {"learning_rate": values["learning_rate"]}

    check(problem, jc.adam, jc.grid(learning_rate=RATES[:2], **axes), fit_problem=fit_problem)


@pytest.mark.slow
def test_the_batch_size_is_swept(problems):
    problem = problems.model()
    space = jc.grid(learning_rate=RATES[:2], batch_size=[5, 12])
    check(problem, jc.sgd, space, batch_size=None, fit_problem=lambda values: (problem, dict(values)))


@pytest.mark.slow
def test_points_that_are_no_grid(problems):
    space = spaces.halton(5, learning_rate=spaces.log(1e-3, 0.3), momentum=spaces.linear(0.0, 1.0))
    results = check(problems.model(), jc.momentum, space)
    assert results.validation_loss.dims == ("configuration", "seed", "epoch")
    np.testing.assert_array_equal(results.momentum, dict(space.columns)["momentum"])


@pytest.mark.long
def test_seeds_vary_the_initialisation_alone(problems):
    problem, optimizer = problems.model("dropout"), jc.momentum(0.05)
    results = sweep(
        problem, jc.momentum, jc.grid(learning_rate=[0.01, 0.05]), seeds=[2, 7, 9], vary="initialization", epochs=2
    )
    for seed in (2, 7, 9):
        state = jc.init_state(problem, optimizer, seed)._replace(key=jc.init_state(problem, optimizer, 2).key)
        run = jc.fit(problem, optimizer, state=state, epochs=2)
        close(results.validation_loss.sel(learning_rate=0.05, seed=seed)[1:], run.history.validation_loss[-2:], 64)


@pytest.mark.long
def test_seeds_vary_the_order_alone(problems):
    problem, optimizer = problems.model("dropout"), jc.momentum(0.05)
    results = sweep(problem, jc.momentum, jc.grid(learning_rate=[0.01, 0.05]), seeds=[2, 7], vary="order", epochs=2)
    for seed in (2, 7):
        state = jc.init_state(problem, optimizer, 2)._replace(key=jc.init_state(problem, optimizer, seed).key)
        run = jc.fit(problem, optimizer, state=state, epochs=2)
        close(results.validation_loss.sel(learning_rate=0.05, seed=seed)[1:], run.history.validation_loss[-2:], 64)
    assert len(set(results.validation_loss.isel(epoch=0).values.ravel().tolist())) == 1


def test_all_configurations_see_the_same_batches(problems):
    """With a learning rate of 0 every lane's losses are the start's on its batches: those of any other such lane."""
    results = sweep(problems.model(), jc.momentum, jc.grid(learning_rate=[0.0], momentum=[0.1, 0.5, 0.9]), seeds=2, epochs=2)
    assert (results.loss == results.loss.isel(momentum=0)).sel(epoch=[1, 2]).all()
    assert results.loss.isel(momentum=0, seed=0, epoch=1) != results.loss.isel(momentum=0, seed=1, epoch=1)


@pytest.mark.parametrize("lanes", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_splitting_into_lanes_changes_nothing(problems, lanes):
    space = jc.grid(learning_rate=np.linspace(0.01, 0.3, 7))
    whole = sweep(problems.model(), jc.adam, space, seeds=2, epochs=2)
    parts = sweep(problems.model(), jc.adam, space, seeds=2, epochs=2, lanes=lanes)
    for name in ("loss", "validation_loss", "test_residual"):
        close(parts[name].fillna(0).values, whole[name].fillna(0).values, 64)


def test_blocks_in_threads_of_their_own_are_those_one_after_another(problems, monkeypatch):
    """18 lanes in blocks of 9: to the bit, whatever the number of cores; in the caller's precision."""
    space = jc.grid(learning_rate=np.linspace(0.01, 0.3, 18))
    run = lambda lanes: sweep(problems.model(), jc.adam, space, seeds=2, epochs=2, lanes=lanes)
    with jax.enable_x64(True):
        monkeypatch.setattr(programs, "_cores", lambda: 1)
        alone = run(9)
        monkeypatch.setattr(programs, "_cores", lambda: 2)
        threads = run(18)
    assert threads.loss.dtype == np.float64
    xr.testing.assert_equal(threads, alone)
