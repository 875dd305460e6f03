"""Iteration matrices are the update itself; rates are those of the literature, and those of measured paths [D5]."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.theory import best_parameters, convergence_rate, iteration_matrix, measured_rate, noise_floor, rate_plane

ALPHA, MU, LAM = 0.07, 0.6, 3.0
ROTATION = np.array([[0.8, -0.6], [0.6, 0.8]])
HESSIAN = ROTATION * [1.0, 9.0] @ ROTATION.T
HEAVY_BALL = [[1 - ALPHA * LAM, -MU], [ALPHA * LAM, MU]]
LOOK_AHEAD = [[1 - ALPHA * LAM, -MU * (1 - ALPHA * LAM)], [ALPHA * LAM, MU * (1 - ALPHA * LAM)]]
SHIFTED = [[1 - ALPHA * LAM * (1 + MU), -(MU**2)], [ALPHA * LAM, MU]]
SCALE = np.diag([1, 1 / ALPHA])  # optax's trace is ours over α
MATRICES = [
    (jc.sgd(ALPHA), [[1 - ALPHA * LAM]]),
    (jc.momentum(ALPHA, MU), HEAVY_BALL),
    (jc.momentum(ALPHA, MU, 0.25), [[1 - 0.75 * ALPHA * LAM, -MU], [0.75 * ALPHA * LAM, MU]]),
    (jc.nesterov(ALPHA, MU), LOOK_AHEAD),
    (jc.nesterov(ALPHA, MU, form="shifted"), SHIFTED),
    (optax.sgd(ALPHA, MU), SCALE @ HEAVY_BALL @ np.linalg.inv(SCALE)),
    (optax.inject_hyperparams(optax.sgd)(ALPHA), [[1 - ALPHA * LAM]]),
    (jc.inject(optax.sgd)(ALPHA, momentum=MU), SCALE @ HEAVY_BALL @ np.linalg.inv(SCALE)),
    (jc.averaged_sgd(ALPHA), [[1 - ALPHA * LAM]]),  # its average changes with the step, but never reaches the parameters
    (jc.averaged(jc.momentum(ALPHA, MU), 0.99), HEAVY_BALL),
    (jc.momentum(ALPHA, MU, accumulator_dtype="bfloat16"), HEAVY_BALL),  # the method, without the rounding
    (jc.decayed(jc.sgd)(ALPHA, weight_decay=0.2), [[1 - ALPHA * (LAM + 0.2)]]),
    (jc.chain(optax.ema(0.9, debias=False), jc.sgd(ALPHA)), [[1 - 0.1 * ALPHA * LAM, -0.9 * ALPHA], [0.1 * LAM, 0.9]]),
]


@pytest.mark.parametrize(("optimizer", "expected"), MATRICES)
def test_iteration_matrices_are_the_equations(optimizer, expected):
    np.testing.assert_allclose(iteration_matrix(optimizer, LAM), expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("factory", [jc.momentum, jc.nesterov], ids=["momentum", "look-ahead"])
def test_powers_of_the_matrix_are_the_path(factory):
    with jax.enable_x64(True):
        path = jc.minimize(
            jc.surfaces.quadratic((1.0, 9.0), rotation=ROTATION), factory(ALPHA, MU), start=[1.0, -2.0], steps=30
        )
    matrix, z = iteration_matrix(factory(ALPHA, MU), HESSIAN), np.array([1.0, -2.0, 0.0, 0.0])
    for point in path.points:
        np.testing.assert_allclose(z[:2], point, rtol=1e-12, atol=1e-13)
        z = matrix @ z


def test_a_method_that_mixes_parameters_has_its_matrix_too():
    def update(grads, state, params=None):
        return -ALPHA * (grads - 0.5 * grads.mean()), state

    tx = optax.GradientTransformation(lambda params: optax.EmptyState(), update)
    expected = np.eye(2) - ALPHA * (np.eye(2) - 0.25) @ HESSIAN
    np.testing.assert_allclose(iteration_matrix(tx, HESSIAN), expected, rtol=1e-12)


def test_rates_are_those_of_the_literature():
    assert convergence_rate(jc.sgd(0.1), [1.0, 15.0]) == pytest.approx(0.9, rel=1e-12)
    assert convergence_rate(jc.sgd(0.1), [1.0, 25.0]) == pytest.approx(1.5, rel=1e-12)
    assert convergence_rate(jc.momentum(0.1, 0.81), [1.0, 10.0]) == pytest.approx(0.9, rel=1e-12)  # √β where underdamped
    assert convergence_rate(jc.nesterov(0.1, 0.5), 10.0) == pytest.approx(0.0, abs=1e-7)  # α = 1/λ: there in one step
    assert convergence_rate(jc.sgd(0.1), -1.0) == pytest.approx(1.1, rel=1e-12)  # the escape from a saddle
    three = jc.chain(optax.ema(0.9, debias=False), jc.momentum(ALPHA, MU))  # three numbers to remember: no closed form
    expected = np.abs(np.linalg.eigvals(iteration_matrix(three, LAM))).max()
    assert convergence_rate(three, LAM) == pytest.approx(expected, rel=1e-12)


def test_the_plane_is_the_rate_at_each_of_its_points():
    alphas, betas = np.array([0.02, 0.11, 0.3]), np.array([0.0, 0.4, 0.95])
    ours = rate_plane(jc.nesterov, [1.0, 4.0, 9.0], learning_rate=alphas, momentum=betas)
    theirs = rate_plane(lambda alpha, mu: optax.sgd(alpha, mu, nesterov=True), [1.0, 4.0, 9.0], alpha=alphas, mu=betas)
    assert ours.rate.dims == ("learning_rate", "momentum")
    assert ours.radius.dims == ("learning_rate", "momentum", "eigenvalue")
    np.testing.assert_allclose(theirs.rate, ours.rate, rtol=1e-7)  # the shifted form's rates are the look-ahead form's
    for alpha in alphas:
        for beta in betas:
            here = ours.sel(learning_rate=alpha, momentum=beta)
            assert float(here.rate) == pytest.approx(convergence_rate(jc.nesterov(alpha, beta), [1.0, 4.0, 9.0]), rel=1e-12)
            assert float(here.rate) == float(here.radius.max())


def test_the_plane_is_derived_once_for_all_its_points():
    built = []

    def factory(learning_rate, momentum):
        built.append(learning_rate)
        return jc.momentum(learning_rate, momentum)

    plane = rate_plane(
        factory, np.geomspace(1, 100, 20), learning_rate=np.linspace(0, 0.04, 100), momentum=np.linspace(0, 1, 100)
    )
    assert plane.radius.shape == (100, 100, 20)
    assert len(built) == 5  # two corners, as a check, and three traces: of init, of update, and of the plane
    underdamped = plane.radius.sel(eigenvalue=100.0).values
    alpha, beta = np.meshgrid(plane.learning_rate, plane.momentum, indexing="ij")
    inside = (1 - np.sqrt(100 * alpha)) ** 2 < beta - 1e-9
    np.testing.assert_allclose(underdamped[inside], np.sqrt(beta)[inside], rtol=1e-12)


def kinked(learning_rate, sharpness):
    """Linear at sharpness 0 only, and nowhere else on the axis's inside."""
    bent = lambda g, _: g + sharpness * (1 - sharpness) * jnp.tanh(g)
    return optax.chain(optax.stateless(bent), optax.scale(-learning_rate))


