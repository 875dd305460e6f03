"""A preset has the framework's arguments; it refuses what is not here, and takes what changes nothing."""

import doctest
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from tests.dialects import cases, golden

RECORD = golden.load()
D = jc.dialects
METHODS = [(framework, method) for framework in cases.CASES for method in RECORD[framework]["signatures"]]


@pytest.mark.parametrize(("framework", "method"), METHODS)
def test_names_order_and_defaults_are_the_frameworks(framework, method):
    parameters = inspect.signature(getattr(getattr(D, framework), method)).parameters.values()
    ours = [[p.name, "" if p.default is p.empty else repr(p.default), p.kind is p.KEYWORD_ONLY] for p in parameters]
    assert ours == RECORD[framework]["signatures"][method]


def presets():
    modules = (D.paper, D.torch, D.keras, D.optax)
    names = [(module, name) for module in modules for name in module.__all__ if name.islower()]
    return [pytest.param(module, name, id=f"{module.__name__.rsplit('.', 1)[1]}.{name}") for module, name in names]


def first_rate(preset):
    """The argument that a call needs: some methods have a default rate, and Adadelta's may be None."""
    rate = next(iter(inspect.signature(preset).parameters.values()))
    return {} if rate.default not in (rate.empty, None) else {rate.name: 0.1}


@pytest.mark.parametrize(("module", "name"), presets())
def test_preset_is_documented_and_keeps_the_form_of_its_state(module, name):
    preset = getattr(module, name)
    tx, params = preset(**first_rate(preset)), {"w": jnp.array([1.0, -2.0])}
    state = tx.init(params)
    updates, after = jax.eval_shape(tx.update, params, state, params)
    assert jax.tree.structure(updates) == jax.tree.structure(params)
    assert jax.tree.map(lambda x: (x.shape, x.dtype), after) == jax.tree.map(lambda x: (x.shape, x.dtype), state)


@pytest.mark.parametrize(("module", "name"), presets())
def test_docstring_has_every_argument_and_an_example_that_runs(module, name):
    preset = getattr(module, name)
    arguments = preset.__doc__.split("Args:\n")[1].split("\n\nReturns:")[0].splitlines()
    assert [line.strip().split(": ")[0] for line in arguments] == list(inspect.signature(preset).parameters)
    assert all(part in preset.__doc__ for part in ("\n\nRaises:", "\n\nReferences:", "jaxopt_course."))
    example = doctest.DocTestParser().get_doctest(preset.__doc__, {}, name, None, 0)
    assert doctest.DocTestRunner(verbose=False).run(example) == (0, 4)


NEUTRAL = {"foreach", "fused", "capturable", "differentiable", "name", "ema_momentum", "ema_overwrite_frequency"}


@pytest.mark.parametrize(("module", "name"), presets())
def test_docstring_says_what_each_argument_means_unless_it_means_nothing(module, name):
    doc = getattr(module, name).__doc__
    silent = {line.strip().split(":")[0] for line in doc.splitlines() if line.endswith(": accepted, without effect.")}
    assert silent == NEUTRAL & set(inspect.signature(getattr(module, name)).parameters)


@pytest.mark.parametrize(("module", "name"), presets())
def test_other_numbers_are_no_other_program(module, name):
    preset = getattr(module, name)
    rate = next(iter(inspect.signature(preset).parameters))
    one, other = preset(**{rate: 0.1}), preset(**{rate: 0.3})
    assert one.update == other.update
    assert hash(one.update) == hash(other.update)


@pytest.mark.parametrize(
    "call",
    [
        lambda: D.torch.adam(foreach=True, fused=True, capturable=True, differentiable=True),
        lambda: D.torch.sgd(foreach=False, differentiable=True),
        lambda: D.torch.adagrad(0.1, 0, 0, 0, 1e-10, True, fused=False),
        lambda: D.keras.adam(name="mine", clipnorm=None, use_ema=False, ema_momentum=0.9, ema_overwrite_frequency=10),
        lambda: D.keras.adam(use_ema=np.bool_(False)),
        lambda: optax.inject_hyperparams(D.keras.adam)(0.1).init(jnp.zeros(2)) and D.keras.adam(),
        lambda: D.optax.adam(0.1, mu_dtype=None),
    ],
)
def test_switches_that_change_nothing_are_accepted(call):
    assert isinstance(call(), optax.GradientTransformationExtraArgs)


