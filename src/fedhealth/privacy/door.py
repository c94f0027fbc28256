"""The only way out of a node."""

from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path

from fedhealth.federation import Contribution, packing
from fedhealth.privacy import audit
from fedhealth.privacy.cohorts import Cohort
from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.ledger import Ledger
from fedhealth.privacy.noise import fresh_generator, noised
from fedhealth.privacy.policy import Policy, PolicyRefusal
from fedhealth.privacy.secure_aggregation import FEWEST_NODES

SPEND = 1e-5, 1e3  # mu of one answer: less would let a server ask for next to nothing, over and over
SENSITIVITY = 1e-6, 1e6
DEVIATION = 2.0**-20, 1e7  # of noise: finer is lost in the grid of sums under masks, coarser does not fit into it


@dataclass(frozen=True)
class Door:
    """Lets contributions of one node out, or refuses: a declared exit, policy, ledger and noise, audit, out.

    ``labels`` counts the negatives and the positives among all rows of the node.
    """

    node: str
    policy: Policy
    audit_path: Path
    ledger: Ledger
    labels: tuple[int, int]
    cohort: Cohort | None = None

    def release(
        self,
        study_hash: str,
        step: str,
        contribution: Contribution,
        spend: float = 0.0,
        summed_over: int = 1,
        question: bytes = b"",
        rows: bytes = b"",
    ) -> Contribution:
        """Check, add the noise of a noisy exit, write down, and hand over.

        ``spend`` is the mu that the server asks to spend on a noisy one; the noise follows from it and from the
        contribution's own sensitivity, and the ledger is charged the same mu before. ``summed_over`` is how many nodes'
        answers are added under masks, this one among them, before anybody sees the total; 1: it leaves as it is. A
        noisy answer to a ``question`` that was asked before, by the same run, is the same as then and costs no more;
        ``rows`` says by a hash which rows it is about.

        Raises:
            PolicyRefusal: no exit is declared for it, or the policy does not allow it; nothing left.
        """
        self._check_exit(step, contribution)
        self.policy.admit(self.node, study_hash, step)
        self._check_noise(step, contribution, spend)
        self.policy.check(self.node, step, contribution, self.labels if EXITS[step].noisy else None)
        self._check_masks(step, summed_over)
        if not EXITS[step].noisy:
            self._check_cohort(step)
            audit.append(self.audit_path, self.node, study_hash, step, contribution)
            return contribution
        entry, leaving = self._paid(study_hash, step, contribution, spend, summed_over, (question, rows))
        audit.append(self.audit_path, self.node, study_hash, step, replace(leaving, rows=contribution.rows))
        self.ledger.settle(entry)
        return leaving

    def _paid(
        self,
        study_hash: str,
        step: str,
        contribution: Contribution,
        spend: float,
        summed_over: int,
        asked: tuple[bytes, bytes],
    ) -> tuple[int, Contribution]:
        """The entry in the ledger that pays for the answer, and the answer with its noise."""
        if asked[0] and (before := self.ledger.kept(*asked)):
            return before[0], packing.decode(before[1], packing.Packed).contribution()
        leaving = noised(contribution, spend, fresh_generator(), summed_over)
        kept = (*asked, packing.encode(packing.Packed.of(leaving))) if asked[0] else None
        return self.ledger.reserve(study_hash, step, spend, kept), leaving

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
        if self.policy.secure_aggregation and EXITS[step].summed and summed_over < FEWEST_NODES:
            raise PolicyRefusal(
                f"{self.node} refused step {step!r}: it would leave for all to read; its {self.policy.name!r} policy "
                f"shows only totals over at least {FEWEST_NODES} nodes"
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
        if not EXITS[step].noisy:
            return
        for what, found, (least, most) in (
            ("mu", spend, SPEND),
            ("a sensitivity", contribution.sensitivity, SENSITIVITY),
            ("a standard deviation", contribution.sensitivity / spend if spend else 0.0, DEVIATION),
        ):
            if not least <= found <= most:
                raise PolicyRefusal(
                    f"{self.node} refused step {step!r}: noise for {what} of {found:g}; expected {least:g} to {most:g}"
                )
