"""The audit: a row for each decision and each request, and no change unseen."""

import contextlib
import csv
import fcntl
import io
import json
import resource
import socket
import sqlite3
import threading

import httpx2 as httpx
import pytest

from conftest import ROOT, RULES, run, until
from test_tools import Caller

HI = {"messages": [{"role": "user", "content": "Hi there"}], "max_tokens": 4}
DOCS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
BAD = {"messages": [{"role": "user", "content": "a zebra crossing"}], "max_tokens": 4}


@pytest.fixture()
def audited(start, tmp_path, policies, upstream):
    """begin(audit settings) starts a server whose audit is in tmp_path/data."""
    data = tmp_path / "data"

    def begin(settings="{}", policy=RULES, *args):
        config = tmp_path / "corral.yaml"
        config.write_text(f"data: data\naudit: {settings}\n")
        server = start(
            "-c", config, "--policy", policies("audited", policy),
            "--upstream", upstream.url, *args,
        )
        server.config, server.db, server.upstream = config, data / "audit.db", upstream
        return server

    return begin


def verify(server, *args):
    return run("audit", "verify", server.db, *args)


def rows(server):
    done = run("audit", "export", "-c", server.config)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def settled(server, count):
    """The rows of requests, once there are so many."""
    find = lambda: [r for r in rows(server) if r["kind"] == "request"]
    assert until(lambda: len(find()) >= count), find()
    return find()


def post(server, body, path="/v1/chat/completions", **kwargs):
    return server.http.post(path, json={"model": "m", **body}, **kwargs)


def test_every_kind_has_its_rows(audited):
    server = audited()
    assert post(server, HI).status_code == 200
    blocked = post(server, BAD, headers={"x-request-id": "mine-1"})
    assert blocked.headers["x-request-id"] == "mine-1"
    assert post(server, {"input": "x"}, "/v1/moderations").status_code == 200
    assert post(server, {"messages": 3}).status_code == 400
    assert post(server, HI, "/v1/messages").status_code == 200
    check = server.http.post("/v1/guard/check", json={"text": "x"})
    assert check.status_code == 200
    requests = settled(server, 6)
    assert [r["status"] for r in requests] == [200, 200, 200, 400, 200, 200]
    everything = rows(server)
    for r in requests:
        mine = [d for d in everything if d["kind"] == "decision" and d["request"] == r["request"]]
        assert len(mine) == r["decisions"]
    decisions = {d["request"]: d for d in everything if d["kind"] == "decision"}
    no = decisions["mine-1"]
    assert (no["action"], no["cause"], no["channel"]) == ("block", "policy", "input")
    assert no["id"] == blocked.headers["x-corral-decision"]
    assert no["findings"][0]["check"] == "no-stripes"
    assert no["policy"] == blocked.headers["x-corral-policy"]
    # The request and its answer were judged, each once.
    assert [r["decisions"] for r in requests] == [2, 1, 1, 0, 2, 1]
    assert "zebra" not in json.dumps(everything)
    assert verify(server).returncode == 0


def test_the_same_text_has_the_same_hash(audited):
    server = audited()
    for body in (HI, HI, BAD):
        post(server, body)
    settled(server, 3)
    inputs = [r["text"] for r in rows(server) if r.get("channel") == "input"]
    assert inputs[0] == inputs[1] != inputs[2]


@pytest.mark.parametrize("stream", [True, False])
def test_a_client_that_leaves_is_recorded(audited, stream):
    server = audited()
    server.upstream.pieces = ["one. "] * 100
    server.upstream.pause = 0.1
    with httpx.Client(base_url=server.url, timeout=0.7) as client:
        body = {"model": "m", "stream": stream, **HI}
        try:
            with client.stream("POST", "/v1/chat/completions", json=body) as answer:
                next(answer.iter_raw())
        except httpx.TimeoutException:
            assert not stream
    row = settled(server, 1)[0]
    assert (row["status"], row["decisions"]) == (499, 1)


def test_guard_unavailable_is_its_own_cause(audited):
    policy = "policy: slow\nchecks:\n  - {id: h, use: classifier, on: [input], categories: {all: balanced}, action: block}\nlimits: {guard_ms: 1}\n"
    server = audited("{}", policy)
    long = {"messages": [{"role": "user", "content": "word " * 3000}]}
    assert post(server, long).status_code == 503
    settled(server, 1)
    row = [r for r in rows(server) if r["kind"] == "decision"][0]
    assert (row["action"], row["cause"]) == ("block", "guard_unavailable")


