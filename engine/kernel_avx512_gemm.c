/* The AVX-512 table: quantised weights. A few rows read the panels as they
 * are; more of them share an unpacked copy of a piece of two panels, small
 * enough for the first cache. A row's numbers are added in the same order
 * either way: in pieces of CHUNK groups, each followed by its spills. */
#if defined(__x86_64__)

#include "engine/kernel_avx512_gemm.h"
#include "engine/kernel_avx512_group.h"

enum {
    CHUNK = 3 * KERNEL_BLOCK,
    ROWS_FEW = 4,
    ROWS = 6,       /* of a tile */
    PANELS = 2,     /* of a tile: 12 sums and 12 totals in registers */
    PREFETCH = 4096 /* bytes ahead of a stream that is read once */
};

/* Panels of a tile: the codes of a group, a register each, then its factors,
 * and so on, group by group. */
struct unpacked {
    const __m512i *at;
    size_t stride; /* registers from a panel to the next */
};

/* Pointers to the activations of a tile at one group. */
struct line {
    const int8_t *q;
    const float *scale;
    const float *sum;
};

INLINE struct line line_at(const struct kernel_input *x, size_t row,
                           size_t group) {
    size_t at = row * x->groups + group;

    return (struct line){x->q + at * KERNEL_GROUP, x->scale + at,
                         x->sum + 2 * at};
}

INLINE struct line spill_at(const struct kernel_input *x, size_t row,
                            size_t index) {
    size_t at = row * x->spills_max + index;

    return (struct line){x->spill_q + at * KERNEL_GROUP, x->spill_scale + at,
                         x->spill_sum + 2 * at};
}

/* total += a group, from its sums of dot products in half `h`. */
INLINE __m512 add_half(__m512 total, __m512i dot, __m512 scale, __m512 less,
                       __m512 min, const struct line *x, size_t at, int h) {
    __m512 part = _mm512_fmadd_ps(_mm512_castsi512_ps(dot), scale, less);

    total = _mm512_fmadd_ps(part, _mm512_set1_ps(x->scale[at]), total);
    return _mm512_fmadd_ps(min, _mm512_set1_ps(x->sum[2 * at + (size_t)h]),
                           total);
}

INLINE __m512i dot_zero(void) {
    return _mm512_castps_si512(_mm512_set1_ps(DOT_ZERO));
}

/* One group in registers times `rows` rows. */
INLINE void group_rows(bool halves, const __m512i code[PIECES],
                       const struct factors *f, const struct line *x,
                       size_t groups, size_t rows, __m512 *total) {
    const int parts = halves ? 2 : 1;
    const int each = PIECES / parts;

    UNROLL
    for (int h = 0; h < parts; h++) {
        __m512i dot[ROWS_FEW];

        UNROLL
        for (size_t m = 0; m < rows; m++) dot[m] = dot_zero();
        UNROLL
        for (int j = h * each; j < (h + 1) * each; j++) {
            UNROLL
            for (size_t m = 0; m < rows; m++)
                dot[m] = _mm512_dpbusd_epi32(
                    dot[m], code[j],
                    spread(x->q + m * groups * KERNEL_GROUP + 4 * j));
        }
        UNROLL
        for (size_t m = 0; m < rows; m++)
            total[m] = add_half(total[m], dot[m], f->scale[h], f->less[h],
                                f->min[h], x, m * groups, h);
    }
}

/* The spills of a row in groups [from, end), straight from the panel. */
INLINE __m512 row_spills(enum kernel_format format, const uint8_t *panel,
                         const struct kernel_input *x, size_t row, size_t from,
                         size_t end, __m512 total) {
    const uint32_t *group = x->spill_group + row * x->spills_max;

    for (size_t i = 0; i < x->spills[row]; i++) {
        struct kernel_place p;
        struct common common;
        struct factors f;
        struct line line;
        __m512i code[PIECES];

        if (group[i] < from || group[i] >= end) continue;
        p = kernel_place(format, panel, x->groups, group[i]);
        common = load_common(format, p.head);
        f = load_factors(format, &p, &common);
        line = spill_at(x, row, i);
        load_codes(format, p.codes, code);
        group_rows(kernel_layouts[format].halves, code, &f, &line, 0, 1,
                   &total);
    }
    return total;
}

