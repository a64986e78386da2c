"""Administration: its own listener, its own keys, and no secret in what it shows."""

import json
import re
import signal

import httpx2 as httpx
import pytest

from conftest import RULES, run, until
from test_keys import ASK

SECRET = "sesame-open-1a2b3c4d"


def add_key(path, *args):
    done = run("key", "add", "--file", path, *args)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture()
def admin(start, tmp_path, policies, upstream):
    """begin(more configuration): a server with clients' and operator's keys."""

    def begin(more="", **env):
        client = add_key(tmp_path / "keys.jsonl", "--name", "app")
        boss = add_key(tmp_path / "keys.jsonl", "--name", "boss", "--scopes", "admin")
        config = tmp_path / "corral.yaml"
        config.write_text(
            "keys: keys.jsonl\ndata: data\naudit: {}\nadmin: {listen: 127.0.0.1:0}\n" + more
        )
        server = start(
            "-c", config, "--policy", policies("admin", RULES),
            "--upstream", upstream.url, env=env,
        )
        port = re.search(r"(?:event=admin port=|\"event\":\"admin\",\"port\":)(\d+)", server.stderr()).group(1)
        server.admin = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", timeout=30,
            headers={"authorization": f"Bearer {boss}"},
        )
        server.boss, server.key, server.config = boss, client, config
        return server

    return begin


def bearer(key):
    return {"authorization": f"Bearer {key}"}


def chat(server, text="Hi", key=None):
    return server.http.post(
        "/v1/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 4},
        headers=bearer(key or server.key),
    )


PATHS = ["stats", "config", "policies", "audit", "keys"]


def test_who_is_let_in(admin):
    server = admin()
    for path in PATHS:
        assert server.admin.get(f"/admin/{path}").status_code == 200, path
        # An ordinary key, none, a wrong one.
        for headers, status in (
            (bearer(server.key), 403),
            ({"authorization": ""}, 401),
            (bearer(server.boss[:-1] + "x"), 401),
        ):
            assert server.admin.get(f"/admin/{path}", headers=headers).status_code == status
        # Nobody, with any key, on the listener of clients.
        assert server.http.get(f"/admin/{path}", headers=bearer(server.boss)).status_code == 404
        assert server.http.get(f"/admin/{path}", headers=bearer(server.key)).status_code == 403
    assert server.admin.post("/admin/reload", headers=bearer(server.key)).status_code == 403
    assert server.admin.get("/metrics").status_code == 200
    assert server.admin.get("/metrics", headers=bearer(server.key)).status_code == 403
    assert server.admin.get("/healthz", headers={"authorization": ""}).status_code == 200
    # What clients ask is not here, and an operator's key is none of a client.
    assert server.admin.post("/v1/chat/completions", json=ASK).status_code == 404
    assert chat(server, key=server.boss).status_code == 403
    assert server.admin.get("/admin/nothing").status_code == 404
    for method, path, allow in [
        ("POST", "/admin/stats", "GET"),
        ("PUT", "/admin/keys", "GET, POST"),
        ("GET", "/admin/keys/x", "DELETE"),
    ]:
        refused = server.admin.request(method, path, json={})
        assert (refused.status_code, refused.headers["allow"]) == (405, allow)
    assert server.admin.get("/admin/stats").headers["cache-control"] == "no-store"


def test_keys_of_its_own(start, tmp_path, policies, upstream):
    """With admin.keys the clients' file lets nobody in, whatever its scopes say."""
    both = add_key(tmp_path / "keys.jsonl", "--scopes", "admin,chat")
    boss = add_key(tmp_path / "admin.jsonl", "--scopes", "admin")
    config = tmp_path / "corral.yaml"
    config.write_text(
        "keys: keys.jsonl\nadmin: {listen: 127.0.0.1:0, keys: admin.jsonl}\n"
    )
    server = start("-c", config, "--policy", policies("admin", RULES), "--upstream", upstream.url)
    port = re.search(r"(?:event=admin port=|\"event\":\"admin\",\"port\":)(\d+)", server.stderr()).group(1)
    ask = lambda key: httpx.get(f"http://127.0.0.1:{port}/admin/stats", headers=bearer(key)).status_code
    assert ask(both) == 401 and ask(boss) == 200
    # What is managed are the clients' keys.
    listed = httpx.get(f"http://127.0.0.1:{port}/admin/keys", headers=bearer(boss)).json()["data"]
    assert [k["id"] for k in listed] == [both[4:12]]


