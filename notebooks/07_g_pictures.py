# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # G · Pictures
#
# Every picture of the five lectures, each made by one call on what was measured, with two sentences on how to read it.
# All functions draw on your `axes=` if you give them, in a `theme="light"` or `"dark"`, and return the figure.

# %%
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from IPython.display import display
from PIL import Image

import jaxopt_course as jc
from jaxopt_course.problems.flax_models import convnet
from jaxopt_course.report import (
    animations,
    boundaries,
    comparisons,
    generalization,
    landscapes,
    paths,
    relief,
    states,
    style,
    triptych,
)
from notebooks.claims import claim, setting

setting()

# %% [markdown]
# ## G1 · Level curves, gradients and paths
#
# Between neighbouring curves lie equal areas, dark is low, stars are minima, and the arrows are −∇f, across the level curves
# everywhere. From one start near the top of Himmelblau's hill, the paths end in different minima: momentum rolls through the
# nearest one.

# %%
optimizers = {
    "sgd": jc.sgd(0.01),
    "momentum": jc.momentum(0.01, momentum=0.9),
    "adam": jc.adam(0.3),
    "exact line search": jc.line_search(jc.linesearch.exact(1.0)),
}
walked = jc.paths(jc.surfaces.himmelblau, optimizers, starts=[0.0, -0.6], steps=80)
figure = paths.level_curves(jc.surfaces.himmelblau, walked, gradients=True)
figure.savefig("pictures/level_curves.png", dpi=80)
display(figure)

# %% [markdown]
# The same paths in three dimensions: the height is log₁₀(1 + f), since f itself has steep walls around flat valleys.
# `relief.interactive` with the same arguments is a plotly figure, to turn by hand; what `axes=` is here, `figure=`, `row=` and
# `col=` are there.

# %%
relief.surface_3d(jc.surfaces.himmelblau, walked, height="log", view=(50, -60))

# %% [markdown]
# What an optimizer remembers, along its path: the areas of the squares are Adam's v in the two directions, the thick arrow is
# its momentum −m, the thin one the slope −∇f. The slope across the valley is the larger one, so its square is, and Adam
# divides by it; the momentum still points across when the slope has turned, and the path overshoots [D1, E4].

# %%
valley = jc.surfaces.quadratic((1.0, 8.0), angle=0.3)
walked = jc.paths(valley, {"adam": jc.adam(0.2)}, starts=[-2.2, 0.8], steps=60, record=("m", "v"))
states.optimizer_state(valley, walked, at=[2, 5, 8, 12, 17])

# %% [markdown]
# ## G2 · The two races
#
# All optimizers from one start, frame by frame; [saddle.gif](pictures/saddle.gif) and
# [local_optimum.gif](pictures/local_optimum.gif) move, and a `Race` alone in a cell shows itself as a player. The start is
# 0.001 beside the ridge of the saddle: a method whose step is proportional to the slope sees almost none that way, one that
# divides by the slope's own size steps out at once.


# %%
def racers(k=1.0):
    plain = {"sgd": jc.sgd(0.02 * k), "momentum": jc.momentum(0.02 * k, 0.9), "nesterov": jc.nesterov(0.02 * k, 0.9)}
    adaptive = {"adagrad": jc.adagrad(0.1 * k), "rmsprop": jc.rmsprop(0.02 * k), "adam": jc.adam(0.05 * k)}
    return plain | adaptive | {"adadelta": jc.adadelta(learning_rate=k)}


def filmstrip(surface, walked, moments):
    """Four frames of a small race, two by two."""
    with style.themed():
        race = animations.race(surface, walked, axes=style.Figure(figsize=(5, 3.8)).subplots())
    one, two, three, four = (race.frame(i)[..., :3] for i in moments)
    return Image.fromarray(np.block([[[one], [two]], [[three], [four]]]))


walked = jc.paths(jc.surfaces.saddle, racers(), steps=180)
race = animations.race(jc.surfaces.saddle, walked)
race.gif("pictures/saddle.gif", frames=60)
filmstrip(jc.surfaces.saddle, walked, (10, 25, 45, 180))

# %%
walked = jc.paths(jc.surfaces.local_optimum, racers(), steps=160)
race = animations.race(jc.surfaces.local_optimum, walked)
race.gif("pictures/local_optimum.gif", frames=54)
filmstrip(jc.surfaces.local_optimum, walked, (10, 20, 40, 160))