/* What row `row` of the product has as extras in panel `panel`. */
static __attribute__((noinline)) __m512 row_extras(const struct kernel_input *x,
                                                   size_t panel, size_t row,
                                                   __m512 total) {
    const struct common none = {_mm512_setzero_ps(), _mm512_setzero_ps()};

    for (size_t i = 0; i < x->extras; i++) {
        const struct kernel_extra *e = &x->extra[i];
        size_t groups = e->x.groups;
        const uint8_t *w = e->w + panel * kernel_panel_bytes(KERNEL_Q8, groups);

        for (size_t g = 0; row >= e->from && row < e->end && g < groups; g++) {
            struct kernel_place p = kernel_place(KERNEL_Q8, w, groups, g);
            struct factors f = load_factors(KERNEL_Q8, &p, &none);
            struct line line = line_at(&e->x, row - e->from, g);
            __m512i code[PIECES];

            load_codes(KERNEL_Q8, p.codes, code);
            group_rows(false, code, &f, &line, 0, 1, &total);
        }
    }
    return total;
}

typedef __m512 spills_function(const uint8_t *panel,
                               const struct kernel_input *x, size_t row,
                               size_t from, size_t end, __m512 total);

/* Groups [from, end) of a panel, which begin with a block. */
INLINE void few_chunk(enum kernel_format format, spills_function *spills,
                      const uint8_t *panel, const struct kernel_input *x,
                      size_t row, size_t rows, size_t from, size_t end,
                      __m512 *total) {
    struct common common = {_mm512_setzero_ps(), _mm512_setzero_ps()};

    UNROLL
    for (size_t m = 0; m < rows; m++) total[m] = _mm512_setzero_ps();
    for (size_t g = from; g < end; g++) {
        struct kernel_place p = kernel_place(format, panel, x->groups, g);
        struct line line = line_at(x, row, g);
        struct factors f;
        __m512i code[PIECES];

        if (g % KERNEL_BLOCK == 0) common = load_common(format, p.head);
        for (size_t i = 0; i < kernel_code_bytes(format); i += KERNEL_LINE)
            _mm_prefetch((const char *)p.codes + PREFETCH + i, _MM_HINT_T0);
        f = load_factors(format, &p, &common);
        load_codes(format, p.codes, code);
        group_rows(kernel_layouts[format].halves, code, &f, &line, x->groups,
                   rows, total);
    }
    if (!x->spills) return;
    UNROLL
    for (size_t m = 0; m < rows; m++)
        total[m] = spills(panel, x, row + m, from, end, total[m]);
}

/* A panel, the product's `index`th, times `rows` rows, at most ROWS_FEW. */
INLINE void few_panel(enum kernel_format format, spills_function *spills,
                      const uint8_t *panel, size_t index,
                      const struct kernel_input *x, size_t row, size_t rows,
                      float *out, size_t out_stride, __mmask16 mask, bool add) {
    __m512 all[ROWS_FEW];

    UNROLL
    for (size_t m = 0; m < rows; m++)
        all[m] = add ? _mm512_maskz_loadu_ps(mask, out + m * out_stride)
                     : _mm512_setzero_ps();
    for (size_t from = 0; from < x->groups; from += CHUNK) {
        size_t end = x->groups - from < CHUNK ? x->groups : from + CHUNK;
        __m512 total[ROWS_FEW];

        few_chunk(format, spills, panel, x, row, rows, from, end, total);
        if (x->extras && end == x->groups) {
            UNROLL
            for (size_t m = 0; m < rows; m++)
                total[m] = row_extras(x, index, row + m, total[m]);
        }
        UNROLL
        for (size_t m = 0; m < rows; m++)
            all[m] = _mm512_add_ps(all[m], total[m]);
    }
    UNROLL
    for (size_t m = 0; m < rows; m++)
        _mm512_mask_storeu_ps(out + m * out_stride, mask, all[m]);
}

INLINE void few(enum kernel_format format, spills_function *spills,
                const uint8_t *w, size_t columns, const struct kernel_input *x,
                size_t row, size_t rows, float *out, size_t out_stride,
                bool add) {
    size_t panel_bytes = kernel_panel_bytes(format, x->groups);

    for (size_t c = 0; c < columns; c += KERNEL_PANEL, w += panel_bytes)
        few_panel(format, spills, w, c / KERNEL_PANEL, x, row, rows, out + c,
                  out_stride, lanes_below(columns - c), add);
}

