#include "cli/chat_screen.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "base/utf8.h"

enum {
    LINE_BYTES_MAX = 64 << 10,
    /* What Linux keeps of a line on a terminal; it drops the rest. */
    TERMINAL_LINE_BYTES = 4095,
    SHOWN_BYTES_MAX = 400
};

static const char *const colours[] = {[SCREEN_PLAIN] = "",
                                      [SCREEN_NOTE] = "\033[2m",
                                      [SCREEN_TOOL] = "\033[36m",
                                      [SCREEN_ALARM] = "\033[1;31m"};

static void on_interrupt(int number) {
    (void)number; /* that next_byte() returns is all it is for */
}

void chat_screen_heed(void) {
    const struct sigaction now = {.sa_handler = on_interrupt};

    (void)sigaction(SIGINT, &now, NULL);
}

void chat_screen_init(struct chat_screen *s) {
    chat_screen_heed();
    *s = (struct chat_screen){.input_tty = isatty(STDIN_FILENO) != 0,
                              .colours = isatty(STDOUT_FILENO) != 0};
}

/* Escapes, and marks that turn the direction of what follows. */
static bool is_control(uint32_t point) {
    return (point < ' ' && point != '\n' && point != '\t') || point == 0x7F ||
           (point >= 0x80 && point <= 0x9F) ||
           (point >= 0x202A && point <= 0x202E) ||
           (point >= 0x2066 && point <= 0x2069);
}

static void put(struct chat_screen *s, struct span text, bool one_line) {
    while (text.size) {
        uint32_t point;
        size_t took = utf8_decode(text, &point, NULL);
        char utf8[UTF8_MAX];

        if (is_control(point)) point = UTF8_REPLACEMENT;
        if (one_line && point == '\n') point = ' ';
        s->line_open = point != '\n';
        (void)fwrite(utf8, 1, utf8_encode(point, utf8), stdout);
        text = span_slice(text, took, text.size);
    }
}

void chat_screen_text(struct chat_screen *s, struct span text) {
    put(s, text, false);
    (void)fflush(stdout);
}

static void put_line(struct chat_screen *s, enum screen_style style,
                     const char *before, struct span text, bool cut) {
    bool coloured = s->colours && *colours[style];

    if (s->line_open) (void)fputc('\n', stdout);
    if (coloured) (void)fputs(colours[style], stdout);
    (void)fputs(before, stdout);
    put(s, text, true);
    if (cut) (void)fputs(" ...", stdout);
    if (coloured) (void)fputs("\033[0m", stdout);
    (void)fputc('\n', stdout);
    s->line_open = false;
    (void)fflush(stdout);
}

void chat_screen_line(struct chat_screen *s, enum screen_style style,
                      const char *before, struct span text) {
    bool cut = text.size > SHOWN_BYTES_MAX;

    if (cut) {
        text.size = SHOWN_BYTES_MAX;
        text.size = utf8_complete(text);
    }
    put_line(s, style, before, text, cut);
}

void chat_screen_whole_line(struct chat_screen *s, enum screen_style style,
                            const char *before, struct span text) {
    put_line(s, style, before, text, false);
}

void chat_screen_forget(const struct chat_screen *s) {
    if (s->input_tty) (void)tcflush(STDIN_FILENO, TCIFLUSH);
}

/* As read() of one byte, but a Ctrl-C that comes just before it is waited for
 * counts too: SIGINT is blocked but for the waiting, where `mask` holds. */
static ssize_t next_byte(const sigset_t *mask, char *out) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};

    if (ppoll(&input, 1, NULL, mask) < 0) return -1;
    return read(STDIN_FILENO, out, 1);
}

enum screen_line chat_screen_read(struct chat_screen *s, const char *prompt,
                                  struct bytes *out) {
    enum screen_line how = SCREEN_LINE;
    sigset_t interrupt, mask;

    (void)sigemptyset(&interrupt);
    (void)sigaddset(&interrupt, SIGINT);
    (void)sigprocmask(SIG_BLOCK, &interrupt, &mask);
    out->size = 0;
    out->limit = LINE_BYTES_MAX;
    if (s->line_open) (void)fputc('\n', stdout);
    s->line_open = false;
    if (s->input_tty) (void)fputs(prompt, stdout);
    (void)fflush(stdout);
    for (;;) {
        char c;
        ssize_t got = next_byte(&mask, &c);

        if (got < 0 && errno == EINTR) how = SCREEN_INTERRUPTED;
        if (got <= 0 && how == SCREEN_LINE && !out->size) how = SCREEN_END;
        if (got <= 0 || c == '\n') break;
        if (!bytes_append(out, &c, 1, NULL)) how = SCREEN_TOO_LONG;
    }
    if (how == SCREEN_LINE && s->input_tty && out->size >= TERMINAL_LINE_BYTES)
        how = SCREEN_TOO_LONG;
    if ((how == SCREEN_END || how == SCREEN_INTERRUPTED) && s->input_tty)
        (void)fputc('\n', stdout);
    (void)sigprocmask(SIG_SETMASK, &mask, NULL);
    return how;
}
