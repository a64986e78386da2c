"""Disguised texts: what is found plain is found in code, in other letters and
in odd spelling. A sample of tests/guard/obfuscation, whose battery.py prints
the whole table."""

import sys

import pytest

from conftest import BINARY, ROOT

sys.path.insert(0, str(ROOT / "tests" / "guard" / "obfuscation"))
import battery  # noqa: E402

SAMPLED = ["homoglyphs", "leet", "spaced", "base64", "URL", "rot13", "reversed"]


@pytest.fixture(scope="module")
def texts():
    return battery.read_texts()


def test_texts(texts):
    """Every disguise changes something, and the rules find every plain text."""
    assert len({row["id"] for row in texts}) == len(texts)
    for row in texts:
        assert row["word"] is None or row["word"] in row["text"].lower()
    for name, disguise in battery.DISGUISES.items():
        assert sum(disguise(row["text"]) != row["text"] for row in texts) > 90, name


def test_rules(texts):
    table, recall, _ = battery.measure(str(BINARY), "rules", texts)
    kept, moved = battery.total(table)
    assert recall == 1
    assert kept >= 0.98, {name: c["lost"] for name, c in table.items() if c["lost"]}
    assert moved < 0.005, {name: c["wrong"] for name, c in table.items() if c["wrong"]}


def test_classifier(texts):
    disguises = {name: battery.DISGUISES[name] for name in SAMPLED}
    table, recall, _ = battery.measure(
        str(BINARY), "classifier", texts[::10], disguises
    )
    kept, moved = battery.total(table)
    assert recall > 0.5
    assert kept >= 0.8, {name: c["lost"] for name, c in table.items() if c["lost"]}
    assert moved < 0.05, {name: c["wrong"] for name, c in table.items() if c["wrong"]}
