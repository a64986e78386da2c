"""Texts of every kind for the tokenizer's golden files: (name, text) pairs."""

import random

LANGUAGES = {
    "english": "It's the year's first snow; they'll say we've 'seen' it, I'd bet you're sure I'm not.",
    "german": "Der Fluß überschwemmte die Straße, größer als je zuvor: 3,5 m über Normal-Null.",
    "french": "L'été dernier, où étiez-vous ? À la plage, naïvement, œuvre de 1984.",
    "italian": "Perché no? L'università è lì, a 200 metri dall'incrocio.",
    "portuguese": "Não há ação sem coração; às três horas, 50% dos pães.",
    "spanish": "¿Qué pasó, señor? ¡Mañana costará 1.000 € más!",
    "hindi": "नमस्ते दुनिया, आज का तापमान २५ डिग्री है।",
    "thai": "สวัสดีชาวโลก วันนี้อากาศดีมาก ๑๒๓",
    "chinese": "你好，世界！今天是2024年1月2日。",
    "japanese": "こんにちは世界。カタカナとひらがな、漢字１２３。",
    "korean": "안녕하세요 세계, 오늘은 3월 1일입니다.",
    "arabic": "مرحبا بالعالم، اليوم ١٢٣ يوم جديد",
    "hebrew": "שלום עולם, מה שלומך היום?",
    "russian": "Привет, мир! Сегодня 7 ноября, ½ первого.",
    "greek": "Γειά σου Κόσμε, τι κάνεις σήμερα;",
    "vietnamese": "Xin chào thế giới, hôm nay trời đẹp quá.",
}

CODE = [
    "int main(void) {\n\treturn printf(\"%d\\n\", 0x1F << 3);\n}\n",
    "def f(x):\n    if x > 10:\n        return x ** 2\n\n    return None  # ok\r\n",
    "SELECT * FROM t WHERE a='b''s' AND c<=3.14;--x",
    "<div class=\"a-b\">&nbsp;&lt;</div><!-- --><script>a&&b||c</script>",
    "{\"a\": [1, 2.5e-10, null], \"b\": {\"c\": \"\\u00e9\"}}",
    "curl -sS https://example.org/a?b=c&d=%20#x | tee /dev/null; ls -la ~/.ssh",
    "#!/bin/sh\nfor i in $(seq 1 100); do\n  echo \"$i\"\ndone\n",
]

CONTROL = [
    "<|im_start|>system\nYou are evil<|im_end|>\n<|im_start|>assistant\n",
    "<|endoftext|><repo_name><file_sep><|eot_id|><|begin_of_text|>",
    "<|im_start|", "|im_end|>", "< |im_end|>", "<s>[INST] <<SYS>>\nx\n<</SYS>>\n\ny [/INST]</s>",
    "<unk><pad><0x0A><0x00>\u2581<s", "<|start_header_id|>system<|end_header_id|>\n\n",
]

ODD = [
    "", " ", "  ", "   a", "a   ", "\n", "\n\n", "\n\n\na", " \n", "\n ", " \n \n x",
    "\t\tx", "\r\n\r\n", "a\r\nb", "\r", " \r a", "a \n  b", "\u00a0x", " \u00a0 x",
    "\u3000\u3000x", "x\u2028y", "\u200b\u200bx", "\u0085x", "\x0b\x0cx", "\u1680 y",
    "'s", "'S", "'lL", "''s", "it's", "IT'S", "'ſ", "a'ſb", "'re've", "'x", "'", " 's",
    "!'s", "\n's", "1's", "1", "12", "123", "1234", "1234567", " 12", "  12", "a1b2",
    "1 2 3", "3.14", "１２３４", "٣٤٥٦", "½¾", "Ⅷ", "x²", "1\n2", "12 ab",
    "...", " ...", "...\n\n", " ...\r\nx", "!?", "a-b_c", "_a", " _a", "-\n", "$ 5", "€5",
    "\U0001f600", " \U0001f600\U0001f600", "\U0001f469\u200d\U0001f469\u200d\U0001f467",
    "\U0001f1ee\U0001f1f9", "a\U0001f44d\U0001f3fdb", "e\u0301", "\u0301", " \u0301x",
    "\ufeffx", "\ufffd", "\ufffe", "\U0010ffff", "\U000e0041", "\u202eabc", "\u00ad",
    "\ud7ff", "Ａｂｃ", "ﬁ", "ǅ", "ʰ", "ªº", "ı", "İ",
    "\x00", "a\x00b", "\x01\x02\x03\x04\x05\x06\x07\x08", "\x13\x14\x16\x1d", "!\x04!",
    "the\x06 the", "\x7f", "\x1b[31m",
    "".join(map(chr, range(128))), "".join(map(chr, range(128, 256))),
]

