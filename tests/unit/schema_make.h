/* schema_make.h - random JSON Schemas, the same for the same seed: every
 * keyword that the grammar enforces, in every place where it may stand. */
#ifndef CORRAL_TESTS_SCHEMA_MAKE_H
#define CORRAL_TESTS_SCHEMA_MAKE_H

#include "base/bytes.h"

struct random {
    uint64_t state;
};

/* Numerical Recipes' generator, as many bits as are needed from its top. */
static int random_pick(struct random *r, int count) {
    r->state = r->state * 6364136223846793005ull + 1442695040888963407u;
    return (int)((r->state >> 33) % (uint64_t)count);
}

/* The seeds that follow each other should not give texts that do. */
static struct random random_from(uint64_t seed) {
    struct random r = {seed * 0x9E3779B97F4A7C15ull + 1};

    (void)random_pick(&r, 2);
    return r;
}

#define PUT(...)                                                               \
    do {                                                                       \
        if (!bytes_printf(out, NULL, __VA_ARGS__)) abort();                    \
    } while (0)

static void make_schema(struct random *r, struct bytes *out, int depth);

/* Patterns that POSIX, Python and ECMA-262 read the same way. */
static void make_string(struct random *r, struct bytes *out) {
    static const char *const patterns[] = {
        "^[a-z]+$",
        "^[A-Z][a-z]{2,8}( [A-Z][a-z]{2,8})?$",
        "^([0-9]{3}-)?[0-9]{4}$",
        "^(red|green|blue)(-(light|dark))?$",
        "ab+c",
        "^x-",
        "[0-9]$",
        "^[^a-z]{1,12}$",
        "^#([0-9a-f]{3}){1,2}$",
        "^\\\\$[1-9][0-9]*\\\\.[0-9]{2}$",
        "^(a|b)*a(a|b){3}$",
        "^[A-Za-z0-9_.-]{3,16}$"};
    static const char *const formats[] = {"date", "time",  "date-time",
                                          "uuid", "email", "ipv4"};
    int least = random_pick(r, 6);

    PUT("\"type\":\"string\"");
    switch (random_pick(r, 8)) {
    case 0:
    case 1:
        PUT(",\"minLength\":%d,\"maxLength\":%d", least,
            least + random_pick(r, 20));
        break;
    case 2:
        PUT(",\"minLength\":%d", least * 3);
        break;
    case 3:
    case 4:
        PUT(",\"pattern\":\"%s\"", patterns[random_pick(r, 12)]);
        break;
    case 5:
        PUT(",\"format\":\"%s\"", formats[random_pick(r, 6)]);
        break;
    case 6:
        PUT(",\"pattern\":\"^[a-f0-9]*$\",\"minLength\":%d,\"maxLength\":%d",
            least, least + random_pick(r, 9));
        break;
    default:
        break;
    }
}

static void make_number(struct random *r, struct bytes *out) {
    int low = random_pick(r, 2000) - 1000, size = 1 + random_pick(r, 3000);

    PUT("\"type\":\"%s\"", random_pick(r, 2) ? "integer" : "number");
    switch (random_pick(r, 7)) {
    case 0:
        PUT(",\"minimum\":%d,\"maximum\":%d", low, low + size);
        break;
    case 1:
        PUT(",\"exclusiveMinimum\":%d,\"exclusiveMaximum\":%d", low,
            low + size + 1);
        break;
    case 2:
        PUT(",\"minimum\":%d.25", low);
        break;
    case 3:
        PUT(",\"exclusiveMaximum\":%d.5", low);
        break;
    case 4:
        PUT(",\"multipleOf\":%d", 1 + random_pick(r, 60));
        break;
    case 5:
        PUT(",\"minimum\":%d,\"maximum\":%d,\"multipleOf\":%s", low,
            low + size + 100, random_pick(r, 2) ? "0.25" : "7");
        break;
    default:
        break;
    }
}

static void make_scalar(struct random *r, struct bytes *out) {
    static const char *const others[] = {
        "\"type\":[\"boolean\",\"null\"]",
        "\"type\":\"boolean\",\"description\":\"of no weight\"",
        "\"enum\":[\"a\",\"ab\",\"\",1,-2.5,null,[1],{\"x\":\"\\n\\u00e9\"}]",
        "\"const\":{\"a\":[true,\"q\\\"\"]}",
        "\"type\":[\"integer\",\"string\"],\"maximum\":9,\"maxLength\":3",
        "\"type\":\"string\",\"enum\":[\"one\",\"two\",\"three\",7]",
        "\"type\":[\"string\",\"null\"],\"x-order\":3",
        "\"$ref\":\"#/$defs/point\"",
        "\"const\":\"\\u00fcber \\\\ \\ud83d\\ude00\""};
    int kind = random_pick(r, 14);

    if (kind < 5)
        make_string(r, out);
    else if (kind < 9)
        make_number(r, out);
    else
        PUT("%s", others[random_pick(r, 9)]);
}

