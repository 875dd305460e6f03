# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # D · Momentum and acceleration
#
# A descent that remembers where it was going. What the memory is, how much faster it makes the descent, when it fails, and
# whether it leaves local minima: lectures 000 and 002, rows D1 to D6, measured.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Patch

import jaxopt_course as jc
from jaxopt_course.report.paths import level_curves
from jaxopt_course.report.states import optimizer_state
from notebooks.claims import claim, setting

setting()
jax.config.update("jax_enable_x64", True)  # this chapter compares equations to the last digits

# %% [markdown]
# ## One memory, two ways to write it [D1]
#
# Lecture 000 keeps a velocity, lecture 002 a momentum with the opposite sign:
#
# $$v \leftarrow \lambda v - \alpha\nabla f(x),\quad x \leftarrow x + v \qquad\qquad
#   m \leftarrow \mu m + \gamma\nabla L(\theta),\quad \theta \leftarrow \theta - m$$
#
# `jc.momentum` is the second. Here is the first, as the slide has it, with a rate that falls at every step. Frameworks
# often write a third: $m \leftarrow \mu m + \nabla L$, $\theta \leftarrow \theta - \gamma m$, with the rate *outside*
# (`rate_inside=False`). It rescales all of the past by today's rate.

# %%
bowl = jc.surfaces.quadratic((1.0, 10.0))
falling = jc.schedules.exponential(0.1, 0.05)

x, v = jnp.array(bowl.start), jnp.zeros(2)
lecture_000 = [x]
for t in range(60):
    v = 0.8 * v - falling(t) * jax.grad(bowl)(x)
    x = x + v
    lecture_000.append(x)


def path(optimizer, start=bowl.start, function=bowl, steps=60):
    return jc.minimize(function, optimizer, start=start, steps=steps).points


inside = path(jc.momentum(falling, 0.8))
outside = path(jc.momentum(falling, 0.8, rate_inside=False))
same, apart = np.abs(inside - np.array(lecture_000)).max(), np.abs(inside - outside).max()
constant = np.abs(path(jc.momentum(0.1, 0.8)) - path(jc.momentum(0.1, 0.8, rate_inside=False))).max()
level_curves(bowl, {"rate inside: 000 and 002": inside, "rate outside": outside}, bounds=[(-0.7, 1.6), (-1.3, 1.6)])

# %%
claim(
    "D1",
    "v ← λv − α∇f, x ← x + v and m ← μm + γ∇L, θ ← θ − m are one and the same, also when α changes over time",
    "60 steps with a rate that falls by e⁻³: equal within 1e-14 (rounding).",
    holds=same < 1e-14,
)
claim(
    "D1",
    "when α changes, both differ from the form that multiplies by α outside",
    f"with the falling rate they come {apart:.2f} apart; with a constant rate they are equal within 1e-14.",
    holds=0.05 < apart < 0.5 and constant < 1e-14,
)

# %% [markdown]
# Slide 002 calls momentum "equivalent to the weighted sum" $\theta_{t+1} = \theta_t - \gamma(\nabla L_t + \mu\nabla L_{t-1} +
# \dots)$: with its $\gamma$ outside, that sum is the third form, so it is equivalent only while $\gamma$ stays the same.
#
# What it remembers, along the way: the thick arrow is $-m$, the thin one $-\nabla f$. Across the valley they disagree, along
# it they add up.

# %%
with_memory = jc.paths(bowl, {"momentum": jc.momentum(0.03, 0.8)}, steps=60, record=("m",))
optimizer_state(bowl, with_memory, accumulator=None, at=[1, 3, 5, 8, 12, 16], bounds=[(-0.6, 1.6), (-1.2, 1.6)])

# %% [markdown]
# ## How long a step becomes [D2]
#
# On a slope that never changes the memory is a geometric series: $\alpha\|\nabla f\|(1 + \lambda + \lambda^2 + \dots) \to
# \alpha\|\nabla f\|/(1-\lambda)$. With $\lambda = 0.9$, ten times the plain step.

# %%
lambdas = [0.0, 0.5, 0.9, 0.99]
slope = jc.paths(lambda x: 3.0 * x[0], jc.momentum, jc.grid(learning_rate=[0.1], momentum=lambdas), starts=[0.0], steps=2500)
steps = -slope.params.squeeze(drop=True).diff("step")
limits = 0.1 * 3.0 / (1 - np.array(lambdas))

