/* rig.c - a model server that costs next to nothing, and a client that looks at
 * the clock: what stands between the two is measured. One thread. Trusted input
 * only: it reads no more of HTTP than its own peers write.
 *
 *   rig mock PORT [MS]                       answer, MS later, until killed
 *   rig streams TARGET MOCK COUNT CHUNKS MS  streams through 127.0.0.1:TARGET,
 *                      whose upstream is our own port MOCK: a chunk every MS.
 *                      How long after the chunk that was sent last something
 *                      arrived, and how many were held back until then
 *   rig idle TARGET MOCK COUNT     streams that begin and then say nothing,
 *                      until standard input ends
 *   rig load TARGET COUNT SECONDS  COUNT clients that ask, hear, ask again; a
 *                      client that is told to come back (429) waits a little.
 *                      How long those waited that were answered
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/bytes.h"
#include "base/clock.h"

enum {
    STREAMS_MAX = 20000,
    READ_SIZE = 64 << 10,
    IDLE_CHUNKS = 20,
    CONNECT_AT_ONCE = 200,
    REFUSED_MS = 20, /* until a client that was refused asks again */
    ACCEPTED_MAX = 10000000
};

/* Every tick holds one of these, and nothing else does. */
#define TICK_MARK '~'

struct stream { /* one of ours, seen from both ends */
    uv_tcp_t tcp;
    uv_connect_t connect;
    struct rig *rig;
    int index;
    int sent;         /* ticks, by the mock */
    uint64_t sent_ns; /* the last of them */
    uint64_t next_ms; /* loop time at which the next one is due */
    int seen;         /* ticks that arrived */
    struct bytes in;  /* of an answer, under load */
    uv_timer_t again;
};

struct server_conn { /* at the mock's end */
    uv_tcp_t tcp;
    struct rig *rig;
    struct bytes in;
    uv_timer_t timer; /* a paced stream's */
    struct stream *stream;
    bool streaming; /* an answer that is due is to be streamed */
};

struct rig {
    uv_loop_t loop;
    uv_tcp_t listener;
    char scratch[READ_SIZE];
    int target;
    int count;
    int chunks;
    uint64_t every_ms; /* 0: IDLE_CHUNKS at once, and no end */
    struct stream *streams;
    int opened;
    int begun; /* streams with all the ticks of an idle one */
    int ended;
    uint64_t *latency_ns; /* of each arrival */
    size_t latency_count;
    uint64_t held;         /* ticks, summed over the arrivals */
    uint64_t late_ms;      /* the mock's answers come so much later */
    uint64_t load_seconds; /* 0: no load */
    uint64_t refused;
};

struct write_job {
    uv_write_t req;
    struct bytes out;
};

static void fatal(const char *what, int rc) {
    (void)fprintf(stderr, "rig: %s: %s\n", what, uv_strerror(rc));
    exit(1);
}

static void check(const char *what, int rc) {
    if (rc < 0) fatal(what, rc);
}

static void on_written(uv_write_t *req, int status) {
    struct write_job *job = (struct write_job *)req;

    (void)status;
    bytes_free(&job->out);
    free(job);
}

static void send_text(uv_tcp_t *tcp, const char *text, size_t size) {
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)size);
    int taken = uv_try_write((uv_stream_t *)tcp, &buf, 1);
    struct write_job *job;

    if (taken == (int)size) return;
    if (taken < 0) taken = 0;
    job = xalloc(sizeof *job);
    bytes_put(&job->out, (struct span){text + taken, size - (size_t)taken});
    buf = uv_buf_init(job->out.at, (unsigned)job->out.size);
    (void)uv_write(&job->req, (uv_stream_t *)tcp, &buf, 1, on_written);
}

/* ---- the model server ---- */

#define CHUNK(delta, finish)                                                   \
    "data: {\"id\":\"up\",\"object\":\"chat.completion.chunk\",\"created\":1," \
    "\"model\":\"mock\",\"choices\":[{\"index\":0,\"delta\":{" delta           \
    "},\"finish_reason\":" finish "}]}\n\n"
