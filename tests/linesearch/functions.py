"""The functions φ that the searches are held to, scipy's, Moré and Thuente's, Yanai's and bad ones; one program for all."""

import functools

import jax
import jax.numpy as jnp

from jaxopt_course.linesearch import Status, armijo, exact, wolfe


def more_thuente_1(a, b=2.0):
    return -a / (a**2 + b)


def more_thuente_2(a, b=0.004):
    return (a + b) ** 5 - 2 * (a + b) ** 4


def more_thuente_3(a, b=0.01, periods=39):
    inside = jnp.where(a <= 1 - b, 1 - a, jnp.where(a >= 1 + b, a - 1, (a - 1) ** 2 / (2 * b) + b / 2))
    return inside + 2 * (1 - b) / (periods * jnp.pi) * jnp.sin(periods * jnp.pi / 2 * a)


def yanai(a, b1, b2):
    gamma = lambda b: jnp.sqrt(1 + b**2) - b
    return gamma(b1) * jnp.sqrt((1 - a) ** 2 + b2**2) + gamma(b2) * jnp.sqrt(a**2 + b1**2)


def scipys_1(s):
    """φ of scipy's own line-search tests, shifted so that it descends at 0."""
    return -s - s**3 + s**4


def scipys_2(s):
    return jnp.exp(-4 * s) + s**2


def scipys_3(s):
    return -jnp.sin(10 * s)


def rosenbrock(x):
    return jnp.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def along(a, start, direction=None):
    x = jnp.asarray(start)
    d = -jax.grad(rosenbrock)(x) if direction is None else jnp.asarray(direction)
    return rosenbrock(x + a * d)


PHIS = {
    "scipy's 1": scipys_1,
    "scipy's 2": scipys_2,
    "scipy's 3": scipys_3,
    "Moré-Thuente 1": more_thuente_1,
    "Moré-Thuente 2": more_thuente_2,
    "Moré-Thuente 3": more_thuente_3,
    "Yanai 4": lambda a: yanai(a, 0.001, 0.001),
    "Yanai 5": lambda a: yanai(a, 0.01, 0.001),
    "Yanai 6": lambda a: yanai(a, 0.001, 0.01),
    "Rosenbrock": lambda a: along(a, [-1.2, 1.0, 0.7]),
    "Rosenbrock, another direction": lambda a: along(a, [1.3, 0.7, 0.8], [-1.0, 0.2, 0.5]),
}

BAD = {
    "nan at 0": (lambda a: a * jnp.nan, Status.NON_FINITE),
    "infinite at 0": (lambda a: a + jnp.inf, Status.NON_FINITE),
    "nan beyond 0": (lambda a: (jnp.where(a == 0, 1.0, jnp.nan), -1.0 + 0 * a), Status.NON_FINITE),
    "-inf beyond 0": (lambda a: (jnp.where(a == 0, 1.0, -jnp.inf), -1.0 + 0 * a), Status.NON_FINITE),
    "nan slope": (lambda a: (1.0 + a, a + jnp.nan), Status.NON_FINITE),
    "flat": (lambda a: 3.0 + 0 * a, Status.FLAT),
    "flat with a slope": (lambda a: (3.0 + 0 * a, -1.0 + 0 * a), Status.FLAT),
    "stationary": (lambda a: a**2, Status.FLAT),
    "ascending": (lambda a: 2 * a - a**2, Status.NOT_DESCENT),
    "wrong slope": (lambda a: (3.0 + a, -1.0 + 0 * a), Status.BUDGET),
}

OTHERS = {
    "parabola": lambda a: (a - 3.0) ** 2,
    "falling": lambda a: -a,
    "undefined from 1 on": lambda a: -jnp.log(1 - a) - 2 * a,
}

FUNCTIONS = PHIS | OTHERS | {name: phi for name, (phi, _) in BAD.items()}

SEARCHES = {
    "armijo": functools.partial(armijo, max_evaluations=60),
    "wolfe": wolfe,
    "brent": exact,
    "golden": functools.partial(exact, method="golden"),
}

QUICKLY = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def paired(phi):
    def both(a):
        is_pair = isinstance(jax.eval_shape(phi, a), tuple)
        return tuple(jnp.asarray(x, a.dtype) for x in (phi(a) if is_pair else jax.value_and_grad(phi)(a)))

    return both


def one_of_all(index):
    return lambda a: jax.lax.switch(index, [paired(phi) for phi in FUNCTIONS.values()], a)


# one program for all functions
at = jax.jit(lambda index, a: one_of_all(index)(jnp.asarray(a, float)))
run = jax.jit(lambda search, index, step: search(one_of_all(index), step), compiler_options=QUICKLY)


def numbered(name):
    index = list(FUNCTIONS).index(name)
    return (lambda a: float(at(index, a)[0])), (lambda a: float(at(index, a)[1]))


def searched(search, name, step):
    return run(search, list(FUNCTIONS).index(name), step)
