/* fetch.c - curl tells us which sockets to watch and when to wake it; we tell
 * it what happened (drive()). Curl may not be entered from its own callbacks,
 * so a fetch that is cancelled there is only marked, and swept up when curl
 * has returned. */
#include "tools/fetch.h"

#include <assert.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "tools/address.h"

enum {
    CONNECT_MS_DEFAULT = 10000,
    CONNECTIONS_MAX = 16, /* kept open of one fetcher */
    HOST_MAX = 300        /* a name, a colon, a port */
};

enum state { SENDING, HEAD, ENDED };

struct fetcher {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    bool any_address;
    char *inner_hosts[FETCH_HOSTS_MAX];
    int inner_host_count;
    char *ca_file;
    struct curl_slist *resolve;
    struct fetch *first;
    int count;
    int inside; /* depth of calls into curl and of our users' callbacks */
    bool closed;
};

struct fetch {
    struct fetch *next;
    struct fetcher *fetcher;
    enum state state;
    CURL *easy;
    struct curl_slist *headers;
    struct bytes body;
    struct fetch_events events;
    int redirects;
    bool other_host;
    bool waiting; /* to be given to curl, once it can be entered */
    bool inner;   /* the host of this hop may have an inner address */
    bool cancelled;
    size_t header_bytes;
    char *redirect; /* where this hop leads, if elsewhere */
    struct err err; /* why a callback stopped it */
    char reason[CURL_ERROR_SIZE];
};

/* A socket that curl asked us to watch. It outlives both curl's interest and
 * the fetcher, up to its close callback. */
struct watch {
    uv_poll_t poll; /* first, so the callback can cast back */
    struct fetcher *fetcher;
    curl_socket_t socket;
};

/* ---- URLs ---- */

static bool part_of(CURLU *u, CURLUPart part, unsigned flags, char *out,
                    size_t out_size) {
    char *text = NULL;
    bool ok = !curl_url_get(u, part, &text, flags) && strlen(text) < out_size;

    if (ok) memcpy(out, text, strlen(text) + 1);
    curl_free(text);
    return ok;
}

static bool has_part(CURLU *u, CURLUPart part) {
    char *text = NULL;
    bool has = !curl_url_get(u, part, &text, 0);

    curl_free(text);
    return has;
}

struct url {
    char scheme[8];
    char host[HOST_MAX];
    char port[8];
};

static bool url_read(const char *text, struct url *out, struct err *err) {
    CURLU *u = curl_url();
    bool ok =
        u && strlen(text) <= FETCH_URL_MAX &&
        !curl_url_set(u, CURLUPART_URL, text, 0) &&
        part_of(u, CURLUPART_SCHEME, 0, out->scheme, sizeof out->scheme) &&
        part_of(u, CURLUPART_HOST, 0, out->host, sizeof out->host) &&
        part_of(u, CURLUPART_PORT, CURLU_DEFAULT_PORT, out->port,
                sizeof out->port);

    ok = ok && (!strcmp(out->scheme, "http") || !strcmp(out->scheme, "https"));
    if (!ok)
        (void)err_set(err, ERR_INPUT, "this is not an http or https URL");
    else if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD))
        ok = err_set(err, ERR_INPUT, "a URL must not hold a user name");
    curl_url_cleanup(u);
    return ok;
}

static bool same_host(const struct url *a, const struct url *b) {
    return !strcasecmp(a->host, b->host);
}

static bool same_origin(const struct url *a, const struct url *b) {
    return same_host(a, b) && !strcmp(a->scheme, b->scheme) &&
           !strcmp(a->port, b->port);
}

static bool is_inner_host(const struct fetcher *r, const struct url *u) {
    char whole[HOST_MAX + 8];

    (void)snprintf(whole, sizeof whole, "%s:%s", u->host, u->port);
    for (int i = 0; i < r->inner_host_count; i++)
        if (!strcasecmp(r->inner_hosts[i], u->host) ||
            !strcasecmp(r->inner_hosts[i], whole))
            return true;
    return false;
}

