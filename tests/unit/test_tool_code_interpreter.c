/* test_tool_code_interpreter.c - Python answers, remembers, and stays inside:
 * each escape is tried in the real sandbox. Where there is none (no bubblewrap,
 * no namespaces) the tests are skipped, and say so. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "tools/artefact.h"
#include "tools/tool_builtin.h"

struct world {
    uv_loop_t loop;
    struct artefacts *artefacts;
    struct tool *tool;
};

struct answer {
    bool over;
    bool ok;
    struct bytes text; /* NUL-terminated */
};

static bool ready(struct world *w, const char *options) {
    struct tool_options o = {.name = "code_interpreter", .loop = &w->loop};
    cJSON *map = json_parse(span_of(options), NULL);
    struct err err = {0};

    assert_int_equal(uv_loop_init(&w->loop), 0);
    w->artefacts = artefacts_new();
    o.map = map;
    o.artefacts = w->artefacts;
    w->tool = code_interpreter_open(&o, &err);
    cJSON_Delete(map);
    if (!w->tool) print_message("SKIPPED: %s\n", err.text);
    return w->tool != NULL;
}

static void over(struct world *w) {
    if (w->tool) w->tool->close(w->tool);
    (void)uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    artefacts_free(w->artefacts);
}

static void on_done(void *user, bool ok, struct span text) {
    struct answer *a = user;

    assert_false(a->over);
    a->over = true;
    a->ok = ok;
    bytes_put(&a->text, text);
    bytes_put(&a->text, (struct span){"", 1});
}

static struct tool_run *begin(struct world *w, const char *session,
                              const char *code, struct answer *a) {
    const struct tool_context context = {span_of(session), span_of("key-1")};
    cJSON *arguments = cJSON_CreateObject();
    struct tool_run *run;

    *a = (struct answer){0};
    cJSON_AddStringToObject(arguments, "code", code);
    run = w->tool->run(w->tool, arguments, &context, on_done, a);
    cJSON_Delete(arguments);
    return run;
}

static void wait_for(struct world *w, struct answer *a) {
    while (!a->over) (void)uv_run(&w->loop, UV_RUN_ONCE);
}

/* The text must contain `want`. */
static void check(struct world *w, const char *session, const char *code,
                  bool ok, const char *want) {
    struct answer a;

    (void)begin(w, session, code, &a);
    wait_for(w, &a);
    if (a.ok != ok || !strstr(a.text.at, want))
        fail_msg("%s\ngot %d \"%.600s\", wanted \"%s\"", code, a.ok, a.text.at,
                 want);
    bytes_free(&a.text);
}

static void test_answers(void **state) {
    struct world w;

    (void)state;
    if (!ready(&w, "{}")) {
        over(&w);
        skip();
    }
    check(&w, "a", "x = 6\nprint('six')\nx * 7", true, "six\n42\n");
    check(&w, "a", "x + 1", true, "7\n");
    check(&w, "b", "x", false, "NameError");
    check(&w, "", "y = 1", true, "(no output)");
    check(&w, "", "y", false, "NameError");
    check(&w, "a", "def f(:", false, "SyntaxError");
    check(&w, "a", "def f():\n    1 / 0\nf()", false,
          "line 2, in f\n    1 / 0\n");
    check(&w, "a", "import sys; print('err', file=sys.stderr)", true, "err");
    check(&w, "a", "raise SystemExit(3)", false, "exit: 3");
    check(&w, "a", "x", true, "6\n");
    check(&w, "a", "print('x' * 300000)", true, "more bytes of output]");
    check(&w, "a", "print('\\udc80')", true, "?");
    over(&w);
}

static void test_limits(void **state) {
    struct world w;

    (void)state;
    if (!ready(&w, "{\"seconds\":1,\"memory_mb\":256,\"disk_mb\":2}")) {
        over(&w);
        skip();
    }
    check(&w, "a", "x = 1\nwhile True: pass", false, "more than 1 s");
    check(&w, "a", "x", true, "1\n"); /* stopped softly: it remembers */
    check(&w, "a",
          "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)\n"
          "while True: pass",
          false, "took too long");
    check(&w, "a", "x", false, "NameError");
    over(&w);
}

