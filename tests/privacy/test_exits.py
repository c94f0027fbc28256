"""What may leave a node is declared, step by step; everything that leaves is declared, and no row is among it."""

import struct
from dataclasses import replace

import numpy as np
import pytest
from tests.federation.worlds import STUDY, draw_rows, split
from tests.privacy.doors import open_door

from fedhealth.federation import STEPS, Contribution
from fedhealth.federation.contribution import arrays
from fedhealth.privacy import EXITS, PolicyRefusal
from fedhealth.runtime.experiment import run_experiment
from fedhealth.runtime.local import exchange_in_process

SHARDS = split(draw_rows(1200, seed=1), np.arange(1200) % 4)
CANARY = 0.123456789012345


@pytest.fixture
def door(tmp_path):
    return open_door(tmp_path)


def test_every_step_has_one_exit_and_every_exit_its_step():
    assert list(EXITS) == list(STEPS)


@pytest.mark.parametrize(("step", "known"), [("moments", "squares"), ("average", "moved.*")])
def test_an_array_that_is_not_declared_stays_inside(door, step, known):
    with pytest.raises(PolicyRefusal, match=rf"north refused step '{step}': 'rows_of_people' may not leave") as caught:
        door.release("a" * 64, step, Contribution(arrays(rows=1000, rows_of_people=[1.0, 2.0]), 1000))
    assert known in str(caught.value)
    assert not door.audit_path.exists()


def test_a_step_that_is_not_declared_stays_inside(door):
    with pytest.raises(PolicyRefusal, match="north refused step 'rows': no such exit; there are inventory, moments"):
        door.release("a" * 64, "rows", Contribution(arrays(rows=1000), 1000))
    assert not door.audit_path.exists()


def test_a_model_with_too_many_parameters_for_the_rows_is_not_trained(door):
    fits = Contribution(arrays(hessian=np.zeros((2, 30, 30)), gradient=np.zeros((2, 30))), 299)
    with pytest.raises(PolicyRefusal, match=r"30 parameters over 299 rows; its 'default' policy needs at least 10"):
        door.release("a" * 64, "newton", fits)
    door.release("a" * 64, "newton", Contribution(fits.sums, 300))


def planted_run(tmp_path):
    """A run over nodes with one telling value each: the values, all people's scores, and every array that left."""
    number = next(i for i, feature in enumerate(STUDY.features) if feature.kind == "number")
    feature, shards, planted = STUDY.features[number], [], []
    for k, shard in enumerate(SHARDS):
        x, rows = shard.x.copy(), np.flatnonzero(shard.observed[:, number])
        if len(rows):
            x[rows[0], number] = feature.low + (CANARY + k / 10) * (feature.high - feature.low)
            planted.append(x[rows[0], number])
        shards.append(replace(shard, x=x))
    inner, left = exchange_in_process(STUDY, shards, tmp_path), []

    def exchange(step, state):
        replies = inner(step, state)
        left.extend(array for reply in replies.values() for array in reply.sums.values())
        return replies

    model = run_experiment(STUDY, exchange, model="logistic").fit.model
    return planted, np.concatenate([model.risk(s.x, s.observed, s.site) for s in shards]), left


def test_no_planted_value_and_no_score_of_one_person_is_among_the_bytes_of_a_run(tmp_path):
    planted, scores, left = planted_run(tmp_path)
    everything = b"".join(array.tobytes() for array in left)
    assert len(planted) > 1
    for secret in (*planted, *scores):
        assert struct.pack("<d", secret) not in everything