/* Groups [from, from + count) of a panel, from the beginning of a block. */
INLINE void unpack(enum kernel_format format, const uint8_t *panel,
                   size_t groups, size_t from, size_t count, __m512i *out) {
    const bool halves = kernel_layouts[format].halves;
    struct common common = {_mm512_setzero_ps(), _mm512_setzero_ps()};

    for (size_t g = from; g < from + count; g++) {
        struct kernel_place p = kernel_place(format, panel, groups, g);
        struct factors f;
        __m512i code[PIECES];

        if (g % KERNEL_BLOCK == 0) common = load_common(format, p.head);
        f = load_factors(format, &p, &common);
        load_codes(format, p.codes, code);
        UNROLL
        for (int j = 0; j < PIECES; j++) out[j] = code[j];
        store_factors(halves, &f, out + PIECES);
        out += group_registers(halves);
    }
}

/* One unpacked group of `panels` panels times `rows` rows. What comes after its
 * first `pieces` pieces is zero. */
INLINE void tile_pieces(bool halves, int pieces, const struct unpacked *w,
                        size_t panels, const struct line *x, size_t groups,
                        size_t rows, __m512 total[PANELS][ROWS]) {
    const int parts = halves ? 2 : 1;
    const int each = pieces / parts;

    UNROLL
    for (int h = 0; h < parts; h++) {
        __m512i dot[PANELS][ROWS];

        UNROLL
        for (size_t p = 0; p < panels; p++) {
            UNROLL
            for (size_t m = 0; m < rows; m++) dot[p][m] = dot_zero();
        }
        UNROLL
        for (int j = h * each; j < (h + 1) * each; j++) {
            UNROLL
            for (size_t m = 0; m < rows; m++) {
                __m512i q = spread(x->q + m * groups * KERNEL_GROUP + 4 * j);

                UNROLL
                for (size_t p = 0; p < panels; p++)
                    dot[p][m] = _mm512_dpbusd_epi32(
                        dot[p][m], w->at[p * w->stride + (size_t)j], q);
            }
        }
        UNROLL
        for (size_t p = 0; p < panels; p++) {
            const __m512i *f = w->at + p * w->stride + PIECES + 3 * h;
            __m512 scale = _mm512_castsi512_ps(f[0]);
            __m512 less = _mm512_castsi512_ps(f[1]);
            __m512 min = _mm512_castsi512_ps(f[2]);

            UNROLL
            for (size_t m = 0; m < rows; m++)
                total[p][m] = add_half(total[p][m], dot[p][m], scale, less, min,
                                       x, m * groups, h);
        }
    }
}

INLINE void tile_group(bool halves, const struct unpacked *w, size_t panels,
                       const struct line *x, size_t groups, size_t rows,
                       __m512 total[PANELS][ROWS]) {
    tile_pieces(halves, PIECES, w, panels, x, groups, rows, total);
}

/* The spills of a tile's rows at one group, side by side. */
struct spilt {
    int8_t q[ROWS][KERNEL_GROUP];
    float scale[ROWS];
    float sum[ROWS][2];
};

/* Copy the spills of group `g`; rows without one get nothing to add. `next` is
 * each row's first spill that was not yet taken. */
INLINE void take_spills(struct spilt *s, const struct kernel_input *x,
                        size_t row, size_t rows, uint32_t g, uint32_t *next) {
    for (size_t m = 0; m < rows; m++) {
        size_t at = (row + m) * x->spills_max + next[m];
        bool has = next[m] < x->spills[row + m] && x->spill_group[at] == g;

        s->scale[m] = has ? x->spill_scale[at] : 0;
        s->sum[m][0] = has ? x->spill_sum[2 * at] : 0;
        s->sum[m][1] = has ? x->spill_sum[2 * at + 1] : 0;
        if (!has) at = 0; /* any codes will do */
        memcpy(s->q[m], x->spill_q + at * KERNEL_GROUP, KERNEL_GROUP);
        next[m] += has;
    }
}

/* The first group from `from` on of which one of the rows has a spill. */
INLINE uint32_t next_spill(const struct kernel_input *x, size_t row,
                           size_t rows, size_t from, uint32_t *next) {
    uint32_t first = UINT32_MAX;

    for (size_t m = 0; m < rows; m++) {
        const uint32_t *group = x->spill_group + (row + m) * x->spills_max;

        while (next[m] < x->spills[row + m] && group[next[m]] < from) next[m]++;
        if (next[m] < x->spills[row + m] && group[next[m]] < first)
            first = group[next[m]];
    }
    return first;
}

/* The spills of `rows` rows in groups [from, from + count). Mostly the rows
 * have theirs in the same groups, where a model's large channels are. */