bool fetch_escape(struct bytes *out, struct span s, struct err *err) {
    static const char open[] = "abcdefghijklmnopqrstuvwxyz"
                               "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

    for (size_t i = 0; i < s.size; i++) {
        unsigned char c = (unsigned char)s.at[i];

        if (c && strchr(open, c) ? !bytes_append(out, &s.at[i], 1, err)
                                 : !bytes_printf(out, err, "%%%02X", c))
            return false;
    }
    return true;
}

/* ---- ends ---- */

static void fetch_free(struct fetch *f) {
    struct fetcher *r = f->fetcher;
    struct fetch **at = &r->first;

    while (*at != f) at = &(*at)->next;
    *at = f->next;
    r->count--;
    if (f->easy) {
        (void)curl_multi_remove_handle(r->multi, f->easy);
        curl_easy_cleanup(f->easy);
    }
    curl_slist_free_all(f->headers);
    free(f->redirect);
    bytes_free(&f->body);
    free(f);
}

static void destroy(struct fetcher *r);

static void sweep(struct fetcher *r) {
    struct fetch *next;

    for (struct fetch *f = r->first; f; f = next) {
        next = f->next;
        if (f->cancelled) fetch_free(f);
    }
    if (r->closed) destroy(r);
}

static void finish(struct fetch *f, const struct err *err) {
    f->state = ENDED;
    f->events.on_end(f->events.user, f, err);
    f->cancelled = true;
}

void fetch_cancel(struct fetch *f) {
    struct fetcher *r;

    if (!f) return;
    r = f->fetcher;
    f->cancelled = true;
    if (!r->inside) sweep(r);
}

/* ---- what curl calls about one transfer ---- */

