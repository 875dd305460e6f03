"""Paths side by side are the paths that minimize and fit give one by one; what they end at; what is refused."""

from __future__ import annotations

import importlib
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.sweep.descents import descend
from jaxopt_course.training.step import TRACES

TX = optax.sgd(0.001)
STARTS = [(1.0, -2.0), (-0.5, 3.5), (4.0, 0.3)]


def tilted(x):
    return 0.5 * (3 * x[0] ** 2 + x[1] ** 2 + x[0] * x[1]) - x[0] + 0.1 * jnp.cos(2 * x[1])


@pytest.mark.long
def test_each_path_is_what_minimize_gives():
    names = ("nesterov", "adam", "averaged_sgd", "line_search")  # it looks ahead, counts, keeps an average, evaluates
    optimizers = {name: jc.CATALOG[name].factory(**jc.CATALOG[name].settings) for name in names}
    with jax.enable_x64(True):
        found = jc.paths(tilted, optimizers, starts=STARTS, steps=25)
        for name, optimizer in optimizers.items():
            one, path = jc.minimize(tilted, optimizer, start=STARTS[1], steps=25), found.sel(optimizer=name, start=1)
            np.testing.assert_allclose(path.params[-1], one.params, rtol=1e-12, atol=1e-12, err_msg=name)
            assert float(path.loss[-1]) == pytest.approx(one.value, abs=1e-12)
            if name != "averaged_sgd":  # the average is shown; minimize's points are what it averages
                np.testing.assert_allclose(path.params, one.points, rtol=1e-12, atol=1e-12, err_msg=name)