@pytest.mark.parametrize(
    ("factory", "axes", "message"),
    [
        (
            lambda a, c: optax.chain(optax.clip(c), optax.scale(-a)),
            {"a": [0.1, 0.2], "c": [1.0, 1e9]},
            r"not linear .*: the update is not \(at a=0.1, c=1\)",
        ),
        (
            lambda a, k: jc.sgd(lambda step: a * jnp.exp(-(1 - k) * step)),
            {"a": [0.1, 0.2], "k": [0.0, 1.0]},
            r"changes with the step: that of update 1 .*\.step\) \(at a=0.1, k=0\); give it numbers, not schedules$",
        ),
        (kinked, {"learning_rate": [0.1], "sharpness": [0.0, 0.5, 1.0]}, r"\(at learning_rate=0.1, sharpness=0.5\)"),
    ],
    ids=["clip", "schedule", "inside"],
)
def test_each_point_of_the_plane_is_looked_at(factory, axes, message):
    with pytest.raises(ValueError, match=f"rate_plane: this optimizer.*{message}"):
        rate_plane(factory, [1.0, 4.0], **axes)


@pytest.mark.parametrize("kappa", [4.0, 100.0, 3000.0])
@pytest.mark.parametrize(("method", "factory"), [("momentum", jc.momentum), ("nesterov", jc.nesterov)])
def test_no_other_parameters_are_better(method, factory, kappa):
    best = best_parameters(method, 0.5, 0.5 * kappa)
    near = np.concatenate([-np.geomspace(0.3, 1e-3, 12), [0.0], np.geomspace(1e-3, 0.3, 12)])
    axes = {
        "learning_rate": best.learning_rate * (1 + near),
        "momentum": np.clip(best.momentum + near * (1 - best.momentum), 0, 1),
    }
    plane = rate_plane(factory, [0.5, 0.5 * kappa], **axes)
    assert float(plane.rate[12, 12]) == pytest.approx(best.rate, abs=1e-6)  # eigenvalues meet there: half the digits
    others = plane.rate.values.copy()
    others[12, 12] = np.inf
    assert others.min() > best.rate + 1e-5 * (1 - best.rate)