figure, axes = plt.subplots(figsize=(6, 3))
axes.semilogx(steps.step, (steps / limits[:, None]).T, label=[f"λ = {value}" for value in lambdas])
axes.set(xlabel="steps", ylabel="step · (1 − λ) / α‖∇f‖", title="A constant gradient")
_ = axes.legend()

# %%
error = np.abs(steps.isel(step=-1) / limits - 1).max().item()
wait = [int((row > 0.99 * limit).argmax()) + 1 for row, limit in zip(steps.values, limits, strict=True)]
claim(
    "D2",
    "on a constant gradient the step tends to α‖∇f‖/(1 − λ)",
    f"for λ = 0, 0.5, 0.9, 0.99 the last of 2500 steps has that length within 1e-9; 99 % of it is reached after {wait} steps, "
    "that is log 0.01 / log λ.",
    holds=error < 1e-9 and wait[1:] == [int(np.ceil(np.log(0.01) / np.log(value))) for value in lambdas[1:]],
)

# %% [markdown]
# The slide says "step length ∝ how *aligned* is the sequence of gradients": the other extreme, gradients that alternate, gives
# $\alpha\|\nabla f\|/(1+\lambda)$, *shorter* than the plain step. That is why momentum calms a zigzag.

# %%
flips = (-1.0) ** np.arange(200)
alternating = jc.theory.unroll(jc.momentum(0.1, 0.9), 200, grads=flips).points
print(f"alternating gradients of size 1: steps of {abs(np.diff(alternating)[-1]):.4f}; α/(1 + λ) = {0.1 / 1.9:.4f}")

# %% [markdown]
# ## Nesterov looks ahead [D3]
#
# $m \leftarrow \mu m + \gamma\nabla L(\theta - \mu m)$, $\theta \leftarrow \theta - m$: the gradient where the memory is about
# to carry us. The slide's quiz asks for its code:
#
# ```
# m = 0
# while True:
#     dtheta = compute_gradient(theta, batch_size)
#     m_old = m
#     m = mu * m + learning_rate * dtheta
#     x =                                        # ?
# ```
#
# The gradient is taken at `theta`, and `m_old` is kept, so `theta` must be the point ahead, $\varphi = \theta - \mu m$. Then
# $\varphi' = \theta' - \mu m' = (\varphi + \mu m) - m' - \mu m'$, and the answer is
#
# ```
#     theta = theta + mu * m_old - (1 + mu) * m
# ```
#
# Since $m' - \mu m = \gamma\nabla L(\varphi)$ this is $\varphi' = \varphi - (\gamma\nabla L(\varphi) + \mu m')$, which needs
# no `m_old`: the *shifted* form of `jc.nesterov`, and of optax and PyTorch.

# %%
valley, start, rate, mu = jc.surfaces.rosenbrock, (-1.2, 1.0), 1e-3, 0.9

theta, m = jnp.array(start), jnp.zeros(2)
quiz = [theta]
for _ in range(300):
    dtheta = jax.grad(valley)(theta)
    m_old = m
    m = mu * m + rate * dtheta
    theta = theta + mu * m_old - (1 + mu) * m
    quiz.append(theta)

look_ahead = path(jc.nesterov(rate, mu), start, valley, 300)
shifted = path(jc.nesterov(rate, mu, form="shifted"), start, valley, 300)
ahead = look_ahead[1:] + mu * np.diff(look_ahead, axis=0)  # φ = θ − μm, and θ′ − θ = −m
level_curves(valley, {"θ, look-ahead": look_ahead[:20], "φ, shifted": shifted[:20]}, bounds=[(-1.25, -0.65), (0.7, 1.25)])

# %%
by_change = np.abs(ahead - shifted[1:]).max()
claim(
    "D3",
    "the look-ahead and the shifted form are one path, seen through the change of variable φ = θ − μm",
    f"300 steps on Rosenbrock's valley: φ of the look-ahead form is the shifted path within 1e-12, while θ and φ are up to "
    f"{np.abs(look_ahead - shifted).max():.2f} apart.",
    holds=by_change < 1e-12 and np.abs(look_ahead - shifted).max() > 0.1,
)
claim(
    "D3",
    "the slide's quiz: theta = theta + mu * m_old − (1 + mu) * m",
    "that line, in the slide's loop, gives the path of jc.nesterov(form='shifted') within 1e-12.",
    holds=np.abs(np.array(quiz) - shifted).max() < 1e-12,
)

