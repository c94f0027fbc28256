import pytest

from fedhealth.data.imports.units import conversion


@pytest.mark.parametrize(
    ("value", "unit", "target", "expected"),
    [
        (72, "count/min", "/min", 72),
        (72, "{beats}/min", "/min", 72),
        (1.2, "Hz", "/min", 72),
        (0.97, "1", "%", 97),
        (97, "%O2", "%", 97),
        (420, "min", "h", 7),
        (98.6, "[degF]", "Cel", 37),
        (310.15, "K", "Cel", 37),
        (12, "µg/m³", "ug/m3", 12),
        (0.012, "mg/m3", "ug/m3", 12),
        (36, "km/h", "m/s", 10),
        (120, "mmHg", "kPa", 15.99868),
        (5, "10*3/uL", "/nL", 5),
        (8000, "{steps}/(24.h)", "{steps}/d", 8000),
        (8, "10*3{steps}/d", "{steps}/d", 8000),
        (8000, "count", "{steps}", 8000),
    ],
)
def test_values_keep_what_they_mean(value, unit, target, expected):
    found = conversion(unit, target)
    assert found is not None
    assert found.factor * value + found.shift == pytest.approx(expected)


def test_a_gas_by_mass_and_by_volume():
    # 40 CFR 50.3 reference conditions: 100 ug/m3 of ozone, 48 g/mol, 24.45 L/mol: 50.9 ppb
    found = conversion("ug/m3", "[ppb]", molar_mass=47.998)
    assert found is not None
    assert found.factor * 100 == pytest.approx(50.94, abs=0.01)


@pytest.mark.parametrize(
    ("unit", "target"),
    [
        ("kg", "h"),
        ("10*999/min", "/min"),
        ("10*3-2", "1"),
        ("/" + ".".join(["pm9"] * 3), "/m"),
        ("", "h"),
        ("furlong", "m"),
        ("ug/m3", "[ppb]"),
        ("{steps}", "{steps}/d"),
        ("a", "%"),
        ("%", "{steps}"),
        ("[ppm]/d", "{steps}/d"),
        ("{kcal}", "{steps}"),
    ],
)
def test_what_does_not_fit_is_not_converted(unit, target):
    assert conversion(unit, target) is None


def test_no_unit_is_too_large_or_too_small_for_a_number():
    for unit in ("10*" + "9" * 5000, "10*308.10*308", "pm9.pm9.pm9", "10*400"):
        assert conversion(unit, unit) is None
