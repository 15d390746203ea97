/* sluice-files: what programs do with files, timed.
 *   sluice-files create|read|stat|unlink DIR COUNT SIZE THREADS [sync]
 *       COUNT files of SIZE in DIR, by their names; sync: with an fsync of file and directory before each close
 *   sluice-files list DIR            every name, and its attributes, as `ls -l`
 *   sluice-files write|scan FILE SIZE [sync]     one file from end to end, in pieces of a mebibyte
 *   sluice-files random FILE PIECE SECONDS THREADS    pieces of it, anywhere, past the kernel's cache (O_DIRECT)
 * One line of JSON: operations, bytes, seconds, processor seconds of the program, the slowest hundredth. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "base/str.h"

#define PIECE_BYTES (1024 * 1024)
#define THREADS_MAX 256
#define ALIGNMENT 4096 /* that O_DIRECT wants */
/* Operations of one thread whose times are kept: the first ones. */
#define TIMES_MAX (1 << 20)

struct job {
    const char *path;
    int directory; /* of files that have numbers for names; or the one file that is read */
    uint64_t count, size;
    bool sync;
    double seconds;
    uint64_t threads;
};

struct worker {
    const struct job *job;
    void (*one)(struct worker *w, uint64_t number);
    pthread_t thread;
    uint64_t first, end; /* the numbers it has */
    uint64_t operations, bytes;
    uint32_t *times_us;
    size_t timed;
    char *buffer;
    uint64_t random;
};

static _Noreturn void fail(const char *what)
{
    fprintf(stderr, "sluice-files: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void must(bool ok, const char *what)
{
    if (!ok)
        fail(what);
}

static void read_all(struct worker *w, int fd, uint64_t size, uint64_t offset)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t got = pread(fd, w->buffer + done, size - done, (off_t)(offset + done));
        must(got > 0, "read");
        done += (uint64_t)got;
    }
    w->bytes += size;
}

static void write_all(struct worker *w, int fd, uint64_t size)
{
    for (uint64_t done = 0; done < size;) {
        ssize_t put = write(fd, w->buffer + done, size - done);
        must(put > 0, "write");
        done += (uint64_t)put;
    }
    w->bytes += size;
}

/* Small files */

static void name_of(uint64_t number, char out[32])
{
    (void)snprintf(out, 32, "%08" PRIu64, number);
}

