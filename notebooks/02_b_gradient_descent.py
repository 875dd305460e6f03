# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # B · Gradient descent
#
# Follow the negative gradient until it vanishes: $\theta \leftarrow \theta - \alpha\nabla L(\theta)$. This chapter measures
# what the lectures say about that one line: which way it goes, where it stops, and how far it should go.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import jaxopt_course as jc
from jaxopt_course import probes, surfaces
from jaxopt_course.report import paths, relief, triptych
from notebooks.claims import claim, setting

setting()
jax.config.update("jax_enable_x64", True)  # float64 throughout: we measure the method, not its rounding

# %% [markdown]
# ## When to stop [B1]
# "Stop when a minimum is reached." But a descent does not know the minimum. It can look at its gradient, at its progress,
# or at the clock:
#
# $$\|\nabla f\| \le \varepsilon, \qquad f_{t-1} - f_t \le \varepsilon\,|f_{t-1}|, \qquad t = T.$$
#
# Two functions with minimum 0: a round bowl, and Rosenbrock's valley, whose floor is almost flat.

# %%
rules = {
    "gradient norm ≤ 1e-6": jc.stopping.gradient_norm(1e-6),
    "relative decrease ≤ 1e-3": jc.stopping.relative_decrease(1e-3),
    "30 000 steps": (),
}
rows = []
for surface, rate in ((surfaces.quadratic((1.0, 10.0)), 0.1), (surfaces.rosenbrock, 1e-3)):
    for rule, stop in rules.items():
        found = jc.minimize(
            surface, jc.sgd(rate), start=surface.start, steps=30_000 if rule[:2] == "30" else 100_000, stop=stop
        )
        distance = np.linalg.norm(found.params - surface.minima[0])
        rows.append((surface.name, rule, found.stopped.split(" <=")[0], found.steps, distance))
stops = pd.DataFrame(rows, columns=["function", "rule", "stopped by", "steps", "distance to the minimum"])
stops.assign(**{"distance to the minimum": stops["distance to the minimum"].map("{:.0e}".format)})

# %% [markdown]
# A small gradient is a promise where the curvature is at least $\mu$: then $\|x - x^*\| \le \|\nabla f\|/\mu$. (The bowl has
# $\mu = 1$, the valley's end $\mu \approx 0.4$.) A small decrease promises nothing: in the valley it comes after four steps,
# two units from the minimum; on the bowl, whose minimum is 0, every step shrinks $f$ by the same factor, and it comes only
# when $f$ is too small for a float64.

# %%
near = stops[stops["rule"].str.startswith("gradient")]["distance to the minimum"]
early = stops[(stops["function"] == "rosenbrock") & stops["rule"].str.startswith("relative")].iloc[0]
assert (near < 1e-6 / 0.39).all()
assert early["steps"] < 10
assert early["distance to the minimum"] > 1

# %% [markdown]
# ## Which way is down? [B2]
# Take a step in the unit direction $\hat r$. The loss changes at the rate
#
# $$D_{\hat r}L = \nabla L^\top\hat r = \|\nabla L\|\cos\phi,$$
#
# $\phi$ the angle between $\hat r$ and the gradient. We try 3600 directions, one every tenth of a degree, and
# differentiate along each with one `jvp`: the gradient itself is not asked.

# %%
point, beale = jnp.array([1.0, 1.5]), surfaces.beale
gradient = jax.grad(beale)(point)
norm = jnp.linalg.norm(gradient)
degrees = jnp.arange(0.0, 360.0, 0.1)
directions = jnp.stack([jnp.cos(jnp.radians(degrees)), jnp.sin(jnp.radians(degrees))], axis=1)
rates = jax.vmap(lambda r: jax.jvp(beale, (point,), (r,))[1])(directions)
phi = jnp.radians(degrees) - jnp.arctan2(gradient[1], gradient[0])

law = float(jnp.abs(rates - norm * jnp.cos(phi)).max() / norm)
off = float(jnp.degrees(jnp.arccos(-directions[jnp.argmin(rates)] @ gradient / norm)))
claim(
    "B2",
    "The directional derivative is ‖∇L‖ cos φ; the steepest decrease is along −∇L/‖∇L‖",
    f"of 3600 directions all follow ‖∇L‖ cos φ to {max(law, 1e-15):.0e} (rounding; tolerance 1e-12), and the one that falls "
    f"fastest is {off:.2f}° from −∇L (they are 0.1° apart, so 0.05° is the best one can find).",
    holds=law < 1e-12 and off <= 0.0501,
)

# %% [markdown]
# Lecture 001 gets there by a small lemma: of all $b$ with $a^\top b = c$, the *shortest* is $b = c\,a/\|a\|^2$. Any other is
# that one plus something orthogonal to $a$.

