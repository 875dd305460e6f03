"""What is no number, no state, no parameters or no schedule is refused at the call, by name."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxopt_course as jc
from tests.transform.trees import GRADS, PARAMS, step


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rat": 0.1}, "no hyperparameter 'learning_rat'; did you mean 'learning_rate'"),
        ({"learning_rate": -1.0}, r"learning_rate must be a number >= 0; got -1.0"),
        ({"b1": 1.0}, r"b1 must be a number in \[0, 1\); got 1.0"),
        ({"b1": jnp.ones(3) / 2}, r"b1 has shape \(\); got an array of shape \(3,\)"),
    ],
)
def test_bad_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        jc.set_hyperparams(jc.adam(0.1).init(PARAMS), change)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: jc.sgd(-0.1), ValueError, r"sgd: learning_rate must be a number >= 0; got -0.1"),
        (lambda: jc.sgd(float("nan")), ValueError, r"sgd: learning_rate must be a number >= 0; got nan"),
        (lambda: jc.sgd(float("inf")), ValueError, r"sgd: learning_rate must be a number >= 0; got inf"),
        (lambda: jc.sgd("fast"), TypeError, "sgd: learning_rate must be .* got 'fast'"),
        (lambda: jc.sgd(None), TypeError, "sgd: learning_rate must be a number, an array or a schedule; got None"),
        (lambda: jc.sgd(True), TypeError, "sgd: learning_rate must be .* got True"),
        (lambda: jc.sgd(jnp.ones(3)), ValueError, r"learning_rate must be a scalar, got an array of shape \(3,\)"),
        (lambda: jc.momentum(0.1, 1.5), ValueError, r"momentum: momentum must be a number in \[0, 1\]; got 1.5"),
        (lambda: jc.momentum(0.1, -0.1), ValueError, r"momentum must be a number in \[0, 1\]; got -0.1"),
        (lambda: jc.adam(0.1, b1=1.0), ValueError, r"adam: b1 must be a number in \[0, 1\); got 1.0"),
        (lambda: jc.adam(0.1, eps=-1e-8), ValueError, r"eps must be a number >= 0; got -1e-08"),
        (lambda: jc.adam(0.1, beta1=0.9), TypeError, "adam: unknown argument 'beta1'"),
        (lambda: jc.adam(0.1, learningrate=0.9), TypeError, "did you mean 'learning_rate'"),
        (lambda: jc.adam(), TypeError, "adam: missing a required argument: 'learning_rate'"),
        (
            lambda: jc.adam(0.1, accumulator_dtype=[1]),
            TypeError,
            r"accumulator_dtype is static and must be hashable; got \[1\]",
        ),
        (lambda: jc.nesterov(0.1, form="ahead"), ValueError, "unknown form 'ahead'"),
        (lambda: jc.nesterov(0.1, rate_inside=False), ValueError, "rate_inside=False needs form='shifted'"),
    ],
)
def test_bad_arguments_are_refused_at_the_call(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize(
    ("method", "direction", "arguments", "message"),
    [
        (
            jc.adam,
            jc.scale_by_adam,
            {"eps_inside_sqrt": True, "eps_root": 0.1},
            "eps_inside_sqrt=True puts eps under the root",
        ),
        (
            jc.adam,
            jc.scale_by_adam,
            {"eps_before_correction": True, "bias_correction": False},
            "eps_before_correction=True needs",
        ),
        (jc.amsgrad, jc.scale_by_amsgrad, {"max_after_correction": True}, "max_after_correction=True needs bias_correction"),
        (jc.adamax, jc.scale_by_adamax, {"eps_place": "root"}, "unknown eps_place 'root'"),
    ],
)
def test_what_a_direction_refuses_its_method_refuses_by_its_own_name(method, direction, arguments, message):
    with pytest.raises(ValueError, match=f"^{direction.__name__}: {message}"):
        direction(**arguments)
    with pytest.raises(ValueError, match=f"^{method.__name__}: {message}"):
        method(0.1, **arguments)


@pytest.mark.parametrize(
    "value", [jnp.array(0.1 + 2j), np.complex64(1 + 2j), np.array(True), jnp.array(True), np.array("0.1"), np.array(b"0.1")]
)
def test_arrays_that_are_no_real_numbers_are_refused_as_pythons_own_are(value):
    with pytest.raises(TypeError, match="sgd: learning_rate must be a number >= 0, an array or a schedule; got"):
        jc.sgd(value)
    with pytest.raises(TypeError, match="expected_loss: start must be finite numbers; got"):
        jc.theory.expected_loss(jc.sgd(0.1), np.eye(2), np.eye(2), start=[value, value], steps=2)


def test_traced_numbers_pass():
    after = jax.jit(lambda rate: step(jc.sgd(rate), jc.sgd(rate).init(PARAMS))[0]["b"])
    np.testing.assert_allclose(after(-1.0), GRADS["b"], rtol=1e-6)


@pytest.mark.parametrize(
    ("grads", "message"),
    [
        ({"w": GRADS["w"]}, r"differ in structure: only .* has \['b'\]"),
        ({"w": GRADS["w"], "b": jnp.ones(3)}, r"differ in shape at \['b'\]: \(3,\) and \(2,\)"),
    ],
)
def test_mismatched_trees_name_the_path(grads, message):
    tx = jc.momentum(0.1)
    with pytest.raises(ValueError, match=message):
        tx.update(grads, tx.init(PARAMS), PARAMS)


def test_parameters_that_are_not_floating_point_are_named():
    with pytest.raises(TypeError, match=r"sgd.init: parameters must be floating point; \['steps'\] is int32"):
        jc.sgd(0.1).init({"w": jnp.ones(2), "steps": jnp.arange(3)})


def test_a_state_of_another_optimizer_is_refused():
    with pytest.raises(ValueError, match=r"adam\.update: this state was not made by this optimizer's init"):
        step(jc.adam(0.1), jc.sgd(0.1).init(PARAMS))


@pytest.mark.parametrize("function", [jc.adam, lambda: 0.1, lambda step: jnp.ones(3) * step, lambda step: "slow"])
def test_functions_that_are_no_schedules_are_refused_at_the_call(function):
    with pytest.raises(TypeError, match="adam: learning_rate is a function, but no schedule"):
        jc.adam(function)
    with pytest.raises(TypeError, match="warmup: schedule is a function, but no schedule"):
        jc.schedules.warmup(function, 5)
