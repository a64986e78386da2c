"""`corral config check`: what a server would refuse, said before it runs."""

import re

import pytest

from conftest import RULES, run


def check(tmp_path, text):
    path = tmp_path / "corral.yaml"
    path.write_text(text)
    return run("config", "check", path)


def test_fine(tmp_path):
    (tmp_path / "p.yaml").write_text(RULES)
    done = check(tmp_path, "listen: 127.0.0.1:1\npolicy: p.yaml\nkeys: none.jsonl\naudit: {days: 3}\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("corral.yaml: fine\n")


def test_variables(tmp_path, monkeypatch):
    monkeypatch.setenv("POLICY_NAME", "p")
    (tmp_path / "p.yaml").write_text(RULES)
    done = check(tmp_path, "threads: ${NO_SUCH_THING:-2}\npolicy: ${POLICY_NAME}.yaml\n")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "text, said",
    [
        ("lisen: 1\n", "corral.yaml:1:"),
        ("audit: {on_error: maybe}\n", "corral.yaml:1:19: on_error must be"),
        ("listen: 0.0.0.0:80\n", "keys"),
        ("policy: missing.yaml\n", "missing.yaml"),
        ("tls: {cert: bad.jsonl, key: bad.jsonl}\n", "bad.jsonl"),
        ("upstreams: [{name: a, base_url: 'http://x', models: [m], fallbacks: [n]}]\n", 'no model "n"'),
        ("upstreams: [{name: a, base_url: 'http://x', models: [m], api_key_env: NO_SUCH_THING}]\n", "NO_SUCH_THING"),
        ("upstreams: [{name: a, base_url: 'http://x', models: [m]}, {name: b, base_url: 'http://y', models: [m]}]\n",
         'corral.yaml:1:100: the model "m" is there twice'),
        ("backend: {engine: {}}\nmodel_name: m\nupstreams: [{name: a, base_url: 'http://x', models: [m]}]\n",
         'two models are called "m"'),
        ("keys: bad.jsonl\n", "bad.jsonl:1: "),
        ("model: a\nlisten: ${NO_SUCH_THING}\n", "corral.yaml:2:9: the variable NO_SUCH_THING is not set"),
        ("listen: ${HOME\n", "corral.yaml:1:9: a ${ without"),
        ("threads: \"${NO_SUCH_THING:-2}\"\n", "corral.yaml:1:10: threads must be a whole number"),
    ],
)
def test_wrong(tmp_path, text, said):
    (tmp_path / "bad.jsonl").write_text("{}\n")
    done = check(tmp_path, text)
    assert done.returncode == 2 and said in done.stderr, done.stderr


@pytest.mark.parametrize(
    "text",
    [
        "- a\n",
        "hello\n",
        "listen: a\nlisten: b\n",
        "a: &x 1\nb: *x\n",
        "limits:\n\tbody_bytes_max: 1\n",
        'listen: "abc\n',
        "listen: 127.0.0.1:99999\n",
        "listen: 0.0.0.0:8080\n",
        "limits: {body_bytes_max: lots}\n",
        "limits: {body_bytes_max: -1}\n",
        "limits: {write_high_bytes: 1000, write_low_bytes: 2000}\n",
        "limits: {target_bytes_max: 40000}\n",
        "threads: 1.5\n",
        "threads: 99999999999999999999\n",
        "loops: 2\n",
        "model: missing.gguf\n",
        "policy: missing.yaml\n",
        "keys: .\n",
        "keys: other.jsonl\n",
        "keys: k\nadmin: {listen: '0.0.0.0:8081'}\n",
        "admin: {listen: '127.0.0.1:8081'}\n",
        "tls: {cert: missing.pem, key: missing.key}\n",
        "tls: {cert: missing.pem}\n",
        "backend: {openai: {base_url: 'ftp://x/v1'}}\n",
        "backend: {openai: {base_url: 'http://u:p@x/v1'}}\n",
        "backend: {openai: {base_url: 'http://x/v1', api_key_env: NO_SUCH_THING}}\n",
        "backend: {openai: {base_url: 'https://x/v1', ca_file: missing.pem}}\n",
        "upstreams: [{name: a, base_url: 'http://x', models: [m], api_key_file: missing}]\n",
        "upstreams: [{name: a, base_url: 'http://x', models: [m], fallbacks: [n]}]\n",
        "upstreams: [{name: a, base_url: 'http://x'}]\n",
        "tools: [calculatr]\n",
        "tools: [{sql_query: {database: missing.db}}]\n",
        "tools: [{file_search: {folder: missing}}]\n",
        "mcp: [{url: 'http://x'}]\n",
        "mcp: [{name: a, url: 'http://x', command: ls}]\n",
        "mcp: [files]\n",
        "cors_origins: ['http://localhost:3000/']\n",
        "proxy_protocol: ['10.0.0.0/99']\n",
        "traces: {endpoint: 'collector:4318'}\n",
        "guard: {upstream: {base_url: 'http://x'}}\n",
        "agent: {context: {compact: squash}}\n",
        "log: loud\n",
    ],
)
def test_one_line_with_its_place(tmp_path, text):
    """Also what is wrong with a file that is named, or with two keys together."""
    line = '{"id":"00c0ffee","hash":"%s","scopes":"chat","policy":"missing.yaml"}\n'
    (tmp_path / "other.jsonl").write_text(line % ("0" * 64))
    done = check(tmp_path, text)
    assert done.returncode in (2, 3) and not done.stdout
    assert re.fullmatch(r"corral: \S*/corral\.yaml:\d+:\d+: [^\n]+\n", done.stderr), done.stderr


def test_tools_are_looked_at(tmp_path):
    """Without a file being made, and without a server being started."""
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("A text.")
    done = check(tmp_path, "tools: [calculator, file_search: {folder: texts}]\n"
                 f"mcp: [{{name: a, command: [touch, '{tmp_path}/started']}}]\n")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["corral.yaml", "texts"]