def test_a_listener_needs_keys(tmp_path):
    config = tmp_path / "corral.yaml"
    for text, said in (
        ("admin: {listen: 127.0.0.1:0}\n", "nobody is let in without a key"),
        ("admin: {}\n", "corral.yaml:1:8: admin needs a listen address"),
        ("keys: k\nadmin: {listen: 0.0.0.0:1}\n", "could be read on its way"),
        ("keys: k\nlisten: 127.0.0.1:5\nadmin: {listen: 127.0.0.1:5}\n", "address of its own"),
        ("keys: k\nadmin: {listen: 5, key: x}\n", "corral.yaml:2:20: unknown key"),
    ):
        config.write_text(text)
        done = run("config", "check", config)
        assert done.returncode == 2 and said in done.stderr, done.stderr


def test_stats(admin):
    server = admin()
    assert chat(server).status_code == 200
    stats = server.admin.get("/admin/stats").json()
    assert stats["keys"] == 2 and stats["policy"]["name"] == "live"
    assert stats["now"]["upstream_members_up"] == 1 and stats["uptime_s"] >= 0


def test_reload(admin, policies):
    server = admin()
    assert chat(server, "A giraffe.").json()["choices"][0]["finish_reason"] == "stop"
    policies("admin", RULES.replace("zebra crossing", "giraffe"))
    parts = server.admin.post("/admin/reload")
    assert parts.status_code == 200, parts.text
    assert all(part["ok"] for part in parts.json().values()), parts.text
    assert chat(server, "A giraffe.").json()["choices"][0]["finish_reason"] == "content_filter"
    # A bad file is kept out, and why is told.
    policies("admin", "nonsense: 1\n")
    parts = server.admin.post("/admin/reload")
    assert parts.status_code == 409
    assert "admin.yaml:1:1: unknown key" in parts.json()["policy"]["reason"]
    assert parts.json()["keys"] == {"ok": True}
    assert chat(server, "A giraffe.").json()["choices"][0]["finish_reason"] == "content_filter"


def test_policies(admin, policies, tmp_path):
    server = admin()
    (tmp_path / "own.yaml").write_text("policy: own\nextends: [base]\n")
    (tmp_path / "base.yaml").write_text(RULES.replace("policy: live", "policy: base"))
    body = {"name": "second", "policy": "own.yaml"}
    added = server.admin.post("/admin/keys", json=body).json()
    assert added["in_force"] is True
    listed = server.admin.get("/admin/policies").json()["data"]
    assert [(p["policy"], p.get("key"), p.get("default")) for p in listed] == [
        ("live", None, True), ("own", added["id"], None)]
    # The texts in force, not those on the disk.
    (tmp_path / "base.yaml").write_text("broken")
    own = server.admin.get("/admin/policies/" + listed[1]["revision"]).json()
    assert [f["path"].rsplit("/", 1)[1] for f in own["files"]] == ["own.yaml", "base.yaml"]
    assert "zebra crossing" in own["files"][1]["text"]
    assert server.admin.get("/admin/policies/0000").status_code == 404
    # Nor does it keep a key from being revoked, as it keeps one from being made.
    made = server.admin.post("/admin/keys", json={"name": "third"}).json()
    assert made["in_force"] is False and "base.yaml" in made["reason"]
    gone = server.admin.delete("/admin/keys/" + added["id"])
    assert gone.json()["in_force"] is True
    assert chat(server, key=added["key"]).status_code == 401


def test_keys(admin):
    server = admin()
    new = server.admin.post("/admin/keys", json={"name": "new", "requests_per_minute": 1})
    assert new.status_code == 200, new.text
    new = new.json()
    # In force with the answer; its limit as well.
    assert chat(server, key=new["key"]).status_code == 200
    assert chat(server, key=new["key"]).status_code == 429
    listed = server.admin.get("/admin/keys").json()["data"]
    assert [(k["name"], k["state"]) for k in listed] == [
        ("app", "good"), ("boss", "good"), ("new", "good")]
    assert "hash" not in listed[0] and new["key"][13:] not in json.dumps(listed)
    gone = server.admin.delete("/admin/keys/" + new["id"])
    assert gone.json()["state"] == "revoked" and gone.json()["in_force"] is True
    assert chat(server, key=new["key"]).status_code == 401
    assert server.admin.delete("/admin/keys/ffffffff").status_code == 404
    for body, field in (
        ({"scopes": "all"}, "scopes"), ({"nme": "x"}, "nme"), ({"name": 7}, "name"),
        ({"tokens_per_day": -1}, "tokens_per_day"), ({"policy": "missing.yaml"}, "missing.yaml"),
    ):
        refused = server.admin.post("/admin/keys", json=body)
        assert refused.status_code == 400 and field in refused.text, refused.text
    assert server.admin.post("/admin/keys", content=b"{").status_code == 400
    assert len(server.admin.get("/admin/keys").json()["data"]) == 3
    # Who did what is on the record.
    rows = lambda: [r["detail"] for r in server.admin.get("/admin/audit?kind=event").json()["data"] if r["event"] == "admin"]
    by = server.boss[4:12]
    assert until(lambda: rows() == [f"key revoked {new['id']} by {by}", f"key added {new['id']} by {by}"]), rows()


