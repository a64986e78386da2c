"""docs/agent.md shows what the tools say: its recordings, made again with the
settings that the page itself gives, are those on the page."""

import re

import pytest

from conftest import ROOT, Corral
from record_examples import CALLS, PAGE, WITH_EXAMPLE, record, recorded, replaced

# What no two recordings share.
CHANGING = [
    (r"\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b", "DATE TIME"),
    (r"\b(Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day\b(?!\")", "WEEKDAY"),
    (r"/v1/artefacts/[0-9a-f]{24}\b", "PICTURE"),
]


def settled(text):
    for pattern, word in CHANGING:
        text = re.sub(pattern, word, text)
    return text


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(page):
    try:
        return record(page)
    except RuntimeError as error:
        if "no sandbox" in str(error):
            pytest.skip(str(error)[-300:])
        raise


@pytest.mark.parametrize("name", CALLS)
def test_recording(page, made, name):
    assert settled(recorded(page)[name]) == settled(made[name])


def test_every_tool(page):
    """Whoever adds a tool to the table gives it an example here."""
    table = (ROOT / "tools" / "registry.c").read_text(encoding="utf-8")
    names = re.findall(r'\{"(\w+)", \w+_open\}', table)
    names += re.findall(r"&tool_(\w+)", table)
    assert len(names) >= 8
    assert set(names) | {"distance", "mcp"} == set(CALLS) == set(recorded(page))


def test_page_is_written(page, made):
    """What the recorder writes is what it reads again."""
    assert recorded(replaced(page, made)) == {
        name: text.strip("\n") for name, text in made.items()
    }


def refused(tmp_path, tool, **more):
    path = tmp_path / "corral.yaml"
    path.write_text(f"tools:\n  - {tool}\n")
    with pytest.raises(RuntimeError) as error:
        Corral("-c", path, **more)
    return str(error.value)


def test_a_tool_of_ones_own(tmp_path):
    """Its options are checked as the others' are, and a program that was not
    built with it does not know it."""
    wrong = refused(tmp_path, "distance: {unit: league}", binary=WITH_EXAMPLE)
    assert "corral.yaml:2:22: distance: unit must be km or mi" in wrong
    wrong = refused(tmp_path, "distance: {units: km}", binary=WITH_EXAMPLE)
    assert 'corral.yaml:2:16: unknown key "units"' in wrong
    assert 'there is no tool "distance"' in refused(tmp_path, "distance")