def test_gradient_descents_best_rate():
    best = best_parameters("sgd", 2.0, 50.0)
    assert best.rate == pytest.approx((25 - 1) / (25 + 1), rel=1e-12)
    assert convergence_rate(jc.sgd(best.learning_rate), [2.0, 50.0]) == pytest.approx(best.rate, rel=1e-12)
    rates = rate_plane(jc.sgd, [2.0, 50.0], learning_rate=best.learning_rate * np.linspace(0.5, 1.5, 101)).rate
    assert int(rates.argmin("learning_rate")) == 50


def path_on(eigenvalues, optimizer, steps):
    with jax.enable_x64(True):
        bowl = jc.surfaces.quadratic(eigenvalues, rotation=np.linalg.qr(np.arange(9.0).reshape(3, 3) + np.eye(3)).Q)
        return jc.minimize(bowl, optimizer, start=[1.0, -2.0, 0.5], steps=steps).points


@pytest.mark.parametrize("kappa", [100.0, 900.0, 10_000.0])
def test_the_best_beta_gives_the_rate_of_the_square_root_of_kappa(kappa):
    """(√κ − 1)/(√κ + 1) within 1 %, measured; and its logarithm, which says how many steps it takes, within 2 %."""
    best = best_parameters("momentum", 1.0, kappa)
    measured = measured_rate(path_on((1.0, np.sqrt(kappa), kappa), jc.momentum(best.learning_rate, best.momentum), 4000))
    expected = (np.sqrt(kappa) - 1) / (np.sqrt(kappa) + 1)
    assert measured == pytest.approx(expected, rel=0.01)
    assert np.log(measured) == pytest.approx(np.log(expected), rel=0.02)


@pytest.mark.parametrize(
    "optimizer",
    [jc.sgd(0.015), jc.momentum(0.01, 0.7), jc.nesterov(0.005, 0.9), jc.nesterov(0.013, 0.6, form="shifted")],
    ids=["sgd", "momentum", "look-ahead", "shifted"],
)
def test_predicted_and_measured_contraction_agree(optimizer):
    measured = measured_rate(path_on((1.0, 20.0, 100.0), optimizer, 2000))
    assert np.log(measured) == pytest.approx(np.log(convergence_rate(optimizer, [1.0, 20.0, 100.0])), rel=0.005)


def test_measuring_stops_where_rounding_begins():
    path = 5.0 + 0.5 ** np.arange(200.0)
    assert measured_rate(path, 5.0) == pytest.approx(0.5, rel=1e-3)
    assert measured_rate(np.stack([path, path], axis=1), [5.0, 5.0]) == pytest.approx(0.5, rel=1e-3)
    assert measured_rate(1.5 ** np.arange(20.0)) == pytest.approx(1.5, rel=1e-9)


