#include "proxy/http.h"

#include <llhttp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/inflate.h"

enum {
    FIRST_HEADERS = 16, /* entries that a reader begins with */
    KEEP_BYTES = 16384, /* a larger buffer goes back between messages */
    INTERIM_MAX = 8,    /* 1xx responses before the real one */
    PROTOCOL_MAX = 8
};

/* A header while its bytes may still move: offsets into `head`. */
struct piece {
    size_t name;
    size_t name_size;
    size_t value;
    size_t value_size;
};

struct http_reader {
    llhttp_t parser;
    llhttp_settings_t settings;
    struct http_reader_limits limits;
    bool response;
    enum reader_state state;

    struct bytes head; /* target, names and values, one after the other */
    size_t target_size;
    struct piece *pieces;
    struct http_header *headers; /* built once the head is whole */
    int header_count;
    int header_capacity;
    bool name_done; /* the last piece's name is whole */
    bool head_done;
    size_t head_bytes;    /* on the wire so far */
    size_t trailer_bytes; /* of trailers and chunk extensions, both dropped */
    char protocol[PROTOCOL_MAX];
    size_t protocol_size;

    struct bytes body;
    size_t body_taken;       /* bytes of a response's body handed out before */
    bool packed;             /* the request's body comes as gzip */
    struct inflate *inflate; /* from its first byte on */
    bool expects_continue;
    bool keep_alive;
    int interim_count;
    struct http_request request;

    int fail_status;
    char fail_text[ERR_TEXT_MAX];
};

static struct http_reader *reader_of(llhttp_t *p) {
    return p->data;
}

/* For callbacks: what they return ends the parse. */
static int fail(struct http_reader *r, int status, const char *text) {
    r->fail_status = status;
    (void)snprintf(r->fail_text, sizeof r->fail_text, "%s", text);
    return HPE_USER;
}

static bool put(struct http_reader *r, const char *at, size_t size) {
    return bytes_append(&r->head, at, size, NULL);
}

static int on_begin(llhttp_t *p) {
    reader_of(p)->state = READER_HEAD;
    return HPE_OK;
}

static int on_protocol(llhttp_t *p, const char *at, size_t size) {
    struct http_reader *r = reader_of(p);

    if (size > sizeof r->protocol - r->protocol_size)
        return fail(r, 400, "unknown protocol");
    memcpy(r->protocol + r->protocol_size, at, size);
    r->protocol_size += size;
    return HPE_OK;
}

static int on_url(llhttp_t *p, const char *at, size_t size) {
    struct http_reader *r = reader_of(p);

    if (size > r->limits.target_bytes_max - r->target_size || !put(r, at, size))
        return fail(r, 414, "the request target is too long");
    r->target_size += size;
    return HPE_OK;
}

static int drop_trailer(struct http_reader *r, size_t size) {
    if (size > r->limits.header_bytes_max - r->trailer_bytes)
        return fail(r, 431, "trailers are too large");
    r->trailer_bytes += size;
    return HPE_OK;
}

static bool new_piece(struct http_reader *r) {
    if (r->header_count == r->limits.header_count_max) return false;
    if (r->header_count == r->header_capacity) {
        int capacity =
            r->header_capacity ? 2 * r->header_capacity : FIRST_HEADERS;

        r->pieces =
            xrealloc_array(r->pieces, (size_t)capacity, sizeof *r->pieces);
        r->headers =
            xrealloc_array(r->headers, (size_t)capacity, sizeof *r->headers);
        r->header_capacity = capacity;
    }
    r->pieces[r->header_count++] = (struct piece){.name = r->head.size};
    r->name_done = false;
    return true;
}

static int on_field(llhttp_t *p, const char *at, size_t size) {
    struct http_reader *r = reader_of(p);
    struct piece *piece;

    if (r->head_done) return drop_trailer(r, size);
    if (r->name_done && !new_piece(r)) return fail(r, 431, "too many headers");
    piece = &r->pieces[r->header_count - 1];
    if (!put(r, at, size)) return fail(r, 431, "headers are too large");
    piece->name_size += size;
    piece->value = r->head.size;
    return HPE_OK;
}

