#include "guard/language.h"

#include <string.h>

#include "base/utf8.h"

enum {
    LATIN_LANGUAGES = 7,
    SPANISH = 5,      /* below */
    WORD_BYTES = 32,  /* no little word is as long */
    ENDING_WORD = 5,  /* characters that a word with an ending has */
    SCRIPT_SHARE = 3, /* a third of the letters tell */
    SCORE_LEAST = 3   /* more than one ending, or one letter */
};

/* Words and endings stand between blanks, letters one after the other. A word
 * counts the less the more languages have it. */
struct latin {
    const char *name, *words, *endings, *letters;
};

static const struct latin languages[LATIN_LANGUAGES] = {
    {"en",
     "  the a an and of to in is it you that for on with as are this "
     "be at have from or how what i my me can do does not we they if "
     "would should your was were will by about give tell write make "
     "why when which who their there has but more explain best help "
     "need want find someone people into than like some these could "
     "his her him she he ",
     "ing ness ould ght ly ed", ""},
    {"de",
     "  der die das und ist nicht ich ein eine einen einem einer zu "
     "den dem des mit für auf im in von wie was sich es sie er wir "
     "ihr mein meine mir mich kann können man auch bei nach um aus "
     "wenn oder aber wird werden sind war hat haben über zum zur nur "
     "noch als dass mehr alle am so welche warum gib schreibe "
     "erkläre bitte sein seine jemanden wurde ",
     "ung ungen keit lich isch cht schen", "äöüß"},
    {"fr",
     "  le la les un une des de du et est en que qui dans pour pas "
     "sur au aux ce cette ces je tu il elle nous vous ils mon ma mes "
     "ton son sa ses leur leurs avec comment quel quelle quels "
     "quelles pourquoi ne plus par ou où sont être avoir fait faire "
     "peut qu se si mais comme sans donne écris explique moi quelqu "
     "a été dont entre aussi elles notre votre après avant très tout "
     "tous toute quand cela rien même nos vos dis veux voudrais aide ",
     "ment eux euse eau aient ité", "êëœùûçâî"},
    {"it",
     "  il lo la gli le un uno una di del della dei delle degli e è "
     "che in per non con su da dal dalla nel nella al alla ai come "
     "cosa quale quali perché sono mi ti si ci mio mia tuo suo sua "
     "io tu lui lei noi voi loro ho hai ha hanno essere fare può "
     "posso questo questa questi più anche ma se o qualcuno senza "
     "tra fra scrivi spiega dammi quanto dove chi quella quelle "
     "quello farò vorrei voglio aiutami tutti mai stato stata alcuni "
     "prima dopo molto quando sulla sul sui sei siamo deve devo così "
     "già ne allo agli nostra nostro dall ",
     "zione zioni ità ggio tto tti ello", "òìù"},
    {"pt",
     "  o a os as um uma de do da dos das e é que em no na nos nas "
     "para por não com como se eu você ele ela nós eles meu minha "
     "seu sua me te qual quais porque são ser ter fazer pode posso "
     "isso este esta esse essa mais mas ou ao à aos às pelo pela "
     "alguém sem sobre entre foi está estou há muito também onde "
     "quem escreva explique dê quando tem quero preciso devemos "
     "nunca qualquer ajude deixa disso nossa nosso dele dela deles "
     "delas seus suas até depois só já num numa isto todos ",
     "ção ções inho agem eiro", "ãõç"},
    {"es",
     "  el la los las un una unos de del y es que en no por para con "
     "se su sus al lo le les me te mi mis tu como cómo qué cuál "
     "cuáles porque pero si más o u este esta esto estos ese esa yo "
     "él ella nosotros ellos ha he hay ser está son fue puede puedo "
     "hacer sin sobre entre también muy alguien donde dónde quién "
     "cuando escribe explica dame tiene ya quiero quisiera ayúdame "
     "necesito nos hasta cada todos nunca nuestro nuestra han haber "
     "hace eso así todo todas gente ",
     "ción ciones ando iendo dad illo", "ñ"},
    {"hi",
     "  hai hain kya nahi nahin ke ki ka ko se mein main mujhe aur "
     "yeh ye woh wo kaise kar karna karo ho hota raha rahe rahi tha "
     "thi toh bhi liye tum aap hum mera meri tera teri kyun kuch koi "
     "jo par wala wale sab unko isko inko ",
     "", ""},
};

