/* fuzz_url_host.c - whatever it is given, a host is a name or an address that
 * stands in the URL, in lower case and without what could end it. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "guard/url_host.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct span url = {(const char *)data, size};
    char host[URL_HOST_MAX + 1];
    size_t length;

    if (!url_host(url, host)) return *host ? (abort(), 0) : 0;
    length = strlen(host);
    if (length == 0 || length > size || strpbrk(host, "/?#@\\%, \t\r\n"))
        abort();
    if (*host != '[' && strpbrk(host, ":[]")) abort();
    for (const char *c = host; *c; c++)
        if ((*c >= 'A' && *c <= 'Z') || *c <= ' ' || (*c & 0x80)) abort();
    for (size_t i = 0; i + length <= size; i++)
        if (!strncasecmp(url.at + i, host, length)) return 0;
    abort();
}