def test_audit(admin):
    server = admin()
    for text in ("Hi", "a zebra crossing", "Ho"):
        assert chat(server, text).status_code == 200
    get = lambda query: server.admin.get("/admin/audit?" + query)
    assert until(lambda: len(get("kind=request").json()["data"]) == 3)
    everything = get("").json()["data"]
    numbers = [r["seq"] for r in everything]
    assert numbers == sorted(numbers, reverse=True)
    blocked = get("action=block").json()["data"]
    assert [b["findings"][0]["check"] for b in blocked] == ["no-stripes"]
    assert get("check=no-stripes").json()["data"] == blocked
    assert get("request=" + blocked[0]["request"] + "&kind=request").json()["data"][0]["decisions"] == 1
    assert len(get(f"key={server.key[4:12]}&kind=request").json()["data"]) == 3
    assert get("key=00000000").json() == {"object": "list", "data": [], "next": None}
    # Pages: every row once, in order.
    pages, before = [], ""
    while True:
        page = get("limit=2" + before).json()
        pages += page["data"]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert pages == everything
    middle = everything[3]["at"]
    assert get(f"from={middle}").json()["data"] == [r for r in everything if r["at"] >= middle]
    assert get(f"until={middle}").json()["data"] == [r for r in everything if r["at"] < middle]
    assert get("until=2001-01-01").json()["data"] == []
    assert get("from=2001-01-01T00:00:00Z").json()["data"] == everything
    for wrong in ("limit=0", "limit=1001", "from=yesterday", "from=2026-02-30", "kind=a%20b", "kind=", "sql=1", "before=-1"):
        assert get(wrong).status_code == 400, wrong


def test_no_audit(start, tmp_path, policies, upstream):
    key = add_key(tmp_path / "keys.jsonl", "--scopes", "admin")
    config = tmp_path / "corral.yaml"
    config.write_text("keys: keys.jsonl\nadmin: {listen: 127.0.0.1:0}\n")
    server = start("-c", config, "--policy", policies("admin", RULES), "--upstream", upstream.url)
    port = re.search(r"(?:event=admin port=|\"event\":\"admin\",\"port\":)(\d+)", server.stderr()).group(1)
    assert httpx.get(f"http://127.0.0.1:{port}/admin/audit", headers=bearer(key)).status_code == 404


def test_config_without_secrets(admin, upstream):
    """A secret in every place that may hold one, by the file or the environment."""
    config = f"""\
drain_ms: ${{DRAIN:-1234}}
limits: {{body_bytes_max: 77777}}
cors_origins: ["http://localhost:3000"]
upstreams:
  - name: farm
    base_url: "{upstream.url.rsplit('/', 1)[0]}/${{A_SECRET}}/v1"
    api_key_env: A_SECRET
    models: [m]
tools:
  - http:
      name: shop
      description: A shop.
      url: "http://127.0.0.1:9/${{A_SECRET}}"
      headers: {{Authorization: "Bearer {SECRET}", "X-More": "${{A_SECRET}}"}}
      parameters: {{type: object, properties: {{}}}}
mcp:
  - name: tickets
    url: "http://127.0.0.1:9/{SECRET}"
    headers: {{Authorization: "Bearer ${{A_SECRET}}"}}
    optional: true
  - name: files
    command: ["/bin/false", "--token=${{A_SECRET}}", "{SECRET}"]
    env: {{TOKEN: "${{A_SECRET}}"}}
    optional: true
"""
    server = admin(config, A_SECRET=SECRET)
    shown = server.admin.get("/admin/config")
    assert shown.status_code == 200
    json_ = shown.json()
    assert json_["drain_ms"] == 1234 and json_["limits"]["body_bytes_max"] == 77777
    assert json_["tools"] == ["http"] and json_["mcp"] == ["tickets", "files"]
    assert json_["listen"] == "127.0.0.1:0" and json_["cors_origins"] == ["http://localhost:3000"]
    chat(server)
    server.http.get("/v1/models", headers={"x-api-key": server.key[:13] + "f" * 48})
    everything = [shown.text, server.stderr()]
    everything += [server.admin.get(f"/admin/{path}").text for path in PATHS]
    everything.append(server.admin.get("/metrics").text)
    for text in everything:
        assert SECRET not in text
        for key in (server.key, server.boss):
            assert key[13:] not in text


def test_it_ends_with_the_server(admin):
    server = admin()
    server.admin.get("/admin/stats")
    assert server.stop(signal.SIGTERM) == 0