static void test_bombs(void **state) {
    struct world w;

    (void)state;
    if (!ready(&w, "{\"memory_mb\":256,\"disk_mb\":2}")) {
        over(&w);
        skip();
    }
    check(&w, "a", "b = bytearray(1 << 30)", false, "MemoryError");
    check(&w, "a", "l = []\nwhile True: l.append('x' * 20000000)", false,
          "Error");
    check(&w, "a", "open('big', 'wb').write(bytes(1 << 22))", false, "OSError");
    check(&w, "b",
          "n = 0\ntry:\n  while True:\n    open(f'f{n}','wb').write("
          "bytes(1 << 19)); n += 1\nexcept OSError as e: print(e.errno, n)",
          true, "28 ");
    check(&w, "c", "import os\nos.kill(os.getpid(), 9)\nos._exit(9)", false,
          "Python ended");
    check(&w, "c", "import os\nos.abort()", false, "Python ended");
    check(&w, "c", "import ctypes\nctypes.string_at(0)", false, "Python ended");
    check(&w, "c", "1", true, "1\n");
    over(&w);
}

/* Each line is one way out. */
static void test_escapes(void **state) {
    static const struct {
        const char *code;
        bool ok;
        const char *want;
    } ways[] = {
        {"import os\nwhile True: os.fork()", false, "PermissionError"},
        {"import subprocess\nsubprocess.run(['ls'])", false, "PermissionError"},
        {"import os\nos.posix_spawn('/usr/bin/id', ['id'], {})", false,
         "PermissionError"},
        {"import threading, time\nn = 0\ntry:\n  while True:\n    "
         "threading.Thread(target=time.sleep, args=(60,), daemon=True)"
         ".start(); n += 1\nexcept RuntimeError: print(n < 64)",
         true, "True"},
        {"import socket\nsocket.create_connection(('1.1.1.1', 80), 1)", false,
         "PermissionError"},
        {"import socket\nsocket.socket(socket.AF_UNIX)", false,
         "PermissionError"},
        {"import os\nsorted(p for p in os.listdir('/'))", true, "'dev'"},
        {"open('/etc/passwd').read()", false, "FileNotFoundError"},
        {"open('/root/.ssh/id_rsa').read()", false, "FileNotFoundError"},
        {"import os\nos.listdir('/home')", false, "FileNotFoundError"},
        {"open('/usr/x', 'w')", false, "Read-only file system"},
        {"open('/x', 'w')", false, "Read-only file system"},
        {"open('/dev/x', 'w')", false, "Read-only file system"},
        {"open('/dev/shm/x', 'w')", false, "Read-only file system"},
        {"open('/proc/sys/kernel/core_pattern', 'w')", false, "Error"},
        {"open('/proc/sysrq-trigger', 'w').write('b')", false, "Error"},
        {"import os\nos.symlink('/etc/passwd', 'l')\nopen('l').read()", false,
         "FileNotFoundError"},
        {"open('/proc/1/root/etc/passwd').read()", false, "Error"},
        {"open('/proc/1/environ').read().count('secret')", true, "0"},
        {"open('/proc/self/environ').read().count('secret')", true, "0"},
        {"import os\n[p for p in os.listdir('/proc') if p.isdigit()], "
         "os.getpid()",
         true, "(['1'], 1)"},
        {"import os\nos.symlink('/proc/1/root/root', 'r')\nos.listdir('r')",
         false, "Error"},
        {"import os\nos.link('/usr/bin/python3', 'p')", false, "Error"},
        {"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
         "c.ptrace(0, 0, 0, 0), ctypes.get_errno()",
         true, "(-1, 1)"},
        {"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
         "c.unshare(0x10000000), ctypes.get_errno()",
         true, "(-1, 1)"},
        {"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
         "c.mount(b'x', b'/tmp', b'tmpfs', 0, None), ctypes.get_errno()",
         true, "(-1, 1)"},
        {"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
         "c.syscall(319, b'x', 0), ctypes.get_errno()" /* memfd_create */,
         true, "(-1, 1)"},
        {"import ctypes\nc = ctypes.CDLL(None, use_errno=True)\n"
         "c.syscall(425, 8, 0), ctypes.get_errno()" /* io_uring_setup */,
         true, "(-1, 1)"},
        /* By number, on x86-64: mount, init_module, kexec_load, keyctl,
         * unshare, perf_event_open, open_by_handle_at, setns,
         * process_vm_readv, bpf, userfaultfd, pidfd_open, pidfd_getfd,
         * clone3, shmget, mknod, chroot, pivot_root. */
        {"import ctypes, platform\nc = ctypes.CDLL(None, use_errno=True)\n"
         "numbers = (165, 175, 246, 250, 272, 298, 304, 308, 310, 321, 323, "
         "434, 438, 435, 29, 133, 161, 155)\n"
         "[n for n in numbers if platform.machine() == 'x86_64' and "
         "(c.syscall(n, 0, 0, 0, 0) != -1 or ctypes.get_errno() not in "
         "(1, 38))]",
         true, "[]"},
        {"import os\nos.setuid(0)", false, "PermissionError"},
        {"import os\nos.getuid()", true, "1000"},
        {"import os\nos.chmod('/tmp', 0o4777)\nos.execv('/usr/bin/su', "
         "['su', '-c', 'id'])",
         false, "Python ended"},
        {"import os, signal\nos.kill(1, 9)\nos.kill(os.getppid(), 9)\n7", true,
         "7"},
        {"import os\nos.kill(-1, 9)", false, "ProcessLookupError"},
        {"import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
         false, "Error"},
        {"import os\n[k for k in os.environ if 'KEY' in k]", true, "[]"},
        {"import os, fcntl\nfcntl.ioctl(0, 0x5412, b'x')", false,
         "PermissionError"},
    };
    struct world w;

    (void)state;
    (void)setenv("CORRAL_TEST_KEY", "secret", 1);
    if (!ready(&w, "{\"memory_mb\":1024}")) {
        over(&w);
        skip();
    }
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        check(&w, "", ways[i].code, ways[i].ok, ways[i].want);
    over(&w);
}