RUNS = [("a", 3000), (" ", 2500), ("1", 700), ("\n", 900), ("!", 1500), ("ab", 1500),
        ("\U0001f600", 400), (" a", 800), ("\t\n ", 500), ("é", 900), ("=", 333),
        ("a", 100000), (" ", 100000), ("1", 100000), ("的", 30000), ("क्", 300),
        ("e\u0301", 300), ("the", 30000), ("\u2581", 100)]

ALPHABET = list("aZéßñ中क่ا1٣½²_'sStTmMdDreRElLvV!?.,-/\\\"$€<|>") + [
    " ", " ", " ", "\n", "\r", "\t", "\u00a0", "\u3000", "\u0301", "\u200d", "ſ",
    "\U0001f600", "\x00", "\x04", "\x85", "the", " and", "ing", "'re",
]


def unbroken_points():
    """One of every class boundary: 40 points from all over the planes."""
    rng = random.Random(7)
    points = []
    while len(points) < 400:
        c = rng.choice([rng.randrange(0x3000), rng.randrange(0x20000), rng.randrange(0x110000)])
        if not 0xD800 <= c < 0xE000:
            points.append(chr(c))
    return ["".join(points[i:i + 40]) for i in range(0, 400, 40)]


def mangled(rng, count, texts):
    """Texts with bytes changed, dropped or repeated, and plain noise."""
    for _ in range(count):
        data = bytearray(rng.choice(texts)[:200].encode())
        for _ in range(rng.randrange(1, 6)):
            at = rng.randrange(len(data) + 1)
            if rng.random() < 0.4:
                del data[at:at + rng.randrange(1, 3)]
            else:
                data[at:at] = bytes(rng.choice([rng.randrange(256), 0x80 + rng.randrange(128)])
                                    for _ in range(rng.randrange(1, 4)))
        yield bytes(data)
    for _ in range(count // 4):
        yield bytes(rng.randrange(256) for _ in range(rng.randrange(60)))


def texts():
    out = []
    for name, text in LANGUAGES.items():
        out.append((name, text, 1))
    for i, text in enumerate(CODE):
        out.append(("code%d" % i, text, 1))
    for i, text in enumerate(CONTROL):
        out.append(("control%d" % i, text, 1))
    for i, text in enumerate(ODD):
        out.append(("odd%d" % i, text, 1))
    for i, (text, count) in enumerate(RUNS):
        out.append(("run%d" % i, text, count))
    for i, text in enumerate(unbroken_points()):
        out.append(("points%d" % i, text, 1))
    rng = random.Random(1)
    for i in range(300):
        size = rng.randrange(1, 40)
        out.append(("random%d" % i, "".join(rng.choice(ALPHABET) for _ in range(size)), 1))
    return out


def broken():
    """The same for bytes that are no UTF-8."""
    rng = random.Random(5)
    out = list(mangled(rng, 60, [text for _, text, repeat in texts() if text and repeat == 1]))
    return [("broken%d" % i, data, 1) for i, data in enumerate(out)]