INLINE void tile_spills(bool halves, const struct unpacked *w, size_t panels,
                        const struct kernel_input *x, size_t row, size_t rows,
                        size_t from, size_t count, __m512 total[PANELS][ROWS]) {
    uint32_t next[ROWS] = {0};
    struct spilt s;

    for (;;) {
        uint32_t g = next_spill(x, row, rows, from, next);
        struct unpacked at = *w;
        struct line line = {s.q[0], s.scale, s.sum[0]};

        if (g >= from + count) return;
        take_spills(&s, x, row, rows, g, next);
        at.at += (g - from) * group_registers(halves);
        tile_group(halves, &at, panels, &line, 1, rows, total);
    }
}

/* The extras of a product in the panels of a tile, unpacked. */
struct extras {
    const struct kernel_extra *at;
    size_t count;
    struct unpacked w[KERNEL_EXTRAS_MAX];
};

/* Row `m` of a tile at group `g` of an extra; a row that has none adds 0. */
INLINE void take_extra(struct spilt *s, size_t m, const struct kernel_extra *e,
                       size_t row, size_t g) {
    bool has = row >= e->from && row < e->end;
    struct line line = line_at(&e->x, has ? row - e->from : 0, g);

    s->scale[m] = has ? *line.scale : 0;
    s->sum[m][0] = has ? line.sum[0] : 0;
    s->sum[m][1] = has ? line.sum[1] : 0;
    memcpy(s->q[m], line.q, KERNEL_GROUP);
}

/* Of a whole tile, by itself: within the loop over the groups its registers
 * would be missing. A smaller tile's sums beyond it are not used, and of one
 * panel `stride` makes it two. */
static __attribute__((noinline)) void tile_extras(const struct extras *extras,
                                                  size_t row,
                                                  __m512 total[PANELS][ROWS]) {
    for (size_t i = 0; i < extras->count; i++) {
        const struct kernel_extra *e = &extras->at[i];
        struct unpacked at = extras->w[i];

        if (row + ROWS <= e->from || row >= e->end) continue;
        for (size_t g = 0; g < e->x.groups; g++) {
            struct spilt s;
            struct line line = {s.q[0], s.scale, s.sum[0]};

            UNROLL
            for (size_t m = 0; m < ROWS; m++) take_extra(&s, m, e, row + m, g);
            tile_group(false, &at, PANELS, &line, 1, ROWS, total);
            at.at += group_registers(false);
        }
    }
}

INLINE void add_extras(const struct extras *extras, size_t panels, size_t row,
                       size_t rows, __m512 total[PANELS][ROWS]) {
    __m512 all[PANELS][ROWS];

    for (size_t p = 0; p < PANELS; p++)
        for (size_t m = 0; m < ROWS; m++)
            all[p][m] =
                p < panels && m < rows ? total[p][m] : _mm512_setzero_ps();
    tile_extras(extras, row, all);
    for (size_t p = 0; p < panels; p++)
        for (size_t m = 0; m < rows; m++) total[p][m] = all[p][m];
}

/* All rows of the tile have the first extra and no other. */
INLINE bool is_whole(const struct extras *extras, size_t row, size_t rows) {
    return extras->count == 1 && row >= extras->at->from &&
           row + rows <= extras->at->end;
}

/* That one: its sums stay in their registers. */
INLINE void whole_extra(const struct extras *extras, size_t panels, size_t row,
                        size_t rows, __m512 total[PANELS][ROWS]) {
    const struct kernel_extra *e = extras->at;
    struct unpacked at = extras->w[0];
    struct line line = line_at(&e->x, row - e->from, 0);

    if (e->inputs <= KERNEL_GROUP / 2) {
        tile_pieces(false, PIECES / 2, &at, panels, &line, e->x.groups, rows,
                    total);
        return;
    }
    for (size_t g = 0; g < e->x.groups; g++) {
        tile_group(false, &at, panels, &line, e->x.groups, rows, total);
        at.at += group_registers(false);
        line.q += KERNEL_GROUP;
        line.scale += 1;
        line.sum += 2;
    }
}

