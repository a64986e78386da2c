#include "guard/url_host.h"

#include <string.h>
#include <strings.h>

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool is_hex(char c) {
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

/* Nothing in the whole URL that some readers skip, fold or turn round. */
static bool is_plain(struct span url) {
    for (size_t i = 0; i < url.size; i++) {
        unsigned char c = (unsigned char)url.at[i];

        if (c <= ' ' || c >= 127 || c == '\\') return false;
    }
    return true;
}

static bool starts(struct span s, const char *prefix) {
    size_t size = strlen(prefix);

    return s.size >= size && !strncasecmp(s.at, prefix, size);
}

/* Between "://" and the path. */
static struct span authority_of(struct span url) {
    size_t end = 0;

    while (end < url.size && !strchr("/?#", url.at[end])) end++;
    return span_slice(url, 0, end);
}

static bool is_port(struct span s) {
    long value = 0;

    if (s.size == 0 || s.size > 5) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (!is_digit(s.at[i])) return false;
        value = value * 10 + (s.at[i] - '0');
    }
    return value <= 65535;
}

/* Each part 0 to 255 without a leading zero: "010" is eight to some. */
static bool is_ipv4(const char *host) {
    int parts = 0;

    for (; parts < 4; parts++) {
        int value = 0, digits = 0;

        for (; is_digit(*host) && digits < 4; host++, digits++)
            value = value * 10 + (*host - '0');
        if (digits == 0 || digits > 3 || value > 255) return false;
        if (digits > 1 && host[-digits] == '0') return false;
        if (*host != '.') break;
        host++;
    }
    return parts == 3 && *host == '\0';
}

/* A name whose last label looks like a number is an address to some readers:
 * "2130706433", "127.1" and "0x7f.0.0.1" all reach this machine. */
static bool ends_in_number(const char *host) {
    const char *label = strrchr(host, '.');

    label = label ? label + 1 : host;
    if (label[0] == '0' && label[1] == 'x') return true;
    return label[strspn(label, "0123456789")] == '\0';
}

static bool is_name(const char *host) {
    char before = '.';

    for (const char *c = host; *c; before = *c++) {
        bool letter = is_digit(*c) || (*c >= 'a' && *c <= 'z') || *c == '_';

        if (*c == '.' ? before == '.' || before == '-'
                      : !letter && (*c != '-' || before == '.'))
            return false;
    }
    return before != '.' && before != '-';
}

static bool is_ipv6(const char *host, size_t size) {
    int colons = 0;

    if (size < 4 || host[0] != '[' || host[size - 1] != ']') return false;
    for (size_t i = 1; i + 1 < size; i++) {
        colons += host[i] == ':';
        if (!is_hex(host[i]) && host[i] != ':' && host[i] != '.') return false;
    }
    return colons >= 2 && colons <= 7;
}

/* Of "host:port" or "[::1]:port"; 0 when there is none. */
static size_t host_size(struct span authority) {
    bool address = span_starts(authority, span_of("["));
    size_t at = span_find(authority, span_of(address ? "]" : ":"));

    if (at == SIZE_MAX) return address ? 0 : authority.size;
    return address ? at + 1 : at;
}

bool url_host(struct span url, char out[URL_HOST_MAX + 1]) {
    struct span rest;
    size_t size;

    out[0] = '\0';
    if (!is_plain(url)) return false;
    if (!starts(url, "http://") && !starts(url, "https://")) return false;
    rest =
        authority_of(span_slice(url, starts(url, "http://") ? 7 : 8, url.size));
    size = host_size(rest);
    if (size < rest.size && (rest.at[size] != ':' ||
                             !is_port(span_slice(rest, size + 1, rest.size))))
        return false;
    if (size && rest.at[size - 1] == '.') size--;
    if (size == 0 || size > URL_HOST_MAX) return false;
    for (size_t i = 0; i < size; i++) out[i] = ascii_lower(rest.at[i]);
    out[size] = '\0';
    if (out[0] == '[' ? is_ipv6(out, size)
                      : is_name(out) && (!ends_in_number(out) || is_ipv4(out)))
        return true;
    out[0] = '\0';
    return false;
}
