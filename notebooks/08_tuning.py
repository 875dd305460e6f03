# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
# ---

# %% [markdown]
# # Tuning: a thousand trainings as one program
#
# Which learning rate α and which momentum β train softmax regression best? We try a thousand pairs on common mini-batches, in
# one compiled program, choose on the validation split, report on the test split [A3], and see how much work could be saved.

# %%
import time

import jax.numpy as jnp
import numpy as np

import jaxopt_course as jc
from jaxopt_course.statistics import confidence_interval
from notebooks.claims import setting

setting()
problem = jc.problems.digits(model="softmax")

# %% [markdown]
# ## The grid
# 40 rates × 25 momenta. A factory and a grid of its arguments are all that `sweep` wants to know. The momentum's axis is even
# in log(1 − β): between 0.9 and 0.99 lies as much as between 0 and 0.9, as a step tends to α/(1 − β) times the gradient [D2].

# %%
space = jc.grid(learning_rate=jnp.logspace(-4, 1, 40), momentum=1 - jnp.logspace(0, -2.5, 25))
began = time.perf_counter()
results = jc.sweep(problem, jc.momentum, space, seeds=1, batch_size=32, epochs=9)
seconds = time.perf_counter() - began
assert seconds < 60, f"{seconds:.0f} s"
print(f"{len(space)} trainings of {results.attrs['epochs']} epochs, in under a minute")

# %%
jc.plot(results)

# %% [markdown]
# The best pairs lie along a ridge on which α/(1 − β) is constant: more momentum wants a smaller rate. Where α/(1 − β) is too
# large, training diverges or ends worse than it began.

# %%
last = results.validation_loss.isel(epoch=-1, seed=0)
best_rate = results.learning_rate[last.argmin("learning_rate")]  # of each momentum
effective = best_rate / (1 - results.momentum)
spread = float(effective.max() / effective.min())
assert spread < 0.25 * float(best_rate.max() / best_rate.min())
print(
    f"best α: from {float(best_rate.min()):.2g} to {float(best_rate.max()):.2g}; best α/(1 − β) varies {spread:.0f}-fold only"
)

# %% [markdown]
# ## Choose on validation, report on test
# `jc.best` chooses by the mean over seeds. One seed is not enough to tell neighbours apart, so the best three of the thousand
# run again on five other seeds. To see what momentum gives, so does β = 0, at *its* best rate: at that of another momentum it
# would lose for no fault of its own.

# %%
flat = last.stack(pair=("learning_rate", "momentum"))
pairs = [flat.pair.values[i] for i in np.argsort(flat.values)[:3]]  # a diverged one, NaN, is last
pairs.append((float(best_rate.sel(momentum=0.0)), 0.0))
rates, momenta = zip(*pairs, strict=True)
again = jc.sweep(
    problem, jc.momentum, jc.spaces.zipped(learning_rate=rates, momentum=momenta), seeds=range(1, 6), batch_size=32, epochs=9
)
chosen = int(again.validation_loss.isel(epoch=-1).mean("seed").argmin("configuration"))
test = [confidence_interval(each) for each in again.test_accuracy.transpose("configuration", "seed").values]
for (rate, momentum), found in zip(pairs, test, strict=True):
    print(f"α = {rate:.2g}, β = {momentum:.3f}: test accuracy {found.mean:.3f}, between {found.low:.3f} and {found.high:.3f}")
print(f"validation chooses α = {rates[chosen]:.2g}, β = {momenta[chosen]:.3f}")
assert test[chosen].mean > 0.9
assert max(found.low for found in test) < min(found.high for found in test)  # the intervals overlap
assert 1e-4 < min(rates) <= max(rates) < 10  # not at the grid's ends

# %% [markdown]
# The intervals overlap: five seeds do not tell these four apart, and at its own best rate plain descent is as good here.

# %% [markdown]
# ## Stop the losers early
# Most of the thousand are hopeless after an epoch. Successive halving trains all of them for one epoch, the best third for
# three, the best ninth for nine: each survivor's run is the very one that the full sweep would have made.

# %%
halved = jc.halving(problem, jc.momentum, space, seeds=1, batch_size=32, min_epochs=1, max_epochs=9)
winner = jc.best(halved, "validation_loss")
same = results.validation_loss.sel(learning_rate=winner.learning_rate, momentum=winner.momentum, method="nearest")
found, full = float(winner.validation_loss), float(last.min())
print(f"saved {halved.attrs['saved']:.0%} of the epochs; the winner: α = {float(winner.learning_rate):.2g}")
print(f"after nine epochs its validation loss is {found:.3f}; the best of the whole grid has {full:.3f}")
assert halved.attrs["saved"] > 0.6
assert np.isclose(found, float(same.isel(epoch=-1, seed=0)), rtol=1e-4)  # the very run of the full sweep
assert found < 1.05 * full

# %% [markdown]
# ## Try
# - `jc.spaces.sobol(1000, ...)` in the place of the grid: what does the picture look like, and how much better is its best?
# - `jc.nesterov` in the place of `jc.momentum`: where does the ridge end now?
# - `jc.sweep(..., store="sweep.zarr")`: interrupt the kernel, run the cell again.