def fill(audited):
    server = audited()
    for _ in range(3):
        post(server, HI)
    settled(server, 3)
    server.stop()
    assert verify(server).returncode == 0
    return server


@pytest.mark.parametrize(
    "sql, said",
    [
        ("UPDATE rows SET row = replace(row, 'allow', 'block') WHERE seq = 4", "row 4 was changed"),
        ("UPDATE rows SET hash = replace(hash, substr(hash, 1, 1), 'x') WHERE seq = 4", "row 4 was changed"),
        ("UPDATE rows SET at = 1 WHERE seq = 4", "row 4 was changed"),
        ("DELETE FROM rows WHERE seq = 4", "row 4 is missing"),
        ("DELETE FROM rows WHERE seq IN (4, 5)", "rows 4 to 5 are missing"),
        ("DELETE FROM rows WHERE seq = 1", "row 1 is missing"),
        ("DELETE FROM rows WHERE seq = (SELECT max(seq) FROM rows)", "cut off at the end"),
        ("DELETE FROM rows", "cut off at the end"),
        ("UPDATE rows SET seq = 100 WHERE seq = 3; UPDATE rows SET seq = 3 WHERE seq = 4;"
         "UPDATE rows SET seq = 4 WHERE seq = 100", "row 4 stands in the place of row 3"),
        ("INSERT INTO rows SELECT seq + 100, at, row, hash FROM rows WHERE seq = 2", "row 2 stands in the place"),
        ("DELETE FROM rows WHERE seq > 4; UPDATE marks SET seq = 4, hash ="
         " (SELECT hash FROM rows WHERE seq = 4)", "the mark of the end was changed"),
        ("DELETE FROM marks", "rows from 1 on were added"),
    ],
)
def test_no_change_goes_unseen(audited, sql, said):
    server = fill(audited)
    with sqlite3.connect(server.db) as db:
        db.executescript(sql)
    done = verify(server)
    assert done.returncode == 1 and said in done.stdout, done.stdout


def test_an_old_copy_shows_by_its_head(audited):
    server = fill(audited)
    head = verify(server).stdout.split()[-1]
    assert verify(server, "--head", head).returncode == 0
    assert verify(server, "--head", "0" * 64).returncode == 1


def test_the_chain_goes_on_after_a_restart(audited):
    fill(audited)
    server = audited()
    post(server, HI)
    settled(server, 4)
    assert verify(server).returncode == 0
    events = [r["event"] for r in rows(server) if r["kind"] == "event"]
    assert events == ["start", "policy", "stop", "start", "policy"]


def test_rows_survive_a_kill(audited):
    server = audited()
    post(server, HI)
    settled(server, 1)
    server.process.kill()
    server.process.wait()
    assert verify(server).returncode == 0
    assert [r["kind"] for r in rows(server)].count("request") == 1


def test_a_lost_key_is_told(audited):
    server = fill(audited)
    server.db.with_name("audit.key").unlink()
    assert verify(server).returncode != 0
    with pytest.raises(RuntimeError, match="audit.key is missing"):
        audited()


def test_csv(audited):
    server = fill(audited)
    done = run("audit", "export", server.db, "--format", "csv")
    table = list(csv.DictReader(io.StringIO(done.stdout)))
    assert len(table) == len(rows(server))
    assert {r["status"] for r in table if r["kind"] == "request"} == {"200"}


SHADOWS = RULES.replace("messages:", """\
  - {id: herd, use: rules, on: [input], any: ["zebra"], action: block, shadow: true}
  - {id: horses, use: rules, on: [input], any: ["stripes"], action: flag}
messages:""")


def test_csv_checks(audited):
    """Which checks found something, and which on trial would have; the columns
    that were always there keep their places."""
    server = audited(policy=SHADOWS)
    for text in ("a zebra crossing, zebra crossing, stripes", "a zebra", "Hi"):
        post(server, {"messages": [{"role": "user", "content": text}], "max_tokens": 4})
    settled(server, 3)
    done = run("audit", "export", server.db, "--format", "csv")
    head = done.stdout.split("\n")[0].strip()
    assert head == (
        "seq,at,kind,id,request,route,key,channel,action,cause,policy,text,status,ms,"
        "decisions,event,detail,prompt_tokens,completion_tokens,peer,answer,checks,shadow_checks"
    )
    assert ", ".join(f"`{c}`" for c in head.split(",")[:3]) in DOCS and "`shadow_checks`" in DOCS
    found = [
        (set(filter(None, r["checks"].split(";"))), r["shadow_checks"])
        for r in csv.DictReader(io.StringIO(done.stdout))
        if r["kind"] == "decision" and r["channel"] == "input"
    ]
    assert found == [({"no-stripes", "horses"}, "herd"), (set(), "herd"), (set(), "")]
    wide = [r for r in csv.reader(io.StringIO(done.stdout)) if len(r) != 23]
    assert not wide