# %% [markdown]
# ## Unrolled: a path is a sum of its gradients [D4]
#
# $$x^{(t+1)} = x^{(0)} - \sum_{i=0}^{t}\gamma_i^t\,\nabla f(x^{(i)})$$
#
# (The slide puts $+\alpha$ before the sum; here $\gamma$ has the rate in it and the sign outside.) `jc.theory.unroll` does
# not know these coefficients: it differentiates an optimizer's own `update`, $\gamma_i^t = -\partial x^{(t+1)}/\partial
# g_i$. For momentum the lecture's answer is $\alpha(1-\lambda^{t+1-i})/(1-\lambda)$: old gradients count up to
# $1/(1-\lambda)$ times.

# %%
age = np.arange(40)[:, None] - np.arange(40)  # t − i
closed_forms = {
    "gradient descent": (jc.sgd(0.1), lambda age: 0.1 + 0 * age),
    "momentum": (jc.momentum(0.1, 0.9), lambda age: 0.1 * (1 - 0.9 ** (age + 1)) / 0.1),
    "Nesterov, look-ahead": (jc.nesterov(0.1, 0.9), lambda age: 0.1 * (1 - 0.9 ** (age + 1)) / 0.1),
    "Nesterov, shifted": (jc.nesterov(0.1, 0.9, form="shifted"), lambda age: 0.1 * (1 - 0.9 ** (age + 2)) / 0.1),
}
misses = {
    name: np.abs(jc.theory.unroll(tx, 40).gamma - np.where(age >= 0, form(np.maximum(age, 0)), 0)).max()
    for name, (tx, form) in closed_forms.items()
}
claim(
    "D4",
    "momentum's coefficients are α(1 − λ^{t+1−i})/(1 − λ), gradient descent's are α",
    "extracted from update over 40 steps they differ from these by less than 1e-12; look-ahead Nesterov's (by the gradients "
    "at its look-ahead points) are momentum's, the shifted form's α(1 − λ^{t+2−i})/(1 − λ).",
    holds=max(misses.values()) < 1e-12,
)

# %% [markdown]
# Adaptive methods divide each coordinate by the size of its own past, so each has its own coefficients: a diagonal matrix
# $\Gamma_i^t$. With the second moments held at the values they had along the path (`held`), the sum is exact. Normalised
# descent divides all coordinates by one number, $\|g\|$, which is held likewise. So *every* method of the catalog is a sum.


# %%
def wavy(x):
    return 0.5 * (jnp.array([1.0, 10.0, 3.0]) * x**2).sum() + jnp.cos(3 * x).sum()


def unrolled(name, **settings):
    entry = jc.CATALOG[name]
    tx = entry.factory(**(settings or entry.settings))
    return jc.theory.unroll(tx, 40, function=wavy, start=[1.0, -0.5, 2.0], held=entry.held)


sums = {name: unrolled(name) for name in jc.CATALOG}
missed = {name: np.abs(found.sums - found.points[1:]).max() for name, found in sums.items()}
adam = sums["adam"].gamma[-1]  # [i, coordinate]
claim(
    "D4",
    "the form with a diagonal Γ generalises optimization algorithms like Adam, AdaGrad, etc.",
    f"for {len(missed)} optimizers ({', '.join(missed)}) the sum is the path within 1e-12 over 40 steps on a surface that is "
    "not convex. Γ is no multiple of the identity: Adam's last row differs between coordinates by a factor of "
    f"{(adam.max(axis=1) / adam.min(axis=1)).max():.0f}. Weight decay shrinks x⁽⁰⁾, too, which the slide's form leaves out. "
    "And the diagonal itself depends on the gradients: only its shape is the same for all.",
    holds=max(missed.values()) < 1e-12 and len(missed) >= 14 and np.ptp(adam, axis=1).max() > 0.01,
)