# %%
rng = np.random.default_rng(0)
a, c = rng.normal(size=5), 2.0
shortest = c * a / (a @ a)
others = rng.normal(size=(1000, 5))
others += np.outer((c - others @ a) / (a @ a), a)  # moved along a, until a·b = c
ratio = np.linalg.norm(others, axis=1).min() / np.linalg.norm(shortest)
oracle = np.abs(np.linalg.lstsq(a[None], np.array([c]), rcond=None)[0] - shortest).max()
claim(
    "B2",
    "Having a·b = c, the minimum-norm solution is b = c a/‖a‖²",
    f"1000 random solutions in five dimensions are all longer, the shortest of them by a factor of {ratio:.3f}; LAPACK's "
    f"minimum-norm solution is the same to 1e-12.",
    holds=ratio > 1 and oracle < 1e-12,
)

# %% [markdown]
# Going along $-\nabla L/\|\nabla L\|$ by a fixed length is *normalised* gradient descent. "In practice, we absorb the
# normalisation into the step size." There is a price for not doing so: the steps do not shorten near the minimum, and so it
# swings to and fro there. Plain descent shortens its steps by itself, as the gradient goes to zero.

# %%
bowl = surfaces.quadratic((1.0, 4.0), angle=0.5)
walks = {
    "normalised, α = 0.5": jc.minimize(bowl, jc.normalized_sgd(0.5), start=bowl.start, steps=60).points,
    "plain, α = 0.1": jc.minimize(bowl, jc.sgd(0.1), start=bowl.start, steps=60).points,
}
lengths = {name: np.linalg.norm(np.diff(walk, axis=0), axis=1) for name, walk in walks.items()}
print("normalised: all steps are 0.5 long:", np.allclose(lengths["normalised, α = 0.5"], 0.5, rtol=1e-12))
print(
    "plain: the last step is shorter than the first by a factor of",
    round(lengths["plain, α = 0.1"][0] / lengths["plain, α = 0.1"][-1]),
)
assert np.allclose(lengths["normalised, α = 0.5"], 0.5, rtol=1e-12)

figure, (left, right) = plt.subplots(1, 2, figsize=(10.5, 3.8), width_ratios=(1, 1.25))
left.plot(np.degrees(phi) % 360, rates, ".", markersize=1.5)
left.axhline(0, color="0.7", linewidth=0.8)
left.set(xlabel="φ, degrees from the gradient", ylabel="change of L per unit", xticks=range(0, 361, 90))
left.set_title("the cosine law, measured")
_ = paths.level_curves(bowl, walks, axes=right, bounds=[(-1.2, 1.7), (-0.8, 2.2)])

# %% [markdown]
# ## Across the level curves [B3]
# On a level curve the function does not change, so its derivative along the curve is zero, and the gradient is orthogonal
# to it. First where we know the curve: the level sets of ½ xᵀHx are ellipses with a formula, and so are their tangents.


# %%
def angle(u, v):
    """In degrees, between rows."""
    return np.degrees(np.arccos(np.sum(u * v, axis=1) / np.linalg.norm(u, axis=1) / np.linalg.norm(v, axis=1)))


turn = 2 * np.pi * np.arange(720)[:, None] / 720
eigenvalues, level = np.array([1.0, 25.0]), 3.0
axes_of = np.array([[np.cos(0.6), -np.sin(0.6)], [np.sin(0.6), np.cos(0.6)]])
tilted = surfaces.quadratic(eigenvalues, angle=0.6)
ellipse = np.sqrt(2 * level / eigenvalues) * np.hstack([np.cos(turn), np.sin(turn)]) @ axes_of.T
tangent = np.sqrt(2 * level / eigenvalues) * np.hstack([-np.sin(turn), np.cos(turn)]) @ axes_of.T
assert np.allclose(jax.vmap(tilted)(ellipse), level, rtol=1e-12)  # it is a level curve

gradients = np.asarray(jax.vmap(jax.grad(tilted))(ellipse))
on_ellipse = np.abs(angle(gradients, tangent) - 90).max()
along = jax.vmap(lambda x, t: jax.jvp(tilted, (x,), (t,))[1])(
    ellipse, tangent / np.linalg.norm(tangent, axis=1, keepdims=True)
)
share = float(np.abs(along / np.linalg.norm(gradients, axis=1)).max())
claim(
    "B3",
    "The gradient is orthogonal to level curves; the directional derivative is zero along isocurves",
    f"at 720 points of an ellipse the angle to the tangent is 90° to within {on_ellipse:.0e}° (tolerance 1e-10, for "
    f"rounding), and the derivative along it is less than 1e-12 of ‖∇f‖.",
    holds=on_ellipse < 1e-10 and share < 1e-12,
)

# %% [markdown]
# Then where we do not know it. We trace the curve from *values* alone: from a minimum we go out in 512 directions, and halve
# an interval until $f$ is at the level. The points close a loop, so its tangents come from their Fourier series. No
# derivative of $f$ is used for any of this.