@pytest.mark.parametrize("closed", [True, False])
def test_a_locked_database(audited, closed):
    server = audited("{on_error: closed}" if closed else "{}")
    lock = sqlite3.connect(server.db, isolation_level=None)
    lock.execute("BEGIN IMMEDIATE")
    assert post(server, HI).status_code == 200
    assert until(lambda: server.metric("corral_audit_failing") == 1)
    assert post(server, HI).status_code == (503 if closed else 200)
    assert server.http.get("/healthz").status_code == 200
    lock.execute("COMMIT")
    lock.close()
    assert until(lambda: server.metric("corral_audit_failing") == 0)
    assert post(server, HI).status_code == 200
    # What was answered while it was locked was kept, and is there now.
    assert len(settled(server, 2 if closed else 3)) == (2 if closed else 3)
    assert server.metric("corral_audit_rows_lost_total") == 0
    assert verify(server).returncode == 0


ASKS = RULES + """\
tools:
  allow: [calculator]
  rules: [{tool: calculator, action: ask, id: a-person}]
limits: {approval_s: %d}
"""


@pytest.mark.parametrize("seconds, word", [(60, "approve"), (60, "deny"), (1, None)])
def test_what_a_person_said(audited, seconds, word):
    """Each answer to a question is a row that names the verdict which asked."""
    upstream = Caller()
    upstream.calls = [("calculator", {"expression": "40+2"})]
    try:
        server = audited("{}", ASKS % seconds, "--tools", "calculator", "--upstream", upstream.url)
        answers = []
        asker = threading.Thread(target=lambda: answers.append(post(server, HI)))
        asker.start()
        if word:
            waiting = lambda: server.http.get("/v1/approvals").json()["data"]
            assert until(waiting)
            question = waiting()[0]["id"]
            assert server.http.post(f"/v1/approvals/{question}", json={"decision": word}).status_code == 200
        asker.join(30)
        assert answers[0].status_code == 200
        settled(server, 1)
        (row,) = [r for r in rows(server) if r["kind"] == "approval"]
        assert row["answer"] == {"approve": "approved", "deny": "denied", None: "expired"}[word]
        assert row["checks"] == "a-person" and row["key"] == "" and row["waited_s"] >= 0
        (asked,) = [r for r in rows(server) if r.get("action") == "ask"]
        assert row["decision"] == asked["id"]
        assert not word or row["id"] == question
        assert "40+2" not in json.dumps(rows(server))
        assert verify(server).returncode == 0
    finally:
        upstream.close()


@pytest.mark.parametrize("more, peer", [("", "203.0.113.7"), (", addresses: false", None)])
def test_where_a_client_was(audited, more, peer):
    """Behind a balancer it is the address that the PROXY header names."""
    server = audited("{on_error: count" + more + "}\nproxy_protocol: true")
    body = json.dumps({"model": "m", **HI}).encode()
    with socket.create_connection(("127.0.0.1", server.port)) as s:
        s.sendall(b"PROXY TCP4 203.0.113.7 192.0.2.1 40000 80\r\n"
                  b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                  b"content-length: %d\r\n\r\n" % len(body) + body)
        assert s.recv(100).startswith(b"HTTP/1.1 200")
        (row,) = settled(server, 1)
    assert row.get("peer") == peer
    decisions = [r for r in rows(server) if r["kind"] == "decision"]
    assert decisions and all(r.get("peer") == peer for r in decisions)


def limit_files(server, size):
    """No file of the process may grow past it, as if the disk were full."""
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.mark.parametrize("closed", [True, False])
def test_a_full_disk(audited, closed):
    server = audited("{on_error: closed}" if closed else "{}")
    assert post(server, HI).status_code == 200
    settled(server, 1)
    limit_files(server, 512)
    assert post(server, HI).status_code == 200  # nobody knows yet
    assert until(lambda: server.metric("corral_audit_failing") == 1)
    assert post(server, HI).status_code == (503 if closed else 200)
    limit_files(server, resource.RLIM_INFINITY)
    assert until(lambda: server.metric("corral_audit_failing") == 0)
    assert post(server, HI).status_code == 200
    assert len(settled(server, 3 if closed else 4)) == (3 if closed else 4)
    assert server.metric("corral_audit_rows_lost_total") == 0
    assert verify(server).returncode == 0