# %%
shown = {
    "momentum": unrolled("momentum", learning_rate=0.03, momentum=0.9),
    "Nesterov, shifted": unrolled("nesterov", learning_rate=0.03, momentum=0.9, form="shifted"),
    "momentum, falling rate": unrolled("momentum", learning_rate=jc.schedules.exponential(0.1, 0.1), momentum=0.9),
    "AdaGrad": unrolled("adagrad", learning_rate=0.3),
    "RMSProp": unrolled("rmsprop", learning_rate=0.03),
    "Adam": unrolled("adam", learning_rate=0.03, b2=0.95),
}
figure, axes = plt.subplots(2, 3, figsize=(9.5, 6), sharex=True, sharey=True)
for each, (name, found) in zip(axes.flat, shown.items(), strict=True):
    image = np.where(age >= 0, found.gamma[..., 0], np.nan)
    figure.colorbar(each.imshow(image, cmap="viridis", vmin=0), ax=each, shrink=0.8)
    each.set_title(name)
    each.grid(False)
figure.supxlabel("i, the gradient", fontsize=10)
figure.supylabel("t, the step", fontsize=10)
_ = figure.suptitle("γᵢᵗ of the first coordinate")

# %% [markdown]
# A row is one point of the path: momentum's newest gradients (the diagonal) have not yet done their work. In AdaGrad and
# RMSProp a gradient acts at once and stays (columns are constant), but when it came decides by how much.
#
# ## Faster: the (α, β) plane [D5]
#
# On a quadratic every method above is a small matrix for each eigenvalue of the Hessian, and its spectral radius is the rate
# (Goh, *Why momentum really works*, Distill 2017). For eigenvalues from $\mu$ to $L$, $\kappa = L/\mu$:
#
# $$\alpha^* = \frac{4}{(\sqrt L + \sqrt\mu)^2},\quad \beta^* = \left(\frac{\sqrt\kappa-1}{\sqrt\kappa+1}\right)^2,\quad
#   \rho^* = \frac{\sqrt\kappa-1}{\sqrt\kappa+1}\qquad\text{plain: } \rho^* = \frac{\kappa-1}{\kappa+1}$$

# %%
alphas, betas = np.linspace(0.002, 4 / 25, 120), np.linspace(0, 0.99, 100)
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), sharey=True)
for each, method in zip(axes, ("momentum", "nesterov"), strict=True):
    plane = jc.theory.rate_plane(getattr(jc, method), [1.0, 25.0], learning_rate=alphas, momentum=betas)
    drawn = each.contourf(alphas, betas, plane.rate.T, np.linspace(0.6, 1, 17), cmap="viridis_r", extend="min")
    each.contour(alphas, betas, plane.rate.T, [1], colors="black")
    best = jc.theory.best_parameters(method, 1.0, 25.0)
    each.plot(best.learning_rate, best.momentum, "*", color="#d55e00", markersize=14, label=f"best: ρ = {best.rate:.3f}")
    each.set(title=f"{method}, κ = 25", xlabel="α")
    each.legend(loc="lower right")
axes[0].set_ylabel("β")
_ = figure.colorbar(drawn, ax=axes, label="ρ, per step (white: diverges)")

# %%
methods = {"sgd": lambda a, b: jc.sgd(a), "momentum": jc.momentum, "nesterov": jc.nesterov}


def descent(method, kappa, steps):
    best = jc.theory.best_parameters(method, 1.0, kappa)
    tx = methods[method](best.learning_rate, best.momentum)
    return best.rate, path(tx, (1.0, 1.0), jc.surfaces.quadratic((1.0, kappa)), steps)


kappas = [100.0, 1000.0, 10000.0]
predicted, measured = [], []
for kappa in kappas:
    rate, points = descent("momentum", kappa, int(40 * np.sqrt(kappa)))
    predicted.append(rate)
    measured.append(jc.theory.measured_rate(points))
    print(f"κ = {kappa:5.0f}: (√κ − 1)/(√κ + 1) = {rate:.5f}, measured {measured[-1]:.5f}")
rate_error = np.abs(np.divide(measured, predicted) - 1).max()
log_error = np.abs(np.log(measured) / np.log(predicted) - 1).max()