/* A file of ours that anybody may read is not there either. */
static void test_key_file(void **state) {
    char path[] = "/tmp/corral-test-key-XXXXXX", code[128];
    int file = mkstemp(path);
    struct world w;

    (void)state;
    assert_true(file >= 0);
    assert_int_equal(fchmod(file, 0644), 0);
    assert_int_equal(write(file, "secret", 6), 6);
    (void)close(file);
    if (!ready(&w, "{}")) {
        over(&w);
        (void)unlink(path);
        skip();
    }
    (void)snprintf(code, sizeof code, "open('%s').read()", path);
    check(&w, "", code, false, "FileNotFoundError");
    over(&w);
    (void)unlink(path);
}

/* Forged answers, endless ones, and silence. */
static void test_hostile(void **state) {
    struct world w;

    (void)state;
    if (!ready(&w, "{\"seconds\":1}")) {
        over(&w);
        skip();
    }
    /* 4 is a guess at the channel; every number is tried. */
    check(&w, "a",
          "import os\nfor fd in range(3, 20):\n  try: os.write(fd, "
          "b'\\xff\\xff\\xff\\xff')\n  except OSError: pass\n",
          false, "Python ended");
    check(&w, "a",
          "import os\nfor fd in range(3, 20):\n  try: os.write(fd, "
          "b'\\0\\0\\0\\2[]')\n  except OSError: pass\n",
          false, "what is no answer");
    check(&w, "a",
          "import os\nfor fd in range(3, 20):\n  try: os.close(fd)\n"
          "  except OSError: pass\n",
          false, "Python ended");
    check(&w, "a", "1", true, "1\n");
    over(&w);
}