/* ---- letters ---- */

struct letters {
    int all, thai, devanagari;
};

static bool is_latin(uint32_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= 0xC0 && c < 0x250 && c != 0xD7 && c != 0xF7);
}

static uint32_t lower(uint32_t c) {
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7))
        return c + 0x20;
    return c == 0x152 ? 0x153 : c;
}

/* Letters of other scripts are all alike: neither is one of ours. */
static void count_letter(struct letters *n, uint32_t c) {
    if (c >= 0x0E00 && c < 0x0E80)
        n->thai++;
    else if (c >= 0x0900 && c < 0x0980)
        n->devanagari++;
    if (is_latin(c) || c >= 0x250) n->all++;
}

/* ---- words ---- */

static bool has_word(const char *list, struct span word) {
    struct span rest = span_of(list);
    size_t at;

    while ((at = span_find(rest, word)) != SIZE_MAX) {
        if (at && rest.at[at - 1] == ' ' && at + word.size < rest.size &&
            rest.at[at + word.size] == ' ')
            return true;
        rest = span_slice(rest, at + 1, rest.size);
    }
    return false;
}

static bool has_ending(const char *list, struct span word) {
    while (*list) {
        size_t size = strcspn(list, " ");

        if (size <= word.size &&
            !memcmp(word.at + word.size - size, list, size))
            return true;
        list += size;
        if (*list) list++;
    }
    return false;
}

static void score_word(struct span word, int characters,
                       int scores[LATIN_LANGUAGES]) {
    bool has[LATIN_LANGUAGES];
    int among = 0;

    for (int i = 0; i < LATIN_LANGUAGES; i++) {
        has[i] = has_word(languages[i].words, word);
        among += has[i];
    }
    for (int i = 0; i < LATIN_LANGUAGES; i++) {
        if (has[i]) scores[i] += among == 1 ? 4 : among == 2 ? 2 : 1;
        if (characters >= ENDING_WORD && has_ending(languages[i].endings, word))
            scores[i] += 2;
    }
}

static void score_letter(struct span letter, int scores[LATIN_LANGUAGES]) {
    for (int i = 0; i < LATIN_LANGUAGES; i++)
        if (span_find(span_of(languages[i].letters), letter) != SIZE_MAX)
            scores[i] += 2;
}

struct word {
    char at[WORD_BYTES];
    size_t size; /* past WORD_BYTES when it is too long */
    int characters;
};

static void word_end(struct word *w, int scores[LATIN_LANGUAGES]) {
    if (w->size && w->size <= WORD_BYTES)
        score_word((struct span){w->at, w->size}, w->characters, scores);
    w->size = 0;
    w->characters = 0;
}

static void word_add(struct word *w, uint32_t c, int scores[LATIN_LANGUAGES]) {
    char bytes[UTF8_MAX];
    size_t size = utf8_encode(lower(c), bytes);

    if (size > 1) score_letter((struct span){bytes, size}, scores);
    if (w->size + size <= WORD_BYTES)
        memcpy(w->at + w->size, bytes, size);
    else
        w->size = WORD_BYTES;
    w->size += size;
    w->characters++;
}

/* ---- a text ---- */

static const char *likeliest(const int scores[LATIN_LANGUAGES]) {
    int best = 0;

    for (int i = 1; i < LATIN_LANGUAGES; i++)
        if (scores[i] > scores[best]) best = i;
    return scores[best] >= SCORE_LEAST ? languages[best].name : NULL;
}

const char *language_of(struct span text) {
    struct span rest = span_slice(text, 0, LANGUAGE_BYTES);
    int scores[LATIN_LANGUAGES] = {0};
    struct letters n = {0};
    struct word word = {.size = 0};

    while (rest.size) {
        uint32_t c;
        bool valid;
        size_t size = utf8_decode(rest, &c, &valid);

        rest = span_slice(rest, size, rest.size);
        if (!valid) c = ' ';
        count_letter(&n, c);
        if (is_latin(c)) {
            word_add(&word, c, scores);
            continue;
        }
        word_end(&word, scores);
        if (c == 0xBF || c == 0xA1) scores[SPANISH] += 2; /* its own marks */
    }
    word_end(&word, scores);
    if (n.thai * SCRIPT_SHARE > n.all) return "th";
    if (n.devanagari * SCRIPT_SHARE > n.all) return "hi";
    return likeliest(scores);
}
