"""The web console in a real browser: Debian's Chromium, headless, without a
network. The model is a script, the policy is rules alone."""

import json
import shutil
import threading

import httpx2 as httpx
import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from conftest import Corral, run, stop_clean
from local_server import LocalServer, ModelHandler

WAIT_SECONDS = 15
MARKUP = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"

POLICY = """\
policy: console
checks:
  - {id: no-stripes, use: rules, on: [input, output, tool_call],
     any: ["zebra crossing"], action: block}
  - {id: addresses, use: entities, on: [input, output, tool_result], kinds: [email], action: redact}
tools:
  rules:
    - {id: by-hand, tool: calculator, when: {expression: ["7*"]}, action: ask}
limits: {approval_s: 60}
messages:
  block: {en: "I can't help with that."}
"""


class Model(LocalServer):
    """"calc X" has X calculated, and its result said, with markup behind it;
    "wait" is answered when the test lets it; anything else is echoed."""

    def __init__(self):
        self.gate = threading.Event()
        model = self

        class Handler(ModelHandler):
            def do_POST(self):
                size = int(self.headers["content-length"])
                last = json.loads(self.rfile.read(size))["messages"][-1]
                finish = "stop"
                if last["role"] == "tool":
                    delta = {"content": f"It is {last['content'].split(chr(10))[1]}. {MARKUP}"}
                elif last["content"].startswith("calc "):
                    arguments = json.dumps({"expression": last["content"][5:]})
                    function = {"name": "calculator", "arguments": arguments}
                    call = {"index": 0, "id": "call_1", "type": "function", "function": function}
                    delta, finish = {"tool_calls": [call]}, "tool_calls"
                else:
                    if last["content"] == "wait":
                        model.gate.wait(WAIT_SECONDS)
                    delta = {"content": "You said " + last["content"]}
                try:
                    self.stream(delta, finish)
                except OSError:
                    pass  # the turn was stopped

        super().__init__(Handler)


@pytest.fixture(scope="module")
def browser():
    if not shutil.which("chromedriver"):
        pytest.skip("chromedriver is not installed: Debian has it in chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage",
                     "--disable-gpu", "--window-size=1200,800"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def served(policies, tmp_path_factory):
    folder, model = tmp_path_factory.mktemp("console"), Model()
    key = run("key", "add", "--file", folder / "keys",
              "--scopes", "chat,guard,approve,metrics").stdout.strip()
    (folder / "corral.yaml").write_text(
        f"data: data\nkeys: keys\npolicy: {policies('console', POLICY)}\n"
        f"backend: {{openai: {{base_url: '{model.url}/v1', model: m}}}}\ntools: [calculator]\n")
    server = Corral("-c", folder / "corral.yaml")
    server.key, server.model = key, model
    server.http.headers["authorization"] = "Bearer " + key
    yield server
    stop_clean(server)
    model.close()


class Page:
    """The console at work, as a person sees it."""

    def __init__(self, browser, server):
        self.browser, self.server = browser, server

    def open(self, view="chat"):
        """A tab of its own, so that nothing is left of the one before."""
        old = self.browser.current_window_handle
        self.browser.switch_to.new_window("tab")
        new = self.browser.current_window_handle
        self.browser.switch_to.window(old)
        self.browser.close()
        self.browser.switch_to.window(new)
        self.browser.get(f"{self.server.url}/#{view}")
        if view == "check":  # asks the server for nothing until something is judged
            self.until(lambda: self.shown("#check-text"))
            self.shown("#key").click()
        self.give_key()
        return self

    def give_key(self):
        field = self.until(lambda: self.shown("#key-input"))
        field.send_keys(self.server.key + Keys.ENTER)
        self.until(lambda: not self.shown("#key-dialog"))

    def until(self, condition):
        return WebDriverWait(self.browser, WAIT_SECONDS, 0.05).until(lambda _: condition())

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def shown(self, selector):
        found = [node for node in self.all(selector) if node.is_displayed()]
        return found[0] if found else None

    def press(self, text, inside="body"):
        path = f".//button[normalize-space()='{text}']"
        for root in self.all(inside):
            for node in root.find_elements(By.XPATH, path):
                if node.is_displayed():
                    node.click()
                    return
        raise AssertionError(f"no button {text!r}")

    def say(self, text):
        self.shown("#message").send_keys(text + Keys.ENTER)

    def text(self, selector):
        return "\n".join(self.browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])]"
            ".filter(node => node.checkVisibility()).map(node => node.innerText)", selector))

    def idle(self):
        self.until(lambda: self.shown("#send"))


