/* chat_screen.h - what `corral chat` shows and reads. On a terminal there are
 * prompts and colours, elsewhere plain lines. Text from a model, a tool or a
 * server never reaches the terminal as a control sequence. */
#ifndef CORRAL_CLI_CHAT_SCREEN_H
#define CORRAL_CLI_CHAT_SCREEN_H

#include "base/bytes.h"

enum screen_style { SCREEN_PLAIN, SCREEN_NOTE, SCREEN_TOOL, SCREEN_ALARM };

struct chat_screen {
    bool input_tty; /* questions can be asked */
    bool colours;
    bool line_open; /* text was written since the last line end */
};

enum screen_line {
    SCREEN_LINE,
    SCREEN_END,
    SCREEN_INTERRUPTED,
    SCREEN_TOO_LONG /* read to its end, and dropped */
};

void chat_screen_init(struct chat_screen *s); /* and chat_screen_heed() */
/* Ctrl-C ends no more than a read; again after whoever else listened to it. */
void chat_screen_heed(void);
/* A part of an answer, as it comes. */
void chat_screen_text(struct chat_screen *s, struct span text);
/* A line of its own; `text` is cut to a screenful. */
void chat_screen_line(struct chat_screen *s, enum screen_style style,
                      const char *before, struct span text);
/* The same without a cut: what a person is to decide about. */
void chat_screen_whole_line(struct chat_screen *s, enum screen_style style,
                            const char *before, struct span text);
/* Drop what was typed before: it answers no question that was not there. */
void chat_screen_forget(const struct chat_screen *s);
/* Read one line, without its end, into `out` (emptied first). */
enum screen_line chat_screen_read(struct chat_screen *s, const char *prompt,
                                  struct bytes *out);

#endif
