"""Other people's spellings: our optimizers with a framework's defaults, argument names and argument order.

``jc.dialects.torch | keras | optax | paper``. A line of somebody's code ports by changing its prefix, and steps as it did
there: each preset is a choice of our keywords (where the rate and ε stand, what the accumulators start from, which decay),
held to the framework's own float64 trajectories by the tests.

- Learning rates and the other numbers take a number, a scalar array or a schedule, as everywhere.
- A switch that changes nothing mathematically (``foreach``, ``fused``, ``name``) is accepted. One that we do not have
  (``clipnorm``, ``use_ema``) raises, and says what to use in its place.
- A number that is off there (``momentum=0``, ``weight_decay=0``, None) is off here: no buffer. A traced 0 keeps the buffer.
- There are the frameworks' class names, too: ``torch.Adam`` is ``torch.adam``. torch's ``params`` is not there: ``init``
  takes the parameters.

>>> import jaxopt_course as jc
>>> tx = jc.dialects.torch.adam(1e-3, betas=(0.9, 0.99), eps=1e-7)
>>> tx.update == jc.adam(0.1).update
True
>>> jc.dialects.keras.Adam(clipvalue=1.0)
Traceback (most recent call last):
ValueError: dialects.keras.adam: clipvalue=1.0 is not here; use jc.chain(optax.clip(...), ...)
"""

from jaxopt_course.dialects import keras, optax, paper, torch

__all__ = ["keras", "optax", "paper", "torch"]
