# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # An optimizer is a pair of functions
#
# An optimizer is two pure functions: `init` makes a state for some parameters, `update` turns a gradient and a state into
# a step and the next state. In this chapter we write such a pair by hand, look into its state, write one of our own, hold
# it to the laws that every optimizer must obey, and race it.

# %%
from typing import NamedTuple

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

import jaxopt_course as jc
from jaxopt_course.report import paths
from jaxopt_course.types import Decay, NonNegative
from notebooks.claims import setting

setting()

# %% [markdown]
# ## By hand
# We minimise a bowl that is ten times as steep in one direction as in the other:
#
# $$f(\theta) = \tfrac12\left(\theta_1^2 + 10\,\theta_2^2\right), \qquad
# m \leftarrow \mu m + \alpha\nabla f(\theta), \qquad \theta \leftarrow \theta - m.$$
#
# Momentum must remember $m$ from one step to the next. A pure function cannot keep it, so it is handed in and handed back:
# that is the state.

# %%
bowl = jc.surfaces.quadratic((1.0, 10.0))


def init(params):
    return jnp.zeros_like(params)  # m


def update(grads, m, params=None):
    m = 0.8 * m + 0.05 * grads
    return -m, m  # what to add to the parameters, and the next state


theta = jnp.array([2.0, 1.5])
by_hand, m = [theta], init(theta)
for _ in range(40):
    step, m = update(jax.grad(bowl)(theta), m, theta)
    theta = theta + step
    by_hand.append(theta)

# %% [markdown]
# This *is* an optimizer, in the sense of optax: a named tuple `(init, update)`. Whatever accepts one accepts ours:
# `jc.minimize` follows it in one compiled loop. `jc.momentum` is the same pair, written once for all trees of parameters;
# both take the path that we took by hand.

# %%
mine = optax.GradientTransformation(init, update)
descents = {
    "ours": jc.minimize(bowl, mine, start=[2.0, 1.5], steps=40).points,
    "jc.momentum": jc.minimize(bowl, jc.momentum(0.05, 0.8), start=[2.0, 1.5], steps=40).points,
    "jc.sgd": jc.minimize(bowl, jc.sgd(0.05), start=[2.0, 1.5], steps=40).points,
}
for name in ("ours", "jc.momentum"):
    difference = np.abs(descents[name] - np.stack(by_hand)).max()
    print(f"{name}: differs from the path by hand by less than 1e-6: {difference < 1e-6}")
    assert difference < 1e-6  # positions are about 1, and float32 rounds to 1e-7

paths.level_curves(bowl, {"ours = jc.momentum": descents["ours"], "jc.sgd": descents["jc.sgd"]}, gradients=True)

# %% [markdown]
# ## Hyperparameters are data
# In our pair, 0.8 and 0.05 are written into the function: for another learning rate we would need another function, which
# JAX would compile anew. In `jc` every number is in the *state*. So it can be read, and changed in the middle of a run.

# %%
optimizer = jc.momentum(0.05, 0.8)
state = optimizer.init(theta)
print({name: round(float(value), 3) for name, value in jc.hyperparams(state).items()})
state = jc.set_hyperparams(state, learning_rate=0.01)
print({name: round(float(value), 3) for name, value in jc.hyperparams(state).items()})

# %% [markdown]
# `update` holds no number of its own, so two optimizers that differ in numbers have *equal* updates, and share one
# compiled program. A schedule is data, too: its own numbers are in the state, and `hyperparams` shows what the last update
# used.

# %%
assert jc.momentum(0.05, 0.8).update == jc.momentum(0.3, 0.99).update

falling = jc.schedules.exponential(0.1, 0.05)
history = jc.minimize(bowl, jc.momentum(falling, 0.8), start=[2.0, 1.5], steps=40).history
print("the learning rate of every tenth step:", history.learning_rate.values[::10].round(3))

# %% [markdown]
# ### Differentiate by one, stack many
# The loss after 20 steps is a function of the learning rate like any other:
#
# $$F(\alpha) = f\left(\theta^{(20)}(\alpha)\right).$$
#
# JAX differentiates it, through all the steps; and `vmap` computes it for 200 learning rates side by side, one more axis
# of the same program: a population. We *expect* the derivative to be the slope of the curve that the population draws, and
# to cross zero near $\alpha = 2/(1 + 10) \approx 0.18$, where plain descent shrinks both coordinates by the same factor.


# %%
descent = jc.sgd(0.1)


