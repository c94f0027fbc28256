"""Runs of a tiny study, and what the gates say of them: for tests of the registry and of its commands."""

import dataclasses

import numpy as np
from tests.federation.worlds import STUDY, draw_rows, split

from fedhealth.cli import run_folders
from fedhealth.privacy import policy_of
from fedhealth.registry.gates import judge
from fedhealth.registry.limits import read_limits
from fedhealth.runtime.champion import beside_champion
from fedhealth.runtime.experiment import run_experiment
from fedhealth.runtime.local import exchange_in_process
from fedhealth.serving.predictor import Predictor
from fedhealth.serving.schema import PredictionBody
from fedhealth.study import Subgroup

GROUPED = dataclasses.replace(STUDY, subgroups=(Subgroup("smoker"), Subgroup("pulse", (60.0, 100.0))))
ROWS = draw_rows(8000, seed=5)
SHARDS = split(ROWS, np.arange(len(ROWS)) % 4)


def flipped(shard, share, seed, among=True):
    """The shard with this share of its labels flipped, of the rows ``among``."""
    wrong = (np.random.default_rng(seed).random(len(shard)) < share) & among
    return dataclasses.replace(shard, y=np.where(wrong, 1 - shard.y, shard.y))


class Registry:
    """Trains on shards, beside a champion if there is one, and asks the gates."""

    def __init__(self, folder):
        self.folder = folder

    def train(self, shards, champion=None, model="additive", skips=("nobody", "nothing")):
        """The bundle and the report of a run; ``self.last`` is its folder.

        ``skips`` is a node and the step of the comparison with the champion that it does not answer.
        """
        exchange = exchange_in_process(GROUPED, shards, self.folder / "audit")
        run = run_experiment(GROUPED, exchange, model=model)
        if champion:

            def skipping(step, state):
                silent, skipped = skips
                return {n: reply for n, reply in exchange(step, state).items() if (n, step) != (silent, skipped)}

            beside = beside_champion(GROUPED, skipping, run.fit.model, champion.model)
            run.report["champion"] = {"version": champion.version, "hash": champion.hash, **beside}
        policies = {node.name: policy_of(GROUPED, node.name, None).hash for node in GROUPED.nodes}
        bundle, report, self.last = run_folders.write_run(GROUPED, run.fit, run.report, self.folder / "runs", policies)
        return bundle, report

    def ask(self, bundle, report, champion, golden=None, gates=None):
        def serve(one):
            return Predictor(one, PredictionBody(one.study)).golden_difference()

        return judge(bundle, report, champion, read_limits(self.folder, gates), golden or serve)
