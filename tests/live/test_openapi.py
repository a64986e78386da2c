"""docs/openapi.yaml: it has every route, and what the server answers to bodies
that are made from it, right and wrong ones, is what it says. No 5xx but those
that it names."""

import re

import pytest
import schemathesis
import yaml
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from conftest import ROOT, RULES, Corral, run, stop_clean
from mock_upstream import MockUpstream

load_all_checks()
PATH = ROOT / "docs" / "openapi.yaml"
schema = schemathesis.openapi.from_path(PATH)


@pytest.fixture(scope="module")
def served(policies, tmp_path_factory):
    """Rules alone before an upstream that always says the same."""
    upstream = MockUpstream()
    config = tmp_path_factory.mktemp("openapi") / "corral.yaml"
    config.write_text("data: data\n")
    (config.parent / "data").mkdir()
    server = Corral(
        "-c", config, "--policy", policies("live", RULES), "--upstream", upstream.url
    )
    yield server
    stop_clean(server)
    upstream.close()


@pytest.fixture(scope="module")
def administered(policies, tmp_path_factory):
    """Where /admin is, and whom it lets in. The clients' keys are its business,
    so they are others."""
    folder = tmp_path_factory.mktemp("administered")
    keys = [run("key", "add", "--file", folder / name, "--scopes", scope).stdout.strip()
            for name, scope in (("keys", "chat"), ("boss", "admin"))]
    (folder / "corral.yaml").write_text(
        "keys: keys\ndata: data\naudit: {}\nadmin: {listen: 127.0.0.1:0, keys: boss}\n")
    upstream = MockUpstream()
    server = Corral("-c", folder / "corral.yaml", "--policy", policies("live", RULES),
                    "--upstream", upstream.url)
    server.admin = "http://127.0.0.1:" + re.search(r"event=admin port=(\d+)", server.stderr()).group(1)
    server.boss = {"authorization": "Bearer " + keys[1]}
    yield server
    stop_clean(server)
    upstream.close()


@schema.parametrize()
@settings(
    max_examples=8,
    derandomize=True,  # the same bodies each time
    database=None,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_conforms(case, served, administered):
    if case.path.startswith("/admin/"):
        answer = case.call(base_url=administered.admin, headers=administered.boss)
    else:
        answer = case.call(base_url=served.url)
    case.validate_response(
        answer,
        checks=[
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ],
    )


def routes_of_the_source():
    """(method, path) as the tables of both listeners have them, ids as in the
    document."""
    source = "".join((ROOT / "proxy" / name).read_text(encoding="utf-8")
                     for name in ("service.c", "admin.c"))
    found = set()
    for method, path, below in re.findall(
        r'\{(NULL|"[A-Z]+"),\s*"(/[^"]*)",\s*(true|false)', source
    ):
        found.add((method.strip('"').lower(), path + ("{}" if below == "true" else "")))
    return found


def test_every_route():
    document = yaml.safe_load(PATH.read_text(encoding="utf-8"))
    documented = {
        (method, re.sub(r"\{\w+\}", "{}", path))
        for path, item in document["paths"].items()
        for method in item
    }
    for method, path in routes_of_the_source():
        there = {m for m, p in documented if p == path}
        assert there and (method == "null" or method in there), (method, path)
    sources = {path for _, path in routes_of_the_source()}
    for method, path in documented:
        assert any(path == s or (s.endswith("/{}") and path.startswith(s)) for s in sources), path
