import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fedhealth.data.shard import HELD_OUT, Shard, assign_folds, stack
from fedhealth.data.tables import DataError, read_shard
from fedhealth.study import Study, study_from_dict

FEATURES = [
    {"name": "spo2", "title": "SpO2", "modality": "wearable", "kind": "number", "unit": "%", "low": 60, "high": 100},
    {"name": "smoker", "title": "Smokes", "modality": "clinic", "kind": "flag"},
    {
        "name": "pain",
        "title": "Pain",
        "modality": "clinic",
        "kind": "category",
        "levels": ["none", "some", "much"],
        "codes": {"1": 0, "2": 1, "3": 2},
        "column": "cp",
    },
    {
        "name": "age",
        "title": "Age",
        "modality": "clinic",
        "kind": "number",
        "unit": "a",
        "low": 0,
        "high": 110,
        "anchor": True,
        "missing_values": ["-1"],
    },
]
STUDY = study_from_dict(
    {
        "name": "mini",
        "title": "Mini",
        "cities": ["Karachi", "Lahore"],
        "source": {"hint": "make data", "missing_values": ["?", "-9"]},
        "outcomes": [{"name": "ill", "title": "illness", "threshold": 0.5}],
        "features": FEATURES,
        "nodes": [
            {
                "name": "north",
                "title": "North",
                "file": "north/rows.csv",
                "person": "who",
                "features": ["spo2", "smoker", "pain"],
            }
        ],
    },
    "mini.toml",
)
HEAD = "who,spo2,smoker,cp,ill\n"
ROWS = [f"p{i},{90 + i % 10},{i % 2},{1 + i % 3},{i % 2}" for i in range(10)]


def table(*rows: str, head: str = HEAD) -> str:
    return head + "".join(f"{row}\n" for row in rows)


def read(folder: Path, content: str | bytes, study: Study = STUDY, seed: int = 0) -> Shard:
    path = folder / "north" / "rows.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_shard(study, study.nodes[0], folder, seed)


def refusal(folder: Path, content: str | bytes, study: Study = STUDY) -> str:
    with pytest.raises(DataError) as caught:
        read(folder, content, study)
    message = str(caught.value)
    assert message.startswith(str(folder / "north" / "rows.csv"))
    return message


def with_node(**changes: object) -> Study:
    return dataclasses.replace(STUDY, nodes=(dataclasses.replace(STUDY.nodes[0], **changes),))


def assert_same(a: Shard, b: Shard) -> None:
    for name in ("x", "observed", "y", "fold", "site", "stratum"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


def test_rows_become_columns_of_the_study(tmp_path):
    shard = read(tmp_path, table("p1,97,1,3,1", "p2,92.5,0,1,0"))
    np.testing.assert_array_equal(shard.x, [[97, 1, 2, 0], [92.5, 0, 0, 0]])
    np.testing.assert_array_equal(shard.observed, [[True, True, True, False]] * 2)
    np.testing.assert_array_equal(shard.y, [1, 0])
    assert (shard.node, len(shard), shard.notes) == ("north", 2, ())


def test_column_order_in_the_file_does_not_matter(tmp_path):
    plain = read(tmp_path, table("p1,97,1,3,1", "p2,92,0,1,0"))
    mixed = read(tmp_path, "ill,extra,cp,who,smoker,spo2\n1,x,3,p1,1,97\n0,y,1,p2,0,92\n")
    assert_same(plain, mixed)


def test_an_anchor_is_read_where_the_table_has_it(tmp_path):
    shard = read(tmp_path, table("p1,97,1,3,40,1", "p2,92,0,1,-1,0", head="who,spo2,smoker,cp,age,ill\n"))
    np.testing.assert_array_equal(shard.x[:, 3], [40, 0])
    np.testing.assert_array_equal(shard.observed[:, 3], [True, False])


# --- Files as people's programs write them


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(table(*ROWS).replace("\n", "\r\n"), id="CRLF"),
        pytest.param(b"\xef\xbb\xbf" + table(*ROWS).encode(), id="BOM"),
        pytest.param("\n".join(",".join(f'"{c}"' for c in r.split(",")) for r in [HEAD[:-1], *ROWS]), id="quoted"),
        pytest.param(table(*ROWS).rstrip("\n"), id="no newline at the end"),
        pytest.param(table(*ROWS, ""), id="blank last line"),
        pytest.param(table(*ROWS, "", "", ""), id="blank last lines"),
        pytest.param(table(*ROWS[:4], "", *ROWS[4:]), id="blank line between"),
        pytest.param(table(*ROWS, "").replace("\n", "\r\n"), id="blank last line, CRLF"),
        pytest.param(table(*(r.replace(",", " , ") for r in ROWS)).replace(" , ", ", "), id="spaces before cells"),
        pytest.param(table(*(f"{r}.0" for r in ROWS)), id="label with a decimal"),
    ],
)
def test_the_same_rows_however_the_file_is_written(tmp_path, content):
    assert_same(read(tmp_path, content), read(tmp_path, table(*ROWS)))


