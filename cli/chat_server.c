#include "cli/chat_server.h"

#include <errno.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/daemon.h"
#include "cli/options.h"
#include "proxy/keys.h"

struct chat_server {
    char folder[32]; /* ours alone: the key's hash, and a session's file */
    char key[KEY_TEXT_SIZE];
    char url[64];
    pid_t child;
};

static bool make_key(struct chat_server *s, struct config *c, struct err *err) {
    const struct key key = {.name = "chat", .scopes = KEY_CHAT | KEY_APPROVE};
    struct keys keys = {0};
    char path[64];
    bool ok;

    (void)snprintf(path, sizeof path, "%s/keys", s->folder);
    ok = keys_add(&keys, &key, s->key, err) && keys_write(&keys, path, err);
    keys_clear(&keys);
    if (ok) config_set_string(&c->keys, path);
    return ok;
}

/* What a configuration says of listeners is about another server. */
static bool adapt(struct chat_server *s, struct config *c, struct err *err) {
    config_set_string(&c->host, "127.0.0.1");
    c->port = 0;
    config_set_string(&c->tls.cert, NULL);
    config_set_string(&c->tls.key, NULL);
    config_set_string(&c->tls.client_ca, NULL);
    config_set_string(&c->admin.host, NULL);
    c->proxy_trust = (struct proxy_trust){0};
    /* MCP servers' definitions are pinned in the folder, so that it stays. */
    if (!c->data && !c->mcp) config_set_string(&c->data, s->folder);
    c->drain_ms = 0;
    return make_key(s, c, err);
}

/* Does not return. Ctrl-C is the chat's matter, and the chat's end is ours. */
static _Noreturn void be_server(struct config *c, int out) {
    struct err err = {0};

    (void)signal(SIGINT, SIG_IGN);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (dup2(out, STDOUT_FILENO) < 0) _exit(EXIT_TROUBLE);
    _exit(daemon_run(c, NULL, &err) ? EXIT_FINE : options_fail(&err));
}

static bool read_url(struct chat_server *s, int from, struct err *err) {
    size_t size = 0;

    while (size < sizeof s->url - 1) {
        ssize_t got = read(from, s->url + size, 1);

        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return err_set(err, ERR_UNAVAILABLE, "the server did not start");
        if (s->url[size] == '\n') break;
        size++;
    }
    s->url[size] = 0;
    return true;
}

struct chat_server *chat_server_open(struct config *config, struct err *err) {
    struct chat_server *s = xalloc(sizeof *s);
    int ends[2] = {-1, -1};
    bool ok = false;

    (void)snprintf(s->folder, sizeof s->folder, "/tmp/corral-chat-XXXXXX");
    if (!mkdtemp(s->folder) || pipe(ends)) {
        (void)err_set(err, ERR_IO, "%s: %s", s->folder, strerror(errno));
    } else if (adapt(s, config, err)) {
        s->child = fork();
        if (s->child == 0) be_server(config, ends[1]);
        (void)close(ends[1]);
        ends[1] = -1;
        ok = s->child > 0 && read_url(s, ends[0], err);
    }
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) (void)close(ends[i]);
    if (ok) return s;
    chat_server_close(s);
    return NULL;
}

const char *chat_server_url(const struct chat_server *s) {
    return s->url;
}

const char *chat_server_key(const struct chat_server *s) {
    return s->key;
}

static int drop(const char *path, const struct stat *stat, int flag,
                struct FTW *at) {
    (void)stat;
    (void)flag;
    (void)at;
    return remove(path);
}

void chat_server_close(struct chat_server *s) {
    if (!s) return;
    if (s->child > 0) {
        (void)kill(s->child, SIGTERM);
        while (waitpid(s->child, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    (void)nftw(s->folder, drop, 8, FTW_DEPTH | FTW_PHYS);
    free(s);
}
