"""Other libraries' optimizers by name."""

import inspect
import math
import warnings

import optax
import optax.contrib
import pytest

import jaxopt_course as jc
from jaxopt_course.race import contestants
from jaxopt_course.training.step import TRACES


def names():
    for module in (optax, optax.contrib):
        for name, function in inspect.getmembers(module, lambda found: inspect.isfunction(getattr(found, "func", found))):
            parameters = inspect.signature(function).parameters
            required = {p.name for p in parameters.values() if p.default is p.empty}
            if "learning_rate" in parameters and required <= {"learning_rate"} and not name.startswith("scale_by_"):
                yield f"{module.__name__}.{name}"


def test_every_factory_of_optax_that_needs_a_learning_rate_only_takes_part():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Specifying a key", UserWarning)  # noisy_sgd's own
        warnings.filterwarnings("ignore", "`optimistic_adam` is deprecated", DeprecationWarning)
        taken = [name for name in names() if name != "optax.contrib.sophia"]
        assert [c.name for c in contestants(taken)] == taken
    assert len(taken) > 40
    assert {"optax.nadam", "optax.nadamw"} <= {*taken}


def test_rates_share_a_program():
    problem = jc.problems.digits()
    (lion,) = contestants(["optax.lion"])
    assert lion.factory(0.1).update == lion.factory(0.2).update
    before = TRACES["run_chunk"]
    for rate in (1e-3, 3e-3, 1e-2):
        jc.fit(problem, lion.factory(rate), batch_size=64, epochs=1)
    assert TRACES["run_chunk"] == before + 1


def test_grids():
    lion, prodigy, polyak = contestants(["optax.lion", "optax.contrib.prodigy", "optax.polyak_sgd"])
    assert (lion.learning_rates[0], lion.learning_rates[-1]) == (1e-4, 1.0)
    assert prodigy.learning_rates == (0.1, 0.3, 1.0, 3.0, 10.0)
    assert math.isnan(polyak.learning_rates[0])
    assert contestants(["optax.lion"], [0.5])[0].learning_rates == (0.5,)
    assert math.isnan(contestants(["optax.polyak_sgd"], [0.5])[0].learning_rates[0])


@pytest.mark.long
def test_race():
    outcome = jc.race(jc.problems.digits(), ["optax.lion", "optax.polyak_sgd", "sgd"], seeds=2, epochs=1)
    assert set(outcome.data.optimizers) == {"optax.lion", "optax.polyak_sgd", "sgd"}
    assert "optax.polyak_sgd" in str(outcome)


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("optax.lyon", ValueError, "unknown optimizer 'optax.lyon'; did you mean 'optax.lion'"),
        ("nowhere.sgd", ValueError, "there is no module 'nowhere'"),
        ("optax.", ValueError, "unknown optimizer 'optax.': write a factory's name after the dot"),
        ("optax.chain", TypeError, "race: optax.chain is no optimizer: "),
        ("fractions.Fraction", TypeError, "fractions.Fraction is a class, .*'jaxopt_course.dialects.keras.adam'"),
        (".sgd", ValueError, "unknown optimizer '.sgd'"),
        ("optax.contrib.dpsgd", TypeError, "needs more than a learning rate: l2_norm_clip, noise_multiplier, seed"),
        ("optax.contrib.sophia", TypeError, "needs more than fit gives .*obj_fn must be provided"),
        ("math.exp", ValueError, "unknown optimizer 'math.exp'"),
        ("optax.scale_by_adam", ValueError, "did you mean 'optax.adam'"),
        ("optax.identity", TypeError, "optax.identity is no optimizer: .* does not go downhill"),
        ("optax.set_to_zero", TypeError, "does not go downhill"),
        ("optax.contrib.reduce_on_plateau", TypeError, "does not go downhill"),
        ("jaxopt_course.dialects.torch.adam", TypeError, "calls its learning rate lr; give a function"),
    ],
)
def test_bad_names(name, error, message):
    with pytest.raises(error, match=message):
        contestants([name])