static void test_sessions(void **state) {
    struct answer a, b, c;
    struct tool_run *run;
    struct world w;

    (void)state;
    if (!ready(&w, "{\"sessions\":2}")) {
        over(&w);
        skip();
    }
    /* Two calls of one session wait for each other. */
    (void)begin(&w, "a", "import time\ntime.sleep(0.2)\nx = 5", &a);
    (void)begin(&w, "a", "x", &b);
    wait_for(&w, &b);
    assert_true(a.over);
    assert_string_equal(b.text.at, "5\n");
    bytes_free(&a.text);
    bytes_free(&b.text);
    /* Both are busy: a third has to come again. */
    run = begin(&w, "a", "import time\ntime.sleep(20)", &a);
    (void)begin(&w, "b", "import time\ntime.sleep(0.3)\n2", &b);
    assert_null(begin(&w, "c", "3", &c));
    assert_true(c.over && !c.ok && strstr(c.text.at, "busy"));
    bytes_free(&c.text);
    /* A cancelled one never answers, and costs the session its variables. */
    w.tool->cancel(run);
    wait_for(&w, &b);
    assert_false(a.over);
    assert_string_equal(b.text.at, "2\n");
    bytes_free(&b.text);
    check(&w, "a", "x", false, "NameError");
    /* The longest idle session makes room. */
    check(&w, "b", "z = 1", true, "");
    check(&w, "c", "3", true, "3\n");
    check(&w, "a", "4", true, "4\n");
    check(&w, "b", "z", false, "NameError");
    over(&w);
}

static void test_pictures(void **state) {
    const char *make =
        "import zlib, struct\n"
        "def part(t, d): return struct.pack('>I', len(d)) + t + d + "
        "struct.pack('>I', zlib.crc32(t + d))\n"
        "open('dot.png', 'wb').write(b'\\x89PNG\\r\\n\\x1a\\n' + part(b'IHDR', "
        "struct.pack('>IIBBBBB', 1, 1, 8, 0, 0, 0, 0)) + part(b'IDAT', "
        "zlib.compress(b'\\0\\0')) + part(b'IEND', b''))";
    struct answer a;
    struct span content;
    const char *type, *at;
    struct world w;

    (void)state;
    if (!ready(&w, "{}")) {
        over(&w);
        skip();
    }
    (void)begin(&w, "a", make, &a);
    wait_for(&w, &a);
    at = strstr(a.text.at, "/v1/artefacts/");
    if (!at) fail_msg("no picture in \"%s\"", a.text.at);
    assert_non_null(strstr(a.text.at, "[picture dot.png: 67 bytes, sha256 "));
    at += strlen("/v1/artefacts/");
    assert_false(artefacts_get(w.artefacts, (struct span){at, 24},
                               span_of("another"), &type, &content));
    assert_true(artefacts_get(w.artefacts, (struct span){at, 24},
                              span_of("key-1"), &type, &content));
    assert_string_equal(type, "image/png");
    assert_int_equal(content.size, 67);
    bytes_free(&a.text);
    check(&w, "a", "1", true, "1\n"); /* shown once */
    check(&w, "a", "open('no.png', 'w').write('<script>')", true, "8\n");
    over(&w);
}

static void test_refused(void **state) {
    static const char *const options[][2] = {
        {"{\"pyhton\":\"/x\"}", "unknown key \"pyhton\""},
        {"{\"seconds\":0}", "seconds must be a whole number"},
        {"{\"python\":\"/usr/bin/no-such\"}", "no sandbox: "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        struct tool_options o = {.name = "code_interpreter"};
        cJSON *map = json_parse(span_of(options[i][0]), NULL);
        struct err err = {0};
        uv_loop_t loop;

        assert_int_equal(uv_loop_init(&loop), 0);
        o.loop = &loop;
        o.map = map;
        assert_null(code_interpreter_open(&o, &err));
        if (!strstr(err.text, options[i][1])) fail_msg("%s", err.text);
        (void)uv_run(&loop, UV_RUN_DEFAULT);
        assert_int_equal(uv_loop_close(&loop), 0);
        cJSON_Delete(map);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),  cmocka_unit_test(test_limits),
        cmocka_unit_test(test_bombs),    cmocka_unit_test(test_escapes),
        cmocka_unit_test(test_key_file), cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_sessions), cmocka_unit_test(test_pictures),
        cmocka_unit_test(test_refused),
    };

    (void)signal(SIGPIPE, SIG_IGN); /* as the daemon has it */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