/* The address of a socket about to be made: the check that counts. */
static curl_socket_t on_open(void *user, curlsocktype purpose,
                             struct curl_sockaddr *to) {
    struct fetch *f = user;
    char text[ADDRESS_TEXT_MAX];

    if (purpose != CURLSOCKTYPE_IPCXN) return CURL_SOCKET_BAD;
    if (!f->fetcher->any_address && !f->inner &&
        !address_is_public(&to->addr)) {
        (void)err_set(&f->err, ERR_DENIED, "the address %s is closed to tools",
                      address_text(&to->addr, text));
        return CURL_SOCKET_BAD;
    }
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Curl tells it itself only when the transfer is over. */
static void read_redirect(struct fetch *f) {
    const char *where = fetch_response_header(f, "location");
    int status = fetch_status(f);
    CURLU *u;
    char *text = NULL;

    free(f->redirect);
    f->redirect = NULL;
    if (!where || (status != 301 && status != 302 && status != 303 &&
                   status != 307 && status != 308))
        return;
    u = curl_url();
    if (u && !curl_url_set(u, CURLUPART_URL, fetch_url(f), 0) &&
        !curl_url_set(u, CURLUPART_URL, where, CURLU_NON_SUPPORT_SCHEME) &&
        !curl_url_get(u, CURLUPART_URL, &text, 0) &&
        strlen(text) <= FETCH_URL_MAX)
        f->redirect = xstrdup(text);
    curl_free(text);
    curl_url_cleanup(u);
}

static size_t on_header(char *at, size_t size, size_t count, void *user) {
    struct fetch *f = user;

    (void)size;
    f->header_bytes += count;
    if (f->cancelled) return 0;
    if (count == 2 && !memcmp(at, "\r\n", 2)) read_redirect(f);
    if (f->header_bytes <= FETCH_HEADER_BYTES_MAX) return count;
    (void)err_set(&f->err, ERR_LIMIT, "the response's headers are too long");
    return 0;
}

static bool will_follow(const struct fetch *f) {
    struct url from, to;

    return f->redirect && f->redirects > 0 &&
           url_read(fetch_url(f), &from, NULL) &&
           url_read(f->redirect, &to, NULL) &&
           (f->other_host || same_host(&from, &to)) &&
           !(strcmp(from.scheme, to.scheme) && !strcmp(to.scheme, "http"));
}

static bool head_done(struct fetch *f) {
    if (f->state != SENDING) return true;
    f->state = HEAD;
    return !f->events.on_head || f->events.on_head(f->events.user, f, &f->err);
}

static size_t on_write(char *at, size_t size, size_t count, void *user) {
    struct fetch *f = user;

    (void)size;
    if (f->cancelled) return 0;
    if (f->state == SENDING && will_follow(f)) return count; /* of no use */
    if (!head_done(f) || f->cancelled) return 0;
    if (!f->events.on_body(f->events.user, (struct span){at, count}, &f->err))
        return 0;
    return f->cancelled ? 0 : count;
}

/* ---- one transfer ---- */

#define SET(option, value)                                                     \
    (void)curl_easy_setopt(f->easy, CURLOPT_##option, value)

/* What every transfer has, whatever was asked for. */
static void set_rules(struct fetch *f) {
    SET(PRIVATE, f);
    SET(ERRORBUFFER, f->reason);
    SET(NOSIGNAL, 1L);
    SET(QUICK_EXIT, 1L); /* a look-up under way is left behind, not awaited */
    SET(PROTOCOLS_STR, "http,https");
    SET(FOLLOWLOCATION, 0L);
    SET(PROXY, "");
    SET(NOPROXY, "*");
    SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(ACCEPT_ENCODING, "gzip, deflate");
    SET(USERAGENT, "corral");
    SET(OPENSOCKETFUNCTION, on_open);
    SET(OPENSOCKETDATA, f);
    SET(HEADERFUNCTION, on_header);
    SET(HEADERDATA, f);
    SET(WRITEFUNCTION, on_write);
    SET(WRITEDATA, f);
    if (f->fetcher->ca_file) SET(CAINFO, f->fetcher->ca_file);
    if (f->fetcher->resolve) SET(RESOLVE, f->fetcher->resolve);
}

static bool add_headers(struct fetch *f, const struct fetch_options *o,
                        struct err *err) {
    struct bytes line = {.limit = FETCH_HEADER_BYTES_MAX};
    bool ok = true;

    for (int i = 0; ok && i < o->header_count; i++) {
        const struct fetch_header *h = &o->headers[i];

        if (strpbrk(h->name, "\r\n: ") || strpbrk(h->value, "\r\n")) {
            ok = err_set(err, ERR_INPUT, "a header has a line break in it");
            break;
        }
        line.size = 0;
        /* "name;" is curl's way to send a header without a value. */
        ok = bytes_printf(&line, err, *h->value ? "%s: %s" : "%s;%s", h->name,
                          h->value) &&
             bytes_append(&line, "", 1, err);
        if (ok) f->headers = curl_slist_append(f->headers, line.at);
    }
    bytes_free(&line);
    return ok;
}

static bool set_request(struct fetch *f, const struct fetch_options *o,
                        struct err *err) {
    const char *method = o->method ? o->method : o->body.size ? "POST" : "GET";

    if (!add_headers(f, o, err) ||
        !bytes_append(&f->body, o->body.at, o->body.size, err))
        return false;
    if (f->body.size) {
        f->headers = curl_slist_append(f->headers, "Expect:");
        SET(POSTFIELDSIZE_LARGE, (curl_off_t)f->body.size);
        SET(POSTFIELDS, f->body.at);
    }
    if (strcmp(method, f->body.size ? "POST" : "GET"))
        SET(CUSTOMREQUEST, method);
    if (!strcmp(method, "HEAD")) SET(NOBODY, 1L);
    if (strcmp(method, "GET") || f->body.size) f->redirects = 0;
    SET(HTTPHEADER, f->headers);
    SET(TIMEOUT_MS, (long)o->timeout_ms);
    SET(CONNECTTIMEOUT_MS,
        (long)(o->connect_ms ? o->connect_ms : CONNECT_MS_DEFAULT));
    return true;
}

static void arm(struct fetch *f, const struct url *url, const char *text) {
    f->state = SENDING;
    f->header_bytes = 0;
    f->inner = is_inner_host(f->fetcher, url);
    SET(URL, text);
}

/* The next hop: checked anew, since only its socket tells where it leads. */
static bool follow(struct fetch *f) {
    struct url from, to;
    char *where = f->redirect;
    bool ok =
        url_read(fetch_url(f), &from, &f->err) && url_read(where, &to, &f->err);

    f->redirect = NULL;
    if (ok) {
        f->redirects--;
        if (!same_origin(&from, &to)) SET(HTTPHEADER, NULL);
        (void)curl_multi_remove_handle(f->fetcher->multi, f->easy);
        arm(f, &to, where);
        (void)curl_multi_add_handle(f->fetcher->multi, f->easy);
    }
    free(where);
    return ok;
}

static void fail(struct fetch *f, CURLcode code) {
    enum err_code kind = ERR_IO;

    if (f->err.code) return;
    if (code == CURLE_OPERATION_TIMEDOUT)
        kind = ERR_TIMEOUT;
    else if (code == CURLE_COULDNT_CONNECT ||
             code == CURLE_COULDNT_RESOLVE_HOST)
        kind = ERR_UNAVAILABLE;
    (void)err_set(&f->err, kind, "%.200s",
                  *f->reason ? f->reason : curl_easy_strerror(code));
}

static void on_done(struct fetch *f, CURLcode code) {
    if (f->cancelled) return;
    if (code == CURLE_OK) f->err = (struct err){0}; /* of an address before */
    if (code == CURLE_OK && f->state == SENDING && will_follow(f) && follow(f))
        return;
    if (code == CURLE_OK && !f->err.code && head_done(f)) {
        if (!f->cancelled) finish(f, NULL);
        return;
    }
    fail(f, code);
    if (!f->cancelled) finish(f, &f->err);
}

/* ---- the loop ---- */

static void reap(struct fetcher *r) {
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(r->multi, &left))) {
        struct fetch *f = NULL;

        if (message->msg != CURLMSG_DONE) continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &f);
        on_done(f, message->data.result);
    }
}

