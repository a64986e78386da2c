"""W3C Trace Context: what came in goes out to upstreams, under a span of ours."""

from conftest import RULES

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"


def test_context_goes_on(start, policies, upstream):
    server = start("--policy", policies("traced", RULES), "--upstream", upstream.url)

    def sent(came):
        headers = {"traceparent": came} if came else {}
        r = server.http.post("/v1/chat/completions", headers=headers, json={
            "model": "m", "messages": [{"role": "user", "content": "Hi"}]})
        assert r.status_code == 200
        return upstream.headers[-1]["traceparent"].split("-")

    for flags in ("00", "01"):
        version, trace, span, out = sent(f"00-{TRACE}-{SPAN}-{flags}")
        assert (version, trace, out) == ("00", TRACE, flags)
        assert span != SPAN and len(span) == 16
    # None, and one that is not to the letter: a new one each time.
    fresh = [sent(came) for came in (None, f"00-{TRACE}-{SPAN}-zz", None)]
    assert len({trace for _, trace, _, _ in fresh} | {TRACE}) == 4
    assert all(len(trace) == 32 and flags == "00" for _, trace, _, flags in fresh)