# %% [markdown]
# The films show what can be measured: who leaves first. But when has one left? As soon as it is seen beside the ridge,
# $|y| > 0.1$, a hundred times the distance of the start; or when it is down from it, $f < -1$, as in [E6]; or when it is out
# of the picture, $|y| > 2$. The rates are ours, so each is also halved and doubled.


# %%
def steps_until(walked, left):
    """The first step at which it is so, of each racer; infinite if there is none."""
    there = left(walked).isel(start=0)
    first = np.where(there.any("step"), there.values.argmax(axis=there.dims.index("step")), np.inf)
    return pd.Series(first, index=walked.optimizer.values)


leaving = {
    "|y| > 0.1": lambda walked: np.abs(walked.params.isel(dimension=1)) > 0.1,
    "f < −1": lambda walked: walked.loss < -1,
    "|y| > 2": lambda walked: np.abs(walked.params.isel(dimension=1)) > 2,
}
saddles = {k: jc.paths(jc.surfaces.saddle, racers(k), steps=800) for k in (0.5, 1.0, 2.0)}
left = pd.DataFrame(
    {(rule, f"rates × {k:g}"): steps_until(walked, done) for rule, done in leaving.items() for k, walked in saddles.items()}
)
left.astype(int)

# %%
arrived = lambda walked: (np.abs(walked.params - np.array([2.0, 0.0])) < 0.1).all("dimension")
crossing = {k: steps_until(jc.paths(jc.surfaces.local_optimum, racers(k), steps=2000), arrived) for k in (0.5, 1.0, 2.0)}
crossed = {k: list(steps.index[np.isfinite(steps)]) for k, steps in crossing.items()}
plain, adaptive = left.loc[["sgd", "momentum", "nesterov"]], left.loc[["adagrad", "rmsprop", "adam", "adadelta"]]
seen, down, _ = ((plain[rule].min(), adaptive[rule].max()) for rule in leaving)  # the first of these, the last of those
names = lambda column: ", ".join(f"{name} {steps:.0f}" for name, steps in left[column].sort_values().items())
half, far = left["f < −1", "rates × 0.5"], left["|y| > 2", "rates × 1"]
claim(
    "G2",
    "In the animations on a saddle point and on a local optimum, the adaptive methods leave first.",
    f"beside the ridge, yes: |y| > 0.1, from 0.001, after {names(('|y| > 0.1', 'rates × 1'))} steps; with every rate halved "
    "or doubled, too. Down from it, f < −1, at these rates and twice them, but at half of them Nesterov and momentum "
    f"({half['nesterov']:.0f}, {half['momentum']:.0f}) come before AdaGrad and RMSProp ({half['adagrad']:.0f}, "
    f"{half['rmsprop']:.0f}). Out of the picture, |y| > 2: {names(('|y| > 2', 'rates × 1'))}. In the second film only "
    f"momentum crosses to the global minimum (after {crossing[1.0]['momentum']:.0f} steps), at twice the rates, too; at half "
    "of them nobody does. [E6] tunes the rates and comes to the same verdict. (Deterministic; a margin of two steps for "
    "rounding.)",
    holds=(seen[1] + 2 < seen[0]).all()
    and (down[1] + 2 < down[0])[["rates × 1", "rates × 2"]].all()
    and max(half["nesterov"], half["momentum"]) + 2 < min(half["adagrad"], half["rmsprop"])
    and max(far["adadelta"], far["adam"]) + 2 < min(far["nesterov"], far["momentum"])
    and max(far["nesterov"], far["momentum"]) + 2 < min(far["adagrad"], far["rmsprop"])
    and crossed == {0.5: [], 1.0: ["momentum"], 2.0: ["momentum"]},
    verdict="partly true",
)

# %% [markdown]
# ## G3 · Learning rates
#
# One descent with three rates, from above, and f along the way. Along the steep direction each step multiplies the distance by
# 1 − 10α: 0.95 for the first, −0.7 for the second, −1.05 for the third, which grows [B6].

# %%
bowl = jc.surfaces.quadratic((1.0, 10.0), angle=0.4)
rates = {"too low: α = 0.005": 0.005, "good: α = 0.17": 0.17, "too high: α = 0.205": 0.205}
descents = {name: jc.minimize(bowl, jc.sgd(rate), start=[-2.0, 1.2], steps=20) for name, rate in rates.items()}
figure = triptych.learning_rate_triptych(
    bowl, {name: descent.points for name, descent in descents.items()}, bounds=[(-2.8, 2.8), (-2.8, 2.8)]
)
figure.savefig("pictures/triptych.png", dpi=80)
display(figure)