def test_a_quoted_cell_may_hold_a_comma(tmp_path):
    shard = read(tmp_path, table('"Khan, A",97,1,3,1', '"Khan, B",92,0,1,0'), seed=2)
    np.testing.assert_array_equal(shard.x[:, 0], [97, 92])


def test_a_split_that_leaves_no_rows_to_evaluate_says_so(tmp_path):
    with pytest.raises(DataError, match=r"rows.csv: seed 0 leaves no held-out rows of 2; choose another --seed"):
        read(tmp_path, table('"Khan, A",97,1,3,1', '"Khan, B",92,0,1,0'))


def test_columns_in_another_order_and_numbers_written_otherwise_are_the_same_rows(tmp_path):
    first = read(tmp_path, table(*ROWS))
    names = HEAD.strip().split(",")
    turned = [",".join(reversed(row.split(","))) for row in ROWS]
    again = read(tmp_path, ",".join(reversed(names)) + "\n" + "\n".join(turned) + "\n")
    np.testing.assert_array_equal(first.table, again.table)
    np.testing.assert_array_equal(first.fold, again.fold)


def test_parquet_reads_like_csv(tmp_path):
    rows = [*ROWS, "p10,,1,?,1", "p11,97.25,,2,0", "p12,96,1,1,?"]
    as_csv = read(tmp_path, table(*rows))
    cells = [[None if c in ("", "?") else c for c in row.split(",")] for row in rows]
    frame = pl.DataFrame(cells, schema=HEAD.strip().split(","), orient="row")
    numbers = frame.with_columns(pl.col("spo2").cast(pl.Float64), pl.col("smoker", "cp", "ill").cast(pl.Int8))
    study = with_node(file="rows.parquet")
    for written in (numbers, frame, numbers.cast({"cp": pl.Float64, "ill": pl.Float32, "smoker": pl.Float64})):
        written.write_parquet(tmp_path / "rows.parquet")
        assert_same(read_shard(study, study.nodes[0], tmp_path, 0), as_csv)


def test_parquet_flags_may_be_booleans_and_nan_is_missing(tmp_path):
    frame = pl.DataFrame({"who": ["a", "b"], "spo2": [97.0, float("nan")], "smoker": [True, False], "cp": [1, 2]})
    frame.with_columns(ill=pl.Series([True, False])).write_parquet(tmp_path / "rows.parquet")
    study = with_node(file="rows.parquet")
    shard = read_shard(study, study.nodes[0], tmp_path, 0)
    np.testing.assert_array_equal(shard.x[:, 1], [1, 0])
    np.testing.assert_array_equal(shard.observed[:, 0], [True, False])
    np.testing.assert_array_equal(shard.y, [1, 0])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"who,spo2\n1,2\n", b"PAR1" + bytes(100) + b"PAR1"])
def test_a_broken_parquet_file_is_refused(tmp_path, content):
    (tmp_path / "rows.parquet").write_bytes(content)
    study = with_node(file="rows.parquet")
    with pytest.raises(DataError, match=r"rows\.parquet"):
        read_shard(study, study.nodes[0], tmp_path, 0)


# --- Files that cannot be used


def test_a_missing_file_gives_the_command_that_makes_it(tmp_path):
    with pytest.raises(DataError) as caught:
        read_shard(STUDY, STUDY.nodes[0], tmp_path, 0)
    assert str(caught.value) == f"{tmp_path / 'north' / 'rows.csv'}: no such file; to get it: make data"


@pytest.mark.parametrize("column", ["spo2", "cp", "ill"])
def test_a_missing_column_is_named_with_those_there_are(tmp_path, column):
    message = refusal(tmp_path, table(*ROWS).replace(column, "other", 1))
    assert f"column '{column}' is missing" in message
    assert "who, " in message
    assert "other" in message


