/* test_places.c - where things are when nobody says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "cli/places.h"

static void check_folder(const char *path) {
    struct stat st;

    assert_int_equal(stat(path, &st), 0);
    assert_true(S_ISDIR(st.st_mode));
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void test_data(void **state) {
    char home[64] = "/tmp/corral-places-XXXXXX", deep[96], file[96];
    struct err err = {0};
    char *place;
    FILE *f;

    (void)state;
    assert_non_null(mkdtemp(home));
    assert_int_equal(setenv("CORRAL_HOME", home, 1), 0);
    place = places_data(NULL, &err);
    assert_non_null(place);
    assert_int_equal(strncmp(place, home, strlen(home)), 0);
    assert_string_equal(place + strlen(home), "/data");
    check_folder(place);
    free(place);
    (void)snprintf(deep, sizeof deep, "%s/a/b", home);
    for (int i = 0; i < 2; i++) { /* made, then found */
        place = places_data(deep, &err);
        assert_non_null(place);
        assert_string_equal(place, deep);
        check_folder(deep);
        free(place);
    }
    (void)snprintf(file, sizeof file, "%s/file", home);
    f = fopen(file, "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    (void)snprintf(deep, sizeof deep, "%s/file/data", home);
    assert_null(places_data(deep, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_non_null(strstr(err.text, deep));
    assert_int_equal(unlink(file), 0);
    (void)snprintf(deep, sizeof deep, "%s/a/b", home);
    assert_int_equal(rmdir(deep), 0);
    deep[strlen(deep) - 2] = '\0';
    assert_int_equal(rmdir(deep), 0);
    (void)snprintf(deep, sizeof deep, "%s/data", home);
    assert_int_equal(rmdir(deep), 0);
    assert_int_equal(rmdir(home), 0);
}

/* Not there and not wanted are two things. */
static void test_calls(void **state) {
    char folder[64] = "/tmp/corral-places-XXXXXX";
    struct err err = {0};
    char *place;
    FILE *f;

    (void)state;
    assert_null(places_calls("/models/other.gguf", &err));
    assert_int_equal(err.code, ERR_NONE);
    assert_non_null(mkdtemp(folder));
    assert_int_equal(chdir(folder), 0);
    assert_null(places_calls("default", &err));
    assert_int_equal(err.code, ERR_NOT_FOUND);
    assert_non_null(strstr(err.text, "agent/models/tools.gguf"));
    err = (struct err){0};
    assert_int_equal(mkdir("agent", 0700), 0);
    assert_int_equal(mkdir("agent/models", 0700), 0);
    f = fopen("agent/models/tools.gguf", "w");
    assert_non_null(f);
    assert_int_equal(fclose(f), 0);
    place = places_calls(NULL, &err);
    assert_string_equal(place, "agent/models/tools.gguf");
    free(place);
    assert_int_equal(err.code, ERR_NONE);
    assert_int_equal(unlink("agent/models/tools.gguf"), 0);
    assert_int_equal(rmdir("agent/models"), 0);
    assert_int_equal(rmdir("agent"), 0);
    assert_int_equal(rmdir(folder), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_data),
                                       cmocka_unit_test(test_calls)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