# %%
def trace(function, center, level, reach, count=512):
    """Points of the level curve around a minimum, and its tangents there."""
    turn = 2 * np.pi * np.arange(count) / count
    outwards = np.stack([np.cos(turn), np.sin(turn)], axis=1)
    low, high, values = np.zeros(count), np.full(count, reach), jax.jit(jax.vmap(function))
    for _ in range(60):
        middle = (low + high) / 2
        inside = np.asarray(values(center + middle[:, None] * outwards)) < level
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    points = center + low[:, None] * outwards
    harmonics = 1j * np.fft.fftfreq(count, 1 / count)[:, None]
    return points, np.fft.ifft(harmonics * np.fft.fft(points, axis=0), axis=0).real


traced = {}
for surface, level, reach in (
    (surfaces.himmelblau, 10.0, 2.0),
    (surfaces.local_optimum, -1.0, 3.0),
    (surfaces.branin, 3.0, 4.0),
    (surfaces.styblinski_tang, -60.0, 4.0),
):
    points, tangents = trace(surface, surface.minima[0], level, reach)
    off = np.abs(angle(np.asarray(jax.vmap(jax.grad(surface))(points)), tangents) - 90).max()
    traced[surface.name] = points, off
worst = max(off for _, off in traced.values())
claim(
    "B3",
    "The gradient is orthogonal to level curves (traced on functions that are not quadratic)",
    f"on the level curves of {', '.join(traced)} the angle is 90° to within {worst:.0e}° (tolerance 1e-6: the tangents are "
    "those of a Fourier series through 512 points). Where the gradient is zero there is no angle: at a saddle two "
    "branches cross.",
    holds=worst < 1e-6,
)

# %%
curve, _ = traced["himmelblau"]
some = curve[::32]
down = -np.asarray(jax.vmap(jax.grad(surfaces.himmelblau))(some))
figure, axes = plt.subplots(figsize=(5.4, 4.4))
paths.level_curves(surfaces.himmelblau, axes=axes, bounds=[(1.4, 4.6), (0.6, 3.2)], legend=False)
axes.plot(*curve.T, color="#d55e00", linewidth=2)
axes.quiver(*some.T, *down.T, angles="xy", scale=400, color="#1c2024", width=0.005)
_ = axes.set_title("f = 10, traced from values; and −∇f")

# %% [markdown]
# ## Is there a gradient at all? [B4]
# "$f$ has partial derivatives $\not\Rightarrow$ $f$ is differentiable." Differentiable means: near $x$ the function is its
# tangent plane, up to something that vanishes *faster than the distance*,
#
# $$\frac{|f(x + h) - f(x) - \nabla f(x)^\top h|}{\|h\|} \to 0.$$
#
# Three surfaces, all with value 0 and both partial derivatives 0 at the origin:
# $x^2y/(x^2+y^2)$; $x^2y^2/(x^2+y^2)$; $r^2\sin(1/r)$. We measure that quotient, the worst over all directions, on smaller
# and smaller circles, and how much the gradient still varies there.

# %%
radii = 10.0 ** -np.arange(1, 9)
circle = np.stack([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], axis=1)
kinds = (surfaces.not_differentiable, surfaces.continuous_gradient, surfaces.discontinuous_gradient)
quotient, largest_gradient = {}, {}
for f in kinds:
    partials = jax.grad(f)(jnp.zeros(2))
    assert f(jnp.zeros(2)) == 0
    assert (partials == 0).all()
    by_limit = [(f(1e-7 * axis) - f(-1e-7 * axis)) / 2e-7 for axis in np.eye(2)]
    assert np.abs(by_limit).max() < 1e-6  # the partial derivatives exist: the limits, without autodiff
    quotient[f.name] = [float(np.abs(jax.vmap(f)(r * circle)).max() / r) for r in radii]
    largest_gradient[f.name] = [float(np.linalg.norm(jax.vmap(jax.grad(f))(r * circle), axis=1).max()) for r in radii]

# %%
stays = np.array(quotient["not_differentiable"])
claim(
    "B4",
    "f has partial derivatives ⇏ f is differentiable",
    f"x²y/(x²+y²): both partial derivatives at the origin are 0, yet the tangent plane is off by {stays[-1]:.3f} r on every "
    f"circle from r = 0.1 to 1e-8 (2/(3√3) = {2 / 27**0.5:.3f}; tolerance 1e-5, of 3600 directions): it is no tangent plane.",
    holds=np.abs(stays - 2 / 27**0.5).max() < 1e-5,
)

# %%
falls, steepness = np.array(quotient["continuous_gradient"]), np.array(largest_gradient["continuous_gradient"])
order = np.polyfit(np.log(radii), np.log(falls), 1)[0]
claim(
    "B4",
    "f has continuous gradient ⇒ f is differentiable",
    f"an implication is proved, not measured (by the mean value theorem in each coordinate); its instance x²y²/(x²+y²): the "
    f"gradient goes to ∇f(0) = 0 (it is at most {(steepness / radii).max():.2f} r), and the tangent plane's error over r "
    f"falls like r^{order:.2f}.",
    holds=(steepness <= 2 * radii).all() and abs(order - 1) < 0.01,
)