def test_a_missing_person_column_is_refused_as_it_would_split_people(tmp_path):
    assert "column 'who' is missing" in refusal(tmp_path, table(*ROWS).replace("who", "id", 1))


def test_a_row_without_a_person_is_refused(tmp_path):
    assert "column 'who'" in refusal(tmp_path, table(*ROWS, ",97,1,1,1"))


@pytest.mark.parametrize(
    ("row", "cells"), [("p,97,1,3", 4), ("p,97,1,3,1,9", 6), ("p", 1), ("p,97,1,3,1,", 6)], ids=str
)
def test_a_broken_line_is_named(tmp_path, row, cells):
    message = refusal(tmp_path, table(ROWS[0], ROWS[1], row, ROWS[2]))
    assert message.endswith(f"line 4: got {cells} cells; expected 5")


@pytest.mark.parametrize(
    ("row", "column", "cell", "expected"),
    [
        ("p,high,1,3,1", "spo2", "high", "60 to 100 %"),
        ("p,97%,1,3,1", "spo2", "97%", "60 to 100 %"),
        ('p,"97,5",1,3,1', "spo2", "97,5", "60 to 100 %"),
        ("p,inf,1,3,1", "spo2", "inf", "60 to 100 %"),
        ("p,NA,1,3,1", "spo2", "NA", "60 to 100 %"),
        ("p,97,yes,3,1", "smoker", "yes", "0 or 1"),
        ("p,97,1,4,1", "cp", "4", "one of none, some, much"),
        ("p,97,1,none,1", "cp", "none", "one of none, some, much"),
        ("p,97,1,1.5,1", "cp", "1.5", "one of none, some, much"),
        ("p,97,1,3,sick", "ill", "sick", "a number for the label"),
    ],
)
def test_text_where_a_number_belongs_is_named_with_line_and_column(tmp_path, row, column, cell, expected):
    message = refusal(tmp_path, table(ROWS[0], ROWS[1], ROWS[2], row, ROWS[3]))
    assert message.endswith(f"line 5, column '{column}': got '{cell}'; expected {expected}")


def test_lines_are_counted_from_one_without_a_header(tmp_path):
    source = dataclasses.replace(STUDY.source, header=False, columns=tuple(HEAD.strip().split(",")))
    study = dataclasses.replace(STUDY, source=source)
    assert_same(read(tmp_path, table(*ROWS, head=""), study), read(tmp_path, table(*ROWS)))
    assert "line 2, column 'spo2': got 'x'" in refusal(tmp_path, table(ROWS[0], "p,x,1,1,1", head=""), study)
    assert "line 2: got 4 cells; expected 5" in refusal(tmp_path, table(ROWS[0], "p,97,1,1", head=""), study)


@pytest.mark.parametrize("position", [1, 4, 9])
def test_a_line_after_a_blank_one_keeps_its_number(tmp_path, position):
    rows = [*ROWS[:position], "", "p,x,1,1,1"]
    assert f"line {position + 3}, column 'spo2'" in refusal(tmp_path, table(*rows))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("", id="empty"),
        pytest.param("\n", id="one newline"),
        pytest.param("\n\n\n", id="newlines"),
        pytest.param(b"\xef\xbb\xbf", id="BOM only"),
        pytest.param(HEAD, id="header only"),
        pytest.param(HEAD.strip(), id="header without a newline"),
        pytest.param(table("", ""), id="header and blank lines"),
        pytest.param(table("p1,97,1,3,", "p2,96,0,1,?"), id="no label at all"),
        pytest.param(b"\x89PNG\r\n\x1a\n" + bytes(range(256)), id="a picture"),
        pytest.param(table(*ROWS).encode("utf-16"), id="UTF-16"),
        pytest.param(table(*ROWS, "pé,97,1,1,1").encode("latin1"), id="Latin-1"),
        pytest.param(table(*ROWS).replace(",", ";"), id="semicolons"),
        pytest.param(table(*ROWS[:3], '"p,97,1,1,1', *ROWS[3:]), id="a quote left open"),
    ],
)
def test_an_empty_or_useless_file_is_refused(tmp_path, content):
    assert len(refusal(tmp_path, content)) > len(str(tmp_path / "north" / "rows.csv: "))


@pytest.mark.parametrize("label", ["0", "1"])
def test_a_table_with_one_label_only_is_refused(tmp_path, label):
    message = refusal(tmp_path, table(*(r[:-1] + label for r in ROWS)))
    assert "'ill'" in message


