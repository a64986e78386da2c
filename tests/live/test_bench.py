"""`corral bench`: every figure is there and can be one. How large they are is
nobody's business here."""

import json
import math

from conftest import run

ENGINE = """start_ms rss_start_mb packed_ms prefill_tok_s prefill_ms_100 decode_tok_s
    decode8_tok_s memory_gb_s weights_gb_s decode_gb_s decode_share
    decode_share_file decode_share_weights gap_p50_ms gap_p99_ms
    grammar_mask_us grammar_share quote_ratio quote_accepted plain_ratio rss_mb rss_kv_mb rss_file_mb file_mb
    kv_mb""".split()
GUARD = """guard_ms_100 guard_ratio_100 activated_ms_200 activated_ratio_200
    stream_512_ms stream_512_ratio turn_200_ms turn_200_ratio turn_200_tokens""".split()


def bench(*args):
    r = run("bench", "--quick", "--json", "-n", "8", *args)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def test_all_figures():
    figures = bench()
    for key in ENGINE + GUARD:
        assert math.isfinite(figures[key]), key
    for key in ENGINE:
        assert figures[key] > 0 or key == "rss_file_mb", key
    assert figures["model"].endswith(".gguf")
    assert figures["threads"] >= 1
    assert figures["decode_tokens"] == 8
    assert figures["rss_mb"] > figures["rss_kv_mb"]


def test_some_figures():
    figures = bench("--only", "guard,grammar", "-t", "1")
    assert figures["threads"] == 1
    assert figures["guard_ms_100"] > 0
    assert figures["grammar_mask_us"] > 0
    for key in "prefill_tok_s", "decode_tok_s", "grammar_share", "gap_p50_ms":
        assert key not in figures


def test_without_a_guard(tmp_path):
    parts = "prefill,guard,activated,stream,turns"
    r = run(
        "bench", "--quick", "--json", "--only", parts, "--guard-models", tmp_path
    )
    assert r.returncode == 0
    assert len(r.stderr.strip().splitlines()) == 1
    figures = json.loads(r.stdout)
    assert figures["prefill_tok_s"] > 0
    for key in GUARD:
        assert key not in figures


def test_a_part_that_is_none():
    r = run("bench", "--only", "prefill,cooking")
    assert r.returncode == 2
    assert "cooking" in r.stderr
    assert r.stdout == ""
