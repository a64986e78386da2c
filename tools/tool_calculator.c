/* tool_calculator.c - arithmetic by recursive descent. Nothing is evaluated but
 * numbers, so no expression can do more than cost its own length.
 *
 *   sum     := product {(+|-) product}
 *   product := power {(*|/|%) power}
 *   power   := sign [(^|**) power]          right to left
 *   sign    := {(+|-)} ... applied after ^, so that -2^2 is -4
 *   atom    := number | name | name ( sum {, sum} ) | ( sum )
 */
#include "tools/tool_builtin.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

enum { CALCULATOR_ARGUMENTS_MAX = 64, NUMBER_BYTES_MAX = 64 };

struct reader {
    const char *at;
    const char *end;
    const char *start;
    int depth;
    struct err *err;
};

static bool fail(struct reader *r, const char *reason) {
    return err_set(r->err, ERR_INPUT, "%s, at character %zu of the expression",
                   reason, (size_t)(r->at - r->start) + 1);
}

static void skip_blanks(struct reader *r) {
    while (r->at < r->end && strchr(" \t\r\n", *r->at) && *r->at) r->at++;
}

static bool next_is(struct reader *r, const char *sign) {
    size_t size = strlen(sign);

    skip_blanks(r);
    if ((size_t)(r->end - r->at) < size || memcmp(r->at, sign, size) != 0)
        return false;
    r->at += size;
    return true;
}

/* Models write the signs that people see. */
static bool next_is_times(struct reader *r) {
    return next_is(r, "*") || next_is(r, "\xC3\x97") ||
           next_is(r, "\xC2\xB7") || next_is(r, "\xE2\x8B\x85");
}

static bool next_is_divide(struct reader *r) {
    return next_is(r, "/") || next_is(r, "\xC3\xB7");
}

static bool next_is_minus(struct reader *r) {
    return next_is(r, "-") || next_is(r, "\xE2\x88\x92");
}

static bool checked(struct reader *r, double value, double *out) {
    if (isnan(value)) return fail(r, "not defined");
    if (isinf(value)) return fail(r, "too large");
    *out = value;
    return true;
}

static bool sum(struct reader *r, double *out);
static bool power(struct reader *r, double *out);

static bool number(struct reader *r, double *out) {
    char text[NUMBER_BYTES_MAX];
    size_t size = 0;
    char *end;

    while (r->at < r->end && size < sizeof text - 1) {
        char c = *r->at;
        bool exponent_sign = (c == '+' || c == '-') && size > 0 &&
                             (text[size - 1] == 'e' || text[size - 1] == 'E');
        /* 2e3 is a number, 2e is 2 times nothing we know. */
        bool exponent = (c == 'e' || c == 'E') && r->end - r->at > 1 &&
                        (isdigit((unsigned char)r->at[1]) ||
                         (r->end - r->at > 2 && strchr("+-", r->at[1]) &&
                          isdigit((unsigned char)r->at[2])));

        if (!isdigit((unsigned char)c) && c != '.' && !exponent &&
            !exponent_sign)
            break;
        text[size++] = c;
        r->at++;
    }
    text[size] = '\0';
    if (size == sizeof text - 1) return fail(r, "a number is too long");
    errno = 0;
    *out = strtod(text, &end);
    if (end == text || *end) return fail(r, "a number is malformed");
    return checked(r, *out, out);
}

struct function {
    const char *name;
    double (*call)(double);
};

static double natural_log(double x) {
    return x > 0 ? log(x) : NAN;
}

static double decimal_log(double x) {
    return x > 0 ? log10(x) : NAN;
}

static const struct function functions[] = {
    {"sqrt", sqrt},         {"abs", fabs},  {"round", round},
    {"floor", floor},       {"ceil", ceil}, {"ln", natural_log},
    {"log10", decimal_log}, {"exp", exp},   {"sin", sin},
    {"cos", cos},           {"tan", tan}};

static bool arguments(struct reader *r, double *list, int *count) {
    *count = 0;
    if (!next_is(r, "(")) return fail(r, "expected \"(\" after a function");
    do {
        if (*count == CALCULATOR_ARGUMENTS_MAX)
            return fail(r, "too many arguments");
        if (!sum(r, &list[*count])) return false;
        ++*count;
    } while (next_is(r, ","));
    return next_is(r, ")") || fail(r, "expected \")\"");
}

static bool extreme(struct reader *r, bool least, double *out) {
    double list[CALCULATOR_ARGUMENTS_MAX];
    int count;

    if (!arguments(r, list, &count)) return false;
    *out = list[0];
    for (int i = 1; i < count; i++)
        *out = least ? fmin(*out, list[i]) : fmax(*out, list[i]);
    return true;
}

static bool name(struct reader *r, double *out) {
    const char *from = r->at;
    struct span word;
    double list[CALCULATOR_ARGUMENTS_MAX];
    int count;

    while (r->at < r->end && isalnum((unsigned char)*r->at)) r->at++;
    word = (struct span){from, (size_t)(r->at - from)};
    if (span_is(word, "pi")) return checked(r, 3.14159265358979323846, out);
    if (span_is(word, "e")) return checked(r, 2.71828182845904523536, out);
    if (span_is(word, "min")) return extreme(r, true, out);
    if (span_is(word, "max")) return extreme(r, false, out);
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        if (!span_is(word, functions[i].name)) continue;
        if (!arguments(r, list, &count)) return false;
        if (count != 1) return fail(r, "expected one argument");
        return checked(r, functions[i].call(list[0]), out);
    }
    r->at = from;
    return fail(r, "only numbers, + - * / % ^ ( ), pi, e, sqrt, abs, round, "
                   "floor, ceil, min, max, ln, log10, exp, sin, cos, tan are "
                   "known; not this");
}