@pytest.mark.parametrize(
    "head", ["who,spo2,spo2,smoker,cp,ill", "who,spo2,smoker,cp,ill,ill", "who,who,spo2,smoker,cp,ill"]
)
def test_a_column_that_occurs_twice_is_refused(tmp_path, head):
    cells = {"who": "p", "spo2": "97", "smoker": "1", "cp": "1"}
    rows = [",".join({**cells, "ill": str(i % 2)}[c] for c in head.split(",")) for i in range(4)]
    message = refusal(tmp_path, table(*rows, head=head + "\n"))
    twice = next(c for c in head.split(",") if head.split(",").count(c) > 1)
    assert f"'{twice}'" in message


def test_held_out_rows_that_the_file_lacks_are_refused(tmp_path):
    assert "held_out" in refusal(tmp_path, table(*ROWS), with_node(held_out=(0, 99)))


# --- Values


def test_codes_are_the_same_however_a_whole_number_is_written(tmp_path):
    ways = ["1", "1.0", "1.", "1.000", " 1", "1 "]
    shard = read(tmp_path, table(*(f"p{i},97,{w},{w},{w}" for i, w in enumerate(ways)), "q,97,0.0,3.0,0.0"))
    np.testing.assert_array_equal(shard.x[:, 1:3], [[1, 0]] * len(ways) + [[0, 2]])
    np.testing.assert_array_equal(shard.y, [1] * len(ways) + [0])


@pytest.mark.parametrize("token", ["", "?", "-9", "-9.0", " ? ", '""'])
def test_a_missing_token_is_not_observed_and_leaves_no_value(tmp_path, token):
    shard = read(tmp_path, table(f"p1,{token},{token},{token},1", "p2,92,0,1,0"))
    assert not shard.observed[0].any()
    assert not shard.x[0].any()
    assert shard.observed[1, :3].all()
    assert shard.notes == ()


def test_a_feature_has_missing_tokens_of_its_own(tmp_path):
    head = "who,spo2,smoker,cp,age,ill\n"
    shard = read(tmp_path, table("p1,97,1,3,-1,1", "p2,96,1,3,50,0", head=head))
    np.testing.assert_array_equal(shard.observed[:, 3], [False, True])
    message = refusal(tmp_path, table("p1,97,-1,3,30,1", "p2,96,1,3,50,0", head=head))
    assert "'smoker'" in message


def test_rows_without_a_label_are_counted_and_left_out(tmp_path):
    shard = read(tmp_path, table(*ROWS, "p20,97,1,1,", "p21,97,1,1,?"))
    assert len(shard) == len(ROWS)
    assert shard.notes == (f"{tmp_path / 'north' / 'rows.csv'}: 2 rows have no label and are not used",)


def test_a_label_is_positive_where_any_of_its_columns_is(tmp_path):
    outcome = dataclasses.replace(STUDY.outcome, columns=("ill", "dead"), positive_above=1.5)
    study = dataclasses.replace(STUDY, outcomes=(outcome,))
    rows = ["p1,97,1,3,0,2", "p2,96,0,1,3,0", "p3,95,0,1,1,1", "p4,95,0,1,2,", "p5,95,0,1,0,0"]
    shard = read(tmp_path, table(*rows, head="who,spo2,smoker,cp,ill,dead\n"), study)
    np.testing.assert_array_equal(shard.y, [1, 1, 0, 0])
    assert "1 rows have no label" in shard.notes[0]


def test_a_few_values_out_of_range_count_as_missing_and_are_noted(tmp_path):
    shard = read(tmp_path, table(*ROWS, "p20,12,1,1,1", "p21,120,0,1,0"))
    np.testing.assert_array_equal(np.flatnonzero(~shard.observed[:, 0]), [10, 11])
    assert not shard.x[10:, 0].any()
    (note,) = shard.notes
    assert "column 'spo2': 2 of 12 values (such as 12 in line 12) are outside 60 to 100 %" in note


def test_many_values_out_of_range_look_like_another_unit(tmp_path):
    rows = [f"p{i},0.9{i},1,1,{i % 2}" for i in range(8)]
    message = refusal(tmp_path, table(*rows))
    assert "column 'spo2': 8 of 8 values (such as 0.9 in line 2) are outside 60 to 100 %" in message
    assert message.endswith("convert the column to %")


def test_the_ends_of_the_range_belong_to_it(tmp_path):
    shard = read(tmp_path, table("p1,60,1,1,1", "p2,100,0,1,0"))
    assert shard.observed[:, 0].all()
    assert shard.notes == ()


