#include "engine/grammar_format.h"

#include <stddef.h>
#include <string.h>

/* From the year 1000 on; the 29th of February in leap years. */
#define DATE                                                                   \
    "([1-9]\\d{3}-((0[13578]|1[02])-(0[1-9]|[12]\\d|3[01])"                    \
    "|(0[469]|11)-(0[1-9]|[12]\\d|30)|02-(0[1-9]|1\\d|2[0-8]))"                \
    "|([1-9]\\d(0[48]|[2468][048]|[13579][26])"                                \
    "|([2468][048]|[13579][26])00)-02-29)"
#define TIME                                                                   \
    "([01]\\d|2[0-3]):[0-5]\\d:[0-5]\\d(\\.\\d{1,6})?"                         \
    "(Z|[+-]([01]\\d|2[0-3]):[0-5]\\d)"
#define LABEL "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#define BYTE "(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)"
#define HEX "[0-9A-Fa-f]"
#define GROUP HEX "{1,4}"
#define ATOM "[A-Za-z0-9_%+-]+"

struct format {
    const char *name;
    const char *pattern;
};

static const struct format formats[] = {
    {"date", "^" DATE "$"},
    {"time", "^" TIME "$"},
    {"date-time", "^" DATE "T" TIME "$"},
    {"duration", "^P(\\d{1,4}W|\\d{1,4}Y(\\d{1,4}M(\\d{1,4}D)?)?"
                 "|\\d{1,4}M(\\d{1,4}D)?|\\d{1,4}D"
                 "|(\\d{1,4}D)?T(\\d{1,4}H(\\d{1,4}M(\\d{1,4}S)?)?"
                 "|\\d{1,4}M(\\d{1,4}S)?|\\d{1,4}S))$"},
    {"email", "^" ATOM "(\\." ATOM "){0,4}@" LABEL "(\\." LABEL "){1,4}$"},
    {"hostname", "^" LABEL "(\\." LABEL "){0,3}$"},
    {"ipv4", "^" BYTE "(\\." BYTE "){3}$"},
    {"ipv6", "^((" GROUP ":){7}" GROUP "|:(:" GROUP "){1,7}|(" GROUP ":){1,7}:"
             "|(" GROUP ":){1,6}:" GROUP "|(" GROUP ":){1,5}(:" GROUP "){1,2}"
             "|(" GROUP ":){1,4}(:" GROUP "){1,3}"
             "|(" GROUP ":){1,3}(:" GROUP "){1,4}"
             "|(" GROUP ":){1,2}(:" GROUP "){1,5}|" GROUP ":(:" GROUP "){1,6}"
             "|::)$"},
    {"uuid", "^" HEX "{8}(-" HEX "{4}){3}-" HEX "{12}$"},
    {"uri", "^[a-z][a-z0-9+.-]{1,15}://" LABEL "(\\." LABEL "){0,4}(:[1-9]"
            "\\d{0,3})?(/[A-Za-z0-9._~!$&'()*+,;=:@-]*)*"
            "(\\?[A-Za-z0-9._~!$&'()*+,;=:@/?-]*)?$"},
};

const char *format_pattern(const char *name) {
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (!strcmp(formats[i].name, name)) return formats[i].pattern;
    return NULL;
}