#define TICK CHUNK("\"content\":\"tick~ \"", "null")
#define USAGE                                                                  \
    "\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":7,"                  \
    "\"total_tokens\":16}"
#define STREAM_HEAD                                                            \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"                   \
    "Transfer-Encoding: chunked\r\n\r\n"
#define STREAM_END CHUNK("", "\"stop\"") "data: [DONE]\n\n"

static void put_chunked(struct bytes *out, const char *text) {
    char size[24];

    (void)snprintf(size, sizeof size, "%zx\r\n", strlen(text));
    bytes_puts(out, size);
    bytes_puts(out, text);
    bytes_puts(out, "\r\n");
}

static void send_bytes(struct server_conn *c, struct bytes *out) {
    send_text(&c->tcp, out->at, out->size);
    bytes_free(out);
}

static void answer_whole(struct server_conn *c) {
    static const char body[] =
        "{\"id\":\"up\",\"object\":\"chat.completion\",\"created\":1,"
        "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\",\"content\":\"Hello there, how are you?\"},"
        "\"finish_reason\":\"stop\"}]," USAGE "}";
    char text[1024];
    int size = snprintf(text, sizeof text,
                        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                        "Content-Length: %zu\r\n\r\n%s",
                        sizeof body - 1, body);

    send_text(&c->tcp, text, (size_t)size);
}

static void answer_stream(struct server_conn *c) {
    struct bytes out = {0};

    bytes_puts(&out, STREAM_HEAD);
    put_chunked(&out, CHUNK("\"role\":\"assistant\",\"content\":\"\"", "null"));
    put_chunked(&out, CHUNK("\"content\":\"Hello there,\"", "null"));
    put_chunked(&out, CHUNK("\"content\":\" how are you?\"", "null"));
    put_chunked(&out, CHUNK("", "\"stop\""));
    put_chunked(&out, "data: {\"id\":\"up\",\"object\":"
                      "\"chat.completion.chunk\",\"created\":1,\"model\":"
                      "\"mock\",\"choices\":[]," USAGE "}\n\n"
                      "data: [DONE]\n\n");
    bytes_puts(&out, "0\r\n\r\n");
    send_bytes(c, &out);
}

static void on_tick(uv_timer_t *timer);

/* By the clock: a late one must not draw the streams together. */
static void plan_tick(struct server_conn *c) {
    uint64_t now = uv_now(&c->rig->loop), due = c->stream->next_ms;

    c->stream->next_ms += c->rig->every_ms;
    (void)uv_timer_start(&c->timer, on_tick, due > now ? due - now : 0, 0);
}

static void on_tick(uv_timer_t *timer) {
    struct server_conn *c = timer->data;
    struct bytes out = {0};

    if (c->stream->sent == c->rig->chunks) {
        c->stream->sent_ns = clock_ns(); /* the end lets something go, too */
        put_chunked(&out, STREAM_END);
        bytes_puts(&out, "0\r\n\r\n");
    } else {
        put_chunked(&out, TICK);
        c->stream->sent++;
        c->stream->sent_ns = clock_ns();
        plan_tick(c);
    }
    send_bytes(c, &out);
}

static void begin_paced(struct server_conn *c, int index) {
    struct bytes out = {0};
    struct rig *g = c->rig;

    if (index < 0 || index >= g->count) fatal("no such stream", UV_EINVAL);
    c->stream = &g->streams[index];
    bytes_puts(&out, STREAM_HEAD);
    for (int i = 0; !g->every_ms && i < IDLE_CHUNKS; i++)
        put_chunked(&out, TICK);
    send_bytes(c, &out);
    if (!g->every_ms) return;
    /* Not all in the same millisecond. */
    c->stream->next_ms =
        uv_now(&g->loop) + 1 + (uint64_t)index * 7 % g->every_ms;
    plan_tick(c);
}

static void answer_now(struct server_conn *c) {
    if (c->streaming)
        answer_stream(c);
    else
        answer_whole(c);
}