static void make_members(struct random *r, struct bytes *out, int depth) {
    static const char *const names[] = {"key", "k\\\"\\u00e9", "key1", "a",
                                        "long name of a property"};
    int count = 1 + random_pick(r, 5), required = random_pick(r, 32);
    int written = 0;

    PUT("\"type\":\"object\",\"properties\":{");
    for (int i = 0; i < count; i++) {
        PUT("%s\"%s\":", i ? "," : "", names[i]);
        make_schema(r, out, depth - 1);
    }
    PUT("},\"required\":[");
    for (int i = 0; i < count; i++)
        if (required >> i & 1) PUT("%s\"%s\"", written++ ? "," : "", names[i]);
    PUT("]");
    if (random_pick(r, 2)) PUT(",\"additionalProperties\":false");
    if (random_pick(r, 4) == 0) PUT(",\"minProperties\":1");
}

static void make_free_object(struct random *r, struct bytes *out, int depth) {
    PUT("\"type\":\"object\",\"minProperties\":%d", random_pick(r, 3));
    if (random_pick(r, 2)) {
        PUT(",\"maxProperties\":%d,\"additionalProperties\":",
            2 + random_pick(r, 3));
        make_schema(r, out, depth - 1);
    }
}

static void make_array(struct random *r, struct bytes *out, int depth) {
    int least = random_pick(r, 3);

    PUT("\"type\":\"array\",\"minItems\":%d,\"maxItems\":%d,\"items\":", least,
        least + random_pick(r, 4));
    make_schema(r, out, depth - 1);
    if (random_pick(r, 3)) return;
    PUT(",\"prefixItems\":[");
    make_schema(r, out, depth - 1);
    PUT(",");
    make_schema(r, out, depth - 1);
    PUT("]");
}

static void make_pair(struct random *r, struct bytes *out, int depth) {
    make_schema(r, out, depth - 1);
    PUT(",");
    make_schema(r, out, depth - 1);
}

/* Alternatives that a member tells apart, or their type. */
static void make_one_of(struct random *r, struct bytes *out, int depth) {
    PUT("\"oneOf\":[");
    for (int i = 0; i < 2; i++) {
        PUT("{\"type\":\"object\",\"properties\":{\"kind\":{\"const\":\"k%d\"},"
            "\"v\":",
            i);
        make_schema(r, out, depth - 1);
        PUT("},\"required\":[\"kind\"]},");
    }
    PUT("{\"type\":[\"null\",\"integer\"]}]");
}

static void make_all_of(struct random *r, struct bytes *out, int depth) {
    int low = random_pick(r, 50);

    switch (random_pick(r, 4)) {
    case 0:
        PUT("\"allOf\":[{\"type\":\"integer\",\"minimum\":%d},{\"maximum\":%d},"
            "{\"multipleOf\":2}]",
            low, low + 2 + random_pick(r, 99));
        break;
    case 1:
        PUT("\"allOf\":[{\"type\":\"string\",\"pattern\":\"^[a-m]+$\"},"
            "{\"pattern\":\"b\"},{\"maxLength\":9}]");
        break;
    case 2:
        PUT("\"type\":\"object\",\"properties\":{\"more\":");
        make_schema(r, out, depth - 1);
        PUT("},\"allOf\":[{\"$ref\":\"#/$defs/point\"},{\"properties\":{\"x\":{"
            "\"minimum\":1}},\"required\":[\"x\"]}]");
        break;
    default:
        PUT("\"type\":\"object\",\"properties\":{\"a\":");
        make_schema(r, out, depth - 1);
        PUT(",\"b\":{\"type\":\"null\"}},\"anyOf\":[{\"required\":[\"a\"]},{"
            "\"required\":[\"b\"]}]");
    }
}

static void make_schema(struct random *r, struct bytes *out, int depth) {
    PUT("{");
    switch (depth > 0 ? random_pick(r, 12) : 11) {
    case 0:
    case 1:
    case 2:
        make_members(r, out, depth);
        break;
    case 3:
    case 4:
        make_array(r, out, depth);
        break;
    case 5:
        PUT("\"anyOf\":[");
        make_pair(r, out, depth);
        PUT("]");
        break;
    case 6:
        make_one_of(r, out, depth);
        break;
    case 7:
        make_all_of(r, out, depth);
        break;
    case 8:
        make_free_object(r, out, depth);
        break;
    case 9:
        PUT("\"$ref\":\"#/$defs/tree\"");
        break;
    default:
        make_scalar(r, out);
    }
    PUT("}");
}

/* A whole one, with the definitions that its parts refer to, and a NUL. */
static void schema_make(uint64_t seed, struct bytes *out) {
    struct random r = random_from(seed);

    PUT("{\"$defs\":{\"point\":{\"type\":\"object\",\"properties\":{\"x\":{"
        "\"type\":\"integer\"},\"y\":{\"type\":\"number\"}},\"required\":["
        "\"y\"]},\"tree\":{\"type\":\"object\",\"properties\":{\"value\":{");
    make_scalar(&r, out);
    PUT("},\"children\":{\"type\":\"array\",\"items\":{\"$ref\":\"#/$defs/tree"
        "\"},\"maxItems\":2}},\"required\":[\"value\"],"
        "\"additionalProperties\":false},\"root\":");
    make_schema(&r, out, 3);
    PUT("},%s}", random_pick(&r, 2)
                     ? "\"$ref\":\"#/$defs/root\""
                     : "\"allOf\":[{\"$ref\":\"#/$defs/root\"}]");
    bytes_put(out, (struct span){"", 1});
}

#undef PUT

#endif
