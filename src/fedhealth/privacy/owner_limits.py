"""The limits that a node's owner writes into a TOML file beside the node's table, and the policy that follows."""

import os
import re
import tomllib
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any, cast

from fedhealth.data.generated import is_synthetic
from fedhealth.privacy.approval import withheld_features
from fedhealth.privacy.exits import EXITS
from fedhealth.privacy.policy import HASH_DIGITS, POLICIES, Policy, is_summed_under_masks
from fedhealth.study import Study

LIMITS = ("minimum_rows", "minimum_class", "minimum_cell", "rows_per_parameter")
NUMBERS = ("epsilon", "delta", "norm_bound")
LISTS = ("studies", "steps")
KEYS = (*LIMITS, *NUMBERS, *LISTS, "audit")


class PolicyError(Exception):
    """A policy file that cannot be used; the message names file, key, what was found and what was expected."""


def policy_file(data: Path, node: str) -> Path:
    """Where the owner of ``node`` may write limits: beside the node's table."""
    return data / f"{node}.policy.toml"


def policy_of(study: Study, node: str, data: Path | None) -> Policy:
    """The study's named policy, made stricter wherever the owner's file in ``data`` asks for more.

    Where the rows in ``data`` are synthetic, any number of parameters may learn from them.

    Raises:
        PolicyError: the file cannot be used.
    """
    named = replace(POLICIES[study.policy], secure_aggregation=is_summed_under_masks(study))
    if data is None:
        return named
    if is_synthetic(study.node(node), data):
        named = replace(named, rows_per_parameter=0, lifetime=inf)
    named = replace(named, withheld=withheld_features(study, node, data))
    own = _own_limits(data, node)
    if not own:
        return named
    stricter: dict[str, Any] = {name: max(getattr(named, name), own[name]) for name in LIMITS if name in own}
    stricter |= {name: min(getattr(named, name), float(own[name])) for name in NUMBERS if name in own}
    stricter |= {name: tuple(own[name]) for name in LISTS if name in own}
    return replace(named, name=f"{study.policy}, and {policy_file(data, node).name}", **stricter)


def audit_file(node: str, folder: Path, data: Path | None) -> Path:
    """The audit log of ``node``: ``folder/NODE.jsonl``, or the file that its owner's limits in ``data`` name.

    Raises:
        PolicyError: the owner's file cannot be used.
    """
    own = _own_limits(data, node) if data else {}
    return Path(own.get("audit", folder / f"{node}.jsonl"))


def _own_limits(data: Path, node: str) -> dict[str, Any]:
    path = policy_file(data, node)
    return read_limits(path) if os.path.lexists(path) else {}


def read_limits(path: Path) -> dict[str, Any]:
    """The limits in an owner's file: whole numbers from 1, numbers, lists of texts, and a file for the audit log.

    Raises:
        PolicyError: it is no TOML, has an unknown key, or a value that cannot be meant.
    """
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}; nothing may leave before it can") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: not valid TOML: {error}") from None
    for name, value in found.items():
        if name not in KEYS:
            raise PolicyError(f"{path}: unknown key {name!r}; expected {', '.join(KEYS)}")
        expected = _expected(name, value)
        if expected:
            raise PolicyError(f"{path}: {name}: got {value!r}; expected {expected}")
    return found


def _expected(name: str, value: object) -> str:
    """What should stand there instead; empty if ``value`` will do."""
    if name in LIMITS:
        return "" if type(value) is int and value >= 1 else "a whole number from 1"
    if name in NUMBERS:
        most, words = (1.0, "a number between 0 and 1") if name == "delta" else (inf, "a number above 0")
        return "" if type(value) in (int, float) and 0 < cast("float", value) < most else words
    if name == "audit":
        return "" if isinstance(value, str) and value else "a file's path"
    texts = isinstance(value, list) and len(value) > 0 and all(isinstance(one, str) for one in value)
    if name == "studies":
        known = texts and all(re.fullmatch(f"[0-9a-f]{{{HASH_DIGITS},64}}", one) for one in cast("list[str]", value))
        return "" if known else f"a list of study hashes, each of {HASH_DIGITS} digits (0-9, a-f) or more"
    return "" if texts and set(cast("list[str]", value)) <= EXITS.keys() else f"a list of steps: {', '.join(EXITS)}"
