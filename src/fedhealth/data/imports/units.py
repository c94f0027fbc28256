"""Conversion between units written in UCUM (the Unified Code for Units of Measure), or as vendors spell them."""

import re
from dataclasses import dataclass
from functools import cache
from math import inf

from fedhealth.study.units import is_ucum

MOLAR_VOLUME = 24.45  # litres of a mole of gas at 25 °C and 101.325 kPa, the reference of 40 CFR 50.3
SPELLINGS = {
    "%O2": "%",
    "beats/min": "/min",
    "beats/minute": "/min",
    "bpm": "/min",
    "count": "{count}",
    "count/min": "/min",
    "degC": "Cel",
    "degF": "[degF]",
    "°C": "Cel",
    "°F": "[degF]",
    "hr": "h",
    "hours": "h",
    "hour": "h",
    "mins": "min",
    "minutes": "min",
    "minute": "min",
    "mmHg": "mm[Hg]",
    "mph": "[mi_i]/h",
    "ppb": "[ppb]",
    "ppm": "[ppm]",
    "steps": "{steps}",
    "{steps}/(24.h)": "{steps}/d",
    "yr": "a",
    "years": "a",
}
PREFIXES = {"M": 1e6, "k": 1e3, "h": 1e2, "da": 10.0, "d": 0.1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12}
# Factor and powers of metre, gram, second, kelvin, mole.
ATOMS: dict[str, tuple[float, tuple[int, ...]]] = {
    "1": (1, (0, 0, 0, 0, 0)),
    "%": (1e-2, (0, 0, 0, 0, 0)),
    "[ppm]": (1e-6, (0, 0, 0, 0, 0)),
    "[ppb]": (1e-9, (0, 0, 0, 0, 0)),
    "m": (1, (1, 0, 0, 0, 0)),
    "[in_i]": (0.0254, (1, 0, 0, 0, 0)),
    "[mi_i]": (1609.344, (1, 0, 0, 0, 0)),
    "g": (1, (0, 1, 0, 0, 0)),
    "[lb_av]": (453.59237, (0, 1, 0, 0, 0)),
    "L": (1e-3, (3, 0, 0, 0, 0)),
    "l": (1e-3, (3, 0, 0, 0, 0)),
    "s": (1, (0, 0, 1, 0, 0)),
    "min": (60, (0, 0, 1, 0, 0)),
    "h": (3600, (0, 0, 1, 0, 0)),
    "d": (86400, (0, 0, 1, 0, 0)),
    "wk": (604800, (0, 0, 1, 0, 0)),
    "mo": (2629800, (0, 0, 1, 0, 0)),
    "a": (31557600, (0, 0, 1, 0, 0)),
    "Hz": (1, (0, 0, -1, 0, 0)),
    "K": (1, (0, 0, 0, 1, 0)),
    "Cel": (1, (0, 0, 0, 1, 0)),
    "[degF]": (5 / 9, (0, 0, 0, 1, 0)),
    "mol": (1, (0, 0, 0, 0, 1)),
    "Pa": (1e3, (-1, 1, -2, 0, 0)),
    "bar": (1e8, (-1, 1, -2, 0, 0)),
    "m[Hg]": (133322387.415, (-1, 1, -2, 0, 0)),
    "J": (1e3, (2, 1, -2, 0, 0)),
    "cal": (4184, (2, 1, -2, 0, 0)),
}
ZERO_POINTS = {"Cel": 273.15, "[degF]": 459.67 * 5 / 9}  # kelvin at zero of the scale
_OF_STEPS = ("count", "counts", "step", "steps")  # what a number of steps may be annotated with
_SHARES = re.compile(r"%|\[pp[mb]\]")
_COMPONENT = re.compile(r"([./]?)([^./]+)")
_TEN = re.compile(r"10\*(\d+)")
_POWER = re.compile(r"(.+?)([+-]?\d)")


@dataclass(frozen=True)
class Conversion:
    """``target value = factor * value + shift``."""

    factor: float
    shift: float = 0.0


@dataclass(frozen=True)
class _Scale:
    factor: float
    powers: tuple[int, ...]
    zero: float = 0.0


@cache
def conversion(unit: str, target: str, molar_mass: float = 0.0) -> Conversion | None:
    """How values in ``unit`` become values in ``target``; None where one is unknown or they measure different things.

    With ``molar_mass`` (g/mol) a gas may be given by mass or by volume: ``ppb = ug/m3 * MOLAR_VOLUME / molar_mass``.
    """
    have, want = _scale(unit), _scale(target)
    if have is None or want is None or ("{steps}" in target and _other_than_steps(unit)):
        return None
    gas = molar_mass and have.powers == (-3, 1, 0, 0, 0) and not any(want.powers)
    if have.powers != want.powers and not gas:
        return None
    factor = have.factor / want.factor
    if gas:  # g/m3 over g/mol gives mol/m3; a mole fills MOLAR_VOLUME / 1000 m3
        factor *= MOLAR_VOLUME / 1000 / molar_mass
    shift = (have.zero - want.zero) / want.factor
    return Conversion(factor, shift) if 0 < factor < inf and abs(shift) < inf else None


def _other_than_steps(unit: str) -> bool:
    """Whether a unit without dimension is a share, or counts something else, such as ``{kcal}``."""
    text = spelled(unit)
    return bool(_SHARES.search(text)) or not set(re.findall(r"\{([^}]*)\}", text)) <= set(_OF_STEPS)


@cache
def _scale(unit: str) -> _Scale | None:
    text = spelled(unit)
    if not is_ucum(text):
        return None
    if text in ZERO_POINTS:
        return _Scale(*ATOMS[text], ZERO_POINTS[text])
    factor = 1.0
    powers: tuple[int, ...] = (0, 0, 0, 0, 0)
    for sign, component in _COMPONENT.findall(re.sub(r"\{[^}]*\}", "", text)):
        part = _component(component)
        if part is None:
            return None
        turn = -1 if sign == "/" else 1
        factor *= part.factor**turn
        powers = tuple(p + turn * q for p, q in zip(powers, part.powers, strict=True))
    return _Scale(factor, powers) if 0 < factor < inf else None


def spelled(unit: str) -> str:
    """A unit as UCUM writes it, where the way in which it is spelled is known."""
    text = unit.strip().replace("µ", "u").replace("μ", "u").replace("³", "3")
    return SPELLINGS.get(text, text)


def _component(text: str) -> _Scale | None:
    """One factor of a unit: prefix, atom and power, such as ``mm2``; ``10*3`` is a power of ten."""
    if ten := _TEN.fullmatch(text):
        return _Scale(float(f"1e{ten[1]}"), (0, 0, 0, 0, 0))
    if simple := _prefixed(text):
        return simple
    found = _POWER.fullmatch(text)
    if not found or not (base := _prefixed(found[1])):
        return None
    power = int(found[2])
    return _Scale(base.factor**power, tuple(p * power for p in base.powers))


def _prefixed(text: str) -> _Scale | None:
    if text in ATOMS:
        return _Scale(*ATOMS[text])
    for prefix, factor in PREFIXES.items():
        if text.startswith(prefix) and text.removeprefix(prefix) in ATOMS:
            atom, powers = ATOMS[text.removeprefix(prefix)]
            return _Scale(factor * atom, powers)
    return None
