/* eval_html.c - an evaluation as one page that needs nothing else: no script,
 * no font, no picture from elsewhere. Names of groups come from the rows, so
 * they are escaped. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "cli/evaluation.h"

enum { CURVE_POINTS = 200, PLOT = 260, MARGIN = 34 };

static const char *const titles[GROUP_KINDS] = {
    "Overall", "Operating points", "Categories",
    "Roles",   "Languages",        "Sources"};

static const char *const heads[FIGURES] = {
    [FIGURE_PRECISION] = "precision",
    [FIGURE_RECALL] = "recall",
    [FIGURE_F1] = "F1",
    [FIGURE_FPR] = "FPR",
    [FIGURE_AUPRC] = "AUPRC",
    [FIGURE_AUROC] = "AUROC",
    [FIGURE_RECALL_1] = "recall at 1&nbsp;% FPR",
    [FIGURE_CALIBRATION] = "calibration error",
};

static const char style[] =
    "body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:72em;"
    "padding:0 1em;color:#1b1f24;background:#fff}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{padding:.25em .6em;text-align:right;border-bottom:1px solid #e3e6ea;"
    "font-variant-numeric:tabular-nums}"
    "th:first-child,td:first-child{text-align:left}"
    "th{font-weight:600;vertical-align:bottom}"
    "small{color:#667;display:block;font-size:.75em}"
    ".plots{display:flex;flex-wrap:wrap;gap:1.2em}"
    "figure{margin:0}figcaption{font-size:.85em}"
    "svg text{font:10px system-ui,sans-serif;fill:#667}"
    ".curve{fill:none;stroke:#1f6feb;stroke-width:2}"
    ".axis{fill:none;stroke:#c8cdd3}";

static void escaped(FILE *out, const char *text) {
    for (; *text; text++) {
        switch (*text) {
        case '&':
            (void)fputs("&amp;", out);
            break;
        case '<':
            (void)fputs("&lt;", out);
            break;
        case '>':
            (void)fputs("&gt;", out);
            break;
        case '"':
            (void)fputs("&quot;", out);
            break;
        default:
            (void)fputc(*text, out);
        }
    }
}

static void cell(FILE *out, const struct figures_result *r, int i) {
    if (isnan(r->value[i])) {
        (void)fputs("<td>-</td>", out);
        return;
    }
    (void)fprintf(out, "<td>%.3f", r->value[i]);
    if (!isnan(r->low[i]))
        (void)fprintf(out, "<small>%.3f&ndash;%.3f</small>", r->low[i],
                      r->high[i]);
    (void)fputs("</td>", out);
}

static void table(FILE *out, const struct evaluation *e, enum group_kind kind) {
    (void)fprintf(out,
                  "<h2>%s</h2>\n<table><tr><th></th><th>rows</th>"
                  "<th>positives</th>",
                  titles[kind]);
    for (int i = 0; i < FIGURES; i++)
        (void)fprintf(out, "<th>%s</th>", heads[i]);
    (void)fputs("</tr>\n", out);
    for (int i = 0; i < e->group_count; i++) {
        const struct group *g = &e->groups[i];

        if (g->kind != kind) continue;
        (void)fputs("<tr><td>", out);
        escaped(out, g->name);
        (void)fprintf(out, "</td><td>%zu</td><td>%zu</td>", g->figures.count,
                      g->figures.positives);
        for (int j = 0; j < FIGURES; j++) cell(out, &g->result, j);
        (void)fputs("</tr>\n", out);
    }
    (void)fputs("</table>\n", out);
}

static double plot_x(double recall) {
    return MARGIN + recall * PLOT;
}

static double plot_y(double precision) {
    return MARGIN / 2 + (1 - precision) * PLOT;
}

static void axes(FILE *out) {
    (void)fprintf(out, "<path class=\"axis\" d=\"M%d %dV%dH%d\"/>", MARGIN,
                  MARGIN / 2, MARGIN / 2 + PLOT, MARGIN + PLOT);
    for (int i = 0; i <= 4; i++) {
        double at = i / 4.0;

        (void)fprintf(out,
                      "<text x=\"%.0f\" y=\"%d\" text-anchor=\"middle\">%.2f"
                      "</text><text x=\"%d\" y=\"%.0f\" text-anchor=\"end\">"
                      "%.2f</text>",
                      plot_x(at), MARGIN / 2 + PLOT + 14, at, MARGIN - 5,
                      plot_y(at) + 3, at);
    }
}

/* Nothing to draw without both kinds of rows. */
static void plot(FILE *out, const struct group *g) {
    struct figures_point points[CURVE_POINTS];
    size_t count = figures_curve(&g->figures, points, CURVE_POINTS);

    if (!count || g->figures.positives == g->figures.count) return;
    (void)fprintf(out, "<figure><svg width=\"%d\" height=\"%d\" role=\"img\">",
                  PLOT + MARGIN + 10, PLOT + MARGIN + 4);
    axes(out);
    (void)fprintf(out, "<path class=\"curve\" d=\"M%.1f %.1f", plot_x(0),
                  plot_y(points[0].precision));
    for (size_t i = 0; i < count; i++)
        (void)fprintf(out, "L%.1f %.1f", plot_x(points[i].recall),
                      plot_y(points[i].precision));
    (void)fputs("\"/></svg><figcaption>", out);
    escaped(out, g->name);
    (void)fprintf(out, ", AUPRC %.3f</figcaption></figure>\n",
                  g->result.value[FIGURE_AUPRC]);
}

static void plots(FILE *out, const struct evaluation *e) {
    (void)fputs("<h2>Precision (upwards) by recall</h2>\n<div class=\"plots\">",
                out);
    for (int i = 0; i < e->group_count; i++) {
        enum group_kind kind = e->groups[i].kind;

        if (kind == GROUP_OVERALL || kind == GROUP_CATEGORY ||
            kind == GROUP_LANGUAGE)
            plot(out, &e->groups[i]);
    }
    (void)fputs("</div>\n", out);
}

static void page(FILE *out, const struct evaluation *e) {
    (void)fprintf(out,
                  "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\">"
                  "<meta name=\"viewport\" content=\"width=device-width\">"
                  "<title>Corral: evaluation</title><style>%s</style>\n"
                  "<h1>How good the guard is</h1>\n<p>%zu rows, policy "
                  "revision <code>%s</code>",
                  style, e->rows, policy_revision(judge_policy(e->judge)));
    if (e->bad || e->unscored || e->unavailable)
        (void)fprintf(out,
                      "; %zu lines could not be read, %zu rows not scored, in "
                      "%zu the guard failed",
                      e->bad, e->unscored, e->unavailable);
    (void)fputs(". Small figures: 95&nbsp;% bootstrap intervals. Categories, "
                "roles, languages and sources at the balanced point.</p>\n",
                out);
    for (int i = 0; i < GROUP_KINDS; i++) {
        table(out, e, (enum group_kind)i);
        if (i == GROUP_LEVEL) plots(out, e);
    }
    (void)fputs("</html>\n", out);
}

bool evaluation_write_html(const struct evaluation *e, const char *path,
                           struct err *err) {
    FILE *out = fopen(path, "we");
    bool ok;

    if (!out) return err_set(err, ERR_INPUT, "%s: %s", path, strerror(errno));
    page(out, e);
    ok = !ferror(out);
    if (fclose(out) || !ok)
        return err_set(err, ERR_INTERNAL, "%s: %s", path, strerror(errno));
    return true;
}