# %%
needed = {
    method: [
        int(np.flatnonzero(np.linalg.norm(descent(method, kappa, int(length(kappa)))[1], axis=1) > 2**0.5 * 1e-6)[-1]) + 1
        for kappa in kappas
    ]
    for method, length in {
        "sgd": lambda kappa: 8 * kappa,
        "momentum": lambda kappa: 20 * np.sqrt(kappa),
        "nesterov": lambda kappa: 20 * np.sqrt(kappa),
    }.items()
}
powers = {method: np.polyfit(np.log(kappas), np.log(steps), 1)[0] for method, steps in needed.items()}
figure, axes = plt.subplots(figsize=(5.5, 3.2))
for method, counts in needed.items():
    axes.loglog(kappas, counts, "o-", label=f"{method}: ∝ κ^{powers[method]:.2f}")
axes.set(xlabel="κ", ylabel="steps to 1e-6 of the distance", title="Best α and β")
_ = axes.legend()

# %%
claim(
    "D5",
    "the best α and β on a quadratic give the rate (√κ − 1)/(√κ + 1)",
    f"for κ = 100, 1000, 10000 (40√κ steps) the measured rate differs by at most {100 * rate_error:.1f} %. That is lenient "
    f"near 1; by log ρ, which counts steps, {100 * log_error:.1f} %: at the best β two eigenvalues meet, which adds a factor "
    "t to ρᵗ.",
    holds=rate_error < 0.01 and log_error < 0.03,
)
claim(
    "D5",
    "momentum accelerates the convergence",
    f"steps to 1e-6 of the distance for κ = 100, 1000, 10000, each with its best parameters: plain {needed['sgd']}, momentum "
    f"{needed['momentum']}, Nesterov {needed['nesterov']}: as κ^{powers['sgd']:.2f}, κ^{powers['momentum']:.2f} and "
    f"κ^{powers['nesterov']:.2f}.",
    holds=abs(powers["sgd"] - 1) < 0.03 and abs(powers["momentum"] - 0.5) < 0.06 and abs(powers["nesterov"] - 0.5) < 0.06,
)

# %% [markdown]
# ## Does it oscillate less? [D5]
#
# The oscillation across the valley is the distance walked along the steep axis: 1 for a descent that goes straight to the
# minimum. The rate decides: with $\alpha = 1.9/L$ plain descent zigzags, with $\alpha = 0.2/L$ it does not.

# %%
betas = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])
shares = np.array([0.2, 1.0, 1.9])
ravine = jc.surfaces.quadratic((1.0, 25.0))
found = jc.paths(ravine, jc.momentum, jc.grid(learning_rate=shares / 25, momentum=betas), starts=(1.0, 1.0), steps=2500)
walked = np.abs(found.params.isel(optimizer=0, start=0, dimension=1).diff("step")).sum("step").values
distance = np.sqrt((found.params.isel(optimizer=0, start=0) ** 2).sum("dimension"))
arrival = (distance > 1e-3).cumsum("step").argmax("step").values + 1

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2))
for row, share in enumerate(shares):
    axes[0].semilogy(betas, walked[row], "o-", label=f"α = {share:g}/L")
    axes[1].semilogy(betas, arrival[row], "o-")
axes[0].set(xlabel="β", ylabel="distance walked across", title="Oscillation")
axes[1].set(xlabel="β", ylabel="steps to 1e-3", title="Speed")
_ = axes[0].legend()

# %%
calmest = betas[walked[2].argmin()]
claim(
    "D5",
    "momentum reduces the oscillation",
    f"of a descent that zigzags, yes: at α = 1.9/L plain descent walks {walked[2, 0]:.0f} times the distance across the "
    f"valley, with β = {calmest:g} {walked[2].min():.1f} times; at β = 0.9 it is {walked[2, 6]:.0f} again. Where plain "
    f"descent does not oscillate (α = 0.2/L: {walked[0, 0]:.0f}) momentum makes it: {walked[0, 6]:.1f} times at β = 0.9, "
    f"{walked[0, 8]:.0f} at 0.99. It is faster all the same, {arrival[0, 6]} steps in place of {arrival[0, 0]} at β = 0.9, "
    f"and slower at 0.99 ({arrival[0, 8]}).",
    holds=walked[2].min() < walked[2, 0] / 3
    and walked[0, 6] > 3 * walked[0, 0]
    and arrival[0, 6] < arrival[0, 0] / 3
    and arrival[0, 8] > arrival[0, 0],
    verdict="partly true",
)