static int on_field_done(llhttp_t *p) {
    reader_of(p)->name_done = true;
    return HPE_OK;
}

static int on_value(llhttp_t *p, const char *at, size_t size) {
    struct http_reader *r = reader_of(p);

    if (r->head_done) return drop_trailer(r, size);
    if (!put(r, at, size)) return fail(r, 431, "headers are too large");
    r->pieces[r->header_count - 1].value_size += size;
    return HPE_OK;
}

static struct span trim(struct span s) {
    while (s.size && (*s.at == ' ' || *s.at == '\t')) {
        s.at++;
        s.size--;
    }
    while (s.size && (s.at[s.size - 1] == ' ' || s.at[s.size - 1] == '\t'))
        s.size--;
    return s;
}

static bool is_word(struct span s, const char *word) {
    if (s.size != strlen(word)) return false;
    for (size_t i = 0; i < s.size; i++)
        if (ascii_lower(s.at[i]) != word[i]) return false;
    return true;
}

static void build_headers(struct http_reader *r) {
    for (int i = 0; i < r->header_count; i++) {
        const struct piece *piece = &r->pieces[i];
        char *name = r->head.at + piece->name;

        for (size_t k = 0; k < piece->name_size; k++)
            name[k] = ascii_lower(name[k]);
        r->headers[i] = (struct http_header){
            {name, piece->name_size},
            trim((struct span){r->head.at + piece->value, piece->value_size})};
    }
}

static int count_header(const struct http_reader *r, const char *name) {
    int count = 0;

    for (int i = 0; i < r->header_count; i++)
        count += span_is(r->headers[i].name, name);
    return count;
}

/* What llhttp lets pass and we do not: anything two parsers on the way might
 * read differently. */
