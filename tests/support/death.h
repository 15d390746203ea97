/* Whether fn aborts, tried in a child process: for the tests of CHECKs. */
#ifndef TESTS_SUPPORT_DEATH_H
#define TESTS_SUPPORT_DEATH_H

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static inline void become_quiet(void)
{
    const struct rlimit no_core = {0, 0};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null < 0 || dup2(null, STDERR_FILENO) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
        _exit(1);
    signal(SIGABRT, SIG_DFL);
}

static inline bool dies_of(int signal_number, void (*fn)(void *arg), void *arg)
{
    int status = 0;
    pid_t child = fork();
    if (child == 0) {
        become_quiet();
        fn(arg);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == signal_number;
}

#endif
