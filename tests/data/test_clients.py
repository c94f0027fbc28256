import itertools

import numpy as np
import pytest

from fedhealth.data.shard import HELD_OUT
from fedhealth.data.synthetic import draw, draw_clients
from fedhealth.data.synthetic.world import ROWS_PER_CHUNK
from fedhealth.study import load_study

STUDY = load_study("health-risk")


def test_each_client_sees_what_one_of_the_three_nodes_sees():
    clients = list(draw_clients(7, 10, seed=3))
    assert [c.node for c in clients] == [f"client_{i}" for i in range(1, 8)]
    for number, client in enumerate(clients):
        node = STUDY.nodes[number % 3]
        for column, feature in enumerate(STUDY.features):
            assert (client.observed[:, column] == (feature.name in node.features or feature.anchor)).all()
        assert (client.x[~client.observed] == 0).all()
        assert (client.fold == HELD_OUT).sum() == 2
        assert (client.site == number % 3).all()


def test_clients_share_the_worlds_rows_out_without_loss():
    rows = ROWS_PER_CHUNK // 3 + 1
    clients = list(draw_clients(4, rows, seed=3))
    world = draw("node_2", 4 * rows, seed=3)
    np.testing.assert_array_equal(np.concatenate([c.y for c in clients]), world["health_risk"].to_numpy())
    age = STUDY.index("age")
    np.testing.assert_array_equal(np.concatenate([c.x[:, age] for c in clients]), world["age"].to_numpy())


def test_the_first_clients_are_the_same_however_many_are_drawn():
    for few, many in zip(draw_clients(3, 20, seed=1), itertools.islice(draw_clients(9, 20, seed=1), 3), strict=True):
        np.testing.assert_array_equal(few.x, many.x)
        np.testing.assert_array_equal(few.stratum, many.stratum)


def test_no_clients_are_refused():
    with pytest.raises(ValueError, match="clients: got 0"):
        next(draw_clients(0, 10, seed=1))