@pytest.mark.parametrize("value", ["2", "-1", "0.5"])
def test_a_flag_is_nothing_but_0_or_1(tmp_path, value):
    message = refusal(tmp_path, table(*ROWS, f"p20,97,{value},1,1"))
    assert "column 'smoker'" in message
    assert "0 or 1" in message
    assert "line 12" in message


def test_city_and_month_of_a_row_are_kept(tmp_path):
    head = "who,city,date,spo2,smoker,cp,ill\n"
    rows = ["a,Karachi,2024-01-31,97,1,1,1", "b,Lahore,2025-12-01,97,1,1,0", "c,Paris,2024-01-01,97,1,1,0"]
    shard = read(tmp_path, table(*rows, "d,,2024-01-01,97,1,1,0", "e,Lahore,,97,1,1,0", head=head))
    np.testing.assert_array_equal(shard.stratum, [0, 23, -1, -1, -1])
    np.testing.assert_array_equal(read(tmp_path, table(*ROWS)).stratum, -1)
    message = refusal(tmp_path, table(rows[0], "b,Lahore,31/12/2024,97,1,1,0", head=head))
    assert "column 'date': got '31/12/2024'; expected YYYY-MM-DD" in message


# --- Splits


people = st.lists(st.integers(0, 30), min_size=1, max_size=80)


@given(people, st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.2, 0.3]), st.integers(2, 5))
def test_people_stay_on_one_side_of_the_split(who: Sequence[int], seed: int, share: float, folds: int):
    fold = assign_folds([str(w) for w in who], seed, "north", share, folds)
    sides = {person: set(fold[np.array(who) == person].tolist()) for person in who}
    assert all(len(side) == 1 for side in sides.values())
    alone = {person: assign_folds([str(person)], seed, "north", share, folds).tolist() for person in sides}
    assert {person: list(side) for person, side in sides.items()} == alone  # whoever else is there
    assert set(fold.tolist()) <= {HELD_OUT, *range(folds)}


@given(people, st.integers(0, 99))
def test_the_split_belongs_to_people_and_seed_and_not_to_the_order_of_rows(who: Sequence[int], seed: int):
    names = [f"p{w}" for w in who]
    fold = assign_folds(names, seed, "north")
    np.testing.assert_array_equal(assign_folds(names, seed, "north"), fold)
    order = np.random.default_rng(seed).permutation(len(names))
    np.testing.assert_array_equal(assign_folds([names[i] for i in order], seed, "north"), fold[order])


def test_other_seeds_and_nodes_split_otherwise():
    who = [str(i) for i in range(30_000)]
    splits = {assign_folds(who, seed, node).tobytes() for seed in (0, 1, 2) for node in ("north", "south")}
    assert len(splits) == 6
    fold = assign_folds(who, 0, "north")
    assert np.bincount(fold + 1) / len(who) == pytest.approx([0.2, 0.8 / 3, 0.8 / 3, 0.8 / 3], abs=0.01)


def test_fixed_rows_are_held_out_and_no_others():
    fold = assign_folds([str(i) for i in range(50)], 0, "north", fixed=(3, 7, 49))
    np.testing.assert_array_equal(np.flatnonzero(fold == HELD_OUT), [3, 7, 49])


def test_a_file_is_split_by_its_people(tmp_path):
    rows = [f"p{i % 12},{70 + i},{i % 2},1,{i % 2}" for i in range(30)]
    shard = read(tmp_path, table(*rows))
    who = np.array([int(re.match(r"p(\d+)", row)[1]) for row in rows])
    sides = [set(shard.fold[who == person].tolist()) for person in range(12)]
    assert all(len(side) == 1 for side in sides)
    assert 0 < sum(side == {HELD_OUT} for side in sides) < 12
    assert_same(shard, read(tmp_path, table(*rows)))
    other = read(tmp_path, table(*rows), seed=5)
    assert not np.array_equal(shard.fold, other.fold)
    np.testing.assert_array_equal(shard.x, other.x)


def test_training_and_held_out_rows_are_all_rows(tmp_path):
    shard = read(tmp_path, table(*ROWS))
    both = stack([shard.training, shard.held_out])
    assert len(shard.held_out) == 2
    assert sorted(both.x[:, 0].tolist()) == sorted(shard.x[:, 0].tolist())
    assert HELD_OUT not in shard.training.fold