# %%
low, good, high = (float(bowl(descent.points[-1]) / bowl(descent.points[0])) for descent in descents.values())
claim(
    "G3",
    "Learning-rate choices: too low is slow, too high diverges.",
    f"after 20 steps f is {low:.2f}, {good:.0e} and {high:.0f} times what it was at the start; on a quadratic the factors "
    "follow from the eigenvalues, so the margins (too low leaves a thousand times more than good, too high grows) are wide",
    holds=low > 1000 * good and high > 2,
)

# %% [markdown]
# Every schedule's curve over 600 steps: rate against step, from 0.1. Above the decays [C1 – C4], below the cycles [C5 – C7]
# and a rise before a decay; each is a function of the step, `schedule.plot(600)`.

# %%
s = jc.schedules
curves = {
    "linear": s.linear(0.1, 0.01, 400), "recursive": s.recursive(0.1, 1e-4), "time_based": s.time_based(0.1, 0.02),
    "exponential": s.exponential(0.1, 0.006), "step": s.step(0.1, np.log(2), 150),
    "triangular": s.triangular(0.01, 0.1, 200), "triangular, fading": s.triangular(0.01, 0.1, 200, s.exponential(1, 0.004)),
    "cosine": s.cosine(0.01, 0.1, 200), "warm_restarts": s.warm_restarts(0.01, 0.1, 86),
    "warmup, exponential": s.warmup(s.exponential(0.1, 0.006), 100),
}  # fmt: skip
with style.themed():
    figure = style.Figure(figsize=(12, 4))
    for axes, (name, curve) in zip(figure.subplots(2, 5, sharex=True, sharey=True).flat, curves.items(), strict=True):
        curve.plot(600, axes=axes)
        axes.set_title(name)
        axes.label_outer()
display(figure)

# %% [markdown]
# The loss with and without restarts, on the digits: the cosine falls once over the whole run, or again and again after periods
# that double (dotted). Each restart throws the loss up and the end of each period brings it down; where the last period ends
# with the run, both arrive.

# %%
digits = jc.problems.digits("mlp")
period = s.epochs(2, digits, 32)
cosines = {"one cosine": s.cosine(0.0, 0.5, 15 * period), "warm restarts": s.warm_restarts(0.0, 0.5, period)}
runs = {
    name: [jc.fit(digits, jc.sgd(rule), epochs=30, key=seed).history for seed in range(2)] for name, rule in cosines.items()
}
comparisons.schedules_compared(runs, "loss")

# %% [markdown]
# ## G4 · Figure 3 of the Adam paper
#
# Kingma and Ba trained a c64-c64-c128-1000 net on CIFAR-10 for 45 epochs; here it is two convolutions of 8 and 16 channels and
# one dense layer, on 3 000 images of Fashion-MNIST for 12 epochs (on the digits, where its files are not found), in batches of
# 64, with and without dropout of one half of the last layer's inputs.
#
# Each rate is the best of four for the training loss after six epochs, without dropout, and neither the lowest nor the highest
# of them. In the paper AdaGrad is fast at first and then falls behind; here, in one run of each, it and Adam begin alike, Adam
# passes it late, and Nesterov is the slowest of the three. Dropout (dashed) costs training loss, as it should.


# %%
def images(dropout):
    try:
        return jc.problems.fashion_mnist(convnet((8, 16), dropout=dropout), validation=57_000)
    except (ImportError, OSError):
        return jc.problems.digits(convnet((8, 16), dropout=dropout))


tried = {
    "adagrad": (jc.adagrad, [0.01, 0.03, 0.1, 0.3]),
    "sgd-nesterov": (lambda learning_rate: jc.nesterov(learning_rate, momentum=0.9), [0.03, 0.1, 0.3, 1.0]),
    "adam": (jc.adam, [0.003, 0.01, 0.03, 0.1]),
}
chosen = {}
for name, (method, rates) in tried.items():
    tuning = jc.sweep(images(0.0), method, jc.grid(learning_rate=rates), batch_size=64, seeds=1, epochs=6, evaluate=None)
    chosen[name] = rates[int(tuning.loss.isel(seed=0, epoch=-1).argmin())]
    assert chosen[name] not in (rates[0], rates[-1]), f"{name}: the best rate, {chosen[name]}, is at the edge of {rates}"