static void begin_waiting(struct fetcher *r) {
    for (struct fetch *f = r->first; f; f = f->next) {
        if (!f->waiting || f->cancelled) continue;
        f->waiting = false;
        (void)curl_multi_add_handle(r->multi, f->easy);
    }
}

static void drive(struct fetcher *r, curl_socket_t socket, int events) {
    int running;

    r->inside++;
    (void)curl_multi_socket_action(r->multi, socket, events, &running);
    reap(r);
    begin_waiting(r);
    r->inside--;
    if (!r->inside) sweep(r);
}

static void on_poll(uv_poll_t *poll, int status, int events) {
    const struct watch *w = (struct watch *)poll;
    int what = status < 0 ? CURL_CSELECT_ERR : 0;

    if (events & UV_READABLE) what |= CURL_CSELECT_IN;
    if (events & UV_WRITABLE) what |= CURL_CSELECT_OUT;
    drive(w->fetcher, w->socket, what);
}

static void on_watch_closed(uv_handle_t *handle) {
    free(handle);
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *user,
                     void *mine) {
    struct fetcher *r = user;
    struct watch *w = mine;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (!w) return 0;
        (void)uv_poll_stop(&w->poll);
        uv_close((uv_handle_t *)&w->poll, on_watch_closed);
        (void)curl_multi_assign(r->multi, socket, NULL);
        return 0;
    }
    if (!w) {
        w = xalloc(sizeof *w);
        w->fetcher = r;
        w->socket = socket;
        if (uv_poll_init_socket(r->loop, &w->poll, socket)) {
            free(w);
            return -1;
        }
        uv_unref((uv_handle_t *)&w->poll);
        (void)curl_multi_assign(r->multi, socket, w);
    }
    if (what & CURL_POLL_IN) events |= UV_READABLE;
    if (what & CURL_POLL_OUT) events |= UV_WRITABLE;
    return uv_poll_start(&w->poll, events, on_poll) ? -1 : 0;
}

