"""The range test finds where the loss falls, and where it explodes."""

import numpy as np
import optax
import pytest

import jaxopt_course as jc


@pytest.fixture(scope="module")
def quadratic():
    """½x² of every example: descent contracts by 1 − α, so the loss falls fastest at α = 1 and explodes above 2."""
    return jc.Problem.from_loss(lambda params, batch: 0.5 * (params**2).sum() + 0 * batch, np.ones(3), np.zeros(64))


def test_a_quadratic_explodes_at_two(quadratic):
    test = jc.range_test(quadratic, jc.sgd, low=1e-4, high=100.0, steps=200, batch_size=8)
    assert 1e-2 < test.steepest < test.lowest < 4
    assert float(test.data["learning_rate"].max()) > 2
    assert float(test.data["loss"][-1]) > 1


def test_the_rates_are_those_of_the_run(quadratic):
    """α rises by one factor, from low to high, and the loss is that of plain descent with these rates."""
    test = jc.range_test(quadratic, jc.sgd, low=1e-3, high=1.0, steps=50, batch_size=8)
    rates = test.data["learning_rate"].values
    np.testing.assert_allclose(rates, np.geomspace(1e-3, 1.0, 50), rtol=1e-5)
    x, expected = np.ones(3), []
    for rate in rates:
        expected.append(0.5 * (x**2).sum())
        x = x * (1 - rate)
    np.testing.assert_allclose(test.data["loss"], expected, rtol=1e-4, atol=1e-12)


def test_digits_and_its_picture():
    test = jc.range_test(jc.problems.digits(), lambda rate: jc.momentum(rate, 0.9), low=1e-5, high=100.0)
    assert 1e-4 < test.steepest < test.lowest < 10
    axes = test.plot().axes[0]
    assert axes.get_xscale() == "log"
    assert {text.get_text().split(":")[0] for text in axes.get_legend().get_texts()} == {
        "loss",
        "smoothed",
        "steepest",
        "lowest",
    }


@pytest.mark.parametrize("key", range(6))
def test_few_steps_are_not_taken_in_by_the_noise_of_a_batch(key):
    test = jc.range_test(jc.problems.digits(), jc.sgd, low=1e-3, high=100.0, steps=60, key=key)
    assert 0.1 < test.steepest < 2


@pytest.mark.parametrize("problem", [3, None, jc.surfaces.rosenbrock])
def test_a_problem_is_one(problem):
    with pytest.raises(TypeError, match=r"^range_test: problem must be a jc\.Problem .*; got "):
        jc.range_test(problem, jc.sgd)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"low": 0.0}, ValueError, "low must be a number > 0"),
        ({"low": 1.0, "high": 0.5}, ValueError, "high must be a number > 1"),
        ({"steps": 5}, ValueError, "steps must be an integer >= 10"),
        ({"factory": jc.sgd(0.1)}, TypeError, "factory must be a function from a learning rate"),
        ({"factory": lambda rate: jc.sgd(0.1)}, ValueError, "factory must use the learning rate .* that it is given"),
        ({"factory": lambda rate: jc.sgd(rate(3))}, ValueError, "factory must use the learning rate .* that it is given"),
        ({"factory": lambda rate: optax.adam(0.1)}, ValueError, "factory must use the learning rate .* that it is given"),
        ({"factory": lambda rate: jc.sgd(jc.schedules.scaled(rate, 0.0))}, ValueError, "never fell by more than its noise"),
        ({"factory": lambda rate: 3}, TypeError, "what factory returns"),
        ({"batch_size": 65}, ValueError, "batch_size must be an integer from 1 to 64"),
        ({"low": 1e20, "high": 1e30}, ValueError, "finite for .* steps only; begin at a lower rate"),
    ],
)
def test_bad_input(quadratic, arguments, error, message):
    arguments = {"factory": jc.sgd, **arguments}
    with pytest.raises(error, match=message):
        jc.range_test(quadratic, **arguments)


FACTORIES = {
    "ours": lambda rate: jc.adam(rate),
    "a chain": lambda rate: jc.chain(optax.clip_by_global_norm(1.0), jc.momentum(rate, 0.9)),
    "scaled": lambda rate: jc.sgd(jc.schedules.scaled(rate, 0.5)),
    "averaged": lambda rate: jc.averaged(jc.sgd(rate)),
    "optax's": optax.sgd,
    "injected": lambda rate: jc.inject(optax.adam)(rate),
    "optax's injection": lambda rate: optax.inject_hyperparams(optax.sgd)(learning_rate=rate),
    "every second step": lambda rate: optax.MultiSteps(optax.sgd(rate), 2).gradient_transformation(),
}


@pytest.mark.parametrize("name", FACTORIES)
def test_whoever_reads_the_rate_is_tested(quadratic, name):
    test = jc.range_test(quadratic, FACTORIES[name], low=1e-4, high=1.0, steps=40, batch_size=8)
    assert 1e-4 < test.steepest < test.lowest <= 1.0
