#include "guard/stream.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "guard/scores.h"

enum {
    MODELS = GUARD_MODELS,
    /* Bytes between two places where rules are asked: so small a share of
     * those before, so many at most. */
    RULES_STEP_SHARE = 64,
    RULES_STEP_MAX = 32,
    RULES_STEP_WHOLE = 256, /* where nobody waits, at least */
    RULES_WAIT = 16         /* more, for a blank */
};

/* Bytes between checkpoints, at about 4 to a token; the last one repeats. */
static const size_t checkpoint_steps[] = {32, 64, 128, 256};

enum state { OPEN, FINISHING, DONE, BLOCKED };

/* One guard model reading along. */
struct reader {
    struct guard_stream *s;
    struct classify_text *text;
    struct classify_job *job;    /* while it runs */
    struct peer_text *peer_text; /* of GUARD_MODEL_PEER, and its job */
    void *asked;
    float scores[PEER_SCORES];
};

/* Positions count from the first byte of the stream:
 *
 *   released <= decided <= scanned <= total,  judged <= total
 *
 * Bytes before `decided` are settled for the rules and, redacted, in `ready`
 * until they are released. */
struct guard_stream {
    struct guard *g;
    struct policy *policy;
    enum channel channel;
    uint64_t client;
    void (*on_release)(void *user, struct span text);
    guard_done *on_verdict;
    void *user;

    enum state state;
    bool judges;       /* a classifier reads along */
    bool acts;         /* and one of its checks is not a shadow */
    bool whole;        /* nobody waits for the beginning */
    bool holds;        /* and bytes wait for it */
    bool settled;      /* rules have seen the text with its end */
    bool running;      /* run() is on the stack */
    bool freed;        /* and frees the stream when it is done */
    struct err broken; /* what guard_stream_new() could not do */

    struct bytes text; /* from `start` on */
    struct bytes ready;
    size_t start, released, decided, scanned, judged;
    int checkpoints;

    struct reader readers[MODELS];
    int waiting;
    bool scored; /* the scores of a checkpoint wait to be taken */
    uint64_t asked_ns;
    /* Large, and most streams have nothing to put in before their end: NULL
     * until outcome() is asked for it. */
    struct verdict *v;
    uint32_t stage_us[STAGE_COUNT];
};

static size_t total(const struct guard_stream *s) {
    return s->start + s->text.size;
}

static struct span part(const struct guard_stream *s, size_t from, size_t end) {
    return span_slice(span_bytes(&s->text), from - s->start, end - s->start);
}

static struct verdict *outcome(struct guard_stream *s) {
    if (!s->v) {
        s->v = xrealloc_array(NULL, 1, sizeof *s->v);
        verdict_begin(s->v, policy_revision(s->policy));
    }
    return s->v;
}

/* ---- ends ---- */

static void readers_stop(struct guard_stream *s) {
    for (int m = 0; m < MODELS; m++) {
        classify_cancel(s->readers[m].job);
        s->readers[m].job = NULL;
        classify_text_free(s->readers[m].text);
        s->readers[m].text = NULL;
        if (s->readers[m].asked) guard_peer(s->g)->cancel(s->readers[m].asked);
        s->readers[m].asked = NULL;
        peer_text_free(s->readers[m].peer_text);
        s->readers[m].peer_text = NULL;
    }
    s->waiting = 0;
    s->scored = false;
    s->judges = false;
}

/* The only place where the state becomes DONE or BLOCKED. */
static void stream_end(struct guard_stream *s, enum state state) {
    readers_stop(s);
    s->state = state;
    bytes_free(&s->text);
    bytes_free(&s->ready);
    memcpy(outcome(s)->stage_us, s->stage_us, sizeof s->stage_us);
    s->on_verdict(s->user, s->v);
}

static void stream_fail(struct guard_stream *s, const struct err *err) {
    verdict_fail(outcome(s), policy_revision(s->policy), err);
    stream_end(s, BLOCKED);
}

/* A shadow that cannot see does not stop anybody. */
static void reader_fail(struct guard_stream *s, const struct err *err) {
    if (s->acts)
        stream_fail(s, err);
    else
        readers_stop(s);
}

