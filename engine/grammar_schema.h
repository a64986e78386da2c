/* grammar_schema.h - what the compilers of JSON Schema's parts share: the
 * graph in the making, where in the schema it is, and errors that say so.
 * Each takes the node that comes next and returns the node that begins, or -1
 * with c->err filled. */
#ifndef CORRAL_ENGINE_GRAMMAR_SCHEMA_H
#define CORRAL_ENGINE_GRAMMAR_SCHEMA_H

#include "engine/grammar_graph.h"

enum {
    SCHEMA_STRING_CHARS = 4096, /* when a schema sets no maxLength */
    SCHEMA_STRING_CHARS_MAX = 1 << 16,
    SCHEMA_ITEMS = 1024, /* when a schema sets no maxItems */
    SCHEMA_ITEMS_MAX = 1 << 16,
    SCHEMA_KEY_CHARS = 64, /* of an object without declared properties */
    SCHEMA_MEMBERS = 32,   /* of it */
    SCHEMA_PROPERTIES_MAX = 256,
    SCHEMA_ALTERNATIVES_MAX = 256,
    SCHEMA_ENUM_MAX = 1024,
    SCHEMA_RULES_MAX = 1024,
    SCHEMA_DEPTH_MAX = 256,
    SCHEMA_MADE_BYTES_MAX = 1 << 20, /* of schemas merged from others */
    SCHEMA_STATES_MAX = 1 << 14,     /* of all automata together */
    SCHEMA_WORK_MAX = 1 << 22,       /* see nfa_dfa(): some 50 ms */
    SCHEMA_COMPARES_MAX = 1 << 16
};

/* A schema and the body that was made of it. */
struct rule {
    const cJSON *schema;
    int body;
    int open; /* being compiled, and then c->opaque at that time; -1: no */
};

/* A schema made from others, found again by its text. */
struct made_schema {
    cJSON *schema;
    char *text;
};

/* An automaton, found again by what it was made from. */
struct made_dfa {
    char *name;
    struct dfa *dfa;
};

struct compiler {
    struct grammar *graph;
    const cJSON *root;
    struct rule *rules; /* (SCHEMA_RULES_MAX) */
    int rule_count;
    struct made_schema *made;
    int made_count;
    size_t made_bytes;
    struct made_dfa *dfas;
    int dfa_count;
    int states;    /* of the DFAs */
    long work;     /* left for making them */
    bool python;   /* True, False and None in the place of JSON's words */
    bool keywords; /* and the next object is a call's arguments */
    int depth;
    int opaque;   /* schemas being compiled that take a byte of their own */
    int any;      /* a body for any value; -1: not made yet */
    int compares; /* of values, to show that oneOf is exclusive */
    char place[ERR_FIELD_MAX];
    struct err *err;
};

/* `next` after a value of the schema, which is c->place's `key`; NULL: any
 * value. */
int schema_value(struct compiler *c, const cJSON *schema, const char *key,
                 int next);
int schema_fail(struct compiler *c, enum err_code code, const char *key,
                const char *text);
/* Borrowed from the schema; NULL when it has no such keyword. */
const cJSON *schema_get(const cJSON *schema, const char *key);
/* A whole number; `otherwise` when the keyword is absent. */
bool schema_whole(struct compiler *c, const cJSON *schema, const char *key,
                  double least, double most, double otherwise, double *out);
bool schema_is(const cJSON *item, const char *text); /* this string */
int schema_text(struct compiler *c, const char *text, int next);
/* true, false or null. */
int schema_word(struct compiler *c, const char *word, int next);
/* `mark` and an optional blank. */
int schema_spaced(struct compiler *c, char mark, int next);
/* The target of a $ref; NULL with the error filled. */
const cJSON *schema_resolve(struct compiler *c, const cJSON *ref);

/* grammar_scalar.c */
int schema_string(struct compiler *c, const cJSON *schema, int next);
int schema_number(struct compiler *c, const cJSON *schema, bool whole,
                  int next);
/* What the keywords of a string, or a number, ask for. Borrowed from `c`. NULL
 * with *free set where any string of `least` to `most` characters will do. */
struct dfa *schema_string_dfa(struct compiler *c, const cJSON *schema,
                              bool *free, int *least, int *most);
struct dfa *schema_number_dfa(struct compiler *c, const cJSON *schema,
                              bool whole);

/* grammar_array.c, grammar_object.c */
int schema_array(struct compiler *c, const cJSON *schema, int next);
int schema_object(struct compiler *c, const cJSON *schema, int next);

/* grammar_values.c: enum and const, and the keywords beside them. */
int schema_values(struct compiler *c, const cJSON *schema, int next);
bool schema_has_type(const cJSON *value, const cJSON *type);

/* grammar_either.c: anyOf and oneOf. */
int schema_either(struct compiler *c, const cJSON *schema, const char *key,
                  int next);

/* grammar_merge.c: one schema for a $ref, an allOf and the keywords beside
 * them. Borrowed from `c`. NULL with the error filled. */
const cJSON *schema_merged(struct compiler *c, const cJSON *schema);
/* Whether a keyword says something about a value. */
bool schema_asserts(const char *key);
/* A schema built here: takes it, and returns it or an equal one. */
const cJSON *schema_keep(struct compiler *c, cJSON *made);

#endif