@pytest.mark.parametrize(
    ("call", "plain"),
    [
        (lambda: D.keras.sgd(0.1, nesterov=True), lambda: D.keras.sgd(0.1)),
        (lambda: D.optax.sgd(0.1, nesterov=True), lambda: D.optax.sgd(0.1)),
        (lambda: D.optax.rmsprop(0.1, nesterov=True), lambda: D.optax.rmsprop(0.1)),
    ],
    ids=["keras.sgd", "optax.sgd", "optax.rmsprop"],
)
def test_nesterov_without_momentum_changes_nothing_where_the_framework_lets_it_pass(call, plain):
    assert call().update == plain().update


REFUSED = {
    "clipnorm": 1.0,
    "clipvalue": 0.5,
    "global_clipnorm": 1.0,
    "use_ema": True,
    "loss_scale_factor": 2.0,
    "gradient_accumulation_steps": 4,
}


@pytest.mark.parametrize("switch", REFUSED)
@pytest.mark.parametrize("method", ["sgd", "adamw", "nadam"])
def test_a_switch_of_keras_that_is_not_here_raises_and_says_what_to_use(method, switch):
    with pytest.raises(ValueError, match=rf"dialects\.keras\.{method}: {switch}={REFUSED[switch]!r} is not here; use \w+"):
        getattr(D.keras, method)(**{switch: REFUSED[switch]})