# %% [markdown]
# ## Where momentum fails [D5]
#
# The convex function of Lessard, Recht & Packard (2016) has the slope $25x$ up to 1, $x + 24$ up to 2 and $25x - 24$ after
# that: curvatures between 1 and 25. We use $\alpha^*, \beta^*$ for these, and Nesterov's usual $\alpha = 1/L$, $\beta =
# (\sqrt\kappa-1)/(\sqrt\kappa+1)$.

# %%
pieces = jc.surfaces.piecewise_quadratic
best = jc.theory.best_parameters("momentum", 1.0, 25.0)
cycle = path(jc.momentum(best.learning_rate, best.momentum), [3.3], pieces, 300)[:, 0]
nesterov = path(jc.nesterov(1 / 25, 2 / 3), [3.3], pieces, 300)[:, 0]

figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.2))
line = np.linspace(-2.5, 3.5, 200)
axes[0].plot(line, [pieces([x]) for x in line], color="gray")
axes[0].plot(cycle[-4:], [pieces([x]) for x in cycle[-4:]], "o--", label="momentum's cycle")
axes[0].set(xlabel="x", ylabel="f(x)", title="Convex, with curvatures 1 and 25")
axes[1].plot(cycle[:40], ".-", label="momentum")
axes[1].plot(nesterov[:40], ".-", label="Nesterov")
axes[1].set(xlabel="steps", ylabel="x", title="From x = 3.3")
for each in axes:
    each.legend()

# %% [markdown]
# Is that an accident of one setting and one start? On a grid of (α, β) we ask where the rate on *every quadratic* with these
# curvatures is below 0.99, and then whether 4000 steps on this function arrive.

# %%
axis = {"learning_rate": np.linspace(0.004, 0.156, 39), "momentum": np.linspace(0, 0.96, 33)}
promised, broken = {}, {}
for method in ("momentum", "nesterov"):
    factory = getattr(jc, method)
    ends = jc.paths(pieces, factory, jc.grid(**axis), steps=4000, record_every=4000).params.isel(step=-1).squeeze(drop=True)
    promised[method] = jc.theory.rate_plane(factory, [1.0, 25.0], **axis).rate < 0.99
    broken[method] = promised[method] & ~(np.abs(ends) < 1e-6)

meaning = {
    "#e4e7eb": "slower than 0.99 on some quadratic, or diverges",
    "#56b4e9": "converges, as on quadratics",
    "#d55e00": "does not, though it would on quadratics",
}
figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.4), sharey=True)
for each, method in zip(axes, promised, strict=True):
    code = (promised[method] * 1.0 + broken[method]).T
    each.pcolormesh(*axis.values(), code, cmap=ListedColormap(list(meaning)), vmax=2)
    each.set(title=f"{method}: {int(broken[method].sum())} of {int(promised[method].sum())} fail", xlabel="α")
axes[0].set_ylabel("β")
patches = [Patch(color=color, label=text) for color, text in meaning.items()]
_ = figure.legend(handles=patches, loc="outside lower center", ncols=3, fontsize=9)

# %%
expected = np.array([792, -2208, 2592]) / 1225
starts = jc.paths(
    pieces,
    {"momentum": jc.momentum(best.learning_rate, best.momentum), "nesterov": jc.nesterov(1 / 25, 2 / 3)},
    starts=np.linspace(-3, 4, 141)[:, None], steps=1000, record_every=1000,
)  # fmt: skip
caught = (np.abs(starts.params.isel(step=-1, dimension=0)) > 1e-6).mean("start").values
share = float(broken["momentum"].sum() / promised["momentum"].sum())
rash = {method: int(each.sel(learning_rate=slice(0.0401, None)).sum()) for method, each in promised.items()}
cautious = broken["momentum"].sel(learning_rate=slice(None, 1 / 25)).sum().item()
claim(
    "D5",
    "momentum can fail to converge even for simple convex optimizations, where Nesterov's converges",
    f"with the α = 1/9, β = 4/9 that are best on quadratics momentum goes round {expected.round(3).tolist()} for ever, and "
    f"Nesterov is at 0 within 1e-12. It takes a start that is caught: {100 * caught[0]:.0f} % of those in [−3, 4] are, and 0 "
    f"% for Nesterov. On the grid of (α, β), {100 * share:.0f} % of the settings that converge on every quadratic fail for "
    f"momentum, none for Nesterov. But Nesterov has only {int(promised['nesterov'].sum())} such settings, momentum "
    f"{int(promised['momentum'].sum())}: all failures have α > 1/L, where {rash['momentum']} of them are momentum's and "
    f"{rash['nesterov']} Nesterov's.",
    holds=np.abs(np.sort(cycle[-3:]) - np.sort(expected)).max() < 1e-9
    and abs(nesterov[-1]) < 1e-12
    and 0.02 < caught[0] < 0.3
    and caught[1] == 0
    and 0.03 < share < 0.2
    and int(broken["nesterov"].sum()) == 0
    and cautious == 0,
)

