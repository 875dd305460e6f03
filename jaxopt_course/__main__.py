"""``python -m jaxopt_course``: the shell, as ``jaxopt-course``."""

import sys

from jaxopt_course.cli import main

if __name__ == "__main__":
    sys.exit(main())