static void on_late(uv_timer_t *timer) {
    answer_now(timer->data);
}

static void answer(struct server_conn *c, struct span request) {
    size_t at = span_find(request, span_of("stream number "));

    c->streaming = span_find(request, span_of("\"stream\":true")) != SIZE_MAX;
    if (at != SIZE_MAX && c->rig->streams)
        begin_paced(c, atoi(request.at + at + strlen("stream number ")));
    else if (c->rig->late_ms)
        (void)uv_timer_start(&c->timer, on_late, c->rig->late_ms, 0);
    else
        answer_now(c);
}

/* The whole request at the front, or nothing yet. */
static bool next_request(struct bytes *in, struct span *out) {
    struct span all = span_bytes(in);
    size_t end = span_find(all, span_of("\r\n\r\n")), at, body = 0;
    static const char *const names[] = {"content-length: ", "Content-Length: "};

    if (end == SIZE_MAX) return false;
    for (int i = 0; i < 2; i++) {
        at = span_find(span_slice(all, 0, end), span_of(names[i]));
        if (at != SIZE_MAX)
            body = strtoul(all.at + at + strlen(names[i]), NULL, 10);
    }
    if (all.size < end + 4 + body) return false;
    *out = span_slice(all, 0, end + 4 + body);
    return true;
}

static void on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *buf) {
    struct rig *g = handle->loop->data;

    (void)hint;
    *buf = uv_buf_init(g->scratch, sizeof g->scratch);
}

static void on_server_closed(uv_handle_t *handle) {
    struct server_conn *c = handle->data;

    bytes_free(&c->in);
    free(c);
}

static void on_timer_closed(uv_handle_t *handle) {
    struct server_conn *c = handle->data;

    uv_close((uv_handle_t *)&c->tcp, on_server_closed);
}

static void on_server_read(uv_stream_t *s, ssize_t count, const uv_buf_t *b) {
    struct server_conn *c = s->data;
    struct span request;

    if (count < 0) {
        (void)uv_read_stop(s);
        uv_close((uv_handle_t *)&c->timer, on_timer_closed);
        return;
    }
    bytes_put(&c->in, (struct span){b->base, (size_t)count});
    while (next_request(&c->in, &request)) {
        answer(c, request);
        bytes_drop(&c->in, request.size);
    }
}

static void on_connection(uv_stream_t *listener, int status) {
    struct server_conn *c = xalloc(sizeof *c);

    check("accept", status);
    c->rig = listener->data;
    check("tcp", uv_tcp_init(listener->loop, &c->tcp));
    check("timer", uv_timer_init(listener->loop, &c->timer));
    c->tcp.data = c->timer.data = c;
    check("accept", uv_accept(listener, (uv_stream_t *)&c->tcp));
    (void)uv_tcp_nodelay(&c->tcp, 1);
    check("read",
          uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_server_read));
}

static void serve(struct rig *g, int port) {
    struct sockaddr_in at;

    check("address", uv_ip4_addr("127.0.0.1", port, &at));
    check("tcp", uv_tcp_init(&g->loop, &g->listener));
    g->listener.data = g;
    check("bind", uv_tcp_bind(&g->listener, (const struct sockaddr *)&at, 0));
    check("listen",
          uv_listen((uv_stream_t *)&g->listener, 4096, on_connection));
}

/* ---- the client ---- */

static void open_more(struct rig *g);