# %% [markdown]
# ## Out of a local minimum [D6]
#
# "Accelerates with big λ and **escapes** from local minima!" The surface has a local minimum at (−1, 0), the global one at
# (2, 0) and a saddle between them. From the left wall plain descent ends in the first; does momentum roll over?

# %%
hills = jc.surfaces.local_optimum
points = jc.surfaces.stationary_points(hills)  # by value: the global minimum, the local one, the saddle
rolling = jc.paths(hills, {f"λ = {value}": jc.momentum(0.03, value) for value in (0.0, 0.8, 0.95)}, steps=400)
level_curves(hills, rolling, points=points)

# %%
lambdas = np.array([0.0, 0.5, 0.8, 0.85, 0.9, 0.95, 0.98])
rates = np.geomspace(1e-3, 1, 61)
space = jc.grid(learning_rate=rates, momentum=lambdas)
ended = jc.ends(jc.paths(hills, jc.momentum, space, steps=8000, record_every=8000), points, within=0.1)
where = ended.end.squeeze(drop=True).values  # 0: global, 1: local, −1: not at rest, or diverged
meaning = {"#e4e7eb": "neither", "#0072b2": "the global minimum", "#d55e00": "the local one"}
figure, axes = plt.subplots(figsize=(9, 3))
colors = ListedColormap(list(meaning))
axes.pcolormesh(space.axes[0][1], np.arange(len(lambdas)), where.T, cmap=colors, vmin=-1, vmax=1, edgecolor="white")
axes.set(xscale="log", xlabel="α", ylabel="λ", yticks=np.arange(len(lambdas)), yticklabels=lambdas)
axes.set_title("Where a ball from the left wall comes to rest")
patches = [Patch(color=color, label=text) for color, text in meaning.items()]
axes.legend(handles=patches, loc="center left", bbox_to_anchor=(1, 0.5))
axes.grid(False)

# %% [markdown]
# Plain descent (λ = 0) stays until its steps are so long that the *first* one, down the left wall, jumps over the saddle: that
# is chance, not speed. And steps that long do not come to rest in the global minimum, whose curvature of 6 asks for
# $\alpha < 2/6$. Closer:

# %%
long = np.linspace(0.2, 0.8, 121)
jumps = jc.paths(hills, jc.sgd, jc.grid(learning_rate=long), steps=4000).params.isel(dimension=0).squeeze(drop=True)
figure, axes = plt.subplots(figsize=(7, 3))
for ago in range(1, 33):
    axes.plot(long, jumps.isel(step=-ago), ".", color="#0072b2", markersize=2)
axes.axhline(0, color="0.6", linestyle="--", linewidth=0.8)
axes.text(0.21, 0.1, "the saddle", color="0.3")
_ = axes.set(xlabel="α", ylabel="x", ylim=(-2, 3), title="Plain descent: its last 32 steps of 4000")

# %% [markdown]
# Momentum is a ball with friction. Height and speed together, $E = f(x^{(t)}) + \frac{\lambda}{2\alpha}\|s^{(t)}\|^2$ with the
# step $s^{(t)} = x^{(t)} - x^{(t-1)}$, change by at most $-\left(\frac{1-\lambda}{\alpha} -
# \frac{L}{2}\right)\|s^{(t+1)}\|^2$ where the curvature is below $L$: with $\alpha \le 2(1-\lambda)/L$ they only fall, and a
# ball that starts at rest *below the saddle* cannot cross it. And it can roll the other way, out of the better minimum.

