/* config_traces.h - the section `traces`: where spans are sent. */
#ifndef CORRAL_PROXY_CONFIG_TRACES_H
#define CORRAL_PROXY_CONFIG_TRACES_H

#include "proxy/config_read.h"
#include "proxy/tracer.h"

/* Strings are owned. Values of headers may be secrets. */
struct config_traces {
    bool on; /* `traces` was there */
    struct http_url url;
    struct {
        char *name;
        char *value;
    } headers[TRACER_HEADERS_MAX];
    int header_count;
    char *ca_file; /* NULL: the system's */
    double sample; /* the part of traces that begin here: 0 to 1 */
    int queue;     /* spans that wait */
};

void config_traces_init(struct config_traces *t);
void config_traces_clear(struct config_traces *t);
MUST_USE bool config_read_traces(const struct config_source *s,
                                 const cJSON *root, struct config_traces *out);
/* Borrows `t`; `headers` has room for TRACER_HEADERS_MAX. */
struct tracer_options config_tracer(const struct config_traces *t,
                                    struct http_header *headers);

#endif
