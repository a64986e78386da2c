#include "agent/fence.h"

#include <string.h>

#include "base/hash.h"

enum {
    WORD_DIGITS = 12, /* 48 bits, one guess a text */
    NAME_MAX_BYTES = 64
};

static bool make_word(uint64_t key, struct span text, char out[WORD_DIGITS + 1],
                      struct err *err) {
    struct bytes both = {0};
    char digest[HASH_HEX_SIZE];
    bool ok = bytes_append(&both, &key, sizeof key, err) &&
              bytes_append(&both, text.at, text.size, err);

    if (ok) {
        hash_sha256_hex(span_bytes(&both), digest);
        memcpy(out, digest, WORD_DIGITS);
        out[WORD_DIGITS] = '\0';
    }
    bytes_free(&both);
    return ok;
}

/* A model may make up a name; it must not become a part of the label. */
static bool is_plain(struct span name) {
    for (size_t i = 0; i < name.size; i++) {
        char c = name.at[i];

        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'z') &&
            !(c >= 'A' && c <= 'Z') && c != '_' && c != '-' && c != '.')
            return false;
    }
    return name.size && name.size <= NAME_MAX_BYTES;
}

bool fence_put(uint64_t key, struct span tool, struct span text,
               struct bytes *out, struct err *err) {
    char word[WORD_DIGITS + 1];

    if (!is_plain(tool)) tool = span_of("a tool");
    return make_word(key, text, word, err) &&
           bytes_printf(out, err, "[data from %.*s, up to %s]\n",
                        (int)tool.size, tool.at, word) &&
           bytes_append(out, text.at, text.size, err) &&
           bytes_printf(out, err, "\n[%s]", word);
}

static bool fence_result(uint64_t key, const struct chat_request *r, int index,
                         struct span *out, struct err *err) {
    const struct chat_tool_call *call = chat_call_of(r, index);
    struct bytes text = {0};
    bool ok = fence_put(key, call ? call->name : span_of(""),
                        r->messages[index].text, &text, err) &&
              arena_copy(r->arena, span_bytes(&text), out, err);

    bytes_free(&text);
    return ok;
}

bool fence_messages(uint64_t key, const struct chat_request *r, int from,
                    struct chat_message *out, struct err *err) {
    for (int i = from; i < r->message_count; i++) {
        out[i] = r->messages[i];
        if (key && out[i].role == CHAT_TOOL &&
            !fence_result(key, r, i, &out[i].text, err))
            return false;
    }
    return true;
}