# %%
line = np.stack([np.linspace(-2.2, 3.2, 109), np.zeros(109)], axis=1)
space = jc.grid(learning_rate=[0.01], momentum=[0.0, 0.5, 0.8, 0.9, 0.95, 0.98])
by_start = jc.ends(jc.paths(hills, jc.momentum, space, starts=line, steps=4000, record_every=4000), points, within=0.1)
to = by_start.end.squeeze(drop=True).values  # [momentum, start]
low = np.array([float(hills(x)) for x in line]) < -1e-3
left, left_low = ((to[0] == 1) & (to == 0)).mean(1) / (to[0] == 1).mean(), ((to[0] == 1) & (to == 0) & low).sum(1)
back = ((to[0] == 0) & (to == 1)).mean(1) / (to[0] == 0).mean()
for value, share, low_ones, wrong in zip(space.axes[1][1], left, left_low, back, strict=True):
    print(
        f"λ = {value:4}: leaves the local minimum from {share:4.0%} of its starts (from below the saddle: {low_ones}), the "
        f"global one from {wrong:3.0%}"
    )

# %%
ball = jc.paths(hills, {"momentum": jc.momentum(0.01, 0.9)}, steps=600).squeeze(drop=True)
energy = ball.loss[1:] + 0.9 / (2 * 0.01) * (ball.params.diff("step") ** 2).sum("dimension")
falls = bool((energy.diff("step") < 1e-12).all())
print(f"α = 0.01, λ = 0.9 (2(1 − λ)/L = {0.2 / 11.4:.3f} on this way): E only falls, up to rounding: {falls}")

# %%
plain, heavy = where[:, 0], where[:, lambdas == 0.9][:, 0]
low_rates = rates <= 0.2
wins = rates[(heavy == 0) & low_rates]
first_step = jumps.isel(step=1).values
over = (jumps.isel(step=slice(-32, None)) > 0).all("step").values  # on the global minimum's side of the saddle
swing = np.ptp(jumps.isel(step=slice(-32, None)).values, axis=1)
between = (long > 0.34) & (long < 0.5)
at_035 = np.unique(jumps.isel(step=slice(-32, None)).values[np.argmin(abs(long - 0.35))].round(1))
claim(
    "D6",
    "momentum escapes from local minima, where plain descent stays",
    f"from the surface's start plain descent ends in the local minimum at every α from 0.001 to "
    f"{long[first_step < 0].max():.2f}; momentum with λ = 0.9 crosses to the global one for every α from {wins.min():.2g} to "
    f"{wins.max():.2g} (the largest looked at, as longer steps jump with momentum, too), with λ = 0.5 only from "
    f"{rates[where[:, 1] == 0].min():.2g} on. With longer steps plain descent leaves, too: its first one jumps over the "
    f"saddle. But it does not rest: at 0.35 it goes to and fro between {' and '.join(map(str, at_035))}, around the global "
    f"minimum; from 0.6 on it is back in the local one, and then diverges. It takes momentum speed: of the starts from which "
    f"plain descent finds the local minimum (α = 0.01), λ = 0.9 leaves it from {left[3]:.0%} and λ = 0.98 from {left[5]:.0%}, "
    f"but never from below the saddle; and λ = 0.95 leaves the *global* minimum for the local one from {back[4]:.0%} of its "
    "starts.",
    holds=(plain[rates < 0.32] == 1).all()
    and not (plain == 0).any()
    and (first_step[long < 0.32] < 0).all()
    and (over[between] & (first_step[between] > 0) & (swing[between] > 0.1)).all()
    and np.abs(jumps.isel(step=-1).values[np.abs(long - 0.61) < 0.015] + 1).max() < 1e-6
    and len(wins) >= 15
    and (heavy[(rates > 0.021) & low_rates] == 0).all()
    and 0.05 < left[3] < 0.5
    and left_low.sum() == 0
    and back[4] > 0.02,
    verdict="partly true",
)

# %% [markdown]
# ## Try
#
# 1. Give `jc.nesterov` a momentum that changes, `jc.schedules.linear(0.5, 0.99, 100)`. Are the look-ahead and the shifted
#    form still one path? Which gradient point does `jc.gradient_point(state, params)` take?
# 2. Put a third eigenvalue between the two in `rate_plane`. Does the best corner of the plane move? And with a negative one?
# 3. `jc.surfaces.rastrigin` is full of local minima. From 400 random starts, how does the value at the end of `jc.momentum`
#    depend on λ, and what does `jc.surfaces.noisy` add?
