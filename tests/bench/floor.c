/* sluice-floor: what the kernel alone can do, to measure servers by.
 *   sluice-floor read FILE RANGE-SIZE SECONDS        pread into one buffer, as a program that reads a model's weights does
 *   sluice-floor sendfile FILE RANGE-SIZE SECONDS    sendfile into a loopback connection whose other end drops the bytes
 *   sluice-floor put FILE SIZE SECONDS               FILE written anew and synced, with its directory, one after the other
 *   sluice-floor write FILE SIZE SECONDS             FILE written anew, not synced, at least once
 *   sluice-floor md5 - SIZE SECONDS                  MD5 of that many bytes in memory, by one core, at least once
 * One line of JSON: ranges, bytes, seconds, processor seconds of the thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fd.h"

struct floor {
    const char *path;
    int file, socket, directory;
    uint64_t file_size, range_size;
    char *buffer;
};

static void freep(char **memory)
{
    free(*memory);
}

static void read_range(struct floor *f, uint64_t offset)
{
    CHECK(fd_pread_full(f->file, f->buffer, (size_t)f->range_size, offset) == (ssize_t)f->range_size);
}

static void send_range(struct floor *f, uint64_t offset)
{
    off_t at = (off_t)offset;
    for (uint64_t left = f->range_size; left > 0;) {
        ssize_t put = sendfile(f->socket, f->file, &at, (size_t)left);
        CHECK(put > 0);
        left -= (uint64_t)put;
    }
}

/* What makes one object durable by itself. */
static void put_file(struct floor *f, uint64_t offset)
{
    CLEANUP(fd_closep) int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)offset;
    CHECK(fd >= 0 && fd_write_all(fd, f->buffer, (size_t)f->range_size) == 0 && fsync(fd) == 0);
    CHECK(fsync(f->directory) == 0);
    CHECK(unlink(f->path) == 0);
}

#define PIECE_BYTES (1024 * 1024)

static void write_file(struct floor *f, uint64_t offset)
{
    CLEANUP(fd_closep) int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    (void)offset;
    CHECK(fd >= 0);
    for (uint64_t left = f->range_size, size; left > 0; left -= size) {
        size = left < PIECE_BYTES ? left : PIECE_BYTES;
        CHECK(fd_write_all(fd, f->buffer, (size_t)size) == 0);
    }
    CHECK(unlink(f->path) == 0);
}

static void hash_bytes_of_object(struct floor *f, uint64_t offset)
{
    struct digest *d = digest_new(DIGEST_MD5);
    uint8_t out[DIGEST_SIZE_MAX];
    (void)offset;
    for (uint64_t left = f->range_size, size; left > 0; left -= size) {
        size = left < PIECE_BYTES ? left : PIECE_BYTES;
        digest_update(d, str_of(f->buffer, (size_t)size));
    }
    digest_final(d, out);
    digest_free(d);
}

static void *drop_main(void *arg)
{
    int fd = *(int *)arg;
    while (recv(fd, NULL, 1024 * 1024, MSG_TRUNC) > 0)
        ;
    (void)close(fd);
    return NULL;
}

/* A connected pair over the loopback device. */
static void connect_pair(int *out_sender, int *out_receiver)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&at, size) == 0 && listen(listener, 1) == 0);
    CHECK(getsockname(listener, (struct sockaddr *)&at, &size) == 0);
    *out_sender = socket(AF_INET, SOCK_STREAM, 0);
    CHECK(*out_sender >= 0 && connect(*out_sender, (struct sockaddr *)&at, size) == 0);
    *out_receiver = accept(listener, NULL, NULL);
    CHECK(*out_receiver >= 0);
    (void)close(listener);
}

static double thread_cpu_s(void)
{
    struct timespec t;
    CHECK(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void run(struct floor *f, void (*one)(struct floor *, uint64_t), double seconds)
{
    uint64_t start_ns = clock_mono_ns(), end_ns = start_ns + (uint64_t)(seconds * 1e9), count = 0, now_ns = start_ns;
    double cpu_s = thread_cpu_s();
    uint64_t whole = f->file_size - f->file_size % f->range_size;
    for (; now_ns < end_ns; now_ns = clock_mono_ns(), count++)
        one(f, count * f->range_size % whole);
    printf("{\"requests\":%llu,\"failures\":0,\"bytes\":%llu,\"seconds\":%.6f,\"cpu\":%.6f}\n", (unsigned long long)count,
           (unsigned long long)(count * f->range_size), (double)(now_ns - start_ns) / 1e9, thread_cpu_s() - cpu_s);
}

static void run_sendfile(struct floor *f, double seconds)
{
    int receiver;
    pthread_t dropper;
    connect_pair(&f->socket, &receiver);
    CHECK(pthread_create(&dropper, NULL, drop_main, &receiver) == 0);
    run(f, send_range, seconds);
    (void)close(f->socket);
    CHECK(pthread_join(dropper, NULL) == 0);
}

static int fail(const char *path, const char *reason)
{
    fprintf(stderr, "%s: %s\n", path, reason);
    return 1;
}

int main(int argc, char **argv)
{
    struct floor f = {.path = argv[2], .socket = -1};
    struct str mode = str_z(argv[1]);
    struct stat st;
    if (argc != 5 || !str_parse_size(str_z(argv[3]), &f.range_size) || f.range_size == 0)
        return fail("usage", "sluice-floor read|sendfile|put|write|md5 FILE SIZE SECONDS");
    bool in_pieces = str_is(mode, "md5") || str_is(mode, "write");
    CLEANUP(freep) char *buffer = f.buffer = calloc(1, in_pieces ? PIECE_BYTES : (size_t)f.range_size);
    CHECK(buffer != NULL);
    if (in_pieces) {
        f.file_size = f.range_size;
        run(&f, str_is(mode, "md5") ? hash_bytes_of_object : write_file, atof(argv[4]));
        return 0;
    }
    if (str_is(mode, "put")) {
        CLEANUP(freep) char *path = strdup(f.path);
        f.file_size = f.range_size;
        f.directory = open(dirname(path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (f.directory < 0)
            return fail(f.path, strerror(errno));
        run(&f, put_file, atof(argv[4]));
        return 0;
    }
    f.file = open(f.path, O_RDONLY | O_CLOEXEC);
    if (f.file < 0 || fstat(f.file, &st) < 0)
        return fail(f.path, strerror(errno));
    if ((uint64_t)st.st_size < f.range_size)
        return fail(f.path, "shorter than a range");
    f.file_size = (uint64_t)st.st_size;
    if (str_is(mode, "read"))
        run(&f, read_range, atof(argv[4]));
    else
        run_sendfile(&f, atof(argv[4]));
    return 0;
}
