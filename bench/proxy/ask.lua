-- What wrk sends: a chat of three turns.
wrk.method = "POST"
wrk.path = "/v1/chat/completions"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [[{"model":"m","messages":[
{"role":"system","content":"You are a helpful assistant. Answer briefly."},
{"role":"user","content":"What is the capital of Italy, and how many people live there?"},
{"role":"assistant","content":"Rome; about 2.8 million people."},
{"role":"user","content":"And how do I get there from Milan by train?"}]}]]
-- A figure from errors would be one about nothing.
function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %.6f, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50),
    latency:percentile(99), e.connect + e.read + e.write + e.status + e.timeout))
end