static bool stops(const struct verdict *v) {
    return v->action <= VERDICT_ASK;
}

/* ---- rules ---- */

/* What rules say about the text up to `end`. */
struct ruling {
    size_t end;
    bool last;            /* nothing follows */
    size_t decided;       /* up to here nothing can change any more */
    struct verdict found; /* offsets count from the stream's s->decided */
};

/* Let a match that is not settled pull the border before its start, and those
 * that this cuts in their turn. */
static size_t border(const struct verdict *found, size_t hold) {
    bool moved = true;

    while (moved) {
        moved = false;
        for (int i = 0; i < found->finding_count; i++) {
            const struct finding *f = &found->findings[i];

            if (f->shadow || f->action > VERDICT_REDACT) continue;
            if (f->from >= hold || f->end <= hold) continue;
            hold = f->from;
            moved = true;
        }
    }
    return hold;
}

/* Keep what is settled in window[base, border) and was not counted before. */
static void keep_settled(struct verdict *found, size_t base, size_t border) {
    int count = found->finding_count;
    enum verdict_action action = found->action;

    found->finding_count = 0;
    found->action = VERDICT_ALLOW;
    for (int i = 0; i < count; i++) {
        struct finding f = found->findings[i];
        bool informs = f.shadow || f.action > VERDICT_REDACT;

        if (f.end > border || f.end <= base) continue;
        if (f.from < base && !informs) continue;
        f.from = f.from < base ? 0 : f.from - base;
        f.end -= base;
        verdict_add(found, &f); /* at or before place i */
    }
    /* More than a verdict holds: what it made of that stands. */
    if (count == VERDICT_FINDINGS_MAX) found->action = action;
}

/* Rules over the text up to `end`, seeing `ahead` bytes more. False when the
 * scan itself failed. Changes nothing in `s`. */
static bool rule(const struct guard_stream *s, size_t end, size_t ahead,
                 bool last, struct ruling *r, struct err *err) {
    size_t from = s->decided > STREAM_CONTEXT ? s->decided - STREAM_CONTEXT : 0;
    size_t base, hold;
    struct span window;

    if (from < s->start) from = s->start;
    while (from < s->decided &&
           utf8_inside(span_bytes(&s->text), from - s->start))
        from++;
    base = s->decided - from;
    window = part(s, from, end + ahead);
    /* A sequence cut in the middle is not text yet. */
    if (!last)
        window.size = base + utf8_complete(part(s, s->decided, end + ahead));
    r->end = end;
    r->last = last;
    verdict_begin(&r->found, policy_revision(s->policy));
    hold = window.size;
    if (last ? !policy_scan_tail(s->policy, s->channel, 0, window, base,
                                 &r->found, err)
             : !policy_scan_hold(s->policy, s->channel, 0, window, base, &hold,
                                 &r->found, err))
        return false;
    if (hold > end - from) hold = end - from;
    if (!last) hold = border(&r->found, hold);
    if (hold < base) hold = base;
    if (!last) hold = base + utf8_complete(part(s, s->decided, from + hold));
    keep_settled(&r->found, base, hold);
    r->decided = from + hold;
    return true;
}

static void add_finding(struct verdict *v, const struct finding *f) {
    /* What could not be remembered was redacted all the same. */
    if (v->finding_count < VERDICT_FINDINGS_MAX)
        verdict_add(v, f);
    else if (!f->shadow && f->action < v->action)
        v->action = f->action;
}

static void note_findings(struct guard_stream *s, const struct verdict *found) {
    for (int i = 0; i < found->finding_count; i++) {
        struct finding f = found->findings[i];

        f.from += s->decided;
        f.end += s->decided;
        add_finding(outcome(s), &f);
    }
    for (int i = 0; i < STAGE_COUNT; i++) s->stage_us[i] += found->stage_us[i];
}

static void drop_text(struct guard_stream *s) {
    size_t keep = s->decided > STREAM_CONTEXT ? s->decided - STREAM_CONTEXT : 0;

    if (s->judges && s->judged < keep) keep = s->judged;
    if (keep <= s->start) return;
    bytes_drop(&s->text, keep - s->start);
    s->start = keep;
}

