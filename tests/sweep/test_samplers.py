"""Which samplers a sweep takes."""

import numpy as np
import pytest

import jaxopt_course as jc


@pytest.mark.long
def test_samplers_with_weights():
    """Fixed scores are shared like any batches; those that learn, and schedules of sizes, are refused."""
    problem = jc.problems.digits()
    space = jc.grid(learning_rate=[0.03, 0.1])
    sampler = jc.samplers.balanced()
    together = jc.sweep(problem, jc.sgd, space, seeds=1, batch_size=50, epochs=1, sampler=sampler)
    for rate in (0.03, 0.1):
        alone = jc.fit(problem, jc.sgd(rate), batch_size=50, epochs=1, sampler=sampler, key=0)
        mine = together.sel(learning_rate=rate, method="nearest")["validation_loss"].values.ravel()[-1]
        np.testing.assert_allclose(mine, alone.history["validation_loss"].values[-1], rtol=1e-5)
    with pytest.raises(ValueError, match="sampler must not learn from losses"):
        jc.sweep(problem, jc.sgd, space, seeds=1, epochs=1, sampler=jc.samplers.importance("loss"))
    with pytest.raises(ValueError, match="batch_size must be an integer"):
        jc.sweep(problem, jc.sgd, space, seeds=1, epochs=1, batch_size=jc.schedules.batch_size.stages([(16, 1), (32, 1)]))
