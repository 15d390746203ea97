/* .stats (format §10.3): the process's metrics as `name value` lines, labels made part of the name; and before them, under the
 * names of JuiceFS, those that its tools look at. What has such a name already is in the text anyway. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"
#include "base/metrics.h"
#include "vfs/fuse/fuse_internal.h"

#define STATM_BYTES_MAX 256

/* JuiceFS's name, and the sum that it is: of all our series of that name whose labels have `with` in them. */
static const struct {
    const char *name, *ours, *with;
} sums[] = {
    {"juicefs_fuse_ops_durations_histogram_seconds_total", "sluice_fuse_operation_seconds_count", ""},
    {"juicefs_fuse_ops_durations_histogram_seconds_sum", "sluice_fuse_operation_seconds_sum", ""},
    {"juicefs_fuse_read_size_bytes_sum", "sluice_fuse_read_bytes_total", ""},
    {"juicefs_fuse_read_size_bytes_total", "sluice_fuse_operation_seconds_count", "\"read\""},
    {"juicefs_fuse_written_size_bytes_sum", "sluice_fuse_written_bytes_total", ""},
    {"juicefs_fuse_written_size_bytes_total", "sluice_fuse_operation_seconds_count", "\"write\""},
    {"juicefs_meta_ops_durations_histogram_seconds_total", "sluice_meta_transaction_seconds_count", ""},
    {"juicefs_meta_ops_durations_histogram_seconds_sum", "sluice_meta_transaction_seconds_sum", ""},
    {"juicefs_transaction_durations_histogram_seconds_total", "sluice_meta_transaction_seconds_count", ""},
    {"juicefs_transaction_durations_histogram_seconds_sum", "sluice_meta_transaction_seconds_sum", ""},
    {"juicefs_transaction_restart", "sluice_meta_transaction_restarts_total", ""},
    {"juicefs_used_buffer_size_bytes", "sluice_data_write_bytes", ""},
    {"juicefs_store_cache_size_bytes", "sluice_data_cache_bytes", ""},
    {"juicefs_object_request_data_bytes_GET", "sluice_store_read_bytes_total", ""},
    {"juicefs_object_request_data_bytes_PUT", "sluice_store_written_bytes_total", ""},
    {"juicefs_object_request_durations_histogram_seconds_GET_total", "sluice_store_request_seconds_count", "\"GET\""},
    {"juicefs_object_request_durations_histogram_seconds_GET_sum", "sluice_store_request_seconds_sum", "\"GET\""},
    {"juicefs_object_request_durations_histogram_seconds_PUT_total", "sluice_store_request_seconds_count", "\"PUT\""},
    {"juicefs_object_request_durations_histogram_seconds_PUT_sum", "sluice_store_request_seconds_sum", "\"PUT\""},
    {"juicefs_object_request_durations_histogram_seconds_DELETE_total", "sluice_store_request_seconds_count", "\"DELETE\""},
    {"juicefs_object_request_durations_histogram_seconds_DELETE_sum", "sluice_store_request_seconds_sum", "\"DELETE\""},
    {"juicefs_object_request_errors", "sluice_store_errors_total", ""},
};

/* A line of the Prometheus text: `name value` or `name{labels} value`. The value ends at the line's NUL or newline. */
static void add_to_sums(struct str line, double values[ARRAY_SIZE(sums)])
{
    ptrdiff_t space = str_rfind_char(line, ' '), brace = str_find_char(line, '{');
    if (space < 0)
        return;
    struct str name = str_first(line, (size_t)(brace >= 0 ? brace : space));
    struct str labels = brace >= 0 ? str_from(str_first(line, (size_t)space), (size_t)brace) : STR_EMPTY;
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++) {
        if (str_is(name, sums[i].ours) && str_find(labels, str_z(sums[i].with)) >= 0)
            values[i] += strtod(line.ptr + space + 1, NULL);
    }
}

/* name{label="value"} 1 becomes name_label_value 1. */
static void add_flat(struct buf *out, struct str line)
{
    bool in_value = false;
    for (size_t i = 0; i < line.len; i++) {
        char c = line.ptr[i];
        if (c == '{' || c == ',' || c == '}') {
            in_value = false;
            if (c != '}')
                buf_addc(out, '_');
        } else if (c == '"') {
            in_value = !in_value;
        } else if (in_value || c != '=') {
            buf_addc(out, c);
        } else {
            buf_addc(out, '_');
        }
    }
    buf_addc(out, '\n');
}

static uint64_t resident_bytes(void)
{
    CLEANUP(buf_done) struct buf text = buf_make(STATM_BYTES_MAX);
    unsigned long long whole = 0, resident = 0;
    if (fd_read_file(AT_FDCWD, "/proc/self/statm", &text) < 0 || sscanf(buf_z(&text), "%llu %llu", &whole, &resident) != 2)
        return 0;
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void add_process(const struct vfuse *v, struct buf *out)
{
    struct rusage used;
    if (getrusage(RUSAGE_SELF, &used) == 0)
        buf_addf(out, "juicefs_cpu_usage %.6f\n",
                 (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                     (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6);
    buf_addf(out, "juicefs_uptime %.6f\n", (double)(clock_mono_ns() - v->started_ns) / 1e9);
    buf_addf(out, "juicefs_memory %llu\n", (unsigned long long)resident_bytes());
}

void vfuse_add_stats(const struct vfuse *v, struct buf *out)
{
    CLEANUP(buf_done) struct buf text = buf_make(LIMIT_FUSE_VIRTUAL_BYTES), flat = buf_make(LIMIT_FUSE_VIRTUAL_BYTES);
    double values[ARRAY_SIZE(sums)] = {0};
    metrics_write(&text);
    struct str rest = buf_str(&text), line;
    while (rest.ptr && str_split(&rest, '\n', &line)) {
        if (line.len == 0 || line.ptr[0] == '#')
            continue;
        add_to_sums(line, values);
        add_flat(&flat, line);
    }
    add_process(v, out);
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++)
        buf_addf(out, "%s %.9g\n", sums[i].name, values[i]);
    buf_add(out, buf_str(&flat));
}