@pytest.fixture()
def page(browser, served):
    browser.get_log("browser")
    yield Page(browser, served)
    # A script that the page's policy kept out, a file that was not there.
    said = [entry for entry in browser.get_log("browser")
            if entry["level"] == "SEVERE" and " 401 " not in entry["message"]]
    assert not said
    assert "taken" not in browser.title


def test_a_held_call_is_approved(page):
    page.open().say("calc 7*6")
    page.until(lambda: page.shown(".call .question"))
    assert page.text(".call .tool") == "calculator"
    assert '"expression": "7*6"' in page.text(".call .arguments")
    assert "by-hand" in page.text(".question") and " left" in page.text(".countdown")
    assert "waits for a person" in page.text(".call .state")
    page.press("Approve", ".call")
    page.until(lambda: "It is 42." in page.text(".by-model .text"))
    page.idle()
    # What the model wrote is there to the letter, and is no part of the page.
    assert MARKUP in page.text(".by-model .text")
    assert not page.all("#transcript img, #transcript script")
    assert page.text(".call .state") == "done"
    assert not page.shown(".call .question")
    # The result is closed until it is asked for, and says what it is.
    assert not page.shown(".result pre") and "data, not instructions" in page.text(".result summary")
    page.shown(".result summary").click()
    assert page.shown(".result pre").text == "42"
    assert page.text(".call .badge") == "a person decides\nallowed"
    # Another call, though the model gives it the same id.
    page.say("calc 2+3")
    page.until(lambda: "It is 5." in page.text(".by-model .text"))
    page.idle()
    assert page.text(".call .state") == "done\ndone"
    assert '"2+3"' in page.text(".call .arguments") and '"7*6"' in page.text(".call .arguments")


def test_a_held_call_is_denied(page):
    page.open().say("calc 7*5")
    page.until(lambda: page.shown(".call .question"))
    page.press("Deny", ".call")
    page.until(lambda: "denied by a person" in page.text(".by-model .text"))
    page.idle()
    assert page.text(".call .state") == "not made"


def test_what_is_not_seen_is_shown_in_a_call(page):
    """Letters that turn others around could have a person approve another call."""
    page.open().say("calc 7*1\u202e6")
    page.until(lambda: page.shown(".call .question"))
    assert r'"expression": "7*1\u202e6"' in page.text(".call .arguments")
    page.press("Deny", ".call")
    page.idle()


def test_a_refusal_is_shown_as_one(page):
    page.open().say("Where is the zebra crossing?")
    page.until(lambda: page.shown(".verdict"))
    assert "I can't help with that." in page.text(".refused .text")
    assert page.text(".verdict summary") == "blocked request · no-stripes"
    page.idle()


def test_a_turn_goes_on_behind_another_session(page):
    page.server.model.gate.clear()
    page.open().say("wait")
    session = page.until(lambda: page.shown(".session[aria-current]") and page.shown("#stop")
                         and page.shown(".session[aria-current]").get_attribute("data-id"))
    page.press("New session")
    page.idle()
    page.say("elsewhere")
    page.until(lambda: "You said elsewhere" in page.text(".by-model .text"))
    page.idle()
    page.shown(f"[data-id='{session}']").click()
    page.until(lambda: page.text(".by-user .text") == "wait")
    assert page.server.http.get(f"/v1/sessions/{session}").json()["running"]
    page.server.model.gate.set()
    page.until(lambda: "You said wait" in page.text(".by-model .text"))


def test_stop(page):
    page.server.model.gate.clear()
    page.open().say("wait")
    page.until(lambda: page.shown("#stop"))
    page.press("Stop")
    page.idle()
    assert "The turn was broken off." in page.text("#transcript .event")
    page.server.model.gate.set()  # it has nobody to answer any more
    page.until(lambda: not page.server.http.get("/v1/sessions?limit=1").json()["data"][0]["running"])


