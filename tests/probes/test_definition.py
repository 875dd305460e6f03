"""A probe of one's own is a pure pair; what the history says of it; what is refused, and how."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc

P = jc.probes


def travelled(at, length):
    length = length + optax.tree.norm(at.updates)
    return length, length


def test_a_memory_goes_from_step_to_step_and_stays_where_nothing_looks(curve, alpha):
    length = P.Probe("length", travelled, init=lambda params: jnp.zeros(()))
    sometimes = P.Probe("sometimes", travelled, init=lambda params: 0.0, every=2)
    history = curve.fit([length, sometimes], steps=5)
    norms = np.linalg.norm(np.diff(curve.path(5), axis=0), axis=1)
    np.testing.assert_allclose(history.length, np.cumsum(norms), rtol=1e-12)
    np.testing.assert_allclose(history.sometimes[::2], np.cumsum(norms[::2]), rtol=1e-12)
    assert np.isnan(history.sometimes[1::2]).all()


def test_what_a_step_knows_is_what_it_did(curve):
    def everything(at):
        split = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(at.data))
        weights = jnp.sum(at.weights * at.evaluate(at.point, at.batch))
        learning_rate = jc.hyperparams(at.opt_state)["learning_rate"]
        return jnp.stack([at.step, at.loss, at.objective, at.value(at.point), weights, split, learning_rate])

    history = curve.fit(P.Probe("all_of_it", everything), steps=5)
    assert history.all_of_it.dims == ("step", "all_of_it_0")
    step, loss, objective, value, weighted, split, rate = history.all_of_it.values.T
    assert step.tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(loss, history.loss, rtol=1e-14)
    np.testing.assert_allclose(objective, history.objective, rtol=1e-14)
    np.testing.assert_allclose(value, history.objective, rtol=1e-13)
    np.testing.assert_allclose(weighted, history.loss, rtol=1e-13)
    np.testing.assert_allclose(split, curve.x.sum() + curve.y.sum(), rtol=1e-13)
    np.testing.assert_allclose(rate, 0.05)


def test_each_step_has_a_key_of_its_own_and_the_same_one_again(curve):
    probe = P.Probe("draw", lambda at: jax.random.normal(at.key))
    first, second = (curve.fit(probe, steps=5).draw.values for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert len(set(first.tolist())) == 5


def test_the_history_says_what_it_is(curve):
    history = curve.fit({"turn": P.gradient_angle(every=2), "count": P.Probe("n", lambda at: at.step)}, steps=3)
    assert history.turn.attrs["units"] == "degree"
    assert history.turn.attrs["long_name"] == "angle between successive gradients"
    assert history.turn.attrs["description"] == "angle between successive gradients, every 2 steps"
    assert history.turn.attrs["every"] == 2
    assert history["count"].attrs["description"] == "n"
    assert history["count"].dtype == np.float64  # an integer has no NaN
    assert history["count"].values.tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("make", "error", "match"),
    [
        (lambda: P.sharpness(every=0), ValueError, r"sharpness: every must be an integer >= 1; got 0"),
        (lambda: P.sharpness(iterations=2.5), TypeError, "sharpness: iterations must be an integer >= 1"),
        (lambda: P.gradient_norm(over="trian"), ValueError, "gradient_norm: unknown over 'trian'; did you mean 'train'"),
        (lambda: P.gradient_noise(chunk=0), ValueError, "gradient_noise: chunk must be an integer >= 1"),
        (lambda: P.suboptimality(float("nan")), ValueError, "suboptimality: minimum must be a finite number"),
        (lambda: P.Probe("two words", travelled), ValueError, "name must be an identifier"),
        (lambda: P.Probe(3, travelled), TypeError, "name must be a string; got 3"),
        (lambda: P.Probe("length", 3), TypeError, "length: observe must be a function"),
        (lambda: P.Probe("length", travelled, init=0.0), TypeError, "length: init must be a function of the parameters"),
    ],
)
def test_a_probe_that_makes_no_sense_is_refused_where_it_is_made(make, error, match):
    with pytest.raises(error, match=match):
        make()


@pytest.mark.parametrize(
    ("probes", "error", "match"),
    [
        (P.gradient_norm, TypeError, r"probes takes jc.probes.*call it: jc.probes.gradient_norm\(\)"),
        ("gradient_norm", TypeError, "fit: probes takes jc.probes, one, several"),
        ([P.sharpness(), P.sharpness(over="train")], ValueError, "two probes are called 'sharpness'"),
        ({"loss": P.sharpness()}, ValueError, "must not be called 'loss'"),
        ({"validation_x": P.sharpness()}, ValueError, "must not be called 'validation_x'"),
        ({"a b": P.sharpness()}, ValueError, "must be an identifier"),
        ({"learning_rate": P.gradient_norm()}, ValueError, "must not be called 'learning_rate': a metric or a hyperparameter"),
        (P.Probe("z", lambda at: 1j), TypeError, "probe z must return real numbers; got complex"),
        (P.Probe("z", lambda at: "text"), TypeError, "probe z must return a number or an array"),
        (P.Probe("z", lambda at, m: (0.0, (m, m)), init=lambda p: 0.0), ValueError, "probe z: observe returned a memory"),
    ],
)
def test_probes_that_a_run_cannot_have_are_refused(curve, probes, error, match):
    with pytest.raises(error, match=match):
        curve.fit(probes)


def test_a_function_has_no_place_for_a_path_by_another_name():
    with pytest.raises(ValueError, match="minimize: a probe must not be called 'x'"):
        jc.minimize(lambda x: x**2, jc.sgd(0.1), start=1.0, steps=1, probes={"x": P.update_norm()})
