"""Stored responses outlive the process, for the key that made them alone."""

import signal

import openai
import pytest

from conftest import RULES, run, until


@pytest.fixture()
def serve(start, tmp_path, policies, upstream):
    """Servers, one after the other, with the same data and keys."""
    keys = tmp_path / "keys.jsonl"
    config = tmp_path / "corral.yaml"

    def begin(more=""):
        config.write_text(f"keys: keys.jsonl\ndata: data\n{more}")
        return start("-c", config, "--policy", policies("live", RULES), "--upstream", upstream.url)

    def add(name):
        config.write_text("keys: keys.jsonl\n")
        done = run("key", "add", "-c", config, "--name", name)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    (tmp_path / "data").mkdir()
    begin.ada, begin.bob = add("ada"), add("bob")
    begin.database = tmp_path / "data" / "responses.db"
    return begin


def client(server, key):
    return openai.OpenAI(base_url=server.url + "/v1", api_key=key, max_retries=0, timeout=60)


def written(path, text):
    """In the file, or in the log that is written before it."""
    files = [path, path.with_name(path.name + "-wal")]
    return any(text.encode() in f.read_bytes() for f in files if f.exists())


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_restart(serve, upstream, sig):
    server = serve()
    first = client(server, serve.ada).responses.create(model="m", input="My name is Ada.")
    client(server, serve.ada).responses.create(model="m", input="passing", store=False)
    assert until(lambda: written(serve.database, first.id))
    server.stop(sig)

    server = serve()
    ada = client(server, serve.ada)
    assert ada.responses.retrieve(first.id).output_text == "Hello there."
    items = ada.responses.input_items.list(first.id).data
    assert items[0].content[0].text == "My name is Ada."
    ada.responses.create(model="m", input="And now?", previous_response_id=first.id)
    assert [m["content"] for m in upstream.requests[-1]["messages"]] == [
        "My name is Ada.",
        "Hello there.",
        "And now?",
    ]
    assert not written(serve.database, "passing")


def test_owner(serve):
    """Another key cannot read, go on from or delete it, before or after."""
    server = serve()
    made = client(server, serve.ada).responses.create(model="m", input="secret plan")
    assert until(lambda: written(serve.database, made.id))
    server.stop()
    bob = client(serve(), serve.bob)
    for attempt in (
        lambda: bob.responses.retrieve(made.id),
        lambda: bob.responses.input_items.list(made.id),
        lambda: bob.responses.delete(made.id),
        lambda: bob.responses.create(model="m", input="a", previous_response_id=made.id),
    ):
        with pytest.raises(openai.NotFoundError):
            attempt()


def test_delete(serve):
    """It does not come back, and its text is not in the file any more."""
    server = serve()
    ada = client(server, serve.ada)
    made = ada.responses.create(model="m", input="something private")
    assert until(lambda: written(serve.database, made.id))
    ada.responses.delete(made.id)
    server.stop()
    assert not written(serve.database, "something private")
    with pytest.raises(openai.NotFoundError):
        client(serve(), serve.ada).responses.retrieve(made.id)


def test_memory(serve):
    server = serve("responses: {memory: true}\n")
    made = client(server, serve.ada).responses.create(model="m", input="hi")
    assert client(server, serve.ada).responses.retrieve(made.id).id == made.id
    assert not serve.database.exists()
    server.stop()
    with pytest.raises(openai.NotFoundError):
        client(serve(), serve.ada).responses.retrieve(made.id)


def test_unusable(serve):
    """A database that is none: with a folder of its own the server says so."""
    serve.database.write_bytes(b"this is not a database, it only looks like a file" * 40)
    with pytest.raises(RuntimeError, match="responses.db"):
        serve()
