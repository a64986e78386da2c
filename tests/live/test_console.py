"""The web console as it is served: its routes and their headers, and that no
file of it could run a script that is not ours."""

import http.client
import re
import signal

import pytest

from conftest import ROOT, RULES, run, until

FOLDER = ROOT / "console"
FILES = sorted(path.name for path in FOLDER.iterdir())
TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@pytest.mark.parametrize("name", FILES)
def test_every_file(corral, name):
    answer = corral.http.get("/console/" + name)
    assert answer.status_code == 200
    assert answer.content == (FOLDER / name).read_bytes()
    assert answer.headers["content-type"] == TYPES[name.rsplit(".", 1)[1]]


def test_page_is_the_root(corral):
    assert corral.http.get("/").content == (FOLDER / "index.html").read_bytes()
    assert corral.http.get("/?a=b").status_code == 200


def test_headers(corral):
    headers = corral.http.get("/").headers
    policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'", "script-src": "'self'", "style-src": "'self'",
        "connect-src": "'self'", "img-src": "'self' data:", "base-uri": "'none'",
        "form-action": "'none'", "frame-ancestors": "'none'",
    }
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-cache"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "set-cookie" not in headers


def test_not_modified(corral):
    """Only who has these very bytes is spared them, and the 304 has no body that
    a client could wait for."""
    whole = corral.http.get("/console/app.js")
    tag = whole.headers["etag"]
    for has in (tag, "W/" + tag, f'"other", {tag}', "*"):
        answer = corral.http.get("/console/app.js", headers={"if-none-match": has})
        assert answer.status_code == 304 and not answer.content, has
        assert answer.headers["etag"] == tag
        assert "content-length" not in answer.headers
        assert "content-security-policy" in answer.headers
    for has in ('"other"', "", tag[:-2] + '"', tag.strip('"')):
        answer = corral.http.get("/console/app.js", headers={"if-none-match": has})
        assert answer.status_code == 200 and answer.content == whole.content, has
    other = corral.http.get("/console/chat.js", headers={"if-none-match": tag})
    assert other.status_code == 200 and other.headers["etag"] != tag
    # The connection goes on behind it.
    assert corral.http.get("/healthz").text == "ok\n"


def test_head(corral):
    whole, head = corral.http.get("/"), corral.http.head("/")
    assert head.status_code == 200 and not head.content
    assert head.headers["content-length"] == str(len(whole.content))
    assert head.headers["etag"] == whole.headers["etag"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_other_methods(corral, method):
    for path in ("/", "/console/app.js"):
        answer = corral.http.request(method, path, json={})
        assert answer.status_code == 405, (method, path)


@pytest.mark.parametrize("path", [
    "/console", "/console/", "/console/none.js", "/console/app.js/", "/console//app.js",
    "/console/../app.js", "/console/%2e%2e/README.md", "/console/..%2fREADME.md",
    "/console/../../../../etc/passwd", "/console/app.js%00", "/console/APP.JS",
    "/console/index.html/../app.js", "/index.html", "/app.js", "/favicon.ico", "//",
])
def test_no_other_path(corral, path):
    """Names are compared, never opened; so there is nothing to climb out of."""
    # Byte for byte, where other libraries would tidy the path up.
    client = http.client.HTTPConnection("127.0.0.1", corral.port, timeout=20)
    client.request("GET", path)
    answer = client.getresponse()
    assert answer.status == 404 and b"root:" not in answer.read()
    client.close()


def test_keys_are_for_the_api(start, policies, tmp_path):
    """The page that asks for the key is there without one; what it shows is not."""
    key = run("key", "add", "--file", tmp_path / "keys", "--scopes", "chat").stdout.strip()
    (tmp_path / "corral.yaml").write_text("keys: keys\ndata: data\n")
    server = start("-c", tmp_path / "corral.yaml", "--policy", policies("live", RULES))
    for name in ("", *("console/" + name for name in FILES)):
        assert server.http.get("/" + name).status_code == 200
    for path in ("/v1/models", "/v1/sessions", "/v1/approvals", "/metrics", "/index.html"):
        assert server.http.get(path).status_code == 401, path
    with_key = {"authorization": "Bearer " + key}
    assert server.http.get("/v1/models", headers=with_key).status_code == 200
    assert server.http.get("/console/nothing", headers=with_key).status_code == 404


def test_switched_off(start, policies, tmp_path):
    config = tmp_path / "corral.yaml"
    config.write_text("console: false\ndata: data\n")
    server = start("-c", config, "--policy", policies("live", RULES))
    for path in ("/", "/console/app.js"):
        answer = server.http.get(path)
        assert answer.status_code == 404
        assert answer.json()["error"]["message"] == "there is no such route"
        assert "content-security-policy" not in answer.headers
    assert server.http.get("/healthz").status_code == 200


def test_switched_while_it_runs(start, policies, tmp_path):
    config = tmp_path / "corral.yaml"
    config.write_text("data: data\n")
    server = start("-c", config, "--policy", policies("live", RULES))
    for text, status in (("console: false\n", 404), ("console: true\n", 200)):
        config.write_text("data: data\n" + text)
        server.process.send_signal(signal.SIGHUP)
        assert until(lambda want=status: server.http.get("/").status_code == want)


def test_wrong_value(tmp_path):
    config = tmp_path / "corral.yaml"
    config.write_text("console: please\n")
    answer = run("serve", "-c", config, timeout=20)
    assert answer.returncode == 2 and ":1:10: console" in answer.stderr, answer.stderr


def test_counted(corral):
    before = corral.metric('corral_requests_total{route="console",status="200"}') or 0
    corral.http.get("/")
    assert corral.metric('corral_requests_total{route="console",status="200"}') == before + 1
    corral.http.get("/", headers={"if-none-match": "*"})
    assert corral.metric('corral_requests_total{route="console",status="304"}') >= 1


# ---- the sources ----


def source(name):
    return (FOLDER / name).read_text(encoding="utf-8")


def test_what_the_page_names_is_served(corral):
    page = source("index.html")
    named = re.findall(r'(?:src|href)="([^"#][^"]*)"', page)
    for script in (name for name in FILES if name.endswith(".js")):
        named += ["/console/" + m for m in re.findall(r"from '\./([^']+)'", source(script))]
    assert len(named) > 10
    for path in named:
        assert path.startswith("/console/"), path
        assert corral.http.get(path).status_code == 200, path
    unused = set(FILES) - {path.rsplit("/", 1)[1] for path in named} - {"index.html"}
    assert not unused


def test_no_inline_script_or_style():
    page = source("index.html")
    for opening, body in re.findall(r"<script([^>]*)>(.*?)</script>", page, re.S):
        assert "src=" in opening and not body.strip()
    assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:", page, re.I)


@pytest.mark.parametrize("name", [n for n in FILES if n.endswith(".js")])
def test_text_stays_text(name):
    """Nothing here turns a text into markup or code, or speaks to others."""
    forbidden = (r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|"
                 r"createContextualFragment|setHTMLUnsafe|srcdoc|\beval\b|\bFunction\(|"
                 r"localStorage|document\.cookie|https?://|WebSocket|sendBeacon|postMessage|"
                 r"setTimeout\(['\"]|\.style\b")
    assert not re.search(forbidden, source(name)), re.search(forbidden, source(name))


@pytest.mark.parametrize("name", FILES)
def test_every_id_is_there(name):
    """An id that the scripts look for is in the page, once."""
    page = source("index.html")
    for wanted in re.findall(r"byId\('([^']+)'\)", source(name)):
        assert page.count(f'id="{wanted}"') == 1, wanted
