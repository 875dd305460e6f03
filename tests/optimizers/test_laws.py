"""Every optimizer in the catalog obeys every law: a later one only adds a row."""

import pytest

from jaxopt_course.optimizers import CATALOG
from jaxopt_course.testing import FACTORY_LAWS, LAWS

SETTINGS = [
    pytest.param(entry, settings, id=f"{name}-{i}", marks=[pytest.mark.long] if i else [])
    for name, entry in CATALOG.items()
    for i, settings in enumerate((entry.settings, *entry.variants))
]


@pytest.mark.parametrize("law", LAWS)
@pytest.mark.parametrize(("entry", "settings"), SETTINGS)
def test_law(entry, settings, law):
    if law in entry.exceptions:
        with pytest.raises(AssertionError):  # an exception that is none is a row to mend
            LAWS[law](entry.factory(**settings))
    else:
        LAWS[law](entry.factory(**settings))


@pytest.mark.parametrize("law", FACTORY_LAWS)
@pytest.mark.parametrize("entry", CATALOG.values(), ids=CATALOG)
def test_factory_law(entry, law):
    FACTORY_LAWS[law](entry.factory, entry.settings, entry.changes)