print("the best rates:", chosen)

# %%
costs = {
    name + suffix: jc.fit(images(dropout), method(chosen[name]), batch_size=64, epochs=12, evaluate=None).history
    for suffix, dropout in (("", 0.0), (" + dropout", 0.5))
    for name, (method, _) in tried.items()
}
comparisons.training_cost(costs)

# %% [markdown]
# ## G5 · The loss surface around a trained network
#
# The axes are two random directions, each filter of them as long as the network's own filter (Li et al. 2018), so that one
# network's valley can be compared with another's. The path is projected and all but vanishes under its end: two random
# directions among thousands are almost at right angles to it.

# %%
optimizer = jc.momentum(0.05, momentum=0.9)
trail = []  # parameters, from the first on
trained = jc.fit(digits, optimizer, epochs=12, evaluate=5, callbacks=lambda moment: trail.append(moment.params))


def losses(params, train, test):
    mean = lambda batch: digits.objective(params, {}, batch).losses.mean()
    return {"training_loss": mean(train), "test_loss": mean(test)}


random = jc.theory.filter_plane(0, trained.params)
surface = random.evaluate(losses, digits.data.train, digits.data.test, resolution=41)
display(landscapes.landscape(surface, "training_loss", paths={"momentum": random.project(trail)}))
away, (at,) = random.distance(trail[:1])[0], random.project(trail[:1])
print(f"the start: {away:.1f} away from the plane, and in it ({at[0]:.2f}, {at[1]:.2f}) from the end")

# %% [markdown]
# The plane of the path's own two principal directions shows it: from the ring straight down a slope, then in a bend to the
# star, beyond which the valley goes on: more epochs would go there. The share of the path's variance stands at the axes, and
# what is not in the plane is not in the picture.

# %%
plane = jc.theory.path_plane(trail)
surface = plane.evaluate(losses, digits.data.train, digits.data.test, alpha=(-6, 12), beta=(-7, 7), resolution=41)
figure = landscapes.landscape(surface, "training_loss", paths={"momentum": plane.project(trail)})
figure.savefig("pictures/landscape.png", dpi=80)
display(figure)

# %% [markdown]
# ## G6 · Full gradient and noisy gradient; training and test
#
# The same descent with the full gradient and with a noisy one, from the same start: both go down, and only the left one comes
# to rest. The noise has a fixed covariance, so the right path wanders in a cloud around the minimum [F5].

# %%
smooth = jc.paths(valley, {"sgd": jc.sgd(0.04)}, starts=[-2.0, 1.5], steps=150)
rough = jc.paths(jc.surfaces.noisy(valley, 30.0, start=[-2.0, 1.5]), {"sgd": jc.sgd(0.04)}, steps=150)
paths.side_by_side({"full gradient": (valley, smooth), "noisy gradient": (valley, rough)})

# %% [markdown]
# The training loss and the test loss of a network on one plane: through the common start, the solution of the full gradient
# (1, 0) and that of mini-batches (0, 1), after 500 steps each on 216 digits. The lowest points of the two surfaces are not the
# same place: what is best in training is not best in the test.

# %%
few = jc.problems.from_arrays(*digits.data.train.values(), model="mlp", validation=None, test=0.8)
full = jc.fit(few, jc.sgd(0.2), sampler=jc.samplers.full(), steps=500, evaluate=None)
batches = jc.fit(few, jc.sgd(0.2), batch_size=8, steps=500, evaluate=None)
start = jc.init_state(few, jc.sgd(0.2), 0).params
both = jc.theory.plane_through(start, full.params, batches.params)

surface = both.evaluate(losses, few.data.train, few.data.test, alpha=(-0.5, 3.5), beta=(-1.5, 1.5), resolution=41)
solutions = {"start": (0.0, 0.0), "full gradient": (1.0, 0.0), "mini-batches": (0.0, 1.0)}
landscapes.landscapes(surface, points=solutions)

# %% [markdown]
# ## G7 · Classifiers, generalisation, decays
#
# A linear classifier with the hinge loss: the line is where its score is 0, the dashed ones are the margins ±1, and what it
# gets wrong is ringed. Under it the log-linear one, on the same examples: shaded is the probability that it gives.

