"""Speed and memory of imports: a generated Apple Health export, and FHIR observations as NDJSON.

Each import is timed beside the barest use of a fast parser on the same file in the same run: ``lxml.iterparse`` that
only frees its elements, ``orjson.loads`` line by line. Each runs in a process of its own, by turns; the best counts, by
the clock and, since other programs may be running, by the processor time of all threads. Memory is the highest of the
process. Nothing generated is a measurement of a person.

    python benchmarks/imports.py --megabytes 1000 --out imports.json
"""

import argparse
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

QUANTITY = "HKQuantityTypeIdentifier"
DEVICE = (
    "&lt;&lt;HKDevice: 0x301a5d4f0&gt;, name:Apple Watch, manufacturer:Apple Inc., model:Watch, hardware:Watch6,4, "
    "software:9.1&gt;"
)
# What there is in a year of a watch and a phone: share of the records, unit, lowest and highest value, seconds.
KINDS = (
    (f"{QUANTITY}ActiveEnergyBurned", 0.38, "kcal", 0.1, 12, 60),
    (f"{QUANTITY}HeartRate", 0.30, "count/min", 48, 160, 0),
    (f"{QUANTITY}BasalEnergyBurned", 0.10, "kcal", 0.5, 20, 600),
    (f"{QUANTITY}DistanceWalkingRunning", 0.10, "km", 0.01, 0.6, 300),
    (f"{QUANTITY}StepCount", 0.10, "count", 1, 600, 300),
    (f"{QUANTITY}OxygenSaturation", 0.02, "%", 0.91, 1, 0),
)
START = datetime(2018, 1, 1)


def write_apple(path: Path, megabytes: int) -> int:
    """Write an export of about so many MB; the number of its records."""
    rng, records = np.random.default_rng(0), 0
    each = int(megabytes * 1e6 / 375)
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<HealthData locale="en_US">\n')
        for kind, share, unit, low, high, seconds in KINDS:
            count = int(share * each)
            step = 6 * 365 * 86_400 / count
            for i, value in enumerate(rng.uniform(low, high, count).tolist()):
                start = START + timedelta(seconds=i * step)
                source = "Phone" if i % 3 == 0 else "Watch"
                told = round(value, 2) if high <= 20 else int(value)
                begin, end = (f"{t:%Y-%m-%d %H:%M:%S} +0500" for t in (start, start + timedelta(seconds=seconds)))
                file.write(
                    f' <Record type="{kind}" sourceName="{source}" sourceVersion="9.1" device="{DEVICE}" unit="{unit}" '
                    f'creationDate="{end}" startDate="{begin}" endDate="{end}" value="{told}"/>\n'
                )
            records += count
        file.write("</HealthData>\n")
    return records


def bare_lxml(path: Path) -> None:
    """Walk through the file with ``lxml`` and keep nothing."""
    from lxml import etree

    for _, element in etree.iterparse(path):
        element.clear()
        while element.getprevious() is not None:
            del element.getparent()[0]


