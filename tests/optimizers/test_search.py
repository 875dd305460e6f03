"""The line search as an optimizer: in fit and minimize, its state, what it refuses; optax's searches beside it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.linesearch import Status
from jaxopt_course.testing import LAWS

START = jnp.array([1.5, -2.0, 0.7])
CURVATURE = jnp.array([1.0, 7.0, 0.3])


def quadratic(x):
    return 0.5 * jnp.sum(CURVATURE * x**2)


def rosenbrock(x):
    return 100 * (x[1] - x[0] ** 2) ** 2 + (1 - x[0]) ** 2


@functools.partial(jax.jit, static_argnums=(0, 1))
def walk(update, function, state, params):
    """One update, given all that it needs."""
    value, grads = jax.value_and_grad(function)(params)
    step, state = update(grads, state, params, value=value, grad=grads, value_fn=function)
    return params + step, state


def last_state(opt_state):
    return opt_state.members[-1].inner


def test_the_step_is_steepest_descent_with_the_searchs_own_step_size():
    """[B7] θ − α∇f, with α = gᵀg / gᵀHg where the search is exact."""
    with jax.enable_x64(True):
        x, h = np.asarray(START, float), np.asarray(CURVATURE, float)
        function = lambda x: 0.5 * jnp.sum(h * x**2)
        tx = jc.line_search(jc.linesearch.exact())
        params, state = jnp.asarray(x), tx.init(jnp.asarray(x))
        for _ in range(4):
            g = h * x
            alpha = g @ g / (g @ (h * g))
            x = x - alpha * g
            params, state = walk(tx.update, function, state, params)
            np.testing.assert_allclose(last_state(state).step_size, alpha, rtol=1e-7)
            np.testing.assert_allclose(params, x, rtol=1e-6)
            params = jnp.asarray(x)


def test_a_search_begins_where_the_last_one_ended_times_the_growth():
    tx = jc.line_search(jc.linesearch.armijo(0.3), initial_step=3.0, growth=1.5)
    params, state, first = START, tx.init(START), 3.0
    for _ in range(6):
        g = CURVATURE * params
        while quadratic(params - first * g) > quadratic(params) - 0.3 * first * g @ g:
            first = first / 2
        params, state = walk(tx.update, quadratic, state, params)
        np.testing.assert_allclose(last_state(state).step_size, first, rtol=1e-5)
        first = 1.5 * first


def test_without_warm_start_and_after_no_step_it_begins_at_the_initial_step():
    cold = jc.line_search(jc.linesearch.armijo(), initial_step=1e-3, warm_start=False)
    state = cold.init(START)
    for _ in range(2):
        _, state = walk(cold.update, quadratic, state, START)
        np.testing.assert_allclose(last_state(state).step_size, 1e-3, rtol=1e-6)
    warm = jc.line_search(jc.linesearch.armijo(), initial_step=1e-3, growth=2.0)
    state = warm.init(START)
    for expected in (1e-3, 2e-3, 4e-3, 0.0, 1e-3):
        at = START * 0 if expected == 0 else START  # at the minimum no step lowers anything
        _, state = walk(warm.update, quadratic, state, at)
        np.testing.assert_allclose(last_state(state).step_size, expected, rtol=1e-6)


@pytest.mark.long
def test_it_searches_along_any_optimizers_updates():
    """Momentum's, with the equation m ← μm + g by hand; and L-BFGS, which ends where optax's own does."""
    tx = jc.line_search(jc.linesearch.wolfe(), jc.momentum(1.0, 0.5))
    params, state, m, x = START, tx.init(START), 0.0, START
    for _ in range(3):
        m = 0.5 * m + CURVATURE * x
        params, state = walk(tx.update, quadratic, state, params)
        x = x - last_state(state).step_size * m
        np.testing.assert_allclose(params, x, rtol=1e-5)
    lbfgs = jc.line_search(jc.linesearch.wolfe(), optax.chain(optax.scale_by_lbfgs(), optax.scale(-1.0)), warm_start=False)
    ours, theirs = (jc.minimize(rosenbrock, tx, start=[-1.2, 1.0], steps=50) for tx in (lbfgs, optax.lbfgs()))
    np.testing.assert_allclose(ours.params, theirs.params, rtol=1e-4)
    assert ours.history.gradient_evaluations.sum() <= 1.2 * theirs.history.gradient_evaluations.sum()


def test_armijo_descends_rosenbrock_as_optaxs_backtracking_does():
    theirs = optax.chain(
        optax.scale(-1.0), optax.scale_by_backtracking_linesearch(30, decrease_factor=0.5, increase_factor=1.5)
    )
    ours = jc.line_search(jc.linesearch.armijo(), growth=1.5)
    runs = [jc.minimize(rosenbrock, tx, start=[-1.2, 1.0], steps=300) for tx in (ours, theirs)]
    assert all(run.value < 4.2 for run in runs)
    np.testing.assert_allclose(runs[0].value, runs[1].value, rtol=0.1)
    assert (np.diff(runs[0].history.loss) < 0).all()


SEARCHES = {"armijo": jc.linesearch.armijo(0.3), "wolfe": jc.linesearch.wolfe(0.1, 0.5), "exact": jc.linesearch.exact()}


@pytest.mark.parametrize("name", SEARCHES)
def test_in_fit_it_learns_the_digits_and_every_evaluation_is_counted(name):
    problem = jc.problems.digits(model="softmax")
    result = jc.fit(problem, jc.line_search(SEARCHES[name]), batch_size=64, epochs=2, key=1)
    assert result.evaluate("test")["accuracy"] > 0.85
    history = result.history
    assert (history.step_size > 0).all()
    assert history.status.dtype == np.int32
    assert set(history.status.values.tolist()) <= {int(status) for status in jc.linesearch.Status}
    meanings = ", ".join(f"{status.value} {status.name.lower().replace('_', ' ')}" for status in Status)
    assert history.status.attrs["description"].endswith(": " + meanings)
    taken = np.diff(history.gradient_evaluations, prepend=0)
    assert (taken >= 2).all()
    assert taken[-1] == 1 + last_state(result.state.opt_state).num_linesearch_steps
    assert float(history.step_size[-1]) == float(last_state(result.state.opt_state).step_size)


def test_a_step_lowers_the_regularised_objective_of_its_own_batch():
    problem = jc.problems.digits(model="softmax", regularizer=jc.problems.l2(0.01))
    step = jc.make_step(problem, jc.line_search(jc.linesearch.armijo(0.1)))
    state = step.init(0)
    batch = jax.tree.map(lambda x: x[:40], problem.data.train)
    before = step(state, batch)[1]
    for _ in range(5):
        state, report = step(state, batch)
        alpha, squared = last_state(state.opt_state).step_size, optax.tree.norm(report.grads, squared=True)
        after = step(state, batch)[1]
        assert after.objective <= report.objective - 0.1 * alpha * squared + 1e-6
        assert after.objective > after.loss
    assert after.objective < before.objective


BAD = {
    "ascending": (quadratic, optax.scale(1.0), Status.NOT_DESCENT),
    "stationary": (lambda x: 3.0 + 0 * jnp.sum(x), None, Status.FLAT),
    "nan value": (lambda x: jnp.sum(x) * jnp.nan, None, Status.NON_FINITE),
    "infinite gradient": (lambda x: jnp.sum(jnp.sqrt(jnp.abs(x - START))), None, Status.NON_FINITE),
}


@pytest.mark.parametrize("name", ["armijo", "wolfe"])
@pytest.mark.parametrize("case", BAD)
def test_parameters_stay_where_no_step_helps(case, name):
    function, direction, status = BAD[case]
    tx = jc.line_search(SEARCHES[name], direction)
    params, state = walk(tx.update, function, tx.init(START), START)
    np.testing.assert_array_equal(params, START)
    assert last_state(state).status == status
    assert last_state(state).num_linesearch_steps <= 60


def test_numbers_are_hyperparameters_and_make_no_new_program():
    search = jc.linesearch.armijo
    tx, other = jc.line_search(search(0.1), initial_step=0.5), jc.line_search(search(0.4, 0.7, 9.0, 1e-6), growth=3.0)
    assert tx.update == other.update
    assert hash(tx.update) == hash(other.update)
    state = tx.init(START)
    assert jax.tree.structure(state) == jax.tree.structure(other.init(START))
    for another in (jc.linesearch.wolfe(), search(max_evaluations=7)):  # the rule is in the state's structure
        assert jax.tree.structure(state) != jax.tree.structure(jc.line_search(another).init(START))
    numbers = {k: round(float(v), 6) for k, v in jc.hyperparams(state).items()}
    assert numbers == {
        "initial_step": 0.5, "growth": 1.1, "search/c1": 0.1, "search/decrease_factor": 0.5, "search/max_step": 1e6,
        "search/noise": 0.0,
    }  # fmt: skip
    _, free = walk(tx.update, quadratic, state, START)
    _, held = walk(tx.update, quadratic, jc.set_hyperparams(state, {"search/max_step": 0.01}), START)
    np.testing.assert_allclose((last_state(free).step_size, last_state(held).step_size), (0.25, 0.01), rtol=1e-6)
    with pytest.raises(ValueError, match=r"search/c1 must be a number in \(0, 1\); got 2.0"):
        jc.set_hyperparams(state, {"search/c1": 2.0})
    with pytest.raises(ValueError, match=r"no hyperparameter 'c1' .*search/c1"):
        jc.set_hyperparams(state, c1=0.2)


def test_a_searchs_number_may_follow_a_schedule():
    longest = jc.schedules.time_based(0.02, 1.0)
    tx = jc.line_search(jc.linesearch.armijo(max_step=longest))
    params, state = START, tx.init(START)
    for t in range(3):
        params, state = walk(tx.update, quadratic, state, params)
        np.testing.assert_allclose(last_state(state).step_size, 0.02 / (1 + t), rtol=1e-6)
        np.testing.assert_allclose(jc.hyperparams(state)["search/max_step"], 0.02 / (1 + t), rtol=1e-6)
    state = jc.set_hyperparams(state, {"search/max_step/init_value": 0.4})
    _, state = walk(tx.update, quadratic, state, params)
    np.testing.assert_allclose(jc.hyperparams(state)["search/max_step"], 0.1, rtol=1e-6)


def test_inside_an_optimizer_of_ones_own_the_numbers_are_its():
    @jc.optimizer
    def cautious(c1, longest):
        return jc.line_search(jc.linesearch.armijo(c1, max_step=longest))

    tx = cautious(0.1, 0.01)
    state = jc.set_hyperparams(tx.init(START), longest=0.003)
    _, state = walk(tx.update, quadratic, state, START)
    np.testing.assert_allclose(optax.tree.get(state, "step_size"), 0.003, rtol=1e-6)


def test_without_value_and_grad_it_finds_them_itself():
    tx = jc.line_search(jc.linesearch.armijo())
    grads, state = jax.grad(quadratic)(START), tx.init(START)
    full, counted = tx.update(grads, state, START, value=quadratic(START), grad=grads, value_fn=quadratic)
    alone, state = tx.update(grads, state, START, value_fn=quadratic)
    np.testing.assert_allclose(alone, full, rtol=1e-6)
    assert last_state(state).num_linesearch_steps == last_state(counted).num_linesearch_steps + 1


def test_what_cannot_be_searched_is_refused():
    tx = jc.line_search(jc.linesearch.armijo())
    grads, state = jax.grad(quadratic)(START), tx.init(START)
    with pytest.raises(
        ValueError, match=r"line_search.update: needs value_fn.*jc.fit, jc.make_step and jc.minimize pass them"
    ):
        tx.update(grads, state, START, value=1.0)
    with pytest.raises(ValueError, match=r"line_search.update: needs the parameters"):
        tx.update(grads, state, value_fn=quadratic)
    for wrong in (0.1, "armijo", jc.linesearch.armijo, jc.sgd(0.1)):
        with pytest.raises(TypeError, match=r"line_search: search must be a jc.linesearch.armijo"):
            jc.line_search(wrong)
    with pytest.raises(TypeError, match=r"^scale_by_line_search: search must be a jc.linesearch.armijo"):
        jc.scale_by_line_search(3)
    with pytest.raises(TypeError, match=r"^line_search: direction must be a gradient transformation"):
        jc.line_search(jc.linesearch.armijo(), jc.sgd)
    with pytest.raises(ValueError, match=r"^line_search: growth must be a number > 0; got 0"):
        jc.line_search(jc.linesearch.armijo(), growth=0.0)
    with pytest.raises(TypeError, match="initial_step must be a number > 0, an array or a schedule; got armijo"):
        jc.line_search(jc.linesearch.armijo(), None, jc.linesearch.armijo())
    part = optax.masked(tx, {"a": True, "b": False})
    params = {"a": START, "b": START}
    with pytest.raises(ValueError, match="inside a mask or partition"):
        part.update(params, part.init(params), params, value_fn=lambda p: quadratic(p["a"]))


def test_a_look_ahead_cannot_be_searched_along():
    search = jc.linesearch.armijo()
    with pytest.raises(ValueError, match="behind a look-ahead rescales the step of params, or searches along it"):
        jc.line_search(search, jc.nesterov(1.0)).init(START)
    tx = jc.line_search(search, jc.nesterov(1.0, form="shifted"))
    params, _ = walk(tx.update, quadratic, tx.init(START), START)
    assert quadratic(params) < quadratic(START)


def test_second_call_of_fit_compiles_nothing_with_other_numbers():
    from jaxopt_course.training.step import TRACES

    problem = jc.problems.digits(model="softmax")
    train = lambda search: jc.fit(problem, jc.line_search(search), batch_size=64, steps=3)
    train(jc.linesearch.armijo(0.3))
    before = TRACES["run_chunk"]
    train(jc.linesearch.armijo(0.1, 0.8, max_step=0.1))
    assert TRACES["run_chunk"] == before


@pytest.mark.parametrize("law", ["state_keeps_its_form", "second_call_does_not_retrace"])
def test_the_exact_search_obeys_laws(law):
    """But not jit = eager to 8 ulp: values tell a minimum to √ε only, so other rounding moves it by that."""
    LAWS[law](jc.line_search(jc.linesearch.exact(max_evaluations=20), growth=1.5))
