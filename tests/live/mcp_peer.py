"""A small MCP server on the official SDK, which speaks both eras: over stdio,
or over HTTP when given a port."""

import os
import sys

from mcp.server.mcpserver import MCPServer

server = MCPServer("peer")


@server.tool()
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


@server.tool()
def fail(reason: str) -> str:
    """Fail for a reason."""
    raise ValueError(reason)


@server.tool()
def huge(size: int, backwards: str = "") -> str:
    """A long text, and at its end another one, from back to front."""
    return "x" * size + backwards[::-1]


@server.tool()
def crash() -> str:
    """End the process."""
    os._exit(7)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        server.run("streamable-http", host="127.0.0.1", port=int(sys.argv[1]))
    else:
        server.run("stdio")
