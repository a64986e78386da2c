/* sandbox_filter.c - a list of what is allowed, so that a call which the next
 * kernel brings is refused. On it is what Python and NumPy need to compute and
 * to use files and threads; not on it are sockets, other processes, tracing,
 * mounts, namespaces, keys, shared memory that no limit counts (memfd, System
 * V), io_uring, bpf and everything that sets up the machine. */
#include "tools/sandbox_filter.h"

#include <errno.h>
#include <sched.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const char *const allowed[] = {
    /* memory */
    "brk", "madvise", "mincore", "mlock", "mmap", "mprotect", "mremap", "msync",
    "munlock", "munmap", "membarrier",
    /* files */
    "access", "chdir", "chmod", "close", "close_range", "copy_file_range",
    "creat", "dup", "dup2", "dup3", "faccessat", "faccessat2", "fadvise64",
    "fallocate", "fchdir", "fchmod", "fchmodat", "fcntl", "fdatasync", "flock",
    "fstat", "fstatfs", "fsync", "ftruncate", "getcwd", "getdents",
    "getdents64", "link", "linkat", "lseek", "lstat", "mkdir", "mkdirat",
    "newfstatat", "open", "openat", "openat2", "pread64", "preadv", "preadv2",
    "pwrite64", "pwritev", "pwritev2", "read", "readahead", "readlink",
    "readlinkat", "readv", "rename", "renameat", "renameat2", "rmdir",
    "sendfile", "stat", "statfs", "statx", "symlink", "symlinkat",
    "sync_file_range", "truncate", "umask", "unlink", "unlinkat", "utime",
    "utimensat", "utimes", "write", "writev", "futimesat", "getxattr",
    "lgetxattr", "fgetxattr", "listxattr", "llistxattr", "flistxattr",
    /* waiting */
    "clock_getres", "clock_gettime", "clock_nanosleep", "epoll_create",
    "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_pwait2", "epoll_wait",
    "eventfd", "eventfd2", "futex", "futex_waitv", "getitimer", "gettimeofday",
    "nanosleep", "pause", "pipe", "pipe2", "poll", "ppoll", "pselect6",
    "select", "_newselect", "setitimer", "socketpair", "time", "timerfd_create",
    "timerfd_gettime", "timerfd_settime", "timer_create", "timer_delete",
    "timer_getoverrun", "timer_gettime", "timer_settime", "alarm",
    /* itself; signals reach only its own process namespace */
    "arch_prctl", "capget", "execve", "exit", "exit_group", "getcpu", "getegid",
    "geteuid", "getgid", "getgroups", "getpgid", "getpgrp", "getpid", "getppid",
    "getpriority", "getrandom", "getresgid", "getresuid", "getrlimit",
    "getrusage", "getsid", "gettid", "getuid", "kill", "prctl", "prlimit64",
    "restart_syscall", "rseq", "rt_sigaction", "rt_sigpending",
    "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
    "rt_sigtimedwait", "sched_getaffinity", "sched_getattr", "sched_getparam",
    "sched_get_priority_max", "sched_get_priority_min", "sched_getscheduler",
    "sched_setaffinity", "sched_yield", "set_robust_list", "get_robust_list",
    "set_tid_address", "setpriority", "setrlimit", "sigaltstack", "sysinfo",
    "tgkill", "times", "tkill", "uname", "wait4", "waitid"};

static bool rule(scmp_filter_ctx filter, uint32_t action, const char *name) {
    int number = seccomp_syscall_resolve_name(name);

    /* Other architectures lack some of the old ones. */
    return number == __NR_SCMP_ERROR ||
           seccomp_rule_add(filter, action, number, 0) == 0;
}

/* Threads only: no process, no namespace. glibc asks clone3 first and falls
 * back to clone when it is told that there is none; only clone's flags are in
 * a register, where a filter can see them. */
static bool rule_clone(scmp_filter_ctx filter) {
    const struct scmp_arg_cmp thread = {
        .arg = 0,
        .op = SCMP_CMP_MASKED_EQ,
        .datum_a = CLONE_THREAD,
        .datum_b = CLONE_THREAD,
    };

    return seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                                  &thread) == 0 &&
           rule(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3");
}

/* ioctl reaches drivers and terminals: only what files need. */
static bool rule_ioctl(scmp_filter_ctx filter) {
    static const unsigned long requests[] = {
        0x5401 /* TCGETS: is it a terminal? */,
        0x5413 /* TIOCGWINSZ */,
        0x541b /* FIONREAD */,
        0x5421 /* FIONBIO */,
        0x5450 /* FIONCLEX */,
        0x5451 /* FIOCLEX */};

    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const struct scmp_arg_cmp same = {
            .arg = 1, .op = SCMP_CMP_EQ, .datum_a = requests[i]};

        if (seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, SCMP_SYS(ioctl), 1,
                                   &same) != 0)
            return false;
    }
    return true;
}

static bool filter_fill(scmp_filter_ctx filter) {
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        if (!rule(filter, SCMP_ACT_ALLOW, allowed[i])) return false;
    return rule_clone(filter) && rule_ioctl(filter);
}

int sandbox_filter_open(struct err *err) {
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int file = memfd_create("sandbox-filter", MFD_CLOEXEC);

    if (filter && file >= 0 && filter_fill(filter) &&
        seccomp_export_bpf(filter, file) == 0 &&
        lseek(file, 0, SEEK_SET) == 0) {
        seccomp_release(filter);
        return file;
    }
    if (filter) seccomp_release(filter);
    if (file >= 0) (void)close(file);
    (void)err_set(err, ERR_UNAVAILABLE, "the seccomp filter cannot be made");
    return -1;
}
