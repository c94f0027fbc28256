"""The only way out of a node."""

from dataclasses import dataclass, replace
from math import inf, isfinite, isinf
from pathlib import Path

from fedhealth.federation import Contribution, packing
from fedhealth.privacy import audit
from fedhealth.privacy.cohorts import Cohort
from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.ledger import Ledger
from fedhealth.privacy.noise import fresh_generator, noised
from fedhealth.privacy.policy import Policy, PolicyRefusal
from fedhealth.privacy.secure_aggregation import FEWEST


@dataclass(frozen=True)
class Door:
    """Lets contributions of one node out, or refuses: a declared exit, policy, ledger and noise, audit, out."""

    node: str
    policy: Policy
    audit_path: Path
    ledger: Ledger
    cohort: Cohort | None = None

    def release(
        self,
        study_hash: str,
        step: str,
        contribution: Contribution,
        spend: float = 0.0,
        summed_over: int = 1,
        question: bytes = b"",
    ) -> Contribution:
        """Check, add the noise of a noisy exit, write down, and hand over.

        ``spend`` is the mu that the server asks to spend on a noisy one; the noise follows from it and from the
        contribution's own sensitivity, and the ledger is charged the same mu before. ``summed_over`` is how many nodes'
        answers are added under masks, this one among them, before anybody sees the total; 1: it leaves as it is. A
        noisy answer to a ``question`` that was asked before, by the same run, is the same as then and costs no more.

        Raises:
            PolicyRefusal: no exit is declared for it, or the policy does not allow it; nothing left.
        """
        self._check_exit(step, contribution)
        self.policy.admit(self.node, study_hash, step)
        self._check_noise(step, contribution, spend)
        self.policy.check(self.node, step, contribution)
        self._check_masks(step, summed_over)
        if not EXITS[step].noisy:
            self._check_cohort(step)
            audit.append(self.audit_path, self.node, study_hash, step, contribution)
            return contribution
        entry, leaving = self._paid(study_hash, step, contribution, spend, summed_over, question)
        audit.append(self.audit_path, self.node, study_hash, step, replace(leaving, rows=contribution.rows))
        self.ledger.settle(entry)
        return leaving

    def _paid(
        self, study_hash: str, step: str, contribution: Contribution, spend: float, summed_over: int, question: bytes
    ) -> tuple[int, Contribution]:
        """The entry in the ledger that pays for the answer, and the answer with its noise."""
        if question and (kept := self.ledger.kept(question)):
            return kept[0], packing.decode(kept[1], packing.Packed).contribution()
        entry = self.ledger.reserve(study_hash, step, spend)
        leaving = noised(contribution, spend, fresh_generator(), summed_over)
        if question:
            self.ledger.keep(entry, question, packing.encode(packing.Packed.of(leaving)))
        return entry, leaving

    def _check_exit(self, step: str, contribution: Contribution) -> None:
        if step not in EXITS:
            raise PolicyRefusal(f"{self.node} refused step {step!r}: no such exit; there are {', '.join(EXITS)}")
        unknown = EXITS[step].unknown(contribution)
        if unknown:
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: {', '.join(map(repr, unknown))} may not leave in it; expected "
                f"{', '.join(EXITS[step].arrays)}"
            )

    def _check_masks(self, step: str, summed_over: int) -> None:
        if self.policy.secure_aggregation and EXITS[step].summed and summed_over < FEWEST:
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: it would leave for all to read; its {self.policy.name!r} policy "
                f"shows only totals over at least {FEWEST} nodes"
            )

    def _check_cohort(self, step: str) -> None:
        if not self.cohort:
            return
        differs = self.cohort.nearest()
        if 0 < differs < self.policy.minimum_cell:
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: its rows differ in {differs} from rows that were answered about "
                f"before, and the two answers would tell of those alone; its {self.policy.name!r} policy needs a "
                f"difference of at least {self.policy.minimum_cell}, or noise (--epsilon)"
            )
        if self.cohort.is_split_anew():
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: its rows were split into training and held-out ones by another "
                "seed before, and answers about many splits would tell of single rows; use that seed again (--seed), "
                "or noise (--epsilon)"
            )
        self.cohort.remember()

    def _check_noise(self, step: str, contribution: Contribution, spend: float) -> None:
        if not EXITS[step].noisy and isfinite(self.policy.epsilon):
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: it has no noise, and its owner's limit is epsilon "
                f"{self.policy.epsilon:g}; train with --epsilon"
            )
        if EXITS[step].noisy and (isinf(contribution.sensitivity) or not 0 < spend < inf):
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: noise for mu {spend:g} and sensitivity "
                f"{contribution.sensitivity:g}; expected both above 0 and finite"
            )