/* Take a ruling that does not stop: its bytes become ready. */
static bool rule_take(struct guard_stream *s, const struct ruling *r,
                      struct err *err) {
    note_findings(s, &r->found);
    if (!verdict_redact(&r->found, 0, part(s, s->decided, r->decided),
                        &s->ready, err))
        return false;
    s->decided = r->decided;
    s->scanned = r->end;
    s->settled = r->last;
    return true;
}

/* Rules over everything up to `end`, where a checkpoint lies. False: it is
 * over. */
static bool rule_checkpoint(struct guard_stream *s, size_t end, size_t ahead,
                            bool last) {
    struct ruling r;
    struct err err = {0};

    if (!rule(s, end, ahead, last, &r, &err) ||
        (!stops(&r.found) && !rule_take(s, &r, &err))) {
        stream_fail(s, &err);
        return false;
    }
    if (!stops(&r.found)) return true;
    note_findings(s, &r.found);
    stream_end(s, BLOCKED);
    return false;
}

static bool flush(struct guard_stream *s) {
    struct bytes out = s->ready;

    s->released = s->decided;
    if (!out.size) return true;
    s->ready = (struct bytes){.limit = out.limit};
    s->on_release(s->user, span_bytes(&out));
    bytes_free(&out);
    return !s->freed && s->state <= FINISHING;
}

/* ---- places ---- */

/* The first place at `step` bytes or more behind `from` that any cut of the
 * text gives: before a blank that follows a word, as the tokenizer's own pieces
 * begin, or `wait` bytes later. False when it has not arrived. */
static bool place_next(const struct guard_stream *s, size_t from, size_t step,
                       size_t wait, size_t *end, size_t *ahead) {
    struct span text = part(s, from, total(s));
    size_t most = step + wait;

    *ahead = 0;
    for (size_t at = step; at < text.size && at < most; at++)
        if (ascii_blank(text.at[at]) && !ascii_blank(text.at[at - 1])) {
            *end = from + at;
            *ahead = 1; /* every cut has seen the blank */
            return true;
        }
    if (text.size < most) return false;
    *end = from + utf8_complete(span_slice(text, 0, most));
    return true;
}

/* Where nothing waits for a classifier: the next place for the rules. Places
 * are words at first and lie further apart as the text grows. The more is held
 * back, the more must come: what is held is read again each time. */
static bool rule_due(const struct guard_stream *s, size_t *end, size_t *ahead,
                     bool *last) {
    size_t held = s->scanned - s->decided;
    size_t step = s->scanned / RULES_STEP_SHARE;

    *last = false;
    if (step < 1) step = 1;
    if (step > RULES_STEP_MAX) step = RULES_STEP_MAX;
    if (s->whole) step = RULES_STEP_WHOLE;
    if (step < held / 2) step = held / 2;
    if (place_next(s, s->scanned, step, RULES_WAIT, end, ahead)) return true;
    *end = total(s);
    *ahead = 0;
    *last = true;
    return s->state == FINISHING && !s->settled;
}

static bool rule_follow(struct guard_stream *s, size_t end, size_t ahead,
                        bool last) {
    if (!rule_checkpoint(s, end, ahead, last) || !flush(s)) return false;
    drop_text(s);
    return true;
}

/* ---- checkpoints ---- */

static bool checkpoint_next(const struct guard_stream *s, size_t *end,
                            size_t *ahead) {
    int last = sizeof checkpoint_steps / sizeof *checkpoint_steps - 1;
    int number = s->checkpoints < last ? s->checkpoints : last;

    return place_next(s, s->judged, checkpoint_steps[number], STREAM_WORD_MAX,
                      end, ahead);
}

static void run(struct guard_stream *s);

static void reader_take(struct reader *reader, const float *scores,
                        size_t count, const struct err *err) {
    struct guard_stream *s = reader->s;
    bool outer = s->running;

    reader->job = NULL;
    reader->asked = NULL;
    s->waiting--;
    if (scores) {
        memcpy(reader->scores, scores, count * sizeof *scores);
        s->scored = s->waiting == 0;
        run(s);
        return;
    }
    s->running = true;
    reader_fail(s, err);
    s->running = outer;
    run(s);
}

static void on_scores(void *user, const float *scores, const struct err *err) {
    reader_take(user, scores, LABEL_COUNT, err);
}

