#include "engine/grammar_string.h"

static bool is_hex(unsigned char c) {
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static int within(unsigned char byte, int low, int high, int then) {
    return byte >= low && byte <= high ? then : -1;
}

static int first_byte(unsigned char c) {
    if (c == '\\') return STRING_ESCAPE;
    if (c < 0x20 || c == '"') return -1;
    if (c < 0x80) return STRING_NEXT;
    if (c < 0xC2) return -1;
    if (c < 0xE0) return STRING_LAST;
    if (c == 0xE0) return STRING_E0;
    if (c == 0xED) return STRING_ED;
    if (c < 0xF0) return STRING_TWO;
    if (c == 0xF0) return STRING_F0;
    if (c < 0xF4) return STRING_THREE;
    return c == 0xF4 ? STRING_F4 : -1;
}

static int escaped(unsigned char c) {
    switch (c) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return STRING_NEXT;
    case 'u':
        return STRING_U;
    default:
        return -1;
    }
}

static int hex_digit(enum string_state state, unsigned char c) {
    if (!is_hex(c)) return -1;
    switch (state) {
    case STRING_U:
        if (c == '0') return STRING_UZ2;
        return (c | 0x20) == 'd' ? STRING_UD : STRING_U2;
    case STRING_UD:
        return c <= '7' ? STRING_U3 : -1;
    case STRING_UZ2:
        return c == '0' ? STRING_UZ3 : STRING_U3;
    case STRING_UZ3:
        return c == '0' ? STRING_UZ4 : STRING_U4;
    case STRING_UZ4:
        return c == '0' ? -1 : STRING_NEXT;
    case STRING_U2:
        return STRING_U3;
    case STRING_U3:
        return STRING_U4;
    default:
        return STRING_NEXT;
    }
}

int string_need(enum string_state state) {
    static const unsigned char needs[STRING_STATES] = {
        [STRING_LAST] = 1, [STRING_TWO] = 2,    [STRING_THREE] = 3,
        [STRING_E0] = 2,   [STRING_ED] = 2,     [STRING_F0] = 3,
        [STRING_F4] = 3,   [STRING_ESCAPE] = 1, [STRING_U] = 4,
        [STRING_U2] = 3,   [STRING_U3] = 2,     [STRING_U4] = 1,
        [STRING_UD] = 3,   [STRING_UZ2] = 3,    [STRING_UZ3] = 2,
        [STRING_UZ4] = 1};

    return needs[state];
}

int string_step(enum string_state state, unsigned char byte) {
    switch (state) {
    case STRING_NEXT:
        return first_byte(byte);
    case STRING_LAST:
        return within(byte, 0x80, 0xBF, STRING_NEXT);
    case STRING_TWO:
        return within(byte, 0x80, 0xBF, STRING_LAST);
    case STRING_THREE:
        return within(byte, 0x80, 0xBF, STRING_TWO);
    case STRING_E0:
        return within(byte, 0xA0, 0xBF, STRING_LAST);
    case STRING_ED:
        return within(byte, 0x80, 0x9F, STRING_LAST);
    case STRING_F0:
        return within(byte, 0x90, 0xBF, STRING_TWO);
    case STRING_F4:
        return within(byte, 0x80, 0x8F, STRING_TWO);
    case STRING_ESCAPE:
        return escaped(byte);
    default:
        return hex_digit(state, byte);
    }
}
