"""Speed against other frameworks, measured: both sides in the same run, interleaved, medians of ratios.

- ``python -m benchmarks.steps``: steps per second of a warm epoch of Fashion-MNIST, against :mod:`.peers`.
- ``python -m benchmarks.sweeps``: 64 learning rates at once, against the same trainings one after another.
- ``python -m benchmarks.cold``: the first result from a cold process, and what ``import jaxopt_course`` costs.
- ``python -m benchmarks.overhead``: what history and progress cost, and the peak memory of ``fit``.
- ``python -m benchmarks.table``: the README's tables, from the JSON in ``results/``.
"""