def loss_after(steps, learning_rate):
    params = jnp.array([2.0, 1.5])
    state = jc.set_hyperparams(descent.init(params), learning_rate=learning_rate)

    def step(carry, _):
        params, state = carry
        updates, state = descent.update(jax.grad(bowl)(params), state, params)
        return (optax.apply_updates(params, updates), state), None

    (params, _), _ = jax.lax.scan(step, (params, state), length=steps)
    return bowl(params)


rates = jnp.linspace(0.01, 0.19, 200)
losses = jax.jit(jax.vmap(lambda rate: loss_after(20, rate)))(rates)  # the population
slope = jax.jit(jax.vmap(jax.grad(lambda rate: loss_after(20, rate))))(rates)

# %%
from_curve = np.gradient(np.asarray(losses), np.asarray(rates))[1:-1]
error = np.abs(from_curve - slope[1:-1]).max() / np.abs(slope).max()
print(f"largest difference between the two slopes: {error:.1%} of the largest slope")
assert error < 0.05  # the curve's slope is read off neighbours that are 0.001 apart
best = rates[jnp.argmin(jnp.abs(slope))]
print(f"the derivative crosses zero at α = {best:.3f}; the population's best is {rates[jnp.argmin(losses)]:.3f}")
assert abs(best - rates[jnp.argmin(losses)]) < 0.002
assert abs(best - 2 / 11) < 0.02  # near it, not at it: 20 steps are few

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
left.semilogy(rates, losses)
left.set(xlabel="learning rate α", ylabel="F(α)", title="a population of 200")
right.plot(rates, slope, label="by jax.grad")
right.plot(rates[1:-1:8], from_curve[::8], "o", markersize=4, label="read off the curve")
right.set(xlabel="learning rate α", ylabel="dF/dα", title="differentiated through 20 steps")
right.axhline(0, color="0.7", linewidth=0.8)
_ = right.legend()

# %% [markdown]
# The minimum of $F$ is where the derivative crosses zero. So the learning rate itself can be learned by descent; and what
# we found works for any hyperparameter of any optimizer, also for those of a schedule.
#
# ## Where it wants the gradient
# Nesterov's method is momentum that looks ahead. It takes the gradient not at $\theta$ but where the momentum is about to
# carry it:
#
# $$m \leftarrow \mu m + \alpha\nabla f(\theta - \mu m), \qquad \theta \leftarrow \theta - m.$$
#
# Only the optimizer knows that point. So we ask its state: `jc.gradient_point(state, params)`, which is `params` itself for
# all who do not care. (`jc.fit`, `jc.minimize` and `jc.make_step` ask.) A loop that forgets to ask gets plain momentum.


# %%
def descend(optimizer, ask, steps=40):
    params = jnp.array([2.0, 1.5])
    state, points = optimizer.init(params), [params]
    for _ in range(steps):
        point = jc.gradient_point(state, params) if ask else params
        updates, state = optimizer.update(jax.grad(bowl)(point), state, params)
        params = optax.apply_updates(params, updates)
        points.append(params)
    return np.stack(points)


asked, forgot = (descend(jc.nesterov(0.05, 0.8), ask) for ask in (True, False))
print(f"after 40 steps: f = {bowl(asked[-1]):.1e} with the question asked, {bowl(forgot[-1]):.1e} without")
assert np.abs(forgot - descents["jc.momentum"]).max() < 1e-6  # float32's rounding, as above
assert bowl(asked[-1]) < 0.1 * bowl(forgot[-1])
paths.level_curves(bowl, {"asked: Nesterov": asked, "forgot: momentum": forgot})

# %% [markdown]
# ## Write your own
# A transformation that is not in the catalog: *signum*, momentum of which only the signs are used (Bernstein et al. 2018).
#
# $$m \leftarrow \beta m + (1-\beta)\,g, \qquad \theta \leftarrow \theta - \alpha\,\mathrm{sign}(m)$$
#
# We write the equation for one array, and let `jc.map_leaves` apply it to every array of the parameters. The decorator
# `@jc.optimizer` moves the numbers into the state; what `NonNegative` and `Decay` accept is checked at the call.


# %%
class SignumState(NamedTuple):
    m: optax.Updates


def signum_equation(g, m, learning_rate, decay):
    m = decay * m + (1 - decay) * g
    return -learning_rate * jnp.sign(m), m


@jc.optimizer
def signum(learning_rate: NonNegative, decay: Decay = 0.9):
    def init(params):
        return SignumState(jc.zeros_like(params))

    def update(grads, state, params=None):
        steps, m = jc.map_leaves(signum_equation, grads, state.m, learning_rate=learning_rate, decay=decay)
        return steps, SignumState(m)

    return optax.GradientTransformation(init, update)