static int compare(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static void report(struct rig *g) {
    size_t n = g->latency_count;

    qsort(g->latency_ns, n, sizeof *g->latency_ns, compare);
    (void)printf("{\"arrivals\": %zu, \"held\": %.1f, \"p50_us\": %.1f, "
                 "\"p99_us\": %.1f, \"max_us\": %.1f}\n",
                 n, (double)g->held / (double)n,
                 (double)g->latency_ns[n / 2] / 1e3,
                 (double)g->latency_ns[n - n / 100 - 1] / 1e3,
                 (double)g->latency_ns[n - 1] / 1e3);
    exit(0);
}

static void see_ticks(struct stream *s, int count, uint64_t now) {
    struct rig *g = s->rig;

    s->seen += count;
    if (!g->every_ms) {
        if (s->seen == count && ++g->begun == g->count) {
            (void)printf("begun\n");
            (void)fflush(stdout);
        }
        return;
    }
    g->latency_ns[g->latency_count++] = now - s->sent_ns;
    g->held += (uint64_t)(s->sent - s->seen);
    if (s->seen == g->chunks && ++g->ended == g->count) report(g);
}

static void on_client_read(uv_stream_t *stream, ssize_t count,
                           const uv_buf_t *buf) {
    struct stream *s = stream->data;
    uint64_t now = clock_ns();
    int ticks = 0;

    if (count < 0) fatal("a stream ended early", (int)count);
    if (!s->seen && count > 12 && !strncmp(buf->base, "HTTP/1.1 ", 9) &&
        strncmp(buf->base + 9, "200", 3) != 0) {
        (void)fprintf(stderr, "rig: %.300s\n", buf->base);
        exit(1);
    }
    for (ssize_t i = 0; i < count; i++) ticks += buf->base[i] == TICK_MARK;
    if (ticks) see_ticks(s, ticks, now);
}

/* ---- the load ---- */

static void load_report(uv_timer_t *timer) {
    struct rig *g = timer->data;
    size_t n = g->latency_count;

    if (!n) fatal("nothing was answered", UV_ETIMEDOUT);
    qsort(g->latency_ns, n, sizeof *g->latency_ns, compare);
    (void)printf("{\"accepted\": %zu, \"refused\": %" PRIu64
                 ", \"p50_us\": %.1f, \"p99_us\": %.1f}\n",
                 n, g->refused, (double)g->latency_ns[n / 2] / 1e3,
                 (double)g->latency_ns[n - n / 100 - 1] / 1e3);
    exit(0);
}

static void load_ask(struct stream *s) {
    static const char body[] =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
        "\"How do I get to Milan by train?\"}]}";
    char text[400];
    int size = snprintf(text, sizeof text,
                        "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n"
                        "Content-Type: application/json\r\nContent-Length: "
                        "%zu\r\n\r\n%s",
                        sizeof body - 1, body);

    s->sent_ns = clock_ns();
    send_text(&s->tcp, text, (size_t)size);
}

static void on_again(uv_timer_t *timer) {
    load_ask(timer->data);
}

static void load_take(struct stream *s, struct span answer) {
    struct rig *g = s->rig;

    if (span_starts(answer, span_of("HTTP/1.1 429"))) {
        g->refused++;
        (void)uv_timer_start(&s->again, on_again, REFUSED_MS, 0);
        return;
    }
    if (!span_starts(answer, span_of("HTTP/1.1 200"))) {
        (void)fprintf(stderr, "rig: %.*s\n", (int)answer.size, answer.at);
        exit(1);
    }
    if (g->latency_count < ACCEPTED_MAX)
        g->latency_ns[g->latency_count++] = clock_ns() - s->sent_ns;
    load_ask(s);
}

static void on_load_read(uv_stream_t *stream, ssize_t count,
                         const uv_buf_t *buf) {
    struct stream *s = stream->data;
    struct span whole;

    if (count < 0) fatal("a client was cut off", (int)count);
    bytes_put(&s->in, (struct span){buf->base, (size_t)count});
    if (!next_request(&s->in, &whole)) return;
    load_take(s, whole);
    s->in.size = 0; /* nothing follows what was not asked for */
}

static void load_begin(struct stream *s) {
    check("timer", uv_timer_init(&s->rig->loop, &s->again));
    s->again.data = s;
    check("read",
          uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_load_read));
    load_ask(s);
}

