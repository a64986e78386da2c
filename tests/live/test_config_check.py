"""`corral config check`: what a server would refuse, said before it runs."""

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
