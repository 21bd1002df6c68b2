"""Every error of the project is also of Python's own kind, and travels between processes."""

from __future__ import annotations

import pickle

import pytest

from eotasks import errors
from eotasks.errors import EOTasksError
from eotasks.models.forest import Forest

LEAVES = sorted(
    (each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, EOTasksError)),
    key=lambda each: each.__name__,
)
KINDS: dict[str, type[Exception]] = {
    "BatchError": RuntimeError,
    "PatchesFailedError": RuntimeError,
    "EmptyProductError": OSError,
    "ImageryError": OSError,
    "AddressRefusedError": OSError,
    "OffsetError": OSError,
    "MissingDependencyError": ImportError,
    "StorageError": OSError,
}
"""Those that are no ValueError."""


@pytest.mark.parametrize("error", [each for each in LEAVES if each is not EOTasksError], ids=lambda each: each.__name__)
def test_is_of_pythons_kind_and_survives_pickling(error: type[EOTasksError]) -> None:
    assert issubclass(error, KINDS.get(error.__name__, ValueError))
    raised = error("What happened, where: the cure.")
    assert str(raised) == "What happened, where: the cure."
    again = pickle.loads(pickle.dumps(raised))
    assert type(again) is error
    assert str(again) == str(raised)


def test_an_unsupported_model_is_not_called_damaged() -> None:
    """A ValueError inside the reader of models means damage; an UnsupportedModelError, a ValueError too, does not."""
    text = (
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nfeature_names=a\n"
        "objective=lambdarank\n\nTree=0\nnum_leaves=1\nnum_cat=0\nleaf_value=0\n\nend of trees\n"
    )
    with pytest.raises(errors.UnsupportedModelError, match="objective 'lambdarank'"):
        Forest.from_text(text, where="m.txt", fallback=False)