# %%
wild, tame = np.array(largest_gradient["discontinuous_gradient"]), np.array(quotient["discontinuous_gradient"])
claim(
    "B4",
    "The converse fails: f is differentiable ⇏ f has continuous gradient",
    f"r² sin(1/r): the tangent plane's error over r is at most r, so it is differentiable with ∇f(0) = 0; yet on circles down "
    f"to r = 1e-8 the gradient is as long as {wild[1:].max():.2f}, and has no limit.",
    holds=(tame <= radii * (1 + 1e-9)).all() and wild[1:].max() > 0.5,
)

# %%
figure = plt.figure(figsize=(12.5, 3.7))
left, middle, right = figure.add_subplot(131, projection="3d"), figure.add_subplot(132), figure.add_subplot(133)
relief.surface_3d(surfaces.not_differentiable, axes=left, legend=False)
left.set_title("x²y/(x²+y²): a kink at the origin")
middle.plot(degrees, jax.vmap(surfaces.not_differentiable)(circle), label="the slope there is")
middle.plot(degrees, 0 * degrees, "--", label="∇f·r̂ says")
middle.set(xlabel="direction, degrees", xticks=range(0, 361, 90), title="slopes from the origin")
middle.legend()
for name in ("not_differentiable", "continuous_gradient"):
    right.loglog(radii, quotient[name], "o-", markersize=4, label=name)
right.set(xlabel="distance r", title="error of the tangent plane, over r")
_ = right.legend()

# %% [markdown]
# So a descent that trusts `jax.grad` at the origin of the first surface believes that it has arrived, on a slope of 0.38.
# This is not a curiosity: with ReLU networks and the hinge loss, such points are everywhere, though almost never hit.
#
# ## Where it stops [B5]
# "Gradient descent gets stuck at stationary points. Stationary point ⇏ local minimum ⇏ global minimum. Which stationary
# point depends on the initialisation." `jc.surfaces.stationary_points` finds them, and tells them apart by the Hessian's
# eigenvalues: all positive, a minimum; all negative, a maximum; of both signs, a saddle.

# %%
himmelblau = surfaces.himmelblau
points = surfaces.stationary_points(himmelblau)
table = pd.DataFrame([(p.kind, *p.point, p.value, *p.eigenvalues) for p in points])
table.columns = ["kind", "x", "y", "f", "smaller eigenvalue", "larger eigenvalue"]
table.round(2)

# %% [markdown]
# First, does it stop at *any* of them? We start exactly there, then a hair beside it, and walk 2000 steps.

# %%
local = surfaces.local_optimum
three = surfaces.stationary_points(local)  # a minimum, a better one, and the saddle between them: whole numbers
places = np.array([p.point.round() for p in three])
still = jc.paths(local, {"sgd": jc.sgd(0.1)}, starts=places, steps=2000, record_every=2000)
moved = float(np.abs(still.params.values[0, :, -1] - places).max())

nine = np.array([p.point for p in points])
nudged = jc.paths(himmelblau, {"sgd": jc.sgd(0.01)}, starts=nine + 1e-9, steps=2000, record_every=2000)
left_it = np.linalg.norm(nudged.params.values[0, :, -1] - nine, axis=1) > 0.1
is_minimum = np.array([p.kind == "minimum" for p in points])
claim(
    "B5",
    "Gradient descent “gets stuck” at stationary points; stationary point ⇏ local minimum",
    f"started exactly at the two minima and the saddle of a quartic, it has moved by {moved:g} after 2000 steps. But only the "
    f"minima hold it: started 1e-9 beside Himmelblau's stationary points, it returns to {(~left_it & is_minimum).sum()} of 4 "
    f"minima, and has left {(left_it & ~is_minimum).sum()} of the other 5 points (4 saddles, a maximum).",
    holds=moved == 0 and (left_it == ~is_minimum).all(),
    verdict="partly true",
)

# %% [markdown]
# A saddle is reached from a curve of starts (on this `local_optimum`: the line $x = 0$), which has no area. Beside it, at
# distance $\delta$, each step multiplies the distance by $1 + \alpha|\lambda|$, with $\lambda = -2$ the negative eigenvalue.
# So the steps spent there grow with $\log(1/\delta)$ only: ten times nearer costs
# $\ln 10/\ln(1 + 0.1\cdot 2) \approx 12.6$ steps more.

# %%
line = np.stack([np.zeros(101), np.linspace(-2, 2, 101)], axis=1)
on_line = jc.ends(jc.paths(local, {"sgd": jc.sgd(0.1)}, starts=line, steps=400, record_every=400), three)
deltas = 10.0 ** -np.arange(1, 16)
beside = np.stack([deltas, np.ones(15)], axis=1)
leaving = jc.paths(local, {"sgd": jc.sgd(0.1)}, starts=beside, steps=400).params.values[0]
steps_near = (leaving[:, :, 0] > 1).argmax(axis=1)  # until half way to the minimum at (2, 0)
per_decade = np.polyfit(-np.log10(deltas), steps_near, 1)[0]
print(f"from the line x = 0, {int((on_line.kind == 'saddle').sum())} of 101 descents end at the saddle")
print(f"ten times nearer to the line costs {per_decade:.1f} steps more; expected {np.log(10) / np.log(1.2):.1f}")
assert (on_line.kind == "saddle").all()
assert abs(per_decade - np.log(10) / np.log(1.2)) < 0.1  # steps are whole numbers