/* `panels` panels times `rows` rows, over the groups [from, from + count). */
INLINE void tile(bool halves, const struct unpacked *w, size_t panels,
                 const struct kernel_input *x, const struct extras *extras,
                 size_t row, size_t rows, size_t from, size_t count, float *out,
                 size_t out_stride, __mmask16 mask, bool add) {
    struct unpacked at = *w;
    struct line line = line_at(x, row, from);
    __m512 total[PANELS][ROWS];

    UNROLL
    for (size_t p = 0; p < panels; p++) {
        UNROLL
        for (size_t m = 0; m < rows; m++) total[p][m] = _mm512_setzero_ps();
    }
    for (size_t g = 0; g < count; g++) {
        tile_group(halves, &at, panels, &line, x->groups, rows, total);
        at.at += group_registers(halves);
        line.q += KERNEL_GROUP;
        line.scale += 1;
        line.sum += 2;
    }
    if (x->spills)
        tile_spills(halves, w, panels, x, row, rows, from, count, total);
    if (is_whole(extras, row, rows))
        whole_extra(extras, panels, row, rows, total);
    else if (extras->count)
        add_extras(extras, panels, row, rows, total);
    UNROLL
    for (size_t p = 0; p < panels; p++) {
        __mmask16 lanes = p + 1 < panels ? 0xffff : mask;

        UNROLL
        for (size_t m = 0; m < rows; m++)
            finish(out + m * out_stride + p * KERNEL_PANEL, total[p][m], lanes,
                   add);
    }
}

/* All rows of some unpacked groups; the last rows make a smaller tile. */
INLINE void tiles(bool halves, const struct unpacked *w, size_t panels,
                  const struct kernel_input *x, const struct extras *extras,
                  size_t from, size_t count, float *out, size_t out_stride,
                  __mmask16 mask, bool add) {
    size_t row = 0;

#define TILE(n)                                                                \
    tile(halves, w, panels, x, extras, row, n, from, count,                    \
         out + row * out_stride, out_stride, mask, add)
    for (; x->rows - row >= ROWS; row += ROWS) TILE(ROWS);
    switch (x->rows - row) {
    case 5:
        TILE(5);
        break;
    case 4:
        TILE(4);
        break;
    case 3:
        TILE(3);
        break;
    case 2:
        TILE(2);
        break;
    case 1:
        TILE(1);
        break;
    default:
        break;
    }
#undef TILE
}

/* A function for each, so that the loops above are compiled for it. */
#define TILES(name, halves, panels)                                            \
    static void name(const struct unpacked *w, const struct kernel_input *x,   \
                     const struct extras *extras, size_t from, size_t count,   \
                     float *out, size_t out_stride, __mmask16 mask,            \
                     bool add) {                                               \
        tiles(halves, w, panels, x, extras, from, count, out, out_stride,      \
              mask, add);                                                      \
    }

typedef void tiles_function(const struct unpacked *w,
                            const struct kernel_input *x,
                            const struct extras *extras, size_t from,
                            size_t count, float *out, size_t out_stride,
                            __mmask16 mask, bool add);

TILES(tiles_one, false, 1)
TILES(tiles_two, false, 2)
TILES(tiles_one_halves, true, 1)
TILES(tiles_two_halves, true, 2)

typedef void few_function(const uint8_t *w, size_t columns,
                          const struct kernel_input *x, size_t row, float *out,
                          size_t out_stride, bool add);

#define FEW(name, format, rows)                                                \
    static void name##_##rows(const uint8_t *w, size_t columns,                \
                              const struct kernel_input *x, size_t row,        \
                              float *out, size_t out_stride, bool add) {       \
        few(format, name##_spills, w, columns, x, row, rows, out, out_stride,  \
            add);                                                              \
    }

#define FORMAT(name, format)                                                   \
    static void name##_unpack(const uint8_t *panel, size_t groups,             \
                              size_t from, size_t count, __m512i *out) {       \
        unpack(format, panel, groups, from, count, out);                       \
    }                                                                          \
    static __attribute__((noinline))                                           \
    __m512 name##_spills(const uint8_t *panel, const struct kernel_input *x,   \
                         size_t row, size_t from, size_t end, __m512 total) {  \
        return row_spills(format, panel, x, row, from, end, total);            \
    }                                                                          \
    FEW(name, format, 1)                                                       \
    FEW(name, format, 2)                                                       \
    FEW(name, format, 4)

FORMAT(q4, KERNEL_Q4)
FORMAT(q4_min, KERNEL_Q4_MIN)
FORMAT(q5, KERNEL_Q5)
FORMAT(q5_min, KERNEL_Q5_MIN)
FORMAT(q8, KERNEL_Q8)
FORMAT(q2_k, KERNEL_Q2_K)
FORMAT(q3_k, KERNEL_Q3_K)
FORMAT(q4_k, KERNEL_Q4_K)
FORMAT(q5_k, KERNEL_Q5_K)
FORMAT(q6_k, KERNEL_Q6_K)

