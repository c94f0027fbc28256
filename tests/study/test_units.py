import pytest

from fedhealth.study.units import is_ucum

UNITS = "1 % /min a h min Cel [degF] ug/m3 [ppb] mm[Hg] cm[H2O] mg/dL mmol/L kg/m2 m/s {steps}/d {index} kPa kcal/d"
RATES = "ug/L [iU]/L 10*3/uL mL/min/{1.73_m2}"
LOOK_ALIKES = "bpm percent C °C mmHg ppb µg/m3 ug/m^3 ug//m3 hours steps/day beats/min / min/ min. 2 {steps steps} {}"


@pytest.mark.parametrize("unit", f"{UNITS} {RATES}".split())
def test_units_of_health_and_air_are_accepted(unit):
    assert is_ucum(unit)


@pytest.mark.parametrize("unit", [*LOOK_ALIKES.split(), "", " ", "ug /m3", "min\n"])
def test_look_alikes_are_refused(unit):
    assert not is_ucum(unit)
