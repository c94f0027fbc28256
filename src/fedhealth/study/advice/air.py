"""What public guidance says about the air: the same for everyone, and never from the model.

Categories: US EPA, Technical Assistance Document for the Reporting of Daily Air Quality, EPA-454/B-24-002 (2024),
with its ColorVision Assist colours. The advice in the catalogue puts EPA's Air Quality Guide into own words.
"""

from dataclasses import dataclass

from fedhealth.study.advice.texts import say


@dataclass(frozen=True)
class Category:
    """A band of the index up to and including ``top``: a name, a symbol and colours, so that no sign stands alone."""

    key: str
    top: int
    symbol: str
    colour: str
    ink: str

    @property
    def name(self) -> str:
        """EPA's name, as the catalogue has it."""
        return say(f"air.{self.key}.name")

    @property
    def sensitive(self) -> str:
        """Advice for people with heart or lung disease, older people, children and pregnant women."""
        return say(f"air.{self.key}.sensitive")

    @property
    def everyone(self) -> str:
        """Advice for everyone else."""
        return say(f"air.{self.key}.everyone")


CATEGORIES = (
    Category("good", 50, "●", "#9EFF91", "#000000"),
    Category("moderate", 100, "◆", "#FFC905", "#000000"),
    Category("sensitive", 150, "▲", "#FF8205", "#000000"),
    Category("unhealthy", 200, "■", "#F02200", "#000000"),
    Category("very_unhealthy", 300, "✖", "#890997", "#FFFFFF"),
    Category("hazardous", 500, "✱", "#640015", "#FFFFFF"),
)


def category_of(index: float) -> Category:
    """The category of an index; above 500 the last one stands.

    Raises:
        ValueError: the index is below 0.
    """
    if index < 0:
        raise ValueError(f"index: got {index:g}; expected 0 to 500")
    return next((category for category in CATEGORIES if round(index) <= category.top), CATEGORIES[-1])


def category_named(name: str) -> Category | None:
    """The category of that name, or None."""
    return next((category for category in CATEGORIES if category.name == name), None)