# %% [markdown]
# Now 10 000 random starts on each of five surfaces. Lecture 002 says that gradient descent "converges to global (local)
# minimum for convex (non-convex) problem". The last surface is ours: $x^4/4 + x^3/3 + y^2/2$ has its only minimum at
# $x = -1$, and at $x = 0$ an inflection: a stationary point that is neither minimum nor saddle, but *degenerate*.


# %%
def inflection(x):
    return x[0] ** 4 / 4 + x[0] ** 3 / 3 + x[1] ** 2 / 2


flat = [surfaces.classify(inflection, place) for place in ((-1.0, 0.0), (0.0, 0.0))]
cases = {  # function, its stationary points, where to start, learning rate
    "booth (convex)": (surfaces.booth, surfaces.stationary_points(surfaces.booth), surfaces.booth.bounds, 0.05),
    "local_optimum": (local, three, local.bounds, 0.1),
    "himmelblau": (himmelblau, points, himmelblau.bounds, 0.01),
    "styblinski_tang": (
        surfaces.styblinski_tang,
        surfaces.stationary_points(surfaces.styblinski_tang),
        surfaces.styblinski_tang.bounds,
        0.01,
    ),
    "inflection": (inflection, flat, np.array([(-2.0, 2.0), (-2.0, 2.0)]), 0.1),
}
counts = {}
for name, (function, known, box, rate) in cases.items():
    starts = np.random.default_rng(1).uniform(box[:, 0], box[:, 1], (10_000, 2))
    found = jc.paths(function, {"sgd": jc.sgd(rate)}, starts=starts, steps=5000, record_every=5000)
    ended = jc.ends(found, known)
    lowest = min(p.value for p in known)
    best = np.array([p.value < lowest + 1e-6 for p in known])[ended.end.values] & (ended.end.values >= 0)
    kind = ended.kind.values
    others = [int((kind == each).sum()) for each in ("saddle", "maximum", "degenerate", "none", "diverged")]
    counts[name] = [int(best.sum()), int(((kind == "minimum") & ~best).sum()), *others]
columns = ["global minimum", "other minimum", "saddle", "maximum", "degenerate", "none", "diverged"]
where = pd.DataFrame(counts, index=columns).T
where.rename_axis("surface")

# %%
box = surfaces.booth.bounds
anywhere = np.random.default_rng(2).uniform(box[:, 0], box[:, 1], (1000, 2))
convex = jc.paths(surfaces.booth, {"sgd": jc.sgd(1.02 * 2 / 18)}, starts=anywhere, steps=2000, record_every=2000)
too_far = jc.ends(convex, cases["booth (convex)"][1])
claim(
    "B5",
    "GD converges to the global minimum for a convex problem",
    f"{where.loc['booth (convex)', 'global minimum']} of 10 000 starts on a convex quadratic, with α = 0.9/L; with α = 2.04/L "
    f"it is {int((too_far.kind == 'minimum').sum())} of 1000, from the same square. It holds below 2/L (L = 18, the largest "
    "eigenvalue).",
    holds=where.loc["booth (convex)", "global minimum"] == 10_000 and (too_far.kind != "minimum").all(),
    verdict="partly true",
)

# %%
smooth = where.loc[["local_optimum", "himmelblau", "styblinski_tang"]]
minima = smooth[["global minimum", "other minimum"]].sum(axis=1)
stuck = where.loc["inflection", "degenerate"] / 10_000
claim(
    "B5",
    "GD converges to a local minimum for a non-convex problem",
    f"on three surfaces whose Hessian is nowhere singular at a stationary point, {minima.sum()} of 30 000 random starts end "
    f"at a minimum and {smooth['saddle'].sum()} at a saddle (the starts that do are a curve, without area: of local_optimum's "
    f"it is the line x = 0, from which {int((on_line.kind == 'saddle').sum())} of 101 do). But with an "
    f"inflection, {stuck:.0%} of all starts end at a point that is no minimum, not even a local one.",
    holds=(minima == 10_000).all()
    and (on_line.kind == "saddle").all()
    and 0.4 < stuck < 0.6
    and where.loc["inflection"].sum() == 10_000,
    verdict="partly true",
)

# %%
share = where["global minimum"] / 10_000
claim(
    "B5",
    "Local minimum ⇏ global minimum; which stationary point depends on the initialisation",
    f"the global minimum is found from {share['local_optimum']:.0%} of the starts on local_optimum, and from "
    f"{share['styblinski_tang']:.0%} on styblinski_tang, which has four minima (± 1 % at 10 000 starts).",
    holds=abs(share["local_optimum"] - 0.59) < 0.03 and abs(share["styblinski_tang"] - 0.27) < 0.03,
)