print({name: round(float(value), 3) for name, value in jc.hyperparams(signum(0.01).init(theta)).items()})
try:
    signum(0.01, decay=1.5)
except ValueError as error:
    print(error)

# %% [markdown]
# ## Hold it to the laws
# Does it work in bfloat16? On an empty tree? Is it the same compiled and not, alone and in a population? Does it compile
# once only? These are laws, and `jc.testing.check_optimizer` holds an optimizer to all of them.

# %%
jc.testing.check_optimizer(signum(0.02))
print("signum obeys:", *jc.testing.LAWS, sep="\n  ")

# %% [markdown]
# Our first pair, the one by hand, is less careful: `jnp.zeros_like(params)` knows one array only, not a tree of them. The
# suite finds it, and says which law does not hold.

# %%
try:
    jc.testing.check_optimizer(mine)
except (AssertionError, TypeError) as error:
    print(f"{type(error).__name__}: {str(error).splitlines()[0]}", *error.__notes__, sep="\n")
else:
    raise AssertionError("the pair by hand takes single arrays only, and the suite must find that")

# %% [markdown]
# ## Compose it
# Transformations can be put in a row: each one's step is the next one's gradient. optax has many, and they fit. Clipping
# the gradient first protects the average $m$. Without it, one gradient that is a thousand times too large enters $m$ with the
# weight $1 - \beta = 0.1$, and holds the signs until $100\cdot 0.9^t < 1$: we expect about $\ln 100/\ln(1/0.9) \approx 44$
# steps in the wrong direction.

# %%
clip = optax.clip_by_global_norm(1.0)
gradients = jnp.where(jnp.arange(150) == 20, -1000.0, 1.0)[:, None]  # one outlier, at step 20


def wrong_steps(optimizer):
    _, steps = jax.lax.scan(lambda state, g: optimizer.update(g, state)[::-1], optimizer.init(jnp.zeros(1)), gradients)
    return int((steps > 0).sum())  # those that go up the slope


alone, clipped = wrong_steps(signum(0.01)), wrong_steps(jc.chain(clip, signum(0.01)))
print(f"steps in the wrong direction: {alone} alone, {clipped} behind the clip")
assert abs(alone - 44) <= 2
assert clipped == 0

# %% [markdown]
# ## Race it
# Is it any good? A fair race tunes the learning rate of each on validation data, runs each with its best rate on several
# new seeds, and compares on test data: a mean with its 95 % interval, and a paired test against the best, corrected for the
# number of comparisons (Holm). One run against one run would say nothing. The problem: handwritten digits, a network with
# one hidden layer, 5 passes over the data.

# %%
racers = {
    "signum": signum,
    "clipped signum": lambda rate: jc.chain(clip, signum(rate)),
    "sgd": jc.sgd,
    "momentum": jc.momentum,
    "nesterov": jc.nesterov,
    "adam": jc.adam,
}
race = jc.race(jc.problems.digits(model="mlp"), racers, seeds=5, epochs=5, learning_rates=[0.001, 0.01, 0.1])
table = race.data.table.to_dataframe().rename(columns=lambda name: name.removeprefix("test_"))
assert table.loc["signum", "accuracy"] > 0.9  # one class in ten is guessed right by chance
columns = ["learning_rate", "accuracy", "accuracy_low", "accuracy_high", "p_value"]
table.sort_values("accuracy", ascending=False)[columns].round(3)

# %% [markdown]
# Read the last column before the ranking: where p is not below 0.05, five seeds cannot tell that optimizer from the best.
# Clipping does not help here: on these data no gradient is an outlier. And the middle panel on the left shows what a single
# learning rate for all would have hidden: signum and adam want a tenth of what momentum wants, and sgd ten times as much.

# %%
race.plot()

# %% [markdown]
# ## Try
# 1. Give `signum` a schedule: `signum(jc.schedules.exponential(0.01, 0.01))`. Which of its numbers are in the state now?
#    Does it still obey the laws, and does it do better in the race?
# 2. Change `signum` to take the sign of $\beta m + (1-\beta) g$ with another $\beta$ than that of the average: this is
#    Lion (Chen et al. 2023). Race it against `"optax.lion"`.
# 3. Learn the learning rate: descend on $\alpha$ itself with `jc.minimize`, by the derivative of `loss_after(20, rate)`.
#    From where does it find the minimum, and from where does it not?