static void on_connected(uv_connect_t *req, int status) {
    struct stream *s = req->data;
    char body[200], text[400];
    int size;

    check("connect", status);
    (void)uv_tcp_nodelay(&s->tcp, 1);
    if (s->rig->load_seconds) {
        load_begin(s);
        open_more(s->rig);
        return;
    }
    (void)snprintf(body, sizeof body,
                   "{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":"
                   "\"user\",\"content\":\"stream number %d\"}]}",
                   s->index);
    size = snprintf(text, sizeof text,
                    "POST /v1/chat/completions HTTP/1.1\r\nHost: bench\r\n"
                    "Content-Type: application/json\r\nContent-Length: %zu\r\n"
                    "\r\n%s",
                    strlen(body), body);
    send_text(&s->tcp, text, (size_t)size);
    check("read",
          uv_read_start((uv_stream_t *)&s->tcp, on_alloc, on_client_read));
    open_more(s->rig);
}

static void open_one(struct rig *g, int index) {
    struct stream *s = &g->streams[index];
    struct sockaddr_in to;

    s->rig = g;
    s->index = index;
    check("address", uv_ip4_addr("127.0.0.1", g->target, &to));
    check("tcp", uv_tcp_init(&g->loop, &s->tcp));
    s->tcp.data = s->connect.data = s;
    check("connect",
          uv_tcp_connect(&s->connect, &s->tcp, (const struct sockaddr *)&to,
                         on_connected));
}

/* Not more at once than a listener's queue takes. */
static void open_more(struct rig *g) {
    if (g->opened < g->count) open_one(g, g->opened++);
}

static void on_input(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf) {
    (void)stream;
    (void)buf;
    if (count < 0) exit(0);
}

static void watch_input(struct rig *g, uv_pipe_t *in) {
    check("pipe", uv_pipe_init(&g->loop, in, 0));
    check("standard input", uv_pipe_open(in, 0));
    check("read", uv_read_start((uv_stream_t *)in, on_alloc, on_input));
}

static int number(const char *text, int max) {
    char *end;
    long value = strtol(text, &end, 10);

    if (*end || end == text || value < 1 || value > max) fatal(text, UV_EINVAL);
    return (int)value;
}

static void plan_load(struct rig *g, uv_timer_t *end, int seconds) {
    g->load_seconds = (uint64_t)seconds;
    g->latency_ns = xalloc_array(ACCEPTED_MAX, sizeof *g->latency_ns);
    check("timer", uv_timer_init(&g->loop, end));
    end->data = g;
    (void)uv_timer_start(end, load_report, g->load_seconds * 1000, 0);
}

int main(int argc, char **argv) {
    struct rig *g = xalloc(sizeof *g);
    bool mock = argc >= 3 && argc <= 4 && !strcmp(argv[1], "mock");
    bool paced = argc == 7 && !strcmp(argv[1], "streams");
    bool idle = argc == 5 && !strcmp(argv[1], "idle");
    bool load = argc == 5 && !strcmp(argv[1], "load");
    uv_pipe_t in;
    uv_timer_t end;

    if (!mock && !paced && !idle && !load)
        fatal("see the top of rig.c", UV_EINVAL);
    check("loop", uv_loop_init(&g->loop));
    g->loop.data = g;
    if (!load) serve(g, number(argv[mock ? 2 : 3], 65535));
    if (mock && argc == 4) g->late_ms = (uint64_t)number(argv[3], 10000);
    if (!mock) {
        g->target = number(argv[2], 65535);
        g->count = number(argv[load ? 3 : 4], STREAMS_MAX);
        g->streams = xalloc_array((size_t)g->count, sizeof *g->streams);
    }
    if (paced) {
        g->chunks = number(argv[5], 10000);
        g->every_ms = (uint64_t)number(argv[6], 10000);
        g->latency_ns = xalloc_array((size_t)g->count * (size_t)g->chunks,
                                     sizeof *g->latency_ns);
    }
    if (idle) watch_input(g, &in);
    if (load) plan_load(g, &end, number(argv[4], 600));
    for (int i = 0; !mock && i < CONNECT_AT_ONCE; i++) open_more(g);
    return uv_run(&g->loop, UV_RUN_DEFAULT);
}
