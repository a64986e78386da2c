/* test_quant.c - block formats by hand-made blocks whose values are worked
 * out here, and the halves. What the `gguf` package makes of random blocks of
 * every format is compared by test_model, through the tiny model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "engine/quant.h"

static void put_half(uint8_t *at, float value) {
    uint16_t half = quant_to_f16(value);

    memcpy(at, &half, sizeof half);
}

static void test_f16(void **state) {
    (void)state;
    /* Every half is a float, and comes back as itself. */
    for (uint32_t i = 0; i < 65536; i++) {
        float f = quant_from_f16((uint16_t)i);

        if (isnan(f))
            assert_int_equal(quant_to_f16(f) & 0x7e00, 0x7e00);
        else
            assert_int_equal(quant_to_f16(f), i);
    }
    assert_float_equal(quant_from_f16(0x3c00), 1.0f, 0);
    assert_float_equal(quant_from_f16(0x0001), 0x1p-24f, 0);
    assert_true(isinf(quant_from_f16(0xfc00)));
    /* Ties go to even; 65520 is the first that becomes infinite. */
    assert_int_equal(quant_to_f16(1.0f + 0x1p-11f), 0x3c00);
    assert_int_equal(quant_to_f16(1.0f + 0x3p-11f), 0x3c02);
    assert_int_equal(quant_to_f16(65519.0f), 0x7bff);
    assert_int_equal(quant_to_f16(65520.0f), 0x7c00);
    assert_int_equal(quant_to_f16(0x1p-25f), 0);
    assert_int_equal(quant_to_f16(0x1.8p-25f), 1);
}

static void test_bf16(void **state) {
    (void)state;
    for (uint32_t i = 0; i < 65536; i++) {
        float f = quant_from_bf16((uint16_t)i);

        if (!isnan(f)) assert_int_equal(quant_to_bf16(f), i);
    }
    assert_true(isnan(quant_from_bf16(quant_to_bf16(NAN))));
    assert_int_equal(quant_to_bf16(1.0f + 0x1p-8f), 0x3f80);
    assert_int_equal(quant_to_bf16(1.0f + 0x3p-8f), 0x3f82);
}

static void test_32_blocks(void **state) {
    uint8_t b[34] = {0};
    float out[32];

    (void)state;
    put_half(b, 0.5f);
    memset(b + 2, 0, 16);
    b[2] = 0xf3; /* element 0 is 3, element 16 is 15 */
    quant_row(GGUF_Q4_0, b, 32, out);
    assert_float_equal(out[0], (3 - 8) * 0.5f, 0);
    assert_float_equal(out[16], (15 - 8) * 0.5f, 0);
    assert_float_equal(out[31], -8 * 0.5f, 0);

    put_half(b + 2, -1.0f);
    memset(b + 4, 0, 16);
    b[4 + 15] = 0x21;
    quant_row(GGUF_Q4_1, b, 32, out);
    assert_float_equal(out[15], 1 * 0.5f - 1, 0);
    assert_float_equal(out[31], 2 * 0.5f - 1, 0);
    assert_float_equal(out[0], -1, 0);

    memset(b + 2, 0, 20);
    b[2] = 1;         /* the fifth bit of element 0 */
    b[5] = 0x80;      /* and of element 31 */
    b[6 + 15] = 0x40; /* element 31 is 4 */
    quant_row(GGUF_Q5_0, b, 32, out);
    assert_float_equal(out[0], 0, 0);
    assert_float_equal(out[1], -16 * 0.5f, 0);
    assert_float_equal(out[31], 4 * 0.5f, 0);

    put_half(b + 2, 2.0f);
    memset(b + 4, 0, 20);
    b[4 + 2] = 2; /* the fifth bit of element 17 */
    b[8 + 1] = 0x30;
    quant_row(GGUF_Q5_1, b, 32, out);
    assert_float_equal(out[17], 19 * 0.5f + 2, 0);
    assert_float_equal(out[1], 2, 0);

    b[2] = 0x80;
    b[33] = 127;
    quant_row(GGUF_Q8_0, b, 32, out);
    assert_float_equal(out[0], -128 * 0.5f, 0);
    assert_float_equal(out[31], 127 * 0.5f, 0);

    memset(b + 2, 0xf0, 16);
    quant_row(GGUF_IQ4_NL, b, 32, out);
    assert_float_equal(out[0], -127 * 0.5f, 0);
    assert_float_equal(out[16], 113 * 0.5f, 0);
}

static void test_q4_k(void **state) {
    uint8_t b[144] = {0};
    float out[256];

    (void)state;
    put_half(b, 0.5f);
    put_half(b + 2, 0.25f);
    b[4 + 1] = 63;        /* scale 1 */
    b[4 + 5] = 10 | 0x80; /* min 1, and the top bits of min 5 */
    b[4 + 9] = 0x37;      /* scale 5 low 7, min 5 low 3 */
    b[4 + 1] |= 0x40;     /* the top bits of scale 5 */
    b[16] = 0x90;         /* group 1, element 0 is 9 */
    b[16 + 64] = 0xb0;    /* group 5, element 0 is 11 */
    quant_row(GGUF_Q4_K, b, 256, out);
    assert_float_equal(out[32], 0.5f * 63 * 9 - 0.25f * 10, 0);
    assert_float_equal(out[33], -0.25f * 10, 0);
    assert_float_equal(out[160], 0.5f * (7 + 16) * 11 - 0.25f * (3 + 32), 0);
    assert_float_equal(out[0], 0, 0);
}