static void on_peer_scores(void *user, const float *scores,
                           const struct err *err) {
    reader_take(user, scores, PEER_SCORES, err);
}

static bool reader_reads(const struct reader *reader) {
    return reader->text || reader->peer_text;
}

static bool reader_ask(struct reader *reader, struct span piece,
                       uint64_t deadline_ms, struct err *err) {
    struct guard_stream *s = reader->s;
    struct llamaguard_category custom[LLAMAGUARD_CUSTOM_MAX];
    struct peer_request r = {
        .client = s->client, .deadline_ms = deadline_ms, .custom = custom};

    if (reader->peer_text) {
        r.custom_count = peer_custom(s->policy, custom);
        peer_text_add(reader->peer_text, piece);
        reader->asked =
            peer_text_judge(reader->peer_text, &r, on_peer_scores, reader, err);
        return reader->asked != NULL;
    }
    if (!classify_text_add(reader->text, piece, err)) return false;
    reader->job = classify_text_judge(reader->text, s->client, deadline_ms,
                                      on_scores, reader, err);
    return reader->job != NULL;
}

/* Give the readers the text up to `end` and ask them. */
static void judge(struct guard_stream *s, size_t end) {
    struct span piece = part(s, s->judged, end);
    uint64_t deadline =
        clock_ms() + (uint64_t)policy_limits(s->policy)->guard_ms;
    struct err err = {0};

    s->judged = end;
    s->checkpoints++;
    s->asked_ns = clock_ns();
    for (int m = 0; m < MODELS; m++) {
        if (!reader_reads(&s->readers[m])) continue;
        if (!reader_ask(&s->readers[m], piece, deadline, &err)) {
            reader_fail(s, &err);
            return;
        }
        s->waiting++;
    }
}

/* A finding of the classifier is remembered once, with its greatest score. */
static void note_category(struct verdict *v, const struct finding *f) {
    for (int i = 0; i < v->finding_count; i++) {
        struct finding *old = &v->findings[i];

        if (old->item != -1 || old->check != f->check ||
            old->category != f->category)
            continue;
        if (f->score > old->score) old->score = f->score;
        return;
    }
    add_finding(v, f);
}

static bool scores_take(struct guard_stream *s) {
    struct verdict found;

    s->scored = false;
    s->stage_us[STAGE_CLASSIFY] +=
        (uint32_t)((clock_ns() - s->asked_ns) / 1000);
    verdict_begin(&found, policy_revision(s->policy));
    for (int m = 0; m < MODELS; m++)
        if (reader_reads(&s->readers[m]))
            scores_apply(s->g, s->policy, s->channel, (enum guard_model)m,
                         s->readers[m].scores, &found);
    for (int i = 0; i < found.finding_count; i++)
        note_category(outcome(s), &found.findings[i]);
    memcpy(outcome(s)->score, found.score, sizeof s->v->score);
    s->v->classified = true;
    if (found.action <= VERDICT_REDACT) {
        /* A category has no span: there is nothing to cut but the stream. */
        if (found.action == VERDICT_REDACT) s->v->action = VERDICT_BLOCK;
        stream_end(s, BLOCKED);
        return false;
    }
    if (s->holds && !flush(s)) return false;
    drop_text(s);
    return true;
}

/* The next piece for the classifier, with the rules where bytes wait for it. */
static bool judge_next(struct guard_stream *s) {
    size_t end = total(s);
    size_t ahead = 0; /* of the text behind it, what every cut has seen */
    bool regular = checkpoint_next(s, &end, &ahead);

    if (!regular && (s->state != FINISHING || s->judged == end)) return false;
    if (!s->holds || rule_checkpoint(s, end, ahead, !regular)) judge(s, end);
    return true;
}

/* ---- the loop ---- */

/* One thing; false when there is nothing to do now. */
static bool step(struct guard_stream *s) {
    size_t end, ahead;
    bool last;

    if (s->freed || s->state > FINISHING) return false;
    if (s->broken.code) {
        struct err err = s->broken;

        s->broken.code = ERR_NONE;
        reader_fail(s, &err);
        return true;
    }
    if (s->scored) return scores_take(s);
    if (!s->holds && rule_due(s, &end, &ahead, &last))
        return rule_follow(s, end, ahead, last);
    if (s->waiting) return false;
    if (s->judges && judge_next(s)) return true;
    if (s->state != FINISHING) return false;
    if (!s->settled && !rule_checkpoint(s, total(s), 0, true)) return false;
    if (flush(s)) stream_end(s, DONE);
    return false;
}