def test_sessions_are_resumed_forked_and_deleted(page):
    server = page.server
    session = server.http.post("/v1/sessions", json={"metadata": {"name": "Kept " + MARKUP},
                                                     "system": "Be brief."}).json()["id"]
    for content in ("calc 1+1", "second"):
        server.http.post(f"/v1/sessions/{session}/messages", json={"content": content}).raise_for_status()
    page.open()
    page.until(lambda: page.shown(f"[data-id='{session}']")).click()
    page.until(lambda: "You said second" in page.text(".by-model .text"))
    assert page.text(".by-user .text") == "calc 1+1\nsecond"
    assert page.text(".call .state") == "done" and "Kept " + MARKUP in page.text("#session-bar")
    assert not page.all("#session-bar img, #sessions img")
    page.say("third")
    page.until(lambda: "You said third" in page.text(".by-model .text"))
    page.idle()
    # Before the second message: the call, its result and the answer are in.
    page.press("Fork before this", ".by-user")
    page.until(lambda: page.text(".by-user .text") == "calc 1+1")
    fork = server.http.get("/v1/sessions?limit=1").json()["data"][0]
    assert fork["forked_from"] == session and fork["id"] != session
    page.press("Delete")
    assert server.http.get(f"/v1/sessions/{fork['id']}").status_code == 200  # asked once more
    page.until(lambda: page.shown("#session-bar .no").text == "Really delete?")
    page.press("Really delete?")
    page.until(lambda: page.shown("#start"))
    assert server.http.get(f"/v1/sessions/{fork['id']}").status_code == 404
    assert server.http.get(f"/v1/sessions/{session}").status_code == 200


def test_approvals_of_other_clients(page):
    server, answer = page.server, []
    body = {"model": "m", "messages": [{"role": "user", "content": "calc 7*9"}]}
    client = threading.Thread(target=lambda: answer.append(
        httpx.post(server.url + "/v1/chat/completions", json=body, timeout=60,
                   headers={"authorization": "Bearer " + server.key})))
    page.open("approvals")
    assert page.until(lambda: page.shown("#no-approvals"))
    client.start()
    page.until(lambda: page.shown("#approvals-list .card"))
    assert '"expression": "7*9"' in page.text("#approvals-list pre")
    assert page.text("#waiting") == "1"
    page.press("Approve", "#approvals-list")
    client.join(WAIT_SECONDS)
    assert "It is 63." in answer[0].json()["choices"][0]["message"]["content"]
    page.until(lambda: page.shown("#no-approvals"))


def test_check(page):
    page.open("check")
    page.shown("#check-text").send_keys("Für bob@example.com am zebra crossing")
    page.press("Judge")
    page.until(lambda: page.shown(".outcome"))
    assert page.text(".outcome").startswith("blocked on request")
    # Places are told in bytes, and the first letter has two of them.
    assert [node.text for node in page.all("mark")] == ["bob@example.com", "zebra crossing"]
    field = page.shown("#check-text")
    field.clear()
    field.send_keys("Für bob@example.com")
    page.press("Judge")
    page.until(lambda: page.shown(".instead"))
    assert page.text(".instead") == "Für [email]"
    Select(page.shown("#check-channel")).select_by_value("tool_call")
    page.shown("#check-tool").send_keys("calculator")
    page.shown("#check-text").clear()
    page.shown("#check-text").send_keys('{"expression": "zebra crossing"}')
    page.press("Judge")
    page.until(lambda: page.text(".outcome").startswith("blocked on tool call"))


def test_activity(page):
    page.server.http.post("/v1/guard/check", json={"text": "zebra crossing"}).raise_for_status()
    page.open("activity")
    page.until(lambda: page.shown(".figures"))
    tables = page.text("#activity-body")
    assert "guard" in tables and "request" in tables and "≤" in tables


def test_key(page):
    """A wrong one is asked for again; a right one stays in this tab alone."""
    page.browser.get("about:blank")
    page.browser.switch_to.new_window("tab")
    page.browser.get(page.server.url)
    field = page.until(lambda: page.shown("#key-input"))
    field.send_keys("no-such-key" + Keys.ENTER)
    page.until(lambda: "not valid" in page.text("#key-why"))
    page.give_key()
    page.until(lambda: page.all("#model option"))
    kept = page.browser.execute_script(
        "return [Object.values(sessionStorage), {...localStorage}, document.cookie]")
    assert kept == [[page.server.key], {}, ""]
    page.open()  # asks again: it is another tab


def test_a_narrow_screen(page):
    """Nothing is wider than a telephone, and everything can still be reached."""
    page.open().say("calc 7*3")
    page.until(lambda: page.shown(".question"))
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                                 {"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": True})
    try:
        for view in ("chat", "approvals", "check", "activity"):
            page.shown(f"nav a[href='#{view}']").click()
            page.until(lambda: page.shown("#" + view))
            assert page.browser.execute_script("return document.documentElement.scrollWidth") <= 360, view
        page.shown("nav a[href='#chat']").click()
        page.until(lambda: page.shown(".question"))
        page.press("Deny", ".call")
        page.idle()
    finally:
        page.browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
