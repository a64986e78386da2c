/* test_engine_face.c - several threads, each with a face of one engine: each is
 * told of its own jobs alone, what it is told is what the job alone says, and a
 * face that closes with jobs under way takes nobody along. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <cmocka.h>
#include <pthread.h>

#include "tests/unit/answer.h"

enum { OWNERS = 3, JOBS = 20 };

struct owner {
    pthread_t thread;
    struct engine *face;
    int index;
    int done, strange;
    float scores[JOBS]; /* the first of each */
};

struct order {
    struct owner *owner;
    int number;
    pthread_t thread;
};

/* cmocka's asserts are the main thread's. */
static void on_face_event(void *user, const struct job_event *event) {
    struct order *o = user;

    if (!pthread_equal(o->thread, pthread_self())) o->owner->strange++;
    if (event->kind == JOB_SCORES)
        o->owner->scores[o->number] = event->scores[0];
    if (event->kind == JOB_DONE) {
        if (event->end == JOB_END_ERROR) o->owner->strange++;
        o->owner->done++;
    }
}

static void fill_of(const struct owner *w, int number, int *tokens) {
    fill(tokens, 30, (unsigned)(w->index * JOBS + number));
}

static void *own(void *user) {
    struct owner *w = user;
    struct order orders[JOBS];
    int tokens[30];
    struct err err;

    for (int i = 0; i < JOBS; i++) {
        struct job job;

        fill_of(w, i, tokens);
        job = score(tokens, 30);
        orders[i] = (struct order){w, i, pthread_self()};
        job.on_event = on_face_event;
        job.user = &orders[i];
        if (!engine_submit(w->face, &job, &err)) w->strange++;
    }
    while (w->done + w->strange < JOBS && engine_wait(w->face, WAIT_MS))
        (void)engine_poll(w->face);
    return NULL;
}

static void nobody_wakes(void *user) {
    (void)user;
}

static void test_owners(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    struct owner owners[OWNERS] = {0};
    struct err err = {0};

    (void)state;
    for (int i = 0; i < OWNERS; i++) {
        owners[i].index = i;
        owners[i].face = i ? engine_share(e, nobody_wakes, NULL, &err) : e;
        assert_non_null(owners[i].face);
    }
    for (int i = 0; i < OWNERS; i++)
        assert_int_equal(
            pthread_create(&owners[i].thread, NULL, own, &owners[i]), 0);
    for (int i = 0; i < OWNERS; i++) {
        (void)pthread_join(owners[i].thread, NULL);
        assert_int_equal(owners[i].strange, 0);
        assert_int_equal(owners[i].done, JOBS);
    }
    for (int i = 0; i < OWNERS; i++)
        for (int k = 0; k < JOBS; k++) {
            struct answer alone;
            int tokens[30];

            fill_of(&owners[i], k, tokens);
            run_one(e, score(tokens, 30), &alone);
            assert_true(alone.scores[0] == owners[i].scores[k]);
            answer_clear(&alone);
        }
    for (int i = 1; i < OWNERS; i++) engine_close(owners[i].face);
    engine_close(e);
}

static void test_close_with_jobs(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    struct err err = {0};
    struct answer list[8], last;
    struct engine *face = engine_share(e, nobody_wakes, NULL, &err);
    int tokens[10];

    (void)state;
    assert_non_null(face);
    for (int i = 0; i < 8; i++) {
        fill(tokens, 10, (unsigned)i);
        submit(face, generate(tokens, 10, 200), &list[i]);
    }
    (void)engine_wait(face, WAIT_MS);
    engine_close(face);
    /* Its number is free again, and its events are nobody's. */
    face = engine_share(e, nobody_wakes, NULL, &err);
    assert_non_null(face);
    fill(tokens, 10, 99);
    run_one(face, score(tokens, 10), &last);
    answer_clear(&last);
    run_one(e, score(tokens, 10), &last);
    answer_clear(&last);
    for (int i = 0; i < 8; i++) {
        assert_false(list[i].done);
        answer_clear(&list[i]);
    }
    engine_close(face);
    engine_close(e);
}

static void test_too_many(void **state) {
    struct engine *e = open_tiny((struct engine_options){0});
    struct engine *faces[ENGINE_FACES_MAX];
    struct err err = {0};
    int adapter;

    (void)state;
    for (int i = 1; i < ENGINE_FACES_MAX; i++) {
        faces[i] = engine_share(e, nobody_wakes, NULL, &err);
        assert_non_null(faces[i]);
    }
    assert_null(engine_share(e, nobody_wakes, NULL, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    assert_false(engine_adapter_add(e, "none.gguf", &adapter, &err));
    assert_int_equal(err.code, ERR_INPUT);
    for (int i = 1; i < ENGINE_FACES_MAX; i++) engine_close(faces[i]);
    engine_close(e);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_owners),
                                       cmocka_unit_test(test_close_with_jobs),
                                       cmocka_unit_test(test_too_many)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