def test_loss_and_gradient_norm_belong_to_the_recorded_points():
    found = jc.paths(jc.surfaces.booth, {"nesterov": jc.nesterov(0.01, 0.8)}, starts=STARTS, steps=20)
    points = found.params.values.reshape(-1, 2)
    values, gradients = jax.vmap(jax.value_and_grad(jc.surfaces.booth))(points)
    np.testing.assert_allclose(found.loss.values.ravel(), values, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.gradient_norm.values.ravel(), np.linalg.norm(gradients, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("factory", [jc.momentum, optax.sgd], ids=["ours", "optax"])
def test_a_space_is_every_configuration_in_its_place(factory):
    space = jc.grid(learning_rate=[0.01, 0.05], momentum=[0.0, 0.5, 0.9])
    found = jc.paths(jc.surfaces.booth, factory, space, starts=STARTS, steps=15)
    assert found.params.dims == ("optimizer", "learning_rate", "momentum", "start", "step", "dimension")
    for configuration in space.configurations():
        one = jc.minimize(jc.surfaces.booth, factory(**configuration), start=STARTS[1], steps=15)
        path = found.sel(**configuration).isel(optimizer=0, start=1)
        np.testing.assert_allclose(path.params, one.points, rtol=1e-4, atol=1e-5)


@pytest.mark.long
def test_drawn_configurations_and_static_axes_of_several_factories():
    space = jc.spaces.zipped(learning_rate=[0.01, 0.05, 0.02], form=["shifted", "lookahead", "shifted"])
    named = {"a": jc.nesterov, "b": lambda learning_rate, form: jc.nesterov(learning_rate, 0.5, form=form)}
    found = jc.paths(jc.surfaces.booth, named, space, starts=STARTS[0], steps=5)
    assert found.params.dims == ("optimizer", "configuration", "start", "step", "dimension")
    one = jc.minimize(jc.surfaces.booth, jc.nesterov(0.05, 0.5, form="lookahead"), start=STARTS[0], steps=5)
    np.testing.assert_allclose(found.params.sel(optimizer="b", configuration=1, start=0), one.points, rtol=1e-5)


def test_thinned_records_are_the_same_points_and_include_the_end():
    every = jc.paths(jc.surfaces.booth, {"adam": jc.adam(0.1)}, starts=STARTS, steps=23)
    some = jc.paths(jc.surfaces.booth, {"adam": jc.adam(0.1)}, starts=STARTS, steps=23, record_every=5)
    assert some.step.values.tolist() == [0, 5, 10, 15, 20, 23]
    np.testing.assert_allclose(some.params, every.params.sel(step=some.step), rtol=1e-5, atol=1e-6)


def test_one_program_for_all_and_no_other_for_other_numbers():
    """Not for another surface with the same rule either."""
    before = TRACES["descend"]
    for rate, steepness in ((0.001, 100.0), (0.002, 5.0)):
        optimizers = {"sgd": jc.sgd(rate), "faster": jc.sgd(2 * rate), "adam": jc.adam(rate), "optax": TX}
        jc.paths(jc.surfaces.rosenbrock.replace(steepness=steepness), optimizers, starts=STARTS, steps=9)
    assert TRACES["descend"] == before + 1


def test_equal_updates_are_lanes_of_one_kernel(monkeypatch):
    seen = []
    spy = lambda recipes, *rest, **options: seen.append(recipes) or descend(recipes, *rest, **options)
    monkeypatch.setattr(importlib.import_module("jaxopt_course.sweep.routes"), "descend", spy)
    optimizers = {"a": jc.sgd(0.01), "adam": jc.adam(0.1), "b": jc.sgd(0.02)}
    found = jc.paths(jc.surfaces.booth, optimizers, starts=STARTS, steps=4)
    assert len(seen[0]) == 2
    one = jc.minimize(jc.surfaces.booth, jc.sgd(0.02), start=STARTS[2], steps=4)
    np.testing.assert_allclose(found.params.sel(optimizer="b", start=2), one.points, rtol=1e-5)


def test_noise_is_fits_and_common_to_all_optimizers():
    noisy, key = jc.surfaces.noisy(jc.surfaces.booth, [[0.5, 0.2], [0.2, 0.3]]), 3
    optimizers = {"sgd": jc.sgd(0.02), "slower": jc.sgd(0.01), "momentum": jc.momentum(0.01, 0.5)}
    found = jc.paths(noisy, optimizers, starts=STARTS, steps=30, key=key)
    for i, start in enumerate(STARTS[:2]):
        problem = jc.surfaces.noisy(jc.surfaces.booth, [[0.5, 0.2], [0.2, 0.3]], start=start)
        result = jc.fit(problem, optimizers["momentum"], steps=30, key=jax.random.fold_in(jax.random.key(key), i))
        np.testing.assert_allclose(found.params.sel(optimizer="momentum", start=i)[-1], result.params, rtol=1e-4)
    np.testing.assert_allclose(  # g = ∇f + ξ: rates that differ by a factor move by it, at the same start and step
        found.params.sel(optimizer="sgd")[:, 1] - STARTS, 2 * (found.params.sel(optimizer="slower")[:, 1] - STARTS), rtol=1e-3
    )
    again = jc.paths(noisy, optimizers, starts=STARTS, steps=30, key=key + 1)
    assert not np.allclose(found.params, again.params)


def test_a_regularised_problem_of_two_parameters_has_paths():
    x = np.array([[1.0, 0.5], [0.2, 2.0], [1.5, -1.0]])
    y = np.array([1.0, -0.5, 2.0])
    loss = lambda w, batch: (batch["x"] @ w - batch["y"]) ** 2
    problem = jc.Problem.from_loss(loss, jnp.zeros(2), {"x": x, "y": y}, regularizer=jc.problems.l2(0.1))
    found = jc.paths(problem, {"sgd": jc.sgd(0.1)}, steps=300)
    best = np.linalg.solve(x.T @ x / 3 + 0.1 * np.eye(2), x.T @ y / 3)
    np.testing.assert_allclose(found.params[0, 0, -1], best, rtol=1e-4)
    assert float(found.gradient_norm[0, 0, -1]) < 1e-5


def test_a_path_that_diverges_harms_no_other():
    space = jc.grid(learning_rate=[0.01, 10.0])
    found = jc.paths(jc.surfaces.rosenbrock, jc.sgd, space, starts=STARTS, steps=40)
    assert (found.diverged_step.sel(learning_rate=10.0) > 0).all()
    assert not np.isfinite(found.params.sel(learning_rate=10.0)[..., -1, :]).any()
    calm = jc.paths(jc.surfaces.booth, {"calm": jc.sgd(0.01), "wild": jc.sgd(1e6)}, starts=STARTS, steps=40)
    alone = jc.minimize(jc.surfaces.booth, jc.sgd(0.01), start=STARTS[0], steps=40)
    np.testing.assert_allclose(calm.params.sel(optimizer="calm", start=0), alone.points, rtol=1e-5)
    assert calm.diverged_step.sel(optimizer="calm").values.tolist() == [-1, -1, -1]
    step = int(calm.diverged_step.sel(optimizer="wild", start=0))
    losses = calm.loss.sel(optimizer="wild", start=0)
    assert np.isfinite(losses[step - 2])
    assert not np.isfinite(losses[step - 1])  # the loss that step `step` saw, before it moved


def test_fields_of_states_are_recorded_where_they_are():
    optimizers = {"momentum": jc.momentum(0.01, 0.5), "adam": jc.adam(0.1), "sgd": jc.sgd(0.01)}
    found = jc.paths(jc.surfaces.booth, optimizers, starts=STARTS[:1], steps=12, record=("m", "v"))
    moved = -np.diff(found.params.sel(optimizer="momentum", start=0), axis=0)
    np.testing.assert_allclose(found.m.sel(optimizer="momentum", start=0)[1:], moved, rtol=1e-3, atol=1e-5)
    assert np.isnan(found.v.sel(optimizer="momentum")).all()
    assert np.isnan(found.m.sel(optimizer="sgd")).all()
    assert (found.v.sel(optimizer="adam").isel(step=slice(1, None)) > 0).all()


def test_paths_in_one_and_in_many_dimensions():
    assert (
        jc.paths(jc.surfaces.piecewise_quadratic, {"sgd": jc.sgd(0.01)}, starts=[[3.3], [-2.0]], steps=3).sizes["dimension"]
        == 1
    )
    found = jc.paths(jc.surfaces.rosenbrock.replace(dimension=5), {"sgd": jc.sgd(1e-3)}, steps=3)
    assert found.params.shape == (1, 1, 4, 5)


def test_which_stationary_point_a_path_ends_at_depends_on_its_start():
    surface, stationary = jc.surfaces.local_optimum, jc.surfaces.stationary_points(jc.surfaces.local_optimum)
    starts = [(-1.5, 1.0), (0.0, 1.0), (0.5, 1.0), (1e9, 0.0)]
    found = jc.paths(surface, jc.sgd, jc.grid(learning_rate=[0.1, 0.2]), starts=starts, steps=300)
    ends = jc.ends(found, stationary)
    assert ends.kind.dims == ("optimizer", "learning_rate", "start")
    assert ends.kind.sel(learning_rate=0.1)[0].values.tolist() == ["minimum", "saddle", "minimum", "diverged"]
    places = [stationary[i].point[0] for i in ends.end.values[0, 0, :3]]
    np.testing.assert_allclose(places, [-1.0, 0.0, 2.0], atol=1e-6)
    short = jc.ends(jc.paths(surface, {"sgd": jc.sgd(0.1)}, starts=starts[0], steps=2), stationary)
    assert (short.kind.values.item(), short.end.values.item()) == ("none", -1)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"steps": 0}, ValueError, "paths: steps must be an integer >= 1; got 0"),
        ({"record_every": 0}, ValueError, "paths: record_every must be an integer >= 1; got 0"),
        ({"function": 3.0}, TypeError, "paths: function must be a surface, a function of a point, or a problem; got 3.0"),
        (
            {"function": lambda x: x},
            ValueError,
            "paths: function must return a scalar; at the first start it",
        ),
        ({"function": tilted, "starts": None}, TypeError, "paths: starts must be given"),
        ({"starts": [(1.0, 2.0, 3.0)]}, ValueError, "paths: starts must be points, [k, 2]; got shape (1, 3)"),
        ({"starts": np.ones((2, 2, 2))}, ValueError, "paths: starts must be points, [k, 2]; got shape (2, 2, 2)"),
        ({"starts": [(1.0, 2.0), (np.nan, 0.0)]}, ValueError, "paths: starts must be finite numbers"),
        (
            {"function": lambda x: jnp.log(x[0]), "starts": [(1.0, 2.0), (-1.0, 0.5)]},
            ValueError,
            "paths: function must be finite at the starts; at starts[1] = [-1.0, 0.5] it is nan",
        ),
        ({"optimizers": jc.sgd(0.1)}, TypeError, "paths: optimizers must have names"),
        ({"optimizers": {}}, TypeError, "paths: optimizers must be a dict, name → optimizer, with at least one"),
        ({"optimizers": {"sgd": jc.sgd}}, TypeError, "paths: 'sgd' is a factory: call it"),
        ({"optimizers": {"sgd": 0.1}}, TypeError, "paths: optimizer must be a gradient transformation"),
        ({"optimizers": jc.sgd, "space": {"learning_rate": [0.1]}}, TypeError, "paths: space must come from jc.grid"),
        ({"optimizers": jc.sgd, "space": jc.grid(rate=[0.1])}, ValueError, "paths: nothing takes 'rate'"),
        (
            {"optimizers": jc.sgd, "space": jc.grid(learning_rate=[0.1], batch_size=[3])},
            ValueError,
            "paths: nothing takes 'batch_size' (known: learning_rate)",
        ),
        ({"optimizers": jc.sgd, "space": jc.grid(start=[0.1])}, ValueError, "paths: an axis must not be called 'start'"),
        (
            {"optimizers": lambda learning_rate: jc.sgd(0.1), "space": jc.grid(learning_rate=[0.1, 0.2])},
            ValueError,
            "paths: the optimizer does not depend on 'learning_rate': its factory ignores it",
        ),
        ({"record": "m"}, TypeError, "paths: record must be a list of names; got 'm'"),
        ({"record": ("m",)}, ValueError, "paths: no optimizer's state has a field 'm' like a point"),
        ({"key": "x"}, TypeError, "paths: key must be an integer or one JAX key"),
        (
            {"memory": 100_000, "starts": STARTS[0], "steps": 10_000},
            ValueError,
            "would take 0.153 MiB, more than memory, 0.0954 MiB",
        ),
        ({"function": jc.problems.digits()}, ValueError, "paths: a problem's parameters must be one point, [d]"),
    ],
)
def test_bad_arguments_are_refused(change, error, message):
    before = TRACES["descend"]
    arguments = {"function": jc.surfaces.booth, "optimizers": {"sgd": jc.sgd(0.01)}, "starts": STARTS, "steps": 5, **change}
    with pytest.raises(error, match=re.escape(message)):
        jc.paths(arguments.pop("function"), arguments.pop("optimizers"), arguments.pop("space", None), **arguments)
    assert TRACES["descend"] == before


def test_the_thinning_that_is_proposed_fits():
    options = {"starts": STARTS, "steps": 10_000, "memory": 50_000}
    with pytest.raises(ValueError, match="record_every=") as caught:
        jc.paths(jc.surfaces.booth, {"sgd": jc.sgd(0.01)}, **options)
    every = int(re.search(r"record_every=(\d+)", str(caught.value))[1])
    found = jc.paths(jc.surfaces.booth, {"sgd": jc.sgd(0.01)}, **options, record_every=every)
    assert sum(found[name].nbytes for name in ("params", "loss", "gradient_norm")) <= 50_000


def test_ends_want_stationary_points_of_the_paths_dimension():
    found = jc.paths(jc.surfaces.booth, {"sgd": jc.sgd(0.01)}, steps=2)
    with pytest.raises(ValueError, match="ends: points must be stationary points of 2 coordinates"):
        jc.ends(found, [])
    with pytest.raises(TypeError, match=r"ends: found must be what jc.paths returned; got 'a'"):
        jc.ends("a", [])
    with pytest.raises(ValueError, match="ends: points must be stationary points of 2 coordinates"):
        jc.ends(found, [jc.surfaces.classify(jc.surfaces.piecewise_quadratic, [0.0])])