static void stream_destroy(struct guard_stream *s) {
    readers_stop(s);
    bytes_free(&s->text);
    bytes_free(&s->ready);
    policy_free(s->policy);
    free(s->v);
    free(s);
}

/* Callbacks may push, finish and free: all of that is left to the outermost
 * call. */
static void run(struct guard_stream *s) {
    if (s->running) return;
    s->running = true;
    while (step(s)) continue;
    s->running = false;
    if (s->freed) stream_destroy(s);
}

static bool readers_start(struct guard_stream *s,
                          const struct guard_stream_options *o,
                          unsigned models) {
    struct classifier *c = guard_classifier(s->g);
    struct classify_text_options text = {
        .role = o->channel == CHANNEL_OUTPUT ? GUARD_ASSISTANT : GUARD_USER,
        .turns = o->turns,
        .turn_count = o->turn_count,
        .prompt_tokens = o->prompt_tokens,
        .prompt_token_count = o->prompt_token_count};

    for (int m = 0; m < MODELS; m++) {
        if (!(models & 1u << m)) continue;
        s->readers[m].s = s;
        if (m == GUARD_MODEL_PEER) {
            s->readers[m].peer_text = peer_text_new(
                guard_peer(s->g), text.role, text.turns, text.turn_count);
            continue;
        }
        if (!c)
            return err_set(&s->broken, ERR_UNAVAILABLE,
                           "the policy asks a guard model and none is loaded");
        text.model = (enum guard_model)m;
        s->readers[m].text = classify_text_new(c, &text, &s->broken);
        if (!s->readers[m].text) return false;
    }
    return true;
}

struct guard_stream *guard_stream_new(struct guard *g,
                                      const struct guard_stream_options *o) {
    struct guard_stream *s = xalloc(sizeof *s);
    unsigned models = scores_models(g, o->policy, o->channel, &s->acts);

    s->g = g;
    s->policy = policy_ref(o->policy);
    s->channel = o->channel;
    s->client = o->client;
    s->whole = o->whole;
    s->on_release = o->on_release;
    s->on_verdict = o->on_verdict;
    s->user = o->user;
    /* Redaction may write more than it read. */
    s->text.limit = STREAM_HELD_MAX + (1 << 16);
    s->ready.limit = 16 * (size_t)STREAM_HELD_MAX;
    s->judges = models != 0;
    s->holds = s->acts && !policy_stream_trail(o->policy);
    if (models) (void)readers_start(s, o, models);
    return s;
}

void guard_stream_push(struct guard_stream *s, struct span text,
                       const int *tokens, int token_count) {
    struct err err = {0};
    bool ok = true;

    if (s->freed || s->state != OPEN) return;
    if (text.size > STREAM_HELD_MAX - guard_stream_held(s))
        ok = err_set(&err, ERR_LIMIT, "more than %d bytes wait for the guard",
                     STREAM_HELD_MAX);
    for (int m = 0; ok && m < MODELS; m++)
        if (s->readers[m].text && tokens)
            ok = classify_text_ride(s->readers[m].text, tokens, token_count,
                                    &err);
    ok = ok && bytes_append(&s->text, text.at, text.size, &err);
    if (!ok && !s->broken.code) {
        s->broken = err;
        s->acts = true; /* this is not a matter of shadows */
    }
    run(s);
}

void guard_stream_finish(struct guard_stream *s) {
    if (s->freed || s->state != OPEN) return;
    s->state = FINISHING;
    run(s);
}

size_t guard_stream_held(const struct guard_stream *s) {
    return s->state > FINISHING ? 0 : total(s) - s->released;
}

void guard_stream_free(struct guard_stream *s) {
    if (!s || s->freed) return;
    if (!s->running) {
        stream_destroy(s);
        return;
    }
    s->freed = true;
    readers_stop(s);
}