# %% [markdown]
# The picture of "depends on the initialisation": each start in the colour of the minimum where it ends. With small steps the
# basins' borders are the curves that lead into the saddles. With steps that are too long for the steep edges, a descent can
# cross half of the plane in its first step (two of those drawn do), and end in a basin to which it did not belong.

# %%
side = np.linspace(-5, 5, 120)
plane = np.stack(np.meshgrid(side, side), axis=-1).reshape(-1, 2)
four = nine[is_minimum]
basins = plt.matplotlib.colors.ListedColormap(["#a8d0e8", "#f6d58f", "#9ad9c1", "#eccada"])  # one a minimum
few = [(0.15, 4.0), (0.0, 4.0), (-0.35, -0.85), (-0.2, -1.0), (3.0, 4.9), (1.5, -4.9)]
figure, panels = plt.subplots(1, 2, figsize=(9.4, 4.5), sharey=True)
for axes, rate in zip(panels, (0.002, 0.0135), strict=True):
    found = jc.paths(himmelblau, {"sgd": jc.sgd(rate)}, starts=plane, steps=2000, record_every=2000)
    ended = jc.ends(found, points).end.values.reshape(120, 120)
    axes.imshow(ended, origin="lower", extent=(-5, 5, -5, 5), cmap=basins, vmin=-0.5, vmax=3.5)
    for path in jc.paths(himmelblau, {"sgd": jc.sgd(rate)}, starts=few, steps=300).params.values[0]:
        axes.plot(*path.T, ".-", color="#1c2024", linewidth=1, markersize=2.5)
    axes.plot(*four.T, "*", color="#1c2024", markersize=11, label="minimum")
    axes.plot(*nine[4:8].T, "X", color="#1c2024", markersize=7, label="saddle")
    axes.plot(*nine[8:].T, "^", color="#1c2024", markersize=7, label="maximum")
    axes.set(title=f"α = {rate}", xlabel="x", xlim=(-5, 5), ylim=(-5, 5))
panels[0].set_ylabel("y")
_ = panels[1].legend(loc="center left", bbox_to_anchor=(1.01, 0.5))

# %% [markdown]
# ## How far? [B6]
# "The step length is not simply $\alpha$, but $\alpha\|\nabla f\|$. Too small: slow convergence. Too big: risk of
# overshooting." We take a bowl with eigenvalues $\mu = 1$ and $L = 20$. In the steep direction a step multiplies the distance
# by $1 - \alpha L$, in the shallow one by $1 - \alpha\mu$. So we expect: steps $\propto 1/\alpha$ while $\alpha$ is small;
# jumps across the valley from $\alpha = 1/L$ on; the fewest steps at $\alpha = 2/(L + \mu)$; divergence from $2/L$ on.

# %%
valley, small, large = surfaces.quadratic((1.0, 20.0)), 1.0, 20.0
seen = [probes.update_norm(), probes.decrease(), probes.predicted_decrease()]
history = jc.minimize(valley, jc.sgd(0.03), start=valley.start, steps=50, probes=seen).history
length = float(np.abs(history.update_norm / (0.03 * history.gradient_norm) - 1).max())
shrinks = float(history.update_norm[0] / history.update_norm[-1])
claim(
    "B6",
    "The step length is not simply α, but α‖∇f‖",
    f"at each of 50 steps they agree to 1e-12; with the same α, the first step is {shrinks:.0f} times as long as the last.",
    holds=length < 1e-12 and shrinks > 10,
)

# %%
alphas = np.geomspace(1e-3, 0.2, 60)
swept = jc.paths(valley, jc.sgd, jc.grid(learning_rate=alphas), starts=valley.start, steps=8000)
f = swept.loss.values[0, :, 0]
arrived = f < 1e-6 * f[:, :1]
needed = np.where(arrived.any(axis=1), arrived.argmax(axis=1), -1)
jumped = swept.params.values[0, :, 0, 1, 1] < 0  # the first step, in the steep direction
ok = needed > 0

slope = np.polyfit(np.log(alphas[alphas < 0.02]), np.log(needed[alphas < 0.02]), 1)[0]
fastest = alphas[ok][needed[ok].argmin()]
last, first_lost = alphas[ok].max(), alphas[~ok].min()
claim(
    "B6",
    "Too small: slow convergence speed. Too big: risk of overshooting",
    f"steps to 1e-6 of the start's f grow like α^{slope:.2f} as α falls; the fewest, {needed[ok].min()}, at α = {fastest:.3f} "
    f"(of 60 rates, 9 % apart; 2/(L + μ) = {2 / 21:.3f}); every α > 1/L = 0.05 jumps across the valley, and still converges "
    f"up to {last:.3f} and diverges from {first_lost:.3f} on (2/L = 0.1).",
    holds=abs(slope + 1) < 0.03
    and abs(fastest / (2 / 21) - 1) < 0.1
    and (jumped == (alphas > 1 / large)).all()
    and (ok == (alphas < 2 / large)).all(),
)