static int check_framing(struct http_reader *r) {
    struct span coding =
        http_header_find(r->headers, r->header_count, "transfer-encoding");

    if (r->protocol_size != 4 || memcmp(r->protocol, "HTTP", 4) != 0)
        return fail(r, 400, "not HTTP");
    if (r->parser.http_major != 1 || r->parser.http_minor > 1)
        return fail(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (count_header(r, "content-length") > 1 ||
        count_header(r, "transfer-encoding") > 1)
        return fail(r, 400,
                    "more than one Content-Length or "
                    "Transfer-Encoding");
    if (coding.at &&
        http_header_find(r->headers, r->header_count, "content-length").at)
        return fail(r, 400, "both Content-Length and Transfer-Encoding");
    if (coding.at && !is_word(coding, "chunked"))
        return fail(r, 400, "a transfer coding other than chunked");
    if (coding.at && r->parser.http_minor == 0)
        return fail(r, 400, "a transfer coding in HTTP/1.0");
    return HPE_OK;
}

/* After the target is known: what is too large for one API is told so in the
 * shape of its errors. */
static int check_length(struct http_reader *r) {
    if ((r->parser.flags & F_CONTENT_LENGTH) &&
        r->parser.content_length > r->limits.body_bytes_max)
        return fail(r, 413, "the body is too large");
    return HPE_OK;
}

/* A body may come as gzip; what is judged and sent on is unpacked. */
static int check_coding(struct http_reader *r) {
    struct span coding =
        http_header_find(r->headers, r->header_count, "content-encoding");

    if (!coding.at) return HPE_OK;
    if (count_header(r, "content-encoding") > 1)
        return fail(r, 415, "more than one content coding");
    if (is_word(coding, "identity")) return HPE_OK;
    r->packed = is_word(coding, "gzip") || is_word(coding, "x-gzip");
    return r->packed ? HPE_OK
                     : fail(r, 415, "a content coding other than gzip");
}

/* The path of "/a?b" or of "http://host/a?b". */
static bool split_target(struct http_request *q) {
    struct span t = q->target;
    size_t mark;

    if (span_find(t, span_of("#")) != SIZE_MAX) return false;
    if (span_is(t, "*")) {
        q->path = t;
        return span_is(q->method, "OPTIONS");
    }
    if (span_starts(t, span_of("http://")) ||
        span_starts(t, span_of("https://"))) {
        t = span_slice(t, span_find(t, span_of("://")) + 3, t.size);
        mark = span_find(t, span_of("/"));
        if (mark == SIZE_MAX) return false;
        t = span_slice(t, mark, t.size);
    }
    if (!t.size || t.at[0] != '/') return false;
    mark = span_find(t, span_of("?"));
    q->path = span_slice(t, 0, mark == SIZE_MAX ? t.size : mark);
    if (mark != SIZE_MAX) q->query = span_slice(t, mark + 1, t.size);
    return true;
}

static int check_request(struct http_reader *r) {
    struct http_request *q = &r->request;
    struct span expect =
        http_header_find(r->headers, r->header_count, "expect");
    int hosts = count_header(r, "host");

    *q = (struct http_request){
        .method = span_of(
            llhttp_method_name((llhttp_method_t)llhttp_get_method(&r->parser))),
        .target = {r->head.at, r->target_size},
        .headers = r->headers,
        .header_count = r->header_count,
        .version_minor = r->parser.http_minor};
    if (span_is(q->method, "CONNECT"))
        return fail(r, 405, "CONNECT is not served");
    /* An offer to switch protocols may be ignored, and is. */
    r->parser.upgrade = 0;
    if (hosts > 1 || (!hosts && q->version_minor == 1))
        return fail(r, 400, "HTTP/1.1 needs exactly one Host");
    if (!split_target(q)) return fail(r, 400, "not a request target");
    if (expect.at && q->version_minor == 1) {
        if (!is_word(expect, "100-continue"))
            return fail(r, 417, "an expectation other than 100-continue");
        r->expects_continue = true;
    }
    return check_coding(r);
}

static int on_headers(llhttp_t *p) {
    struct http_reader *r = reader_of(p);
    int rc;

    build_headers(r);
    rc = check_framing(r);
    if (rc == HPE_OK && !r->response) rc = check_request(r);
    if (rc == HPE_OK) rc = check_length(r);
    if (rc != HPE_OK) return rc;
    if (r->response && p->status_code < 200) {
        if (p->status_code == 101 || p->status_code > 103 ||
            p->status_code < 100 || r->interim_count == INTERIM_MAX)
            return fail(r, 400, "an unexpected interim response");
        r->interim_count++;
        return HPE_OK;
    }
    r->keep_alive = llhttp_should_keep_alive(p) != 0;
    r->head_done = true;
    r->state = READER_BODY;
    return HPE_OK;
}

static int on_chunk(llhttp_t *p) {
    struct http_reader *r = reader_of(p);
    size_t have = r->body.size + r->body_taken;

    if (p->content_length > r->limits.body_bytes_max - have)
        return fail(r, 413, "the body is too large");
    return HPE_OK;
}

static int on_extension(llhttp_t *p, const char *at, size_t size) {
    (void)at;
    return drop_trailer(reader_of(p), size);
}

static int unpack(struct http_reader *r, struct span in) {
    struct err err = {0};

    if (!r->inflate) r->inflate = inflate_new(r->limits.body_bytes_max);
    if (!inflate_push(r->inflate, in, &r->body, &err))
        return fail(r, err.code == ERR_LIMIT ? 413 : 400, err.text);
    if (r->body.size > r->limits.body_bytes_max)
        return fail(r, 413, "the body is too large");
    return HPE_OK;
}

static int on_body(llhttp_t *p, const char *at, size_t size) {
    struct http_reader *r = reader_of(p);

    if (r->packed) return unpack(r, (struct span){at, size});
    if (size > r->limits.body_bytes_max - r->body.size - r->body_taken ||
        !bytes_append(&r->body, at, size, NULL))
        return fail(r, 413, "the body is too large");
    return HPE_OK;
}

static int on_complete(llhttp_t *p) {
    struct http_reader *r = reader_of(p);
    struct err err = {0};

    if (r->inflate && !inflate_end(r->inflate, &err))
        return fail(r, 400, err.text);
    /* An interim response leaves READER_HEAD, and the next one follows. */
    if (r->head_done) r->state = READER_DONE;
    return HPE_PAUSED;
}

static void start(struct http_reader *r) {
    llhttp_init(&r->parser, r->response ? HTTP_RESPONSE : HTTP_REQUEST,
                &r->settings);
    r->parser.data = r;
    r->head.size = 0;
    r->target_size = 0;
    r->header_count = 0;
    r->name_done = true;
    r->protocol_size = 0;
}

static struct http_reader *reader_new(const struct http_reader_limits *l,
                                      bool response) {
    struct http_reader *r = xalloc(sizeof *r);

    r->limits = *l;
    r->response = response;
    r->head.limit = l->header_bytes_max;
    r->body.limit = l->body_bytes_max + 1; /* zero would mean the default */
    llhttp_settings_init(&r->settings);
    r->settings.on_message_begin = on_begin;
    r->settings.on_protocol = on_protocol;
    r->settings.on_url = on_url;
    r->settings.on_header_field = on_field;
    r->settings.on_header_field_complete = on_field_done;
    r->settings.on_header_value = on_value;
    r->settings.on_headers_complete = on_headers;
    r->settings.on_chunk_header = on_chunk;
    r->settings.on_chunk_extension_name = on_extension;
    r->settings.on_chunk_extension_value = on_extension;
    r->settings.on_body = on_body;
    r->settings.on_message_complete = on_complete;
    start(r);
    return r;
}

struct http_reader *
http_reader_new_request(const struct http_reader_limits *l) {
    return reader_new(l, false);
}

struct http_reader *
http_reader_new_response(const struct http_reader_limits *l) {
    return reader_new(l, true);
}

void http_reader_free(struct http_reader *r) {
    if (!r) return;
    bytes_free(&r->head);
    bytes_free(&r->body);
    inflate_free(r->inflate);
    free(r->pieces);
    free(r->headers);
    free(r);
}

void http_reader_next(struct http_reader *r) {
    if (r->head.capacity > KEEP_BYTES) bytes_free(&r->head);
    bytes_free(&r->body);
    inflate_free(r->inflate);
    r->inflate = NULL;
    r->packed = false;
    r->body_taken = 0;
    r->state = READER_IDLE;
    r->head_done = false;
    r->head_bytes = 0;
    r->trailer_bytes = 0;
    r->expects_continue = false;
    r->keep_alive = false;
    r->interim_count = 0;
    r->request = (struct http_request){0};
    r->fail_status = 0;
    start(r);
}

static void finish_request(struct http_reader *r) {
    r->request.body = span_bytes(&r->body);
    r->request.keep_alive = r->keep_alive;
}

/* One run of the parser over in[0..size); how many bytes it took. */
static size_t run(struct http_reader *r, const char *at, size_t size) {
    enum llhttp_errno code = llhttp_execute(&r->parser, at, size);
    size_t used = size;

    if (code == HPE_OK) return used;
    if (code == HPE_PAUSED) {
        used = (size_t)(llhttp_get_error_pos(&r->parser) - at);
        if (r->state == READER_DONE) {
            if (!r->response) finish_request(r);
        } else {
            start(r); /* after an interim response */
        }
        return used;
    }
    if (!r->fail_status) { /* not one of our callbacks' doing */
        const char *reason = llhttp_get_error_reason(&r->parser);

        (void)fail(r, 400, reason && *reason ? reason : "not HTTP");
    }
    r->state = READER_FAILED;
    return used;
}

enum reader_state http_reader_feed(struct http_reader *r, struct span in,
                                   size_t *used) {
    size_t at = 0;

    *used = 0;
    while (at < in.size && r->state < READER_DONE) {
        size_t part = in.size - at;

        /* Up to the head's end, count every byte on the wire, blanks and all,
         * wherever the input was cut. */
        if (r->state < READER_BODY) {
            size_t left = r->limits.header_bytes_max - r->head_bytes;

            if (!left) {
                (void)fail(r, 431, "headers are too large");
                r->state = READER_FAILED;
                break;
            }
            if (part > left) part = left;
            part = run(r, in.at + at, part);
            r->head_bytes += part;
        } else {
            part = run(r, in.at + at, part);
        }
        at += part;
    }
    *used = at;
    return r->state;
}

enum reader_state http_reader_finish(struct http_reader *r) {
    if (r->state >= READER_DONE) return r->state;
    if (r->response && r->state == READER_BODY &&
        llhttp_finish(&r->parser) != HPE_INVALID_EOF_STATE &&
        r->state == READER_DONE)
        return r->state;
    (void)fail(r, 400, "closed before its end");
    return r->state = READER_FAILED;
}

enum reader_state http_reader_state(const struct http_reader *r) {
    return r->state;
}

const struct http_request *http_reader_request(const struct http_reader *r) {
    return &r->request;
}

size_t http_reader_held(const struct http_reader *r) {
    return r->body.size;
}

bool http_reader_wants_continue(const struct http_reader *r) {
    return r->state == READER_BODY && r->expects_continue && !r->body.size;
}

bool http_reader_has_head(const struct http_reader *r) {
    return r->head_done;
}

int http_reader_status(const struct http_reader *r) {
    return r->parser.status_code;
}

const struct http_header *http_reader_headers(const struct http_reader *r,
                                              int *count) {
    *count = r->header_count;
    return r->headers;
}

bool http_reader_keep_alive(const struct http_reader *r) {
    return r->keep_alive;
}

struct span http_reader_take_body(struct http_reader *r) {
    struct span part = span_bytes(&r->body);

    /* The bytes stay where they are until the next append. */
    r->body_taken += part.size;
    r->body.size = 0;
    return part;
}

void http_reader_drop_body(struct http_reader *r) {
    bytes_free(&r->body);
}

int http_reader_fail_status(const struct http_reader *r) {
    return r->fail_status;
}

const char *http_reader_fail_text(const struct http_reader *r) {
    return r->fail_text;
}

struct span http_header_find(const struct http_header *headers, int count,
                             const char *name) {
    for (int i = 0; i < count; i++)
        if (span_is(headers[i].name, name)) return headers[i].value;
    return (struct span){0};
}

struct span http_request_header(const struct http_request *r,
                                const char *name) {
    return http_header_find(r->headers, r->header_count, name);
}

bool http_path_fits(struct span path, const char *route, bool below) {
    struct span want = span_of(route);

    return below ? span_starts(path, want) && path.size > want.size
                 : span_equal(path, want);
}

bool http_type_is(struct span content_type, const char *type) {
    size_t end = span_find(content_type, span_of(";"));

    return is_word(trim(span_slice(content_type, 0, end)), type);
}

static void hide_controls(char *at, size_t size) {
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)at[i];

        if (c < 32 || c == 127) at[i] = '?';
    }
}

