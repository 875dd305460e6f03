"""Digits with ``jc.fit``: ten epochs, and the validation accuracy at the end of each."""

import jaxopt_course as jc

problem = jc.problems.digits(model="mlp")
result = jc.fit(problem, jc.momentum(0.05, 0.9), batch_size=32, epochs=10, key=0)
print(result.evaluate("validation")["accuracy"])