# %%
chosen = {f"{word}: α = {rate}": rate for word, rate in (("too low", 0.005), ("good", 0.08), ("too high", 0.104))}
three_walks = {title: jc.minimize(valley, jc.sgd(rate), start=valley.start, steps=25).points for title, rate in chosen.items()}
figure, panels = plt.subplots(1, 4, figsize=(13.6, 3.3))
triptych.learning_rate_triptych(valley, three_walks, axes=panels[:3], bounds=[(-2.2, 2.2), (-2.2, 2.2)])
panels[3].loglog(alphas[ok], needed[ok], "o-", markersize=3)
for at, text in ((1 / large, "1/L"), (2 / (small + large), "2/(L+μ)")):
    panels[3].axvline(at, color="0.6", linestyle="--", linewidth=0.8)
    panels[3].text(at, 2500 if text == "1/L" else 1000, text, ha="right", color="0.3")
_ = panels[3].set(xlabel="learning rate α", title="steps until f is 1e-6 of its start")

# %% [markdown]
# Lecture 001 asks for an $\alpha$ "small enough that the approximation $\Delta L \approx -\alpha\|\nabla L\|^2$ is good.
# Otherwise we may end up with $\Delta L > 0$." Two probes measure both sides at every step of a real training: a network on
# digits, with the full gradient, 30 steps for each $\alpha$. To second order their ratio is
#
# $$\frac{\Delta L}{-\alpha\|\nabla L\|^2} = 1 - \frac{\alpha}{2}\,\frac{g^\top H g}{g^\top g},$$
#
# so we expect the ratio's distance from 1 to be proportional to $\alpha$, while it is small. (Not exactly: the network has
# ReLUs, whose kinks are the points without derivative of [B4]. Some of 1080 · 64 cross theirs in every step, and for tiny
# $\alpha$ that is all there is to see.)

# %%
problem = jc.problems.digits(model="mlp")
steps_sizes = np.array([1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0, 2.0])
ratios, rises = [], []
for rate in steps_sizes:
    history = jc.fit(problem, jc.sgd(rate), sampler=jc.samplers.full(), steps=30, key=0, probes=seen).history
    ratios.append((history.decrease / history.predicted_decrease).values)
    rises.append(float((history.decrease > 0).mean()))
ratios, rises = np.array(ratios), np.array(rises)
error = 1 - ratios[:, 0]  # at the first step, where all start from the same point
order = np.polyfit(np.log(steps_sizes[1:4]), np.log(error[1:4]), 1)[0]
claim(
    "B6",
    "ΔL ≈ −α‖∇L‖² holds for small α; otherwise we may end up with ΔL > 0",
    f"on digits the ratio of the two is {ratios[1].mean():.3f} at α = 0.001 and {ratios[2].mean():.2f} at 0.01 (means of 30 "
    f"steps), and 1 minus it grows like α^{order:.2f} from 0.001 to 0.1; at α = 0.3 no step of 30 raises the loss, at α = 2 "
    f"{rises[-1]:.0%} of them do.",
    holds=abs(order - 1) < 0.05 and abs(ratios[1] - 1).max() < 0.02 and (rises[:5] == 0).all() and rises[-1] > 0.1,
)

# %%
figure, axes = plt.subplots(figsize=(6.4, 3.4))
axes.axhspan(-1.2, 0, color="0.92")
axes.axhline(1, color="0.6", linewidth=0.8)
axes.semilogx(np.repeat(steps_sizes, 30), ratios.ravel().clip(-1.2, 1.4), ".", markersize=4, alpha=0.5)
axes.text(1.2e-4, -0.6, "the loss rises", color="0.4")
_ = axes.set(
    xlabel="learning rate α", ylabel="ΔL / (−α‖∇L‖²)", ylim=(-1.2, 1.4), title="each dot is a step (cut at the edges)"
)

# %% [markdown]
# ## Let it find out: line search [B7]
# "Optimal $\alpha$ can be found via line search",
#
# $$\arg\min_\alpha f\left(x - \alpha\nabla f(x)\right).$$
#
# On a quadratic the answer is known, $\alpha = g^\top g/g^\top Hg$. A search knows only values of $f$ along the line. At the
# best point the new gradient must be orthogonal to the line: exact line search zigzags, at right angles.

# %%
curvatures = np.geomspace(1, 100, 20)
wide = surfaces.quadratic(curvatures)  # twenty dimensions, condition number 100
turns = [probes.gradient_angle()]
stop = jc.stopping.gradient_norm(1e-4)
exact = jc.minimize(wide, jc.line_search(jc.linesearch.exact()), start=wide.start, steps=20_000, probes=turns, stop=stop)
g = exact.points[:-1] * curvatures
known = np.sum(g * g, axis=1) / np.sum(g * g * curvatures, axis=1)
off = float(np.abs(exact.history.step_size / known - 1).max())
corner = float(np.abs(exact.history.gradient_angle[1:] - 90).max())
claim(
    "B7",
    "Optimal α can be found via line search",
    f"at each of {exact.steps} steps exact search finds gᵀg/gᵀHg to better than 1e-6 (values of f can tell no more than √ε, "
    "1.5e-8), and successive gradients are orthogonal to 0.001°.",
    holds=off < 1e-6 and corner < 1e-3,
)

