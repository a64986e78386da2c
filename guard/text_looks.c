#include "guard/text_looks.h"

/* From Unicode's confusables (UTS 39), those letters whose skeleton is one
 * letter of ASCII, and a few small capitals that are used in its place. */
static const struct {
    uint16_t point;
    char letter;
    bool close; /* the same at a glance, not merely similar */
} looks[] = {
    {0x0131, 'i', true},  {0x0184, 'b', true},  {0x018D, 'g', true},
    {0x0196, 'i', true},  {0x01A6, 'r', true},  {0x01BD, 's', true},
    {0x01C0, 'i', true},  {0x0251, 'a', true},  {0x0261, 'g', true},
    {0x0263, 'y', true},  {0x0269, 'i', true},  {0x026A, 'i', true},
    {0x026F, 'w', true},  {0x028B, 'u', true},  {0x028F, 'y', true},
    {0x037A, 'i', true},  {0x037F, 'j', true},  {0x0391, 'a', true},
    {0x0392, 'b', true},  {0x0395, 'e', true},  {0x0396, 'z', true},
    {0x0397, 'h', true},  {0x0399, 'i', true},  {0x039A, 'k', true},
    {0x039C, 'm', true},  {0x039D, 'n', true},  {0x039F, 'o', true},
    {0x03A1, 'p', true},  {0x03A4, 't', true},  {0x03A5, 'y', true},
    {0x03A7, 'x', true},  {0x03B1, 'a', true},  {0x03B3, 'y', true},
    {0x03B5, 'e', false}, {0x03B7, 'n', false}, {0x03B9, 'i', true},
    {0x03BA, 'k', false}, {0x03BD, 'v', true},  {0x03BF, 'o', true},
    {0x03C1, 'p', true},  {0x03C3, 'o', true},  {0x03C4, 't', false},
    {0x03C5, 'u', true},  {0x03C9, 'w', false}, {0x03D2, 'y', true},
    {0x03DC, 'f', true},  {0x03F1, 'p', true},  {0x03F2, 'c', true},
    {0x03F3, 'j', true},  {0x03F9, 'c', true},  {0x03FA, 'm', true},
    {0x0405, 's', true},  {0x0406, 'i', true},  {0x0408, 'j', true},
    {0x0410, 'a', true},  {0x0412, 'b', true},  {0x0415, 'e', true},
    {0x041A, 'k', true},  {0x041C, 'm', true},  {0x041D, 'h', true},
    {0x041E, 'o', true},  {0x0420, 'p', true},  {0x0421, 'c', true},
    {0x0422, 't', true},  {0x0423, 'y', true},  {0x0425, 'x', true},
    {0x042C, 'b', true},  {0x0430, 'a', true},  {0x0432, 'b', false},
    {0x0433, 'r', true},  {0x0435, 'e', true},  {0x0437, 'z', false},
    {0x0438, 'u', false}, {0x043A, 'k', false}, {0x043C, 'm', false},
    {0x043D, 'h', false}, {0x043E, 'o', true},  {0x043F, 'n', false},
    {0x0440, 'p', true},  {0x0441, 'c', true},  {0x0442, 't', false},
    {0x0443, 'y', true},  {0x0445, 'x', true},  {0x0454, 'e', false},
    {0x0455, 's', true},  {0x0456, 'i', true},  {0x0458, 'j', true},
    {0x0461, 'w', true},  {0x0474, 'v', true},  {0x0475, 'v', true},
    {0x04AE, 'y', true},  {0x04AF, 'y', true},  {0x04BB, 'h', true},
    {0x04BD, 'e', true},  {0x04C0, 'i', true},  {0x04CF, 'i', true},
    {0x0501, 'd', true},  {0x050C, 'g', true},  {0x051B, 'q', true},
    {0x051C, 'w', true},  {0x051D, 'w', true},  {0x054D, 'u', true},
    {0x054F, 's', true},  {0x0555, 'o', true},  {0x0561, 'w', true},
    {0x0563, 'q', true},  {0x0566, 'q', true},  {0x0570, 'h', true},
    {0x0578, 'n', true},  {0x057C, 'n', true},  {0x057D, 'u', true},
    {0x0581, 'g', true},  {0x0584, 'f', true},  {0x0585, 'o', true},
    {0x13A0, 'd', true},  {0x13A1, 'r', true},  {0x13A2, 't', true},
    {0x13A5, 'i', true},  {0x13A9, 'y', true},  {0x13AA, 'a', true},
    {0x13AB, 'j', true},  {0x13AC, 'e', true},  {0x13B3, 'w', true},
    {0x13B7, 'm', true},  {0x13BB, 'h', true},  {0x13BD, 'y', true},
    {0x13C0, 'g', true},  {0x13C2, 'h', true},  {0x13C3, 'z', true},
    {0x13CF, 'b', true},  {0x13D2, 'r', true},  {0x13D4, 'w', true},
    {0x13D5, 's', true},  {0x13D9, 'v', true},  {0x13DA, 's', true},
    {0x13DE, 'l', true},  {0x13DF, 'c', true},  {0x13E2, 'p', true},
    {0x13E6, 'k', true},  {0x13E7, 'd', true},  {0x13F3, 'g', true},
    {0x13F4, 'b', true},  {0x1D04, 'c', true},  {0x1D0F, 'o', true},
    {0x1D11, 'o', true},  {0x1D1C, 'u', true},  {0x1D20, 'v', true},
    {0x1D21, 'w', true},  {0x1D22, 'z', true},  {0x1D26, 'r', true},
    {0x1D83, 'g', true},  {0x1D8C, 'y', true},  {0x1E9D, 'f', true},
    {0x1EFF, 'y', true},  {0x1FBE, 'i', true},  {0x2C85, 'r', true},
    {0x2C8E, 'h', true},  {0x2C92, 'l', true},  {0x2C94, 'k', true},
    {0x2C98, 'm', true},  {0x2C9A, 'n', true},  {0x2C9E, 'o', true},
    {0x2C9F, 'o', true},  {0x2CA2, 'p', true},  {0x2CA3, 'p', true},
    {0x2CA4, 'c', true},  {0x2CA5, 'c', true},  {0x2CA6, 't', true},
    {0x2CA8, 'y', true},  {0x2CAC, 'x', true},  {0x2CD0, 'l', true},
    {0xA4D0, 'b', true},  {0xA4D1, 'p', true},  {0xA4D2, 'd', true},
    {0xA4D3, 'd', true},  {0xA4D4, 't', true},  {0xA4D6, 'g', true},
    {0xA4D7, 'k', true},  {0xA4D9, 'j', true},  {0xA4DA, 'c', true},
    {0xA4DC, 'z', true},  {0xA4DD, 'f', true},  {0xA4DF, 'm', true},
    {0xA4E0, 'n', true},  {0xA4E1, 'l', true},  {0xA4E2, 's', true},
    {0xA4E3, 'r', true},  {0xA4E6, 'v', true},  {0xA4E7, 'h', true},
    {0xA4EA, 'w', true},  {0xA4EB, 'x', true},  {0xA4EC, 'y', true},
    {0xA4EE, 'a', true},  {0xA4F0, 'e', true},  {0xA4F2, 'l', true},
    {0xA4F3, 'o', true},  {0xA4F4, 'u', true},  {0xA647, 'i', true},
    {0xA731, 's', true},  {0xA798, 'f', true},  {0xA799, 'f', true},
    {0xA79F, 'u', true},  {0xA7B2, 'j', true},  {0xA7B3, 'x', true},
    {0xA7B4, 'b', true},  {0xAB32, 'e', true},  {0xAB35, 'f', true},
    {0xAB3D, 'o', true},  {0xAB47, 'r', true},  {0xAB48, 'r', true},
    {0xAB4E, 'u', true},  {0xAB52, 'u', true},  {0xAB5A, 'y', true},
    {0xAB75, 'i', true},  {0xAB81, 'r', true},  {0xAB83, 'w', true},
    {0xAB93, 'z', true},  {0xABA9, 'v', true},  {0xABAA, 's', true},
    {0xABAF, 'c', true},
};

bool text_looks_latin(uint32_t point, char *letter, bool *close) {
    size_t low = 0, high = sizeof looks / sizeof looks[0];

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (looks[middle].point < point)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == sizeof looks / sizeof looks[0] || looks[low].point != point)
        return false;
    *letter = looks[low].letter;
    *close = looks[low].close;
    return true;
}