static void test_q6_k(void **state) {
    uint8_t b[210] = {0};
    float out[256];

    (void)state;
    put_half(b + 208, 0.5f);
    for (int i = 0; i < 16; i++) b[192 + i] = (uint8_t)(i - 8);
    b[0] = 0x5a;        /* element 0 low 10, element 64 low 5 */
    b[128] = 0x31;      /* element 0 high 1, element 64 high 3 */
    b[64 + 32] = 7;     /* second half, element 32 low 7 */
    b[128 + 32] = 0x08; /* and its high 2 */
    quant_row(GGUF_Q6_K, b, 256, out);
    assert_float_equal(out[0], 0.5f * -8 * (10 + 16 - 32), 0);
    assert_float_equal(out[64], 0.5f * -4 * (5 + 48 - 32), 0);
    assert_float_equal(out[160], 0.5f * 2 * (7 + 32 - 32), 0);
    assert_float_equal(out[255], 0.5f * 7 * -32, 0);
}

static void test_sizes(void **state) {
    int offset = 0;

    (void)state;
    assert_int_equal(quant_row_bytes(GGUF_Q4_1, 576), 360);
    assert_int_equal(quant_row_bytes(GGUF_Q6_K, 512), 420);
    assert_int_equal(quant_row_bytes(GGUF_F32, 3), 12);
    assert_int_equal(quant_row_bytes(GGUF_BF16, 3), 6);
    assert_false(quant_known(GGUF_I8));
    assert_true(quant_known(GGUF_F16));
    assert_false(quant_offset(GGUF_F16, &offset));
    assert_true(quant_offset(GGUF_Q6_K, &offset) && offset == 32);
}

/* Each group by its own scale: no number is off by more than half a step, and
 * a little for the scale's own rounding. */
static void test_to_q8_0(void **state) {
    float in[3 * QUANT_GROUP] = {0}; /* the last group is all zero */
    float out[3 * QUANT_GROUP];
    uint8_t row[3 * 34];

    (void)state;
    for (int i = 0; i < 2 * QUANT_GROUP; i++)
        in[i] = (i < QUANT_GROUP ? 0.01f : 300.0f) * (float)(i * 37 % 19 - 9);
    quant_to_q8_0(in, 3 * QUANT_GROUP, row);
    quant_row(GGUF_Q8_0, row, 3 * QUANT_GROUP, out);
    for (int i = 0; i < 3 * QUANT_GROUP; i++) {
        float most = i < QUANT_GROUP ? 0.09f : i < 2 * QUANT_GROUP ? 2700 : 0;

        assert_true(fabsf(in[i] - out[i]) <= most / 127.0f * 0.56f);
    }
}

/* The codes are those of the plain formula at every magnitude, down to scales
 * that an f16 rounds to nothing. */
static void test_codes_q8_0(void **state) {
    float in[QUANT_GROUP];
    uint8_t row[34];

    (void)state;
    for (int power = -60; power <= 22; power++) {
        uint16_t half;
        float scale;

        for (int i = 0; i < QUANT_GROUP; i++)
            in[i] = ldexpf(sinf((float)(power * 41 + i * 7)), power);
        quant_to_q8_0(in, QUANT_GROUP, row);
        memcpy(&half, row, sizeof half);
        scale = quant_from_f16(half);
        for (int i = 0; i < QUANT_GROUP; i++) {
            float code = scale > 0 ? rintf(in[i] / scale) : 0;

            code = fmaxf(fminf(code, 127.0f), -127.0f);
            assert_int_equal((int8_t)row[2 + i], (int)code);
        }
    }
}

/* One number that is none, in any place, must not be lost among the others. */
static void test_not_finite(void **state) {
    static const float bad[] = {INFINITY, -INFINITY, NAN, -NAN, 65536.0f * 127};
    float in[2 * QUANT_GROUP];
    uint8_t row[2 * 34];

    (void)state;
    for (size_t b = 0; b < sizeof bad / sizeof bad[0]; b++) {
        for (int at = 0; at < 2 * QUANT_GROUP; at++) {
            for (int i = 0; i < 2 * QUANT_GROUP; i++) in[i] = (float)i;
            in[at] = bad[b];
            quant_to_q8_0(in, 2 * QUANT_GROUP, row);
            assert_false(quant_finite(GGUF_Q8_0, row, 2 * QUANT_GROUP));
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_f16),        cmocka_unit_test(test_bf16),
        cmocka_unit_test(test_sizes),      cmocka_unit_test(test_32_blocks),
        cmocka_unit_test(test_q4_k),       cmocka_unit_test(test_q6_k),
        cmocka_unit_test(test_to_q8_0),    cmocka_unit_test(test_codes_q8_0),
        cmocka_unit_test(test_not_finite),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