# %% [markdown]
# That is the lecture's claim. Ours is a question: is the best step at every step the best descent, and what does it cost? The
# practical searches (Armijo backtracking, strong Wolfe) stop at a step that is good enough. We count steps and evaluations of
# $f$ (or of $f$ with its gradient) until $\|\nabla f\| \le 10^{-4}$, for searches, and for fixed rates from 0.1 to 1 times
# the best one, $2/(L + \mu)$, which one has to know.

# %%
ideal = 2 / (1 + 100)
methods = {
    "exact": jc.line_search(jc.linesearch.exact()),
    "Armijo": jc.line_search(jc.linesearch.armijo()),
    "strong Wolfe": jc.line_search(jc.linesearch.wolfe()),
    "fixed, the best rate": jc.sgd(ideal),
    "fixed, a half of it": jc.sgd(ideal / 2),
    "fixed, a tenth of it": jc.sgd(ideal / 10),
}
runs = {name: jc.minimize(wide, tx, start=wide.start, steps=20_000, stop=stop).history for name, tx in methods.items()}
costs = pd.DataFrame({name: (h.sizes["step"], int(h.gradient_evaluations[-1])) for name, h in runs.items()}).T
costs.columns = ["steps", "evaluations"]
costs.rename_axis("method")

# %%
begun = {}
for first in (1e-4, 1.0, 1e4):
    tx = jc.line_search(jc.linesearch.armijo(), initial_step=first)
    begun[first] = int(jc.minimize(wide, tx, start=wide.start, steps=20_000, stop=stop).history.gradient_evaluations[-1])
e = costs["evaluations"]
spread = max(begun.values()) / min(begun.values())
claim(
    "B7",
    "Optimal α can be found via line search: and is it the best descent? (our question)",
    "a good one can, without knowing a rate, but the α that is best at each step is not the best descent: exact search takes "
    f"{costs.loc['exact', 'steps']} steps, the best fixed rate {costs.loc['fixed, the best rate', 'steps']}, strong Wolfe "
    f"{costs.loc['strong Wolfe', 'steps']} and Armijo {costs.loc['Armijo', 'steps']}. And it costs {e['exact']} evaluations: "
    f"Armijo needs {e['Armijo']} and strong Wolfe {e['strong Wolfe']}, not twice as many as the best fixed rate, and far "
    f"fewer than a tenth of that rate, {e['fixed, a tenth of it']}; whether its first try is 1e-4, 1 or 1e4 changes Armijo's "
    f"count by a factor of {spread:.2f}.",
    holds=e[["Armijo", "strong Wolfe"]].max() < 0.5 * e["fixed, a tenth of it"]
    and e[["Armijo", "strong Wolfe"]].max() < 2 * e["fixed, the best rate"]
    and e["exact"] > 3 * e["Armijo"]
    and spread < 1.5
    and costs.loc["exact", "steps"] < 0.85 * costs.loc["fixed, the best rate", "steps"]
    and costs.loc["exact", "steps"] > 1.1 * costs.loc["strong Wolfe", "steps"]
    and costs.loc["exact", "steps"] > 0.95 * costs.loc["Armijo", "steps"],
    verdict="partly true",
)

# %%
plane_bowl = surfaces.quadratic((1.0, 12.0))
zigzag = {
    name: jc.minimize(plane_bowl, tx, start=(2.4, 0.4), steps=12).points
    for name, tx in {"exact search": methods["exact"], "Armijo": methods["Armijo"], "fixed, 2/(L+μ)": jc.sgd(2 / 13)}.items()
}
figure, (left, right) = plt.subplots(1, 2, figsize=(12, 3.6), width_ratios=(1.5, 1))
paths.level_curves(plane_bowl, zigzag, axes=left, bounds=[(-0.4, 2.7), (-0.45, 0.45)])
left.set_title("12 steps from the same start")
for name in ("exact", "Armijo", "strong Wolfe", "fixed, the best rate", "fixed, a tenth of it"):
    right.semilogy(runs[name].gradient_evaluations, runs[name].gradient_norm, label=name, linewidth=1)
right.set(xlabel="evaluations", ylabel="‖∇f‖", xlim=(0, 3000), title="twenty dimensions, κ = 100")
_ = right.legend()

# %% [markdown]
# ## Try
# 1. Classify the stationary points of your own function (`jc.surfaces.stationary_points(function, bounds)`), and draw its
#    basins. What happens to the picture when you add momentum: `jc.momentum(0.002, 0.9)` in the place of `jc.sgd(0.002)`?
# 2. Find, for the network on digits, the learning rate at which the loss first rises, and compare it with 2 over the
#    Hessian's largest eigenvalue (`jc.probes.sharpness()`).
# 3. Descend on $|x|$, which has no derivative at its minimum, with $\alpha = 0.1$ from 0.25. Where does it end, and which
#    schedule from chapter C makes it converge?