@pytest.mark.parametrize(
    ("optimizer", "parts"),
    [
        (jc.adam(0.1), r"the update and the state's .*\.v are not"),
        (optax.adagrad(0.1), r"the update and the state's .*sum_of_squares are not"),
        (jc.normalized_sgd(0.1), "the update is not"),
        (optax.chain(optax.clip(50.0), optax.sgd(0.1)), "the update is not"),
        (jc.line_search(jc.linesearch.armijo()), "its update evaluates the function"),
        (jc.plateau(jc.sgd(0.1)), "its update depends on the function's value"),
        (jc.sgd(jc.schedules.exponential(0.1, 0.01)), r"changes with the step: that of update 1 .*\.step.*; give step="),
        (jc.chain(optax.ema(0.9), jc.sgd(0.1)), r"changes with the step: .*count"),
    ],
    ids=["adam", "adagrad", "normalized", "clip", "line search", "plateau", "schedule", "bias correction"],
)
def test_what_is_not_linear_is_named(optimizer, parts):
    with pytest.raises(ValueError, match=f"iteration_matrix: this optimizer.*{parts}"):
        iteration_matrix(optimizer, [1.0, 2.0])


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.sgd(optax.piecewise_constant_schedule(0.1, {2000: 0.01})),
        jc.sgd(jc.schedules.piecewise(0.1, {10**7: 0.01})),
        jc.sgd(jc.schedules.time_based(0.1, 1e-12)),
        jc.chain(jc.momentum(0.1, 0.5), optax.scale_by_schedule(lambda step: 1 - 1e-10 * step)),
    ],
    ids=["optax's steps", "late", "slow", "slower"],
)
def test_a_schedule_that_changes_late_or_slowly_is_one(optimizer):
    with pytest.raises(ValueError, match=r"linear map changes with the step: .*(count|step)"):
        convergence_rate(optimizer, [1.0, 2.0])
    assert convergence_rate(optimizer, [1.0, 2.0], step=0) < 1


@pytest.mark.parametrize(
    "optimizer",
    [
        jc.sgd(jc.schedules.constant(ALPHA)),
        optax.sgd(optax.constant_schedule(ALPHA)),
        optax.inject_hyperparams(optax.sgd)(optax.constant_schedule(ALPHA)),
        optax.apply_if_finite(optax.sgd(ALPHA), 3),  # its counter stays where it is
    ],
    ids=["ours", "optax's", "injected", "if finite"],
)
def test_a_schedule_that_does_not_change_is_none(optimizer):
    assert convergence_rate(optimizer, LAM) == pytest.approx(1 - ALPHA * LAM, rel=1e-12)


def test_what_to_do_about_a_step_is_what_the_caller_can_do():
    scheduled = jc.sgd(jc.schedules.exponential(0.1, 0.01))
    with pytest.raises(ValueError, match=r"give it numbers, not schedules \(jc.theory.expected_loss follows those\)$"):
        noise_floor(scheduled, 1.0, 1.0)
    with pytest.raises(ValueError, match=r"give step=, for the map of one update$"):
        convergence_rate(scheduled, 1.0)


def test_a_method_that_starts_differently_has_a_matrix_from_then_on():
    """x ← x − α(2gₜ − gₜ₋₁), but for the first step."""
    expected = [[1 - 2 * ALPHA * LAM, ALPHA], [LAM, 0]]
    tx = optax.optimistic_gradient_descent(ALPHA)
    np.testing.assert_allclose(iteration_matrix(tx, LAM, step=1), expected, rtol=1e-12, atol=1e-14)
    with pytest.raises(ValueError, match=r"changes with the step: .*is_initial_step"):
        iteration_matrix(tx, LAM)


