"""The noise of examples' gradients is NumPy's covariance of them, in ragged batches and with weights, in chunks and whole."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc

P = jc.probes


@pytest.mark.parametrize("chunk", [3, 64])
def test_the_trace_is_the_covariances(curve, chunk):
    history = curve.fit(P.gradient_noise(chunk=chunk), steps=5)  # batches of 10, 10, 10, 7, 10
    path = curve.path(5)
    traces = [np.trace(np.cov(curve.gradients(path[t], curve.batch(t)).T)) for t in range(5)]
    np.testing.assert_allclose(history.gradient_noise, traces, rtol=1e-12)


def test_over_the_split_it_is_the_populations(curve):
    history = curve.fit(P.gradient_noise(over="train", chunk=5, every=2), steps=3)
    path = curve.path(3)
    traces = [np.trace(np.cov(curve.gradients(theta).T, ddof=0)) for theta in path[:3]]
    np.testing.assert_allclose(history.gradient_noise, [traces[0], np.nan, traces[2]], rtol=1e-12)


@pytest.mark.long
def test_along_a_direction_it_is_the_quadratic_form(curve):
    direction = {"w": np.array([0.3, -2.0, 1.0]), "b": np.array(0.5)}
    probes = [P.noise_along(), P.noise_along("update"), P.noise_along(direction)]
    probes = {probe.name: probe for probe in probes} | {"population": P.noise_along(direction, over="train", chunk=8)}
    history = curve.fit(probes, steps=5, optimizer=jc.adam(0.03))
    whole = P.Probe("theta", lambda at: jax.flatten_util.ravel_pytree(at.params)[0])
    thetas = curve.fit(whole, steps=6, optimizer=jc.adam(0.03)).theta.values
    given = np.r_[0.5, 0.3, -2.0, 1.0]
    for t in range(5):
        covariance = np.cov(curve.gradients(thetas[t], curve.batch(t)).T)
        steps = {"_gradient": curve.gradient(thetas[t], curve.batch(t)), "_update": thetas[t + 1] - thetas[t], "": given}
        for name, u in steps.items():
            np.testing.assert_allclose(history[f"noise_along{name}"][t], u @ covariance @ u / (u @ u), rtol=1e-11)
        population = np.cov(curve.gradients(thetas[t]).T, ddof=0)
        np.testing.assert_allclose(history.population[t], given @ population @ given / (given @ given), rtol=1e-12)


def test_the_batches_estimate_the_populations_without_bias(curve):
    """Uniform draws at a fixed point: the mean over many batches is the population's, within its own standard error."""
    options = {"batch_size": 4, "sampler": jc.samplers.uniform(), "steps": 4000}
    history = jc.fit(curve.problem(), jc.sgd(0.0), **options, probes=P.gradient_noise()).history
    exact = np.trace(np.cov(curve.gradients(curve.path(0)[0]).T, ddof=0))
    error = float(history.gradient_noise.std()) / np.sqrt(4000)
    assert abs(float(history.gradient_noise.mean()) - exact) < 3 * error < 0.1 * exact


def test_weighted_draws_have_the_noise_of_what_they_add_up(curve):
    """hᵢ = m wᵢ gᵢ, whose mean is the step's gradient; examples that are not there weigh nothing."""
    step = jc.make_step(curve.problem(), jc.sgd(0.1), probes=[P.gradient_noise(chunk=2), P.noise_along()])
    weights = np.array([0.1, 0.4, 0.0, 0.3, 0.2])
    batch = {name: jnp.asarray(leaf[:5]) for name, leaf in curve.data.items()}
    _, report = step(step.init(0), batch, jnp.asarray(weights))
    theta = curve.path(0)[0]
    draws = (4 * weights[:, None] * curve.gradients(theta, slice(5)))[weights > 0]
    u = draws.mean(0) + curve.gradient(theta) - curve.gradients(theta).mean(0)  # and the regulariser's
    np.testing.assert_allclose(report.probes["gradient_noise"], np.trace(np.cov(draws.T)), rtol=1e-12)
    np.testing.assert_allclose(report.probes["noise_along_gradient"], u @ np.cov(draws.T) @ u / (u @ u), rtol=1e-12)


