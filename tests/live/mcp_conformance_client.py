"""The client that the conformance suite puts to the test: Corral itself, with
the suite's server as its MCP server and a mock model that calls its tool once.

    mcp_conformance_client.py URL       (the suite adds the URL)
"""

import json
import os
import sys
import tempfile
from pathlib import Path

from conftest import RULES, Corral, stop_clean
from test_mcp import Caller

CALLS = {
    "initialize": None,
    "tools_call": ("suite__add_numbers", {"a": 5, "b": 3}),
    "sse-retry": ("suite__test_reconnection", {}),
}


def main(url):
    call = CALLS[os.environ["MCP_CONFORMANCE_SCENARIO"]]
    folder = Path(tempfile.mkdtemp())
    caller = Caller()
    (folder / "policy.yaml").write_text(RULES)
    config = {
        "data": str(folder / "data"),
        "backend": {"openai": {"base_url": caller.url}},
        "policy": "policy.yaml",
        "mcp": [{"name": "suite", "url": url}],
    }
    (folder / "corral.yaml").write_text(json.dumps(config))
    corral = Corral("-c", folder / "corral.yaml")
    if call:
        caller.tool = call
        answer = corral.client.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "Do it."}]
        )
        print(caller.requests[-1]["messages"][-1]["content"])
        assert answer.choices[0].message.content == "done"
    stop_clean(corral)
    caller.close()


if __name__ == "__main__":
    main(sys.argv[1])
