/* template_llama2.c - <s>[INST] <<SYS>> ... <</SYS>> ... [/INST] ... </s>, as
 * Meta's code for Llama 2 renders it: each question with its answer is one
 * text. The tags are text, too, so those that a message spells are broken up by
 * a blank. The models know nothing of tools: their declarations and calls are
 * as in ChatML, and a result is what comes next from the user's side. */
#include "agent/template_write.h"

#include <string.h>

/* With a blank behind their first byte they are no tags. */
static const char *const tags[] = {"[INST]", "[/INST]", "<<SYS>>", "<</SYS>>"};

enum { TAGS = sizeof tags / sizeof *tags };

static bool is_tag(struct span s) {
    for (int i = 0; i < TAGS; i++)
        if (span_starts(s, span_of(tags[i]))) return true;
    return false;
}

static bool put_plain(struct bytes *out, struct span text, struct err *err) {
    size_t from = 0;

    for (size_t i = 0; i < text.size; i++) {
        if (!is_tag(span_slice(text, i, text.size))) continue;
        if (!bytes_append(out, text.at + from, i + 1 - from, err) ||
            !bytes_append(out, " ", 1, err))
            return false;
        from = i + 1;
    }
    return from == text.size ||
           bytes_append(out, text.at + from, text.size - from, err);
}

static bool put_message(struct bytes *out, struct span text, struct err *err) {
    return put_plain(out, template_trim(text), err);
}

static bool put_tools(struct template_writer *w, struct bytes *out) {
    struct bytes text = {0};
    bool ok = template_put_tools(w->request, &text, w->err) &&
              put_plain(out, span_bytes(&text), w->err);

    bytes_free(&text);
    return ok;
}

static bool put_system(struct template_writer *w, struct span text, bool tools,
                       struct bytes *out) {
    return bytes_printf(out, w->err, "<<SYS>>\n") &&
           put_message(out, text, w->err) && (!tools || put_tools(w, out)) &&
           bytes_printf(out, w->err, "\n<</SYS>>");
}

/* All up to the assistant's next word: a system's, a user's and tools' parts,
 * with an empty line between them. Where it ends is written to *next. */
static bool put_instruction(struct template_writer *w, int first,
                            struct bytes *out, int *next) {
    const struct chat_request *r = w->request;
    bool tools = first == 0 && template_shows_tools(r);
    bool ok = bytes_printf(out, w->err, "[INST] ");
    int i = first;

    if (tools && (r->message_count == 0 || r->messages[0].role != CHAT_SYSTEM))
        ok =
            ok &&
            put_system(w, span_of("You are a helpful assistant."), true, out) &&
            bytes_printf(out, w->err, "\n\n");
    for (; ok && i < r->message_count && r->messages[i].role != CHAT_ASSISTANT;
         i++) {
        const struct chat_message *m = &r->messages[i];

        if (i > first) ok = bytes_printf(out, w->err, "\n\n");
        ok = ok && (m->role == CHAT_SYSTEM
                        ? put_system(w, m->text, tools && i == 0, out)
                        : put_message(out, m->text, w->err));
    }
    *next = i;
    return ok && bytes_printf(out, w->err, " [/INST]");
}

static bool put_answer(struct template_writer *w, const struct chat_message *m,
                       struct bytes *out) {
    struct bytes calls = {0};
    bool ok =
        bytes_printf(out, w->err, " ") && put_message(out, m->text, w->err);

    for (int i = 0; ok && i < m->call_count; i++)
        ok = bytes_printf(&calls, w->err, "%s<tool_call>\n",
                          i || m->text.size ? "\n" : "") &&
             template_put_call(&calls, &m->calls[i], "arguments", w->err) &&
             bytes_printf(&calls, w->err, "\n</tool_call>");
    ok = ok && put_plain(out, span_bytes(&calls), w->err) &&
         bytes_printf(out, w->err, " ");
    bytes_free(&calls);
    return ok;
}

bool template_llama2(struct template_writer *w) {
    const struct chat_request *r = w->request;
    bool answered = true;

    for (int i = 0; answered;) {
        struct bytes text = {0};
        bool ok = put_instruction(w, i, &text, &i);

        answered = i < r->message_count;
        ok = ok && (!answered || put_answer(w, &r->messages[i++], &text)) &&
             tokens_push(w->out, tokenizer_bos(w->tokenizer), w->err) &&
             tokenizer_encode_first(w->tokenizer, span_bytes(&text), w->out,
                                    w->err) &&
             (!answered ||
              tokens_push(w->out, tokenizer_eos(w->tokenizer), w->err));
        bytes_free(&text);
        if (!ok) return false;
    }
    return true;
}