BAD = {
    "a dampening of words, without momentum": (lambda: D.torch.sgd(dampening="x"), TypeError, "dampening must be a number in"),
    "a dampening below 0, without momentum": (
        lambda: D.torch.sgd(dampening=-2.0),
        ValueError,
        "dampening must be a number in",
    ),
    "a dtype that is none": (
        lambda: D.optax.sgd(0.1, accumulator_dtype="banana"),
        TypeError,
        "accumulator_dtype must be a floating-point dtype",
    ),
    "a negative eta": (lambda: D.paper.adamw(eta=-1.0), ValueError, "eta must be a number >= 0; got -1.0"),
    "an eta of words": (lambda: D.paper.adamw(eta="x"), TypeError, "eta must be a number >= 0, .*; got 'x'"),
    "torch's params": (lambda: D.torch.adam(iter(()), lr=0.1), TypeError, "parameters are not given here, but to init"),
    "params by name": (lambda: D.torch.sgd(params=[], lr=0.1), TypeError, "'params'.*no `params` here"),
    "an unknown argument": (lambda: D.torch.adam(beta=0.9), TypeError, "unknown argument 'beta'; did you mean 'betas'"),
    "one beta": (lambda: D.torch.adam(betas=0.9), TypeError, r"dialects.torch.adam\(betas=0.9\): betas must be a pair"),
    "three betas": (
        lambda: D.torch.nadam(betas=(0.9, 0.8, 0.7)),
        TypeError,
        r"dialects.torch.nadam\(.*\): betas must be a pair",
    ),
    "a beta of 1": (lambda: D.torch.adam(betas=(0.9, 1.0)), ValueError, r"betas\[1\] must be a number in \[0, 1\); got 1.0"),
    "a negative rate": (
        lambda: D.torch.sgd(-0.1),
        ValueError,
        r"dialects.torch.sgd\(lr=-0.1\): lr must be a number >= 0; got -0.1",
    ),
    "a negative rate that decays": (lambda: D.torch.adagrad(-0.1, 0.1), ValueError, "lr must be a number >= 0; got -0.1"),
    "a negative decay of the rate": (lambda: D.torch.adagrad(0.1, -0.1), ValueError, ": lr_decay must be .*got -0.1"),
    "nesterov, no momentum (torch)": (lambda: D.torch.sgd(nesterov=True), ValueError, "nesterov=True needs a momentum"),
    "nesterov, dampened (torch)": (
        lambda: D.torch.sgd(0.1, 0.9, 0.5, nesterov=True),
        ValueError,
        "dampening=0; got 0.9 and 0.5",
    ),
    "adamw without decay (keras)": (lambda: D.keras.adamw(weight_decay=None), TypeError, "weight_decay must be"),
    "a dtype of mu (optax)": (lambda: D.optax.adam(0.1, mu_dtype="bfloat16"), ValueError, "mu_dtype='bfloat16' is not here"),
    "no rate (optax)": (lambda: D.optax.adadelta(), ValueError, "learning_rate=None ascends"),
    "half a correction (optax)": (
        lambda: D.optax.amsgrad(0.1, bias_correction_nu=False),
        ValueError,
        "bias_correction_mu and bias_correction_nu must be both",
    ),
    "a mask of numbers (optax)": (lambda: D.optax.adamw(0.1, mask={"w": 1}), TypeError, "mask must be a tree of booleans"),
    "a negative rate that slows (torch)": (lambda: D.torch.asgd(-0.1), ValueError, r"\(lr=-0.1\): lr must be .*got -0.1"),
    "lambd (torch)": (lambda: D.torch.asgd(lambd=-0.1), ValueError, ": lambd must be a number >= 0; got -0.1"),
    "a power of words (torch)": (lambda: D.torch.asgd(alpha="x"), TypeError, ": alpha must be a finite number; got 'x'"),
    "t0 (torch)": (lambda: D.torch.asgd(t0=-4), ValueError, ": t0 must be a number >= 0; got -4"),
    "two decays (torch)": (lambda: D.torch.asgd(weight_decay=-1.0), ValueError, ": weight_decay must be a .*; got -1.0"),
    "no mask (optax)": (lambda: D.optax.adamw(0.1, mask="w"), TypeError, "mask must be a tree of booleans"),
    "a word for a switch": (lambda: D.torch.adam(amsgrad="no"), TypeError, "amsgrad must be True or False; got 'no'$"),
    "a number for a switch": (lambda: D.keras.Adam(amsgrad=1), TypeError, "amsgrad must be True or False; got 1$"),
    "by position": (lambda: D.keras.sgd(0.1, 0.9, 1), TypeError, "nesterov must be True or False; got 1$"),
    "a word for a keyword": (lambda: D.torch.sgd(maximize="no"), TypeError, "maximize must be True or False; got 'no'$"),
    "what torch has first": (lambda: D.torch.sgd(params=[]), TypeError, "'params'.*there is no `params` here"),
    "a negative schedule's factor (paper)": (
        lambda: D.paper.adamw(-0.1, eta=jc.schedules.linear(1.0, 0.0, 9)),
        ValueError,
        "alpha must be a number >= 0; got -0.1",
    ),
    "a beta of 2, by name": (
        lambda: D.torch.adam(betas=(2, 0.9)),
        ValueError,
        r"dialects.torch.adam\(betas=\(2, 0.9\)\): betas\[0\] must be a number in \[0, 1\); got 2$",
    ),
    "alpha is torch's decay": (
        lambda: D.torch.rmsprop(alpha=1.5),
        ValueError,
        r": alpha must be a number in \[0, 1\); got 1.5",
    ),
    "a word for a rate": (lambda: D.torch.sgd("fast"), TypeError, r"\(lr='fast'\): lr must be .*; got 'fast'"),
    "a schedule below 0": (
        lambda: D.keras.adam(lambda step: -1.0 - step),
        ValueError,
        r": learning_rate at step 0 must be a number >= 0; got ",
    ),
    "beta_1 (keras)": (lambda: D.keras.nadam(beta_1=1.0), ValueError, r": beta_1 must be a number in \[0, 1\); got 1.0"),
    "a momentum of 2 (keras)": (
        lambda: D.keras.sgd(momentum=2.0),
        ValueError,
        r": momentum must be a number in \[0, 1\]; got 2",
    ),
    "epsilon (keras)": (lambda: D.keras.adagrad(epsilon=-1.0), ValueError, ": epsilon must be a number >= 0; got -1.0"),
    "initial_scale (optax)": (
        lambda: D.optax.rmsprop(0.1, initial_scale=-1.0),
        ValueError,
        ": initial_scale must be a number >= 0; got -1.0",
    ),
    "mu is a momentum (paper)": (lambda: D.paper.nesterov(0.1, mu=1.5), ValueError, r": mu must be a number in \[0, 1\]"),
    "mu is an average's (paper)": (lambda: D.paper.nadam(0.1, mu=1.0), ValueError, r": mu must be a number in \[0, 1\)"),
    "delta (paper)": (lambda: D.paper.adagrad(0.1, delta=-1.0), ValueError, ": delta must be a number >= 0; got -1.0"),
    "eta (paper)": (lambda: D.paper.adagrad(eta=-1.0), ValueError, ": eta must be a number >= 0; got -1.0"),
    "no rate (paper)": (lambda: D.paper.sgd(), TypeError, "dialects.paper.sgd: missing a required argument: 'alpha'"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_by_name(case):
    call, error, message = BAD[case]
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("framework", ["torch", "keras"])
def test_class_names_are_the_methods(framework):
    module = getattr(D, framework)
    for case in cases.CASES[framework].values():
        assert getattr(module, case.theirs) is getattr(module, case.ours)
