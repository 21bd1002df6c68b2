from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eotasks.errors import ConfigurationError
from eotasks.models.classes import NO_DATA, SLOVENIAN_CLASSES, ClassTable, LandCoverClass


def test_slovenian_table_is_that_of_the_example() -> None:
    assert SLOVENIAN_CLASSES.ids == list(range(11))
    assert SLOVENIAN_CLASSES.by_id[2] == LandCoverClass(2, "Forest", "#054907")
    assert SLOVENIAN_CLASSES.by_name["Water"].rgb == (6, 154, 243)
    assert SLOVENIAN_CLASSES.without(NO_DATA).ids == list(range(1, 11))


@pytest.mark.parametrize(
    ("class_id", "name", "color", "message"),
    [
        (-1, "a", "#000000", "class id -1"),
        (256, "a", "#000000", "class id 256"),
        (True, "a", "#000000", "class id True"),
        (1, " ", "#000000", "has no name"),
        (1, "a", "red", "color 'red'"),
        (1, "a", "#12345", "color '#12345'"),
    ],
)
def test_a_class_that_is_none_is_refused(class_id: int, name: str, color: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        LandCoverClass(class_id, name, color)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([], "is empty"),
        ([LandCoverClass(1, "a", "#000000"), LandCoverClass(1, "b", "#000000")], "id 1 occurs more than once"),
        ([LandCoverClass(1, "a", "#000000"), LandCoverClass(2, "a", "#000000")], "name a occurs more than once"),
    ],
)
def test_ids_and_names_are_unique(classes: list[LandCoverClass], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ClassTable(tuple(classes))


def test_select_keeps_the_order_of_the_table_and_names_unknown_ids() -> None:
    table = ClassTable((LandCoverClass(9, "late", "#000000"), LandCoverClass(3, "early", "#FFFFFF")))
    assert table.select([3, 9]).ids == [9, 3]
    assert table.name_of(3) == "early"
    assert table.name_of(4) == "4"
    assert 3 in table
    assert 4 not in table
    with pytest.raises(ConfigurationError, match="class id 4, 7 is not in the class table"):
        table.select([7, 3, 4])


@given(
    st.dictionaries(
        st.integers(0, 255), st.tuples(st.text("abc", min_size=1), st.from_regex(r"\A#[0-9a-fA-F]{6}\Z")), min_size=1
    )
)
def test_list_round_trip(content: dict[int, tuple[str, str]]) -> None:
    table = ClassTable(tuple(LandCoverClass(key, f"{name}{key}", color) for key, (name, color) in content.items()))
    assert ClassTable.from_list(table.to_list()) == table


def test_a_row_with_another_key_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="exactly the keys id, name and color"):
        ClassTable.from_list([{"id": 1, "name": "a", "colour": "#000000"}])
    with pytest.raises(ConfigurationError, match="id is a whole number"):
        ClassTable.from_list([{"id": "1", "name": "a", "color": "#000000"}])