def test_a_full_database(audited):
    """bytes_max is a limit of the operator's own: what it keeps out is told."""
    server = audited("{on_error: closed, bytes_max: 1048576}")
    text = {"messages": [{"role": "user", "content": "Hi"}] * 60}
    answers = [post(server, text).status_code for _ in range(5)]
    assert answers == [200] * 5

    def fill():
        for _ in range(200):
            if post(server, HI).status_code == 503:
                return True
        return False

    assert until(fill, 120)
    assert server.metric("corral_audit_failing") == 1
    assert "audit_fails" in server.stderr()
    assert server.http.get("/healthz").status_code == 200
    assert server.db.stat().st_size <= 1048576
    assert verify(server).returncode == 0


@pytest.mark.parametrize("readable", [True, False])
def test_a_lock_never_let_go(audited, readable):
    """The end comes in time all the same, and the rows that were not written
    are told."""
    server = audited()
    post(server, HI)
    settled(server, 1)
    with locked(server.db, readable):
        assert post(server, HI).status_code == 200
        # SQLite itself tries for ten seconds where it may not even read.
        assert until(lambda: server.metric("corral_audit_failing") == 1, 40)
        assert server.stop() == 0
        assert "event=audit_lost rows=" in server.stderr()
    assert verify(server).returncode == 0


@contextlib.contextmanager
def locked(db, readable):
    """Nobody else writes to the database, or not even reads it. SQLite gives
    the second to none while a server has a log open, so it is taken as another
    program would: all eight locks of the log, from byte 120 of its index on."""
    if readable:
        with contextlib.closing(sqlite3.connect(db, isolation_level=None)) as lock:
            lock.execute("BEGIN EXCLUSIVE")
            yield
            lock.execute("ROLLBACK")
    else:
        with open(f"{db}-shm", "r+b") as index:
            fcntl.lockf(index, fcntl.LOCK_EX, 8, 120)
            yield


def keyed(audited, tmp_path, *args):
    """A server with an audit and one key."""
    done = run("key", "add", "--file", tmp_path / "k", *args)
    key = done.stdout.strip()
    config = tmp_path / "corral.yaml"

    def begin():
        server = audited()
        server.stop()
        config.write_text(config.read_text() + f"keys: {tmp_path / 'k'}\n")
        return key, config

    return begin()


def test_who_is_not_let_in(audited, start, tmp_path, policies, upstream):
    key, config = keyed(audited, tmp_path, "--requests-per-minute", "1")
    server = start("-c", config, "--policy", policies("audited", RULES), "--upstream", upstream.url)
    server.config = config
    headers = {"authorization": f"Bearer {key}"}
    assert post(server, HI).status_code == 401
    assert post(server, HI, headers=headers).status_code == 200
    assert post(server, HI, headers={**headers, "x-request-id": "over"}).status_code == 429
    found = lambda: [(r["status"], r["key"]) for r in rows(server) if r["kind"] == "request"]
    assert until(lambda: len(found()) == 3), found()
    assert found() == [(401, ""), (200, key[4:12]), (429, key[4:12])]
    # A flood is counted, not written down one by one.
    for _ in range(60):
        assert post(server, HI).status_code == 401
    more = lambda: sum(int(r["detail"].split()[0]) for r in rows(server) if r.get("event") == "refused")
    assert until(lambda: len(found()) - 3 + more() == 60), (len(found()), more())
    assert more() > 0


def test_a_budget_outlives_the_process(audited, start, tmp_path, policies, upstream):
    key, config = keyed(audited, tmp_path, "--tokens-per-day", "5")
    headers = {"authorization": f"Bearer {key}"}
    begin = lambda: start("-c", config, "--policy", policies("audited", RULES), "--upstream", upstream.url)
    upstream.raw = None
    server = begin()
    first = post(server, HI, headers=headers)
    assert first.status_code == 200 and first.json()["usage"]["total_tokens"] >= 5
    assert post(server, HI, headers=headers).status_code == 429
    assert server.stop() == 0
    server = begin()
    refused = post(server, HI, headers=headers)
    assert refused.status_code == 429 and refused.json()["error"]["code"] == "insufficient_quota"