#define EACH_BYTE (UINT64_MAX / 255)

/* Whether any might be a control, eight at a time. */
static bool may_have_controls(const char *at, size_t size) {
    uint64_t found = 0, eight, without_del;

    for (; size >= sizeof eight; at += sizeof eight, size -= sizeof eight) {
        memcpy(&eight, at, sizeof eight);
        without_del = eight ^ (EACH_BYTE * 127);
        found |= ((eight - EACH_BYTE * ' ') & ~eight) |
                 ((without_del - EACH_BYTE) & ~without_del);
    }
    for (; size; at++, size--)
        if ((unsigned char)*at < ' ' || *at == 127) return true;
    return (found & (EACH_BYTE * 0x80)) != 0;
}

void http_put_header(struct bytes *out, struct span name, struct span value) {
    size_t from;

    bytes_put(out, name);
    bytes_puts(out, ": ");
    from = out->size;
    bytes_put(out, value);
    if (may_have_controls(value.at, value.size))
        hide_controls(out->at + from, value.size);
    bytes_puts(out, "\r\n");
}

const char *http_status_text(int status) {
    static const struct {
        int status;
        const char *text;
    } texts[] = {{200, "OK"},
                 {204, "No Content"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {408, "Request Timeout"},
                 {409, "Conflict"},
                 {413, "Content Too Large"},
                 {414, "URI Too Long"},
                 {415, "Unsupported Media Type"},
                 {417, "Expectation Failed"},
                 {422, "Unprocessable Content"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"},
                 {505, "HTTP Version Not Supported"}};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        if (texts[i].status == status) return texts[i].text;
    return "";
}