static void on_timer(uv_timer_t *timer) {
    drive(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int on_wish(CURLM *multi, long wait_ms, void *user) {
    struct fetcher *r = user;

    (void)multi;
    if (wait_ms < 0)
        (void)uv_timer_stop(&r->timer);
    else
        (void)uv_timer_start(&r->timer, on_timer, (uint64_t)wait_ms, 0);
    return 0;
}

/* ---- the face ---- */

struct fetcher *fetcher_open(uv_loop_t *loop, const struct fetcher_options *o,
                             struct err *err) {
    struct fetcher *r;

    if (o->inner_host_count > FETCH_HOSTS_MAX) {
        (void)err_set(err, ERR_LIMIT, "more than %d hosts", FETCH_HOSTS_MAX);
        return NULL;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT)) {
        (void)err_set(err, ERR_UNAVAILABLE, "libcurl does not start");
        return NULL;
    }
    r = xalloc(sizeof *r);
    r->loop = loop;
    r->any_address = o->any_address;
    r->ca_file = o->ca_file ? xstrdup(o->ca_file) : NULL;
    for (int i = 0; i < o->inner_host_count; i++)
        r->inner_hosts[r->inner_host_count++] = xstrdup(o->inner_hosts[i]);
    if (o->resolve) r->resolve = curl_slist_append(NULL, o->resolve);
    r->multi = curl_multi_init();
    assert(r->multi);
    (void)uv_timer_init(loop, &r->timer);
    uv_unref((uv_handle_t *)&r->timer);
    r->timer.data = r;
    (void)curl_multi_setopt(r->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(r->multi, CURLMOPT_SOCKETDATA, r);
    (void)curl_multi_setopt(r->multi, CURLMOPT_TIMERFUNCTION, on_wish);
    (void)curl_multi_setopt(r->multi, CURLMOPT_TIMERDATA, r);
    (void)curl_multi_setopt(r->multi, CURLMOPT_MAXCONNECTS,
                            (long)CONNECTIONS_MAX);
    return r;
}

static void on_timer_closed(uv_handle_t *handle) {
    struct fetcher *r = handle->data;

    for (int i = 0; i < r->inner_host_count; i++) free(r->inner_hosts[i]);
    free(r->ca_file);
    curl_slist_free_all(r->resolve);
    free(r);
}

static void destroy(struct fetcher *r) {
    r->closed = false;
    while (r->first) fetch_free(r->first);
    (void)curl_multi_cleanup(r->multi);
    curl_global_cleanup();
    uv_close((uv_handle_t *)&r->timer, on_timer_closed);
}

void fetcher_close(struct fetcher *r) {
    if (!r) return;
    for (struct fetch *f = r->first; f; f = f->next) f->cancelled = true;
    r->closed = true;
    if (!r->inside) sweep(r);
}

struct fetch *fetch_start(struct fetcher *r, const struct fetch_options *o,
                          const struct fetch_events *events, struct err *err) {
    struct url url;
    struct fetch *f;

    if (!url_read(o->url, &url, err)) return NULL;
    if (r->count == FETCH_AT_ONCE_MAX) {
        (void)err_set(err, ERR_BUSY, "too many requests at once");
        return NULL;
    }
    f = xalloc(sizeof *f);
    f->fetcher = r;
    f->events = *events;
    f->redirects = o->redirects;
    f->other_host = o->other_host;
    f->next = r->first;
    r->first = f;
    r->count++;
    f->easy = curl_easy_init();
    assert(f->easy);
    set_rules(f);
    arm(f, &url, o->url);
    if (!set_request(f, o, err)) {
        fetch_free(f);
        return NULL;
    }
    f->waiting = r->inside > 0;
    if (!f->waiting) (void)curl_multi_add_handle(r->multi, f->easy);
    return f;
}

int fetch_status(const struct fetch *f) {
    long status = 0;

    (void)curl_easy_getinfo(f->easy, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

const char *fetch_url(const struct fetch *f) {
    char *url = NULL;

    (void)curl_easy_getinfo(f->easy, CURLINFO_EFFECTIVE_URL, &url);
    return url ? url : "";
}

const char *fetch_response_header(const struct fetch *f, const char *name) {
    struct curl_header *header;

    return curl_easy_header(f->easy, name, 0, CURLH_HEADER, -1, &header) ==
                   CURLHE_OK
               ? header->value
               : NULL;
}

const char *fetch_redirect(const struct fetch *f) {
    return f->redirect;
}
