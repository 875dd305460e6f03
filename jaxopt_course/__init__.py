from jaxopt_course import schedules
from jaxopt_course.optimizers import *
from jaxopt_course.transform import *