# %%
generator = np.random.default_rng(3)
centers = np.repeat([[-1.0, -0.5], [1.0, 0.7]], 40, axis=0)
x = centers + generator.normal(size=(80, 2)) * [0.8, 0.9]
y = np.repeat([0, 1], 40)


def as_it_trains(labels):
    """The problem, and the parameters after 0, 1, 3 and 20 epochs of SGD."""
    problem = jc.problems.from_arrays(x, labels)
    frames = []
    jc.fit(problem, jc.sgd(0.03), batch_size=8, epochs=20, callbacks=lambda moment: frames.append(moment.params))
    return problem, [frames[epoch] for epoch in (0, 1, 3, 20)]


linear, frames = as_it_trains(2 * y - 1)
boundaries.boundaries(lambda w, x: linear.apply(w, {}, {"x": x})[0], frames, x, 2 * y - 1, labels=[0, 1, 3, 20])

# %%
log_linear, frames = as_it_trains(y)
boundaries.boundaries(lambda w, x: log_linear.apply(w, {}, {"x": x})[0], frames, x, y, labels=[0, 1, 3, 20])

# %% [markdown]
# The bull's-eye: each shot is a polynomial fitted to another sample of 16 noisy points, its errors at two inputs. A line is
# wrong in the same way every time (bias), degree 12 in another way each time (variance).


# %%
def truth(key, x):
    return jnp.sin(4 * x + 1) + 0.5 * jax.random.normal(key, x.shape)


def sample(key):
    x = jnp.linspace(-1, 1, 16)
    return x, truth(key, x)


def polynomial(data, degree, key):
    basis = lambda x: jnp.cos(jnp.arange(degree + 1) * jnp.arccos(x)[:, None])  # Chebyshev's
    weights = jnp.linalg.lstsq(basis(data[0]), data[1])[0]
    return lambda x: basis(x) @ weights


errors = jc.theory.bias_variance(polynomial, sample, truth, np.linspace(-0.9, 0.9, 19), range(1, 13), axis="degree")
away = errors.prediction - errors.truth
generalization.bulls_eye({f"degree {k}": away.sel(degree=k).values[:60, [4, 14]] for k in (1, 4, 12)}, columns=3)

# %% [markdown]
# The U-curve of the same fits: bias² falls with the degree, variance rises, and the error, their sum with the noise, has its
# minimum between. The dots are measured on fresh targets, the line is the sum of the parts [A8].

# %%
generalization.bias_variance(errors)

# %% [markdown]
# The cross-validation loss against λ: each λ trained on five folds, the band is one standard error. The star is the best λ,
# the diamond the largest one that is not clearly worse; the training loss cannot choose, it only rises [A3].

# %%
regression = jc.problems.linear_regression(60, 40, noise=2.0)


def ridge(regularization, fold):
    penalized = jc.problems.folds(regression, 5)[fold]
    return dataclasses.replace(penalized, regularizer=jc.problems.l2(regularization))


strengths = jc.grid(regularization=np.logspace(-3, 1, 13), fold=range(5))
scores = jc.sweep(ridge, jc.momentum(0.1, 0.9), strengths, seeds=1, epochs=40)
generalization.cross_validation(scores)

# %% [markdown]
# Accuracy on validation under the decays, on the digits, two seeds each; below it the rates. All begin at the same rate, so
# what differs is how long it stays high: read the height after a few epochs and the level at the end [C10].

# %%
n = s.epochs(1, digits, 32)
decays = {
    "constant": s.constant(0.3), "time-based": s.time_based(0.3, 3 / n), "exponential": s.exponential(0.3, 0.25 / n),
    "step": s.step(0.3, np.log(2), 4 * n), "cosine": s.cosine(0.0, 0.3, 16 * n),
}  # fmt: skip
runs = {name: [jc.fit(digits, jc.sgd(rule), epochs=16, key=k).history for k in range(2)] for name, rule in decays.items()}
comparisons.schedules_compared(runs, "validation_accuracy")

# %% [markdown]
# ## Try
#
# 1. Let your own optimizer race: add it to `racers`, and make the saddle's start 10⁻⁶ instead of 10⁻³ (`starts=`). Who does
#    not mind, and why?
# 2. In G5, draw the random plane with `jc.theory.filter_plane(1, …)`, and with directions that are *not* normalised
#    (`jc.theory.Plane`). Which features of the surface stay?
# 3. In G7, give the bull's-eye 60 points instead of 16 to fit each polynomial to. Which of the two, bias or variance, does
#    more data reduce?