static bool atom(struct reader *r, double *out) {
    if (next_is(r, "\xCF\x80")) return checked(r, 3.14159265358979323846, out);
    if (next_is(r, "(")) {
        if (!sum(r, out)) return false;
        return next_is(r, ")") || fail(r, "expected \")\"");
    }
    if (r->at == r->end) return fail(r, "ends too early");
    if (isdigit((unsigned char)*r->at) || *r->at == '.') return number(r, out);
    if (isalpha((unsigned char)*r->at)) return name(r, out);
    return fail(r, "expected a number");
}

static bool power(struct reader *r, double *out) {
    double exponent;
    bool ok;

    if (++r->depth > CALCULATOR_DEPTH_MAX) return fail(r, "nested too deeply");
    if (next_is_minus(r)) {
        ok = power(r, out);
        *out = ok ? -*out : 0;
    } else if (next_is(r, "+")) {
        ok = power(r, out);
    } else {
        ok = atom(r, out);
        if (ok && (next_is(r, "^") || next_is(r, "**")))
            ok = power(r, &exponent) && checked(r, pow(*out, exponent), out);
    }
    r->depth--;
    return ok;
}

static bool product(struct reader *r, double *out) {
    double right;

    if (!power(r, out)) return false;
    for (;;) {
        if (next_is_times(r)) {
            if (!power(r, &right) || !checked(r, *out * right, out))
                return false;
        } else if (next_is_divide(r)) {
            if (!power(r, &right)) return false;
            if (fpclassify(right) == FP_ZERO)
                return fail(r, "division by zero");
            if (!checked(r, *out / right, out)) return false;
        } else if (next_is(r, "%")) {
            if (!power(r, &right)) return false;
            if (fpclassify(right) == FP_ZERO)
                return fail(r, "division by zero");
            if (!checked(r, fmod(*out, right), out)) return false;
        } else {
            return true;
        }
    }
}

static bool sum(struct reader *r, double *out) {
    double right;

    if (!product(r, out)) return false;
    for (;;) {
        if (next_is(r, "+")) {
            if (!product(r, &right) || !checked(r, *out + right, out))
                return false;
        } else if (next_is_minus(r)) {
            if (!product(r, &right) || !checked(r, *out - right, out))
                return false;
        } else {
            return true;
        }
    }
}

bool calculator_evaluate(struct span expression, char *out, size_t out_size,
                         struct err *err) {
    struct reader r = {.at = expression.at,
                       .end = expression.at + expression.size,
                       .start = expression.at,
                       .err = err};
    double value;

    if (expression.size > CALCULATOR_BYTES_MAX)
        return err_set(err, ERR_INPUT, "an expression has at most %d bytes",
                       CALCULATOR_BYTES_MAX);
    if (!utf8_valid(expression))
        return err_set(err, ERR_INPUT, "the expression is not valid UTF-8");
    skip_blanks(&r);
    if (r.at == r.end) return err_set(err, ERR_INPUT, "no expression");
    if (!sum(&r, &value)) return false;
    (void)next_is(&r, "="); /* "2+2=" */
    skip_blanks(&r);
    if (r.at != r.end) return fail(&r, "expected an operator");
    value += 0.0; /* -0 to 0 */
    /* Whole numbers are exact to 2^53; beyond, and for fractions, 15 digits
     * are what a double is good for: 0.1+0.2 is 0.3. */
    if (fabs(value) <= 9007199254740992.0 && fabs(value - rint(value)) <= 0)
        (void)snprintf(out, out_size, "%.0f", value);
    else
        (void)snprintf(out, out_size, "%.15g", value);
    return true;
}

static struct tool_run *run(const struct tool *tool, const cJSON *arguments_,
                            const struct tool_context *context, tool_done *done,
                            void *user) {
    const cJSON *expression =
        cJSON_GetObjectItemCaseSensitive(arguments_, "expression");
    char text[64];
    struct err err = {0};
    bool ok = false;

    (void)tool;
    (void)context;
    if (!cJSON_IsString(expression))
        (void)err_set(&err, ERR_INPUT, "expression: expected a text");
    else
        ok = calculator_evaluate(span_of(expression->valuestring), text,
                                 sizeof text, &err);
    done(user, ok, span_of(ok ? text : err.text));
    return NULL;
}

static void cancel(struct tool_run *unused) {
    (void)unused;
}

const struct tool tool_calculator = {
    .name = "calculator",
    .description = "Compute an arithmetic expression exactly. Use it for every "
                   "calculation with numbers.",
    .schema = "{\"type\":\"object\",\"properties\":{\"expression\":{\"type\":"
              "\"string\",\"description\":\"for example (12+5)*3, 2^10, "
              "sqrt(2), 17 % 5\",\"minLength\":1,\"maxLength\":1024}},"
              "\"required\":[\"expression\"],\"additionalProperties\":false}",
    .idempotent = true,
    .run = run,
    .cancel = cancel,
};