def test_one_step_of_a_schedule_has_its_matrix():
    tx = jc.sgd(jc.schedules.linear(1.0, 0.0, 10))
    assert iteration_matrix(tx, 0.5, step=4)[0, 0] == pytest.approx(1 - 0.6 * 0.5, rel=1e-12)
    late = jc.momentum(ALPHA, MU, 0.25, dampen_first=False)
    np.testing.assert_allclose(iteration_matrix(late, LAM, step=0)[0, 0], 1 - ALPHA * LAM, rtol=1e-12)
    np.testing.assert_allclose(iteration_matrix(late, LAM, step=3)[0, 0], 1 - 0.75 * ALPHA * LAM, rtol=1e-12)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: iteration_matrix(jc.sgd, 1.0), TypeError, r"optimizer must be a gradient transformation.*call the factory"),
        (
            lambda: convergence_rate(mixing(), [1.0, 4.0]),
            ValueError,
            "does not run on 1 parameter .*iteration_matrix, and no rate",
        ),
        (
            lambda: convergence_rate(optax.MultiSteps(optax.sgd(0.1), 2).gradient_transformation(), 1.0),
            ValueError,
            "convergence_rate: this optimizer's update does not run on 1 parameter in double precision: cond branches",
        ),
        (
            lambda: rate_plane(lambda a: jc.sgd(a if a > 0.1 else 0.1), [1.0], a=[0.1, 0.2]),
            TypeError,
            "rate_plane: factory must compute with a without asking for values",
        ),
        (lambda: rate_plane(lambda a: a, [1.0], a=[0.1]), TypeError, "rate_plane: what factory returns must be a gradient"),
        (lambda: rate_plane("sgd", [1.0], a=[0.1]), TypeError, "rate_plane: factory must be a function.*got 'sgd'"),
        (lambda: rate_plane(lambda b: jc.sgd(b), [1.0], a=[0.1]), TypeError, "rate_plane: factory does not take the axes a"),
        (lambda: iteration_matrix(jc.sgd(0.1), np.ones((2, 3))), ValueError, r"square matrix \[d, d\]; got shape \(2, 3\)"),
        (lambda: iteration_matrix(jc.sgd(0.1), [[1.0, 2.0], [0.0, 1.0]]), ValueError, "hessian must be symmetric"),
        (lambda: iteration_matrix(jc.sgd(0.1), "steep"), TypeError, "hessian must be finite numbers; got 'steep'"),
        (lambda: iteration_matrix(jc.sgd(0.1), 1.0, step=-1), ValueError, "step must be an integer >= 0; got -1"),
        (lambda: convergence_rate(jc.sgd(0.1), np.eye(2)), ValueError, r"eigenvalues must be one row of numbers"),
        (lambda: rate_plane(jc.sgd, [1.0]), ValueError, "give at least one axis"),
        (lambda: rate_plane(lambda rate: jc.sgd(rate), [1.0], rate=[0.1]), ValueError, "an axis must not be called rate"),
        (lambda: rate_plane(jc.sgd, [1.0], learning_rate=[]), ValueError, "learning_rate must be one row of numbers"),
        (lambda: rate_plane(jc.sgd, [1.0], learning_rate=[-1.0, 1.0]), ValueError, "learning_rate must be a number >= 0"),
        (lambda: rate_plane(jc.adam, [1.0], learning_rate=[0.1]), ValueError, "rate_plane: this optimizer is not linear"),
        (lambda: best_parameters("adam", 1.0, 2.0), ValueError, "no closed form for 'adam'.*known: momentum, nesterov, sgd"),
        (lambda: best_parameters("sgd", 0.0, 2.0), ValueError, "smallest must be a number > 0; got 0.0"),
        (lambda: best_parameters("sgd", 2.0, 1.0), ValueError, "largest must be at least smallest, 2.0; got 1.0"),
        (lambda: measured_rate([1.0, 0.5]), ValueError, "points must be at least 8 that are not at the minimum; got 2"),
        (lambda: measured_rate(np.zeros(20)), ValueError, "got 0"),
        (lambda: measured_rate("abc"), TypeError, "measured_rate: points must be numbers; got 'abc'"),
        (
            lambda: measured_rate(np.ones((20, 2)), minimum=[1.0, 2.0, 3.0]),
            ValueError,
            r"minimum must be one number or have a point's shape \(2,\); got shape \(3,\)",
        ),
    ],
)
def test_bad_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


def mixing():
    return optax.chain(optax.stateless(lambda g, _: jnp.array([[2.0, 1.0], [1.0, 3.0]]) @ g), optax.scale(-0.1))


def test_nothing_leaks_double_precision():
    iteration_matrix(jc.sgd(0.1), 1.0)
    assert jnp.zeros(1).dtype == jnp.float32