static void create_one(struct worker *w, uint64_t number)
{
    char name[32];
    name_of(number, name);
    int fd = openat(w->job->directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    must(fd >= 0, "create");
    write_all(w, fd, w->job->size);
    must(!w->job->sync || (fsync(fd) == 0 && fsync(w->job->directory) == 0), "fsync");
    must(close(fd) == 0, "close");
    w->operations++;
}

static void read_one(struct worker *w, uint64_t number)
{
    char name[32];
    name_of(number, name);
    int fd = openat(w->job->directory, name, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, "open");
    read_all(w, fd, w->job->size, 0);
    must(close(fd) == 0, "close");
    w->operations++;
}

static void stat_one(struct worker *w, uint64_t number)
{
    char name[32];
    struct stat st;
    name_of(number, name);
    must(fstatat(w->job->directory, name, &st, 0) == 0, "stat");
    w->operations++;
}

static void unlink_one(struct worker *w, uint64_t number)
{
    char name[32];
    name_of(number, name);
    must(unlinkat(w->job->directory, name, 0) == 0, "unlink");
    w->operations++;
}

static void list_all(struct worker *w, uint64_t number)
{
    DIR *dir = opendir(w->job->path);
    must(dir != NULL, "opendir");
    struct stat st;
    for (const struct dirent *e; (errno = 0, e = readdir(dir)) != NULL; w->operations++)
        must(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0, "stat");
    must(errno == 0, "readdir");
    must(closedir(dir) == 0, "closedir");
    (void)number;
}

/* One large file */

static void write_large(struct worker *w, uint64_t number)
{
    int fd = open(w->job->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd >= 0, w->job->path);
    for (uint64_t at = 0; at < w->job->size; at += PIECE_BYTES)
        write_all(w, fd, w->job->size - at < PIECE_BYTES ? w->job->size - at : PIECE_BYTES);
    must(!w->job->sync || fsync(fd) == 0, "fsync");
    must(close(fd) == 0, "close");
    w->operations++;
    (void)number;
}

static void scan_large(struct worker *w, uint64_t number)
{
    int fd = open(w->job->path, O_RDONLY | O_CLOEXEC);
    must(fd >= 0, w->job->path);
    for (uint64_t at = 0; at < w->job->size; at += PIECE_BYTES)
        read_all(w, fd, w->job->size - at < PIECE_BYTES ? w->job->size - at : PIECE_BYTES, at);
    must(close(fd) == 0, "close");
    w->operations++;
    (void)number;
}

static void random_one(struct worker *w, uint64_t number)
{
    /* xorshift64: what is read next must not be foreseen by any read-ahead. */
    w->random ^= w->random << 13;
    w->random ^= w->random >> 7;
    w->random ^= w->random << 17;
    read_all(w, w->job->directory, w->job->size, w->random % (w->job->count) * w->job->size);
    w->operations++;
    (void)number;
}

/* Running */

static void *work(void *arg)
{
    struct worker *w = arg;
    uint64_t end_ns = w->job->seconds > 0 ? clock_mono_ns() + (uint64_t)(w->job->seconds * 1e9) : UINT64_MAX;
    for (uint64_t i = w->first, before = clock_mono_ns(); i < w->end && before < end_ns; i++) {
        w->one(w, i);
        uint64_t now = clock_mono_ns();
        if (w->timed < TIMES_MAX)
            w->times_us[w->timed++] = (uint32_t)((now - before) / 1000);
        before = now;
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static uint32_t percentile_us(const struct worker *workers, uint64_t count, double share)
{
    size_t total = 0;
    uint32_t *all = malloc(count * TIMES_MAX * sizeof(*all));
    CHECK(all != NULL);
    for (uint64_t i = 0; i < count; i++) {
        size_t n = workers[i].timed;
        memcpy(all + total, workers[i].times_us, n * sizeof(*all));
        total += n;
    }
    qsort(all, total, sizeof(*all), compare);
    uint32_t value = total > 0 ? all[(size_t)((double)(total - 1) * share)] : 0;
    free(all);
    return value;
}

static double cpu_s(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(const struct job *job, uint64_t numbers, void (*one)(struct worker *, uint64_t))
{
    static struct worker workers[THREADS_MAX];
    uint64_t start_ns = clock_mono_ns(), operations = 0, bytes = 0;
    uint64_t buffer = job->size > PIECE_BYTES ? PIECE_BYTES : job->size + 1;
    for (uint64_t i = 0; i < job->threads; i++) {
        struct worker *w = &workers[i];
        *w = (struct worker){.job = job, .one = one, .first = numbers / job->threads * i};
        w->end = w->first + numbers / job->threads;
        w->times_us = calloc(TIMES_MAX, sizeof(*w->times_us));
        w->buffer = aligned_alloc(ALIGNMENT, (buffer + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
        w->random = 0x9e3779b97f4a7c15u * (i + 1) ^ start_ns;
        CHECK(w->times_us && w->buffer);
        memset(w->buffer, 'x', buffer);
        for (uint64_t at = 0; at + 8 <= buffer; at += 512)
            memcpy(w->buffer + at, &at, 8);
        CHECK(pthread_create(&w->thread, NULL, work, w) == 0);
    }
    for (uint64_t i = 0; i < job->threads; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        operations += workers[i].operations;
        bytes += workers[i].bytes;
    }
    double seconds = (double)(clock_mono_ns() - start_ns) / 1e9;
    printf("{\"requests\":%" PRIu64 ",\"failures\":0,\"bytes\":%" PRIu64 ",\"seconds\":%.6f,\"client_cpu\":%.6f,"
           "\"p99_us\":%u}\n", operations, bytes, seconds, cpu_s(), percentile_us(workers, job->threads, 0.99));
    for (uint64_t i = 0; i < job->threads; i++) {
        free(workers[i].times_us);
        free(workers[i].buffer);
    }
}

static uint64_t number(const char *text)
{
    uint64_t value;
    if (!text || !str_parse_size(str_z(text), &value)) {
        fprintf(stderr, "sluice-files: %s is no number\n", text ? text : "nothing");
        exit(2);
    }
    return value;
}

/* Verbs whose files have numbers. */
static bool run_small(struct job *job, const char *verb, char **argv)
{
    static const struct {
        const char *verb;
        void (*one)(struct worker *, uint64_t);
    } verbs[] = {{"create", create_one}, {"read", read_one}, {"stat", stat_one}, {"unlink", unlink_one}};
    for (size_t i = 0; i < ARRAY_SIZE(verbs); i++) {
        if (strcmp(verb, verbs[i].verb) != 0)
            continue;
        job->count = number(argv[0]);
        job->size = number(argv[1]);
        job->threads = number(argv[2]);
        job->sync = argv[3] != NULL;
        job->directory = open(job->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        must(job->directory >= 0, job->path);
        run(job, job->count, verbs[i].one);
        return true;
    }
    return false;
}

static void run_random(struct job *job, char **argv)
{
    struct stat st;
    job->directory = open(job->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    must(job->directory >= 0 && fstat(job->directory, &st) == 0, job->path);
    job->size = number(argv[0]);
    job->count = (uint64_t)st.st_size / job->size;
    job->seconds = atof(argv[1]);
    job->threads = number(argv[2]);
    run(job, TIMES_MAX * job->threads, random_one);
}

int main(int argc, char **argv)
{
    char *none[] = {NULL, NULL, NULL, NULL};
    char **rest = argc >= 6 ? argv + 3 : none;
    if (argc < 3)
        return fprintf(stderr, "usage: see tests/bench/files.c\n"), 2;
    struct job job = {.path = argv[2], .threads = 1};
    const char *verb = argv[1];
    if (strcmp(verb, "list") == 0) {
        run(&job, 1, list_all);
    } else if (argc >= 4 && (strcmp(verb, "write") == 0 || strcmp(verb, "scan") == 0)) {
        job.size = number(argv[3]);
        job.sync = argc > 4;
        run(&job, 1, verb[0] == 'w' ? write_large : scan_large);
    } else if (strcmp(verb, "random") == 0 && rest[2]) {
        run_random(&job, rest);
    } else if (!rest[2] || !run_small(&job, verb, rest)) {
        return fprintf(stderr, "usage: see tests/bench/files.c\n"), 2;
    }
    return 0;
}
