"""Probes are part of the one compiled program: nothing without them, nothing between the steps that they look at."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import jaxopt_course as jc
from jaxopt_course.training import Program
from jaxopt_course.training.chunk import run_chunk
from jaxopt_course.training.state import with_probes

P = jc.probes
ALL = [
    P.gradient_norm(),
    P.update_norm(),
    P.gradient_angle(),
    P.decrease(),
    P.predicted_decrease(),
    P.gradient_noise(every=2),
    P.noise_along(),
    P.sharpness(every=3, iterations=3),
    P.suboptimality(0.1, every=2),
]


def lowered(problem, optimizer, probes):
    program = Program(problem.objective, optimizer.update, True)
    probes = {probe.name: probe for probe in probes}
    state = with_probes(probes, jc.init_state(problem, optimizer))
    train = jax.tree.map(jnp.asarray, problem.data.train)
    rows = np.zeros((8, 4), np.int32), np.full((8, 4), 0.25, np.float32)
    arguments = (program, state, train, problem.regularizer, (), (), rows, np.int32(8), np.int32(-1), None)
    return run_chunk.lower(*arguments, *([probes] if probes else []), capacity=8).as_text()


def test_without_probes_the_program_has_nothing_of_them(curve):
    """The same text after a run with probes as before; and every equation of it in the one with them."""
    problem = curve.problem()
    plain = lowered(problem, jc.momentum(0.1), ())
    watched = lowered(problem, jc.momentum(0.1), [P.sharpness(iterations=3)])
    assert lowered(problem, jc.momentum(0.1), ()) == plain
    assert "eig" not in plain
    assert "syevd" in watched or "eig" in watched
    assert "stablehlo.case" not in plain


def test_no_probes_share_the_program_of_a_run_that_never_heard_of_them(curve, traced):
    runs = [jc.fit(curve.problem(), jc.adam(0.01), batch_size=9, steps=7, **p) for p in ({}, {"probes": []}, {"probes": {}})]
    assert traced("run_chunk") == 1
    for run in runs[1:]:
        np.testing.assert_array_equal(run.history.loss, runs[0].history.loss)
    again = jc.fit(curve.problem(), jc.adam(0.01), batch_size=9, steps=7, state=jc.fit(
        curve.problem(), jc.adam(0.01), batch_size=9, steps=7, probes=P.gradient_angle()).state)  # fmt: skip
    assert traced("run_chunk") == 2  # the one with probes; what comes after it without is the first again
    assert again.state.probes == ()


def test_probes_change_nothing_of_the_run(curve):
    plain, watched = (curve.fit(probes, steps=9, optimizer=jc.adam(0.05)) for probes in ((), ALL))
    np.testing.assert_allclose(watched.loss, plain.loss, rtol=1e-13)
    assert set(watched.data_vars) - set(plain.data_vars) == {probe.name for probe in ALL}


def test_equal_probes_built_again_share_the_program(curve, traced):
    def probes(minimum, u):
        along = P.noise_along({"w": u * np.ones(3), "b": 1.0})
        return [P.sharpness(every=2, iterations=3), P.gradient_angle(), P.suboptimality(minimum), along]

    assert P.sharpness(every=2) == P.sharpness(every=2) != P.sharpness(every=3)
    assert hash(P.sharpness(every=2)) == hash(P.sharpness(every=2))
    results = [jc.fit(curve.problem(), jc.sgd(0.01), batch_size=10, steps=3, probes=probes(m, m)) for m in (0.0, 0.25, 0.5)]
    assert traced("run_chunk") == 1
    falls = np.diff([run.history.suboptimality[0] for run in results])
    np.testing.assert_allclose(falls, -0.25, rtol=1e-5)
    jc.fit(curve.problem(), jc.sgd(0.02), batch_size=10, steps=5, probes=probes(0.1, 1.0), key=4)
    assert traced("run_chunk") == 1


def test_between_looks_a_probe_does_not_run(curve):
    seen = []

    def look(at):
        jax.debug.callback(lambda step: seen.append(int(step)), at.step)
        return at.loss

    curve.fit(P.Probe("looks", look, every=4), steps=10)
    jax.effects_barrier()
    assert sorted(seen) == [0, 4, 8]


def test_two_halves_are_one_run(curve):
    """The step counter and the memories go on."""
    options = {"batch_size": 10, "probes": [P.gradient_angle(), P.gradient_norm(every=3)]}
    whole = jc.fit(curve.problem(), jc.sgd(0.05), steps=8, **options).history
    first = jc.fit(curve.problem(), jc.sgd(0.05), steps=5, **options)
    second = jc.fit(curve.problem(), jc.sgd(0.05), steps=3, state=first.state, **options).history
    for name in ("gradient_angle", "gradient_norm"):
        np.testing.assert_array_equal(np.r_[first.history[name], second[name]], whole[name])
    assert np.isfinite(second.gradient_angle[0])


@pytest.mark.long
def test_other_probes_begin_anew_on_an_old_state(curve):
    angle, options = P.gradient_angle(), {"batch_size": 10, "steps": 3}
    first = jc.fit(curve.problem(), jc.sgd(0.05), **options, probes=angle)
    second = jc.fit(curve.problem(), jc.sgd(0.05), **options, probes={"turn": angle}, state=first.state)
    assert np.isnan(second.history.turn).values.tolist() == [True, False, False]
    assert set(second.state.probes) == {"turn"}


@pytest.mark.long
def test_a_step_of_your_own_loop_reports_them(curve):
    step = jc.make_step(curve.problem(), jc.sgd(0.05), probes=[P.gradient_angle(), P.sharpness(every=2)], donate=True)
    state, reports = step.init(0), []
    for t in range(3):
        state, report = step(state, {name: jnp.asarray(leaf[curve.batch(t)]) for name, leaf in curve.data.items()})
        reports.append(report.probes)
    history = curve.fit([P.gradient_angle(), P.sharpness(every=2)], steps=3)
    for name in ("gradient_angle", "sharpness"):
        np.testing.assert_allclose([report[name] for report in reports], history[name], rtol=1e-12)
    plain = jc.make_step(lambda w, batch: (batch - w) ** 2, jc.sgd(0.1), probes=P.gradient_norm())
    _, report = plain(plain.init(0.0), jnp.array([1.0, 3.0]))
    assert float(report.probes["gradient_norm"]) == 4.0
    broad = jc.make_step(curve.problem(), jc.sgd(0.1), probes=P.gradient_norm(over="train"))
    with pytest.raises(ValueError, match="gradient_norm looks over='train', and make_step has batches only"):
        broad(broad.init(0), curve.data)


@pytest.mark.long
def test_on_a_function_without_data_batch_and_split_are_the_function():
    """A surface's numbers take the place of data."""
    function, both = jc.surfaces.rosenbrock, {"batch": P.sharpness(), "train": P.sharpness(over="train")}
    history = jc.minimize(function, jc.sgd(1e-3), start=[0.5, 2.0], steps=3, probes=both).history
    x, y = np.c_[history.x][:-1].T
    hessians = np.array([[2 - 400 * y + 1200 * x**2, -400 * x], [-400 * x, 200 + 0 * x]])
    exact = np.linalg.eigvalsh(np.moveaxis(hessians, 2, 0))[:, -1]
    np.testing.assert_allclose(history.batch, exact, rtol=1e-11)
    np.testing.assert_allclose(history.train, exact, rtol=1e-11)
    assert history.batch.attrs["long_name"] == "largest eigenvalue of the Hessian"


@pytest.mark.long
def test_samplers_that_learn_and_foreign_optimizers_are_observed_too(curve):
    sampler = jc.samplers.importance("loss")
    history = jc.fit(curve.problem(), optax.adam(0.01), batch_size=10, steps=4, sampler=sampler, probes=ALL[-4:]).history
    assert np.isfinite(history.noise_along_gradient).all()
    assert np.isfinite(history.suboptimality[::2]).all()