def write_fhir(path: Path, megabytes: int) -> int:
    """Write heart rates, saturations and steps of 2,000 people as NDJSON; the number of lines."""
    rng, lines, size = np.random.default_rng(0), 0, 0
    kinds = (("8867-4", "Heart rate", "/min", 55, 100), ("59408-5", "Oxygen saturation", "%", 91, 100))
    with path.open("w", encoding="utf-8") as file:
        while size < megabytes * 1e6:
            code, name, unit, low, high = kinds[lines % 2]
            when = START + timedelta(minutes=11 * (lines // 2000))
            line = json.dumps(_observation(lines, code, name, unit, float(rng.integers(low, high)), when))
            size += file.write(line + "\n")
            lines += 1
    return lines


def _observation(number: int, code: str, name: str, unit: str, value: float, when: datetime) -> dict[str, object]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": f"obs-{number}",
        "meta": {"profile": ["http://hl7.org/fhir/StructureDefinition/vitalsigns"], "versionId": "1"},
        "status": "final",
        "category": [{"coding": [{"system": system, "code": "vital-signs", "display": "Vital Signs"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": code, "display": name}], "text": name},
        "subject": {"reference": f"Patient/{number % 2000}"},
        "encounter": {"reference": f"Encounter/{number // 7}"},
        "effectiveDateTime": f"{when.isoformat()}+05:00",
        "issued": f"{when.isoformat()}+05:00",
        "valueQuantity": {"value": value, "unit": unit, "system": "http://unitsofmeasure.org", "code": unit},
    }


def bare_orjson(path: Path) -> None:
    """Parse every line and keep nothing."""
    import orjson

    with path.open("rb") as file:
        for line in file:
            orjson.loads(line)


def imported(path: Path) -> None:
    """The whole import, from the file to table and report."""
    from fedhealth.data.imports.run import import_files
    from fedhealth.study import load_study

    with tempfile.TemporaryDirectory(dir=path.parent) as data:
        import_files(load_study("health-risk"), "node_1", [path], None, Path(data), datetime(2026, 1, 1))


LIBRARIES = ("fedhealth.data.imports.run", "lxml.etree", "orjson")
TASKS = {"lxml": bare_lxml, "orjson": bare_orjson, "import": imported}


def measured(task: str, path: Path) -> dict[str, float]:
    """Seconds, processor seconds and peak memory (MB) of a task in a process of its own."""
    command = [sys.executable, __file__, "--task", task, "--file", str(path)]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    result: dict[str, float] = json.loads(output.splitlines()[-1])
    return result


def run_task(task: str, path: Path) -> None:
    """Do one task here and print what it took, without the time that Python needs to load the libraries."""
    for library in LIBRARIES:
        importlib.import_module(library)
    started, processor = time.perf_counter(), time.process_time()
    TASKS[task](path)
    seconds, processor = time.perf_counter() - started, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(json.dumps({"seconds": seconds, "processor_seconds": processor, "peak_mb": peak}))


def compare(title: str, path: Path, lines: int, bare: str, repeats: int) -> dict[str, object]:
    """Best of ``repeats`` of the bare parser and of the import, by turns; of memory the most."""
    runs = {task: [] for task in (bare, "import")}
    for _ in range(repeats):
        for task, found in runs.items():
            found.append(measured(task, path))
    best = {
        task: {
            "seconds": min(one["seconds"] for one in found),
            "processor_seconds": min(one["processor_seconds"] for one in found),
            "peak_mb": max(one["peak_mb"] for one in found),
        }
        for task, found in runs.items()
    }
    size = os.path.getsize(path) / 1e6
    ratios = {unit: best[bare][unit] / best["import"][unit] for unit in ("seconds", "processor_seconds")}
    print(f"{title}: {size:,.0f} MB, {lines:,} records")
    for task, result in best.items():
        took = f"{result['seconds']:8.1f} s  processor {result['processor_seconds']:7.1f} s"
        print(f"  {task:8} {took}  {size / result['seconds']:6.0f} MB/s  peak {result['peak_mb']:6.0f} MB")
    print(
        f"  the import runs at {ratios['seconds']:.2f} of the speed of bare {bare} by the clock, "
        f"{ratios['processor_seconds']:.2f} by processor time"
    )
    return {"title": title, "megabytes": size, "records": lines, "ratios": ratios, **best}


def main() -> None:
    """Generate, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=1000, help="of the Apple export; FHIR gets a fifth")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--task", choices=TASKS, help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    told = parser.parse_args()
    if told.task:
        run_task(told.task, told.file)
        return
    with tempfile.TemporaryDirectory() as folder:
        apple, fhir = Path(folder) / "export.xml", Path(folder) / "observations.ndjson"
        results = [
            compare("Apple Health", apple, write_apple(apple, told.megabytes), "lxml", told.repeats),
            compare("FHIR NDJSON", fhir, write_fhir(fhir, told.megabytes // 5), "orjson", told.repeats),
        ]
    if told.out:
        told.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