def test_one_example_has_no_noise_to_see(curve):
    history = curve.fit([P.gradient_noise(), P.noise_along()], steps=2, batch_size=1)
    assert np.isnan(history.gradient_noise).all()
    assert np.isnan(history.noise_along_gradient).all()


@pytest.mark.long
def test_dropout_is_noise_of_each_example():
    """Examples that are all the same differ by their masks alone: a Bernoulli variance, ((1 − p)/p)(w x)², with p = ½."""

    def apply(params, model_state, batch, *, key=None, train=False):
        kept = jax.random.bernoulli(key, 0.5, batch.shape) / 0.5 if train else 1.0
        return params * batch * kept, model_state

    problem = jc.Problem(lambda key: (jnp.array(3.0), {}), apply, lambda outputs, batch: outputs, jnp.full(4000, 2.0))
    probes = {"trace": P.gradient_noise(chunk=500), "along": P.noise_along(), "quiet": P.gradient_noise(over="train")}
    history = jc.fit(problem, jc.sgd(0.0), sampler=jc.samplers.full(), steps=1, probes=probes).history
    assert float(history.trace[0]) == pytest.approx(4.0, rel=0.01)
    assert float(history.along[0]) == pytest.approx(4.0, rel=0.01)
    assert float(history.quiet[0]) == pytest.approx(0.0, abs=1e-6)  # of 36


def test_float32_keeps_its_digits_where_the_mean_is_large():
    """tr Σ = 1 beside a squared mean of 10⁶: the difference of their sums would have lost it."""
    y = np.random.default_rng(0).permutation(np.tile([-1.0, 1.0], 500)).astype(np.float32)
    problem = jc.Problem.from_loss(lambda w, y: (1000 + y) * w, np.float32(0), y)
    for over in ("batch", "train"):
        result = jc.fit(problem, jc.sgd(0.0), batch_size=1000, steps=1, probes=P.gradient_noise(over=over))
        assert result.history.gradient_noise.dtype == np.float32
        assert float(result.history.gradient_noise[0]) == pytest.approx(1.0, rel=2e-3)


@pytest.mark.parametrize("probe", [P.gradient_noise(), P.noise_along(), P.gradient_noise(over="train")])
def test_coupled_examples_are_refused(curve, coupled, probe):
    match = f"probe {probe.name} needs one loss for each example"
    with pytest.raises(ValueError, match=match):
        curve.fit(probe, loss=coupled)
    with pytest.raises(ValueError, match=match):
        jc.minimize(lambda x: x**2, jc.sgd(0.1), start=1.0, steps=2, probes=probe)


def test_batch_statistics_are_refused(curve):
    def centred(params, model_state, batch, *, key=None, train=False):
        mean = batch["x"].mean(0) if train else model_state
        return (batch["x"] - mean) @ params, mean

    start = lambda key: (jnp.ones(3), jnp.zeros(3))
    problem = jc.Problem(start, centred, lambda out, batch: (out - batch["y"]) ** 2, curve.data, coupled=True)
    with pytest.raises(ValueError, match="gradient_noise needs one loss for each example"):
        jc.fit(problem, jc.sgd(0.01), steps=2, probes=P.gradient_noise())
    history = jc.fit(problem, jc.sgd(0.01), steps=2, batch_size=10, probes=P.gradient_norm(over="train", chunk=8)).history
    gradient = 2 * curve.x.T @ (curve.x.sum(1) - curve.y) / 37  # as in evaluation
    assert history.gradient_norm[0] == pytest.approx(np.linalg.norm(gradient), rel=1e-12)


def test_a_direction_must_be_a_tree_like_the_parameters(curve):
    with pytest.raises(ValueError, match=r"noise_along: direction and the parameters differ in shape at \['w'\]"):
        curve.fit(P.noise_along({"w": np.ones(4), "b": np.ones(())}))
    with pytest.raises(ValueError, match="direction must be 'gradient', 'update' or a tree"):
        P.noise_along("uphill")
