#include "guard/tool_target.h"

#include <math.h>
#include <string.h>
#include <strings.h>

/* Arguments that hold what is said, not to whom. */
static bool is_prose_name(const char *name) {
    static const char *const names[] = {
        "subject", "title",    "body",    "content", "contents", "text",
        "message", "note",     "notes",   "summary", "comment",  "description",
        "query",   "question", "caption", "reason",  NULL};

    for (int i = 0; name && names[i]; i++)
        if (!strcasecmp(name, names[i])) return true;
    return false;
}

static int words(const char *text) {
    int count = 0;

    for (const char *c = text; *c; c++)
        count += !ascii_blank(*c) && (c == text || ascii_blank(c[-1]));
    return count;
}

/* "2026-11-28", "2026-11-28T10:30:00Z", "10:30": a model works them out from
 * "tomorrow". */
static bool is_time(const char *text) {
    static const char *const shapes[] = {"9999-99-99", "99:99", NULL};
    size_t i = 0;

    for (const char *const *shape = shapes; *shape; shape++) {
        const char *s = *shape;

        for (i = 0; s[i]; i++)
            if (s[i] == '9' ? text[i] < '0' || text[i] > '9' : text[i] != s[i])
                break;
        if (!s[i]) return strspn(text, "0123456789-:.+TZ ") == strlen(text);
    }
    return false;
}

bool tool_target_is(const char *name, const cJSON *value) {
    const char *text = value->valuestring;
    int count;

    if (cJSON_IsNumber(value))
        return fabs(value->valuedouble) >= pow(10, TOOL_TARGET_DIGITS - 1);
    if (!cJSON_IsString(value)) return false;
    count = words(text);
    if (count == 0 || is_time(text)) return false;
    /* An address is one wherever it stands. */
    if (count == 1 && (strchr(text, '@') || strstr(text, "://"))) return true;
    if (is_prose_name(name)) return false;
    return count == 1 ||
           (count <= TOOL_TARGET_WORDS && strlen(text) <= TOOL_TARGET_BYTES);
}