static const struct {
    avx512_unpack *unpack;
    few_function *one, *two, *four;
} formats[KERNEL_FORMATS] = {
#define ROW(format, name)                                                      \
    [format] = {name##_unpack, name##_1, name##_2, name##_4}
    ROW(KERNEL_Q4, q4),     ROW(KERNEL_Q4_MIN, q4_min),
    ROW(KERNEL_Q5, q5),     ROW(KERNEL_Q5_MIN, q5_min),
    ROW(KERNEL_Q8, q8),     ROW(KERNEL_Q2_K, q2_k),
    ROW(KERNEL_Q3_K, q3_k), ROW(KERNEL_Q4_K, q4_k),
    ROW(KERNEL_Q5_K, q5_k), ROW(KERNEL_Q6_K, q6_k),
#undef ROW
};

enum { EXTRA_ROOM = KERNEL_EXTRA_GROUPS_MAX * (PIECES + 3) };

/* Panels [panel, panel + panels) of the product's extras into `room`. */
static void unpack_extras(struct extras *out, const struct kernel_input *x,
                          size_t panel, size_t panels, __m512i *room) {
    out->at = x->extra;
    out->count = x->extras;
    for (size_t i = 0; i < x->extras; i++) {
        const struct kernel_extra *e = &x->extra[i];
        size_t groups = e->x.groups;
        size_t bytes = kernel_panel_bytes(KERNEL_Q8, groups);

        out->w[i] = (struct unpacked){room, panels > 1 ? EXTRA_ROOM : 0};
        for (size_t p = 0; p < panels; p++, room += EXTRA_ROOM)
            q8_unpack(e->w + (panel + p) * bytes, groups, 0, groups, room);
    }
}

/* One or two panels at column `c` of the product. */
static void many_panels(const struct avx512_source *source, const uint8_t *w,
                        size_t c, size_t columns, const struct kernel_input *x,
                        float *out, size_t out_stride, bool add) {
    static const struct extras none;
    const size_t panels = columns - c > KERNEL_PANEL ? PANELS : 1;
    __mmask16 mask = lanes_below(columns - c - (panels - 1) * KERNEL_PANEL);
    __m512i room[PANELS * CHUNK * (PIECES + 6)];
    __m512i extra_room[PANELS * KERNEL_EXTRAS_MAX * EXTRA_ROOM];
    struct unpacked u = {room, CHUNK * group_registers(source->halves)};
    struct extras extras;

    unpack_extras(&extras, x, c / KERNEL_PANEL, panels, extra_room);
    for (size_t from = 0; from < x->groups; from += CHUNK) {
        bool last = x->groups - from <= CHUNK;
        size_t count = last ? x->groups - from : CHUNK;
        tiles_function *all =
            panels == PANELS ? source->halves ? tiles_two_halves : tiles_two
            : source->halves ? tiles_one_halves
                             : tiles_one;

        for (size_t p = 0; p < panels; p++)
            source->unpack(w + p * source->panel_bytes, x->groups, from, count,
                           room + p * u.stride);
        all(&u, x, last ? &extras : &none, from, count, out + c, out_stride,
            mask, add || from > 0);
    }
}

void avx512_gemm_unpacked(const struct avx512_source *source, const uint8_t *w,
                          size_t columns, const struct kernel_input *x,
                          float *out, size_t out_stride, bool add) {
    for (size_t c = 0; c < columns; c += PANELS * KERNEL_PANEL) {
        many_panels(source, w, c, columns, x, out, out_stride, add);
        w += PANELS * source->panel_bytes;
    }
}

void avx512_gemm_q(enum kernel_format format, const uint8_t *w, size_t columns,
                   const struct kernel_input *x, float *out, size_t out_stride,
                   bool add) {
    size_t row = 0;

    if (x->rows > ROWS_FEW) {
        struct avx512_source source = {
            kernel_layouts[format].halves,
            kernel_panel_bytes(format, x->groups),
            formats[format].unpack,
        };

        avx512_gemm_unpacked(&source, w, columns, x, out, out_stride, add);
        return;
    }
    while (row < x->rows) {
        size_t left = x->rows - row;
        few_function *function = left >= 4   ? formats[format].four
                                 : left >= 2 ? formats[format].two
                                             : formats[format].one;

        function(w, columns, x, row, out + row * out_stride, out_stride, add);
        row += left >= 4 ? 4 : left >= 2 ? 2 : 1;
    }
}

#else
typedef int kernel_avx512_gemm_is_for_x86; /* a file may not be empty */
#endif
