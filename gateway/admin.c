#include "gateway/admin.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/metrics.h"
#include "gateway/conn.h"
#include "gateway/health.h"

#define METRICS_BYTES_MAX (16 * 1024 * 1024)
#define TEXT_BYTES_MAX (64 * 1024)

/* Answers */

static void text_answer(struct gw_answer *out, int status, const char *text)
{
    *out = (struct gw_answer){.status = status, .content_type = "text/plain; charset=utf-8", .body = buf_make(TEXT_BYTES_MAX)};
    buf_addz(&out->body, text);
}

static void answer_live(struct gw_health *h, struct str query, struct gw_answer *out)
{
    (void)query;
    bool live = gw_health_is_live(h);
    text_answer(out, live ? 200 : 503, live ? "ok\n" : "an event loop is stuck\n");
}

static void answer_ready(struct gw_health *h, struct str query, struct gw_answer *out)
{
    bool ready = gw_health_is_ready(h);
    text_answer(out, ready ? 200 : 503, "");
    if (str_starts(query, STR("verbose"))) {
        out->content_type = "application/json";
        gw_health_write(h, &out->body);
        return;
    }
    buf_addz(&out->body, ready ? "ready\n" : "not ready (see /readyz?verbose)\n");
}

static void answer_metrics(struct gw_health *h, struct str query, struct gw_answer *out)
{
    (void)h;
    (void)query;
    *out = (struct gw_answer){.status = 200,
                              .content_type = "text/plain; version=0.0.4; charset=utf-8",
                              .body = buf_make(METRICS_BYTES_MAX)};
    metrics_write(&out->body);
}

/* MinIO's probes read the status only. */
static void answer_minio_live(struct gw_health *h, struct str query, struct gw_answer *out)
{
    answer_live(h, query, out);
    out->body.len = 0;
}

static void answer_minio_ready(struct gw_health *h, struct str query, struct gw_answer *out)
{
    answer_ready(h, query, out);
    out->body.len = 0;
}

struct route {
    const char *path;
    void (*answer)(struct gw_health *h, struct str query, struct gw_answer *out);
};

static const struct route admin_routes[] = {
    {"/healthz", answer_live},
    {"/readyz", answer_ready},
    {"/metrics", answer_metrics},
};

static const struct route minio_routes[] = {
    {"/minio/health/live", answer_minio_live},
    {"/minio/health/ready", answer_minio_ready},
    {"/minio/health/cluster", answer_minio_ready},
    {"/minio/health/cluster/read", answer_minio_ready},
};

static bool answer_route(const struct route *routes, size_t count, struct gw_health *h, const struct http_head *head,
                         struct gw_answer *out)
{
    struct str path, query;
    http_split_target(head->target, &path, &query);
    if (!str_is(head->method, "GET") && !str_is(head->method, "HEAD"))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (str_is(path, routes[i].path)) {
            routes[i].answer(h, query, out);
            return true;
        }
    }
    return false;
}

bool gw_admin_answer(void *data, const struct http_head *head, struct gw_answer *out)
{
    if (!answer_route(admin_routes, ARRAY_SIZE(admin_routes), data, head, out))
        text_answer(out, 404, "sluice admin: GET /healthz, /readyz, /readyz?verbose or /metrics\n");
    return true;
}

bool gw_admin_answer_minio(void *data, const struct http_head *head, struct gw_answer *out)
{
    if (!str_starts(head->target, STR("/minio/health/")))
        return false;
    return answer_route(minio_routes, ARRAY_SIZE(minio_routes), data, head, out);
}

/* The process */

static double read_resident(void *data)
{
    (void)data;
    char text[128];
    CLEANUP(fd_closep) int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t len = fd >= 0 ? fd_pread_full(fd, text, sizeof(text) - 1, 0) : 0;
    text[len > 0 ? len : 0] = '\0';
    unsigned long long size = 0, resident = 0;
    if (sscanf(text, "%llu %llu", &size, &resident) != 2)
        return 0;
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

static double read_fds(void *data)
{
    (void)data;
    struct stat st;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (double)st.st_size; /* since Linux 6.2 */
    DIR *dir = opendir("/proc/self/fd");
    if (!dir)
        return 0;
    double count = -3; /* ".", ".." and the directory itself */
    while (readdir(dir))
        count++;
    closedir(dir);
    return count;
}

static double read_start(void *data)
{
    return *(const double *)data;
}

static double read_one(void *data)
{
    (void)data;
    return 1;
}

void gw_admin_show_process(void)
{
    static double start_s;
    start_s = (double)clock_wall_ns() / 1e9;
    metric_callback(METRIC_GAUGE, "process_resident_memory_bytes", "", "Resident memory.", read_resident, NULL);
    metric_callback(METRIC_GAUGE, "process_open_fds", "", "Open file descriptors.", read_fds, NULL);
    metric_callback(METRIC_GAUGE, "process_start_time_seconds", "", "Start, in seconds since 1970.", read_start, &start_s);
    metric_callback(METRIC_GAUGE, "sluice_build_info", "version=\"" SLUICE_VERSION "\"", "The version that runs.",
                    read_one, NULL);
}
