"""A subset of UCUM (the Unified Code for Units of Measure) large enough for health and environment studies."""

import re

ATOMS = (
    "1|10\\*\\d+|%|m|g|s|min|h|d|wk|mo|a|L|l|K|Cel|\\[degF\\]|\\[ppb\\]|\\[ppm\\]|mol|eq|\\[iU\\]|\\[pH\\]|m\\[Hg\\]|m\\[H2O\\]|Pa|"
    "J|cal|W|V|Hz|deg|\\[lb_av\\]|\\[in_i\\]|\\[mi_i\\]|bar|B|dB|U"
)
_ATOM = rf"(?:[munpfkMcd]|da|h)?(?:{ATOMS})(?:[+-]?\d)?"
_COMPONENT = rf"(?:{_ATOM}(?:\{{[^{{}}]+\}})?|\{{[^{{}}]+\}})"
_UNIT = re.compile(rf"/?{_COMPONENT}(?:[./]{_COMPONENT})*")


def is_ucum(unit: str) -> bool:
    """Tell whether ``unit`` is a UCUM code such as ``/min``, ``%``, ``ug/m3``, ``{steps}/d`` or ``mm[Hg]``."""
    return _UNIT.fullmatch(unit) is not None
