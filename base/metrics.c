/* Invariant: families and series are only ever added, never freed: a metric's address is good for the process's life.
 */
#include "base/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mutex.h"

#define SLOT_COUNT 16
#define CELLS_PER_LINE 8 /* 64-byte cache lines */

/* Upper bounds of the buckets, with their text: formatting a double would say 0.00025 in its own ways. */
static const struct {
    uint64_t ns;
    const char *text;
} buckets[] = {
    {100000, "0.0001"},  {250000, "0.00025"}, {500000, "0.0005"},  {1000000, "0.001"},  {2500000, "0.0025"},
    {5000000, "0.005"},  {10000000, "0.01"},  {25000000, "0.025"}, {50000000, "0.05"},  {100000000, "0.1"},
    {250000000, "0.25"}, {500000000, "0.5"},  {1000000000, "1"},   {2500000000, "2.5"}, {5000000000, "5"},
    {10000000000, "10"}, {30000000000, "30"}, {60000000000, "60"},
};

/* Cells of a histogram's slot: one a bucket (not cumulative), one for +Inf, then the sum. */
#define CELL_INF ARRAY_SIZE(buckets)
#define CELL_SUM_NS (CELL_INF + 1)
#define HISTOGRAM_CELLS ((CELL_SUM_NS + CELLS_PER_LINE) / CELLS_PER_LINE * CELLS_PER_LINE)

typedef double (*read_fn)(void *data);

struct metric {
    struct list link; /* in its family */
    enum metric_kind kind;
    char *labels;
    size_t slot_cells;       /* distance of two slots */
    size_t slot_count;       /* 1 for gauges: a sum of slots could not be set */
    _Atomic uint64_t *cells; /* slot_count * slot_cells */
    bool is_callback;
    read_fn read; /* this and data: guarded by registry.lock */
    void *data;
};

struct family {
    struct list link; /* in the registry */
    enum metric_kind kind;
    char *name;
    char *help;
    struct list series;
};

static struct {
    struct mutex lock; /* guards all, except the cells */
    struct list families;
    struct map *by_name;   /* name -> family */
    struct map *by_series; /* name{labels} -> metric */
} registry = {.lock = MUTEX_INIT, .families = LIST_INIT(registry.families)};

/* Registration. Static functions here run with the registry's lock held. */

static char *dup_text(const char *text)
{
    char *copy = strdup(text);
    CHECK(copy != NULL); /* out of memory */
    return copy;
}

static struct family *family_get(enum metric_kind kind, const char *name, const char *help)
{
    struct family *f = map_get(registry.by_name, str_z(name));
    if (f) {
        CHECK(f->kind == kind);
        return f;
    }
    f = calloc(1, sizeof(*f));
    CHECK(f != NULL); /* out of memory */
    f->kind = kind;
    f->name = dup_text(name);
    f->help = dup_text(help);
    list_init(&f->series);
    list_push_back(&registry.families, &f->link);
    map_set(registry.by_name, str_z(name), f);
    return f;
}

static struct metric *metric_new(enum metric_kind kind, const char *labels, bool is_callback)
{
    struct metric *m = calloc(1, sizeof(*m));
    CHECK(m != NULL); /* out of memory */
    m->kind = kind;
    m->labels = dup_text(labels);
    m->is_callback = is_callback;
    if (is_callback)
        return m;
    m->slot_count = kind == METRIC_GAUGE ? 1 : SLOT_COUNT;
    m->slot_cells = kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : CELLS_PER_LINE;
    size_t size = m->slot_count * m->slot_cells * sizeof(*m->cells);
    void *memory = aligned_alloc(CELLS_PER_LINE * sizeof(*m->cells), size);
    CHECK(memory != NULL); /* out of memory */
    m->cells = memset(memory, 0, size);
    return m;
}

static struct metric *series_get(enum metric_kind kind, const char *name, const char *labels, const char *help,
                                 bool is_callback)
{
    if (!registry.by_name) {
        registry.by_name = map_new();
        registry.by_series = map_new();
    }
    CLEANUP(buf_done) struct buf key = buf_make(4096);
    buf_addf(&key, "%s{%s}", name, labels);
    CHECK(!key.failed);
    struct family *f = family_get(kind, name, help);
    struct metric *m = map_get(registry.by_series, buf_str(&key));
    if (!m) {
        m = metric_new(kind, labels, is_callback);
        list_push_back(&f->series, &m->link);
        map_set(registry.by_series, buf_str(&key), m);
    }
    CHECK(m->is_callback == is_callback);
    return m;
}

struct metric *metric_get(enum metric_kind kind, const char *name, const char *labels, const char *help)
{
    mutex_lock(&registry.lock);
    struct metric *m = series_get(kind, name, labels, help, false);
    mutex_unlock(&registry.lock);
    return m;
}

void metric_callback(enum metric_kind kind, const char *name, const char *labels, const char *help,
                     double (*read)(void *data), void *data)
{
    CHECK(kind != METRIC_HISTOGRAM);
    mutex_lock(&registry.lock);
    struct metric *m = series_get(kind, name, labels, help, true);
    m->read = read;
    m->data = data;
    mutex_unlock(&registry.lock);
}

/* Updates */

static void cell_add(struct metric *m, size_t cell, uint64_t value)
{
    /* More threads than slots share, which is only slower. */
    size_t slot = m->slot_count > 1 ? thread_number() % SLOT_COUNT : 0;
    atomic_fetch_add_explicit(&m->cells[slot * m->slot_cells + cell], value, memory_order_relaxed);
}

void metric_add(struct metric *m, uint64_t value)
{
    DCHECK(m->kind == METRIC_COUNTER);
    cell_add(m, 0, value);
}

void metric_gauge_set(struct metric *m, int64_t value)
{
    DCHECK(m->kind == METRIC_GAUGE);
    atomic_store_explicit(&m->cells[0], (uint64_t)value, memory_order_relaxed);
}

void metric_gauge_add(struct metric *m, int64_t delta)
{
    DCHECK(m->kind == METRIC_GAUGE);
    cell_add(m, 0, (uint64_t)delta);
}

void metric_observe_ns(struct metric *m, uint64_t nanoseconds)
{
    CHECK(m->kind == METRIC_HISTOGRAM);
    size_t bucket = 0;
    while (bucket < ARRAY_SIZE(buckets) && nanoseconds > buckets[bucket].ns)
        bucket++;
    cell_add(m, bucket, 1);
    cell_add(m, CELL_SUM_NS, nanoseconds);
}

/* Text */

static uint64_t cell_sum(const struct metric *m, size_t cell)
{
    uint64_t sum = 0;
    for (size_t slot = 0; slot < m->slot_count; slot++)
        sum += atomic_load_explicit(&m->cells[slot * m->slot_cells + cell], memory_order_relaxed);
    return sum;
}

/* name_suffix{labels,extra} and a blank; without braces when there are no labels. */
static void add_series_name(struct buf *out, const char *name, const char *suffix, const char *labels,
                            const char *extra)
{
    buf_addz(out, name);
    buf_addz(out, suffix);
    if (*labels || *extra)
        buf_addf(out, "{%s%s%s}", labels, *labels && *extra ? "," : "", extra);
    buf_addc(out, ' ');
}

static void add_bucket(struct buf *out, const char *name, const struct metric *m, const char *bound, uint64_t count)
{
    char extra[32];
    int len = snprintf(extra, sizeof(extra), "le=\"%s\"", bound);
    CHECK(len > 0 && (size_t)len < sizeof(extra));
    add_series_name(out, name, "_bucket", m->labels, extra);
    buf_addf(out, "%" PRIu64 "\n", count);
}

/* The count is the sum of the buckets read just now, so that one scrape agrees with itself while others observe. */
static void write_histogram(struct buf *out, const char *name, const struct metric *m)
{
    uint64_t count = 0;
    for (size_t i = 0; i < ARRAY_SIZE(buckets); i++) {
        count += cell_sum(m, i);
        add_bucket(out, name, m, buckets[i].text, count);
    }
    count += cell_sum(m, CELL_INF);
    add_bucket(out, name, m, "+Inf", count);
    uint64_t sum_ns = cell_sum(m, CELL_SUM_NS);
    add_series_name(out, name, "_sum", m->labels, "");
    buf_addf(out, "%" PRIu64 ".%09" PRIu64 "\n", sum_ns / 1000000000, sum_ns % 1000000000);
    add_series_name(out, name, "_count", m->labels, "");
    buf_addf(out, "%" PRIu64 "\n", count);
}

static void write_series(struct buf *out, const char *name, const struct metric *m)
{
    if (m->kind == METRIC_HISTOGRAM) {
        write_histogram(out, name, m);
        return;
    }
    if (m->is_callback && !m->read)
        return;
    add_series_name(out, name, "", m->labels, "");
    if (m->is_callback)
        buf_addf(out, "%.15g\n", m->read(m->data));
    else if (m->kind == METRIC_COUNTER)
        buf_addf(out, "%" PRIu64 "\n", cell_sum(m, 0));
    else
        buf_addf(out, "%" PRId64 "\n", (int64_t)cell_sum(m, 0));
}

static void write_family(struct buf *out, const struct family *f)
{
    static const char *const kind_names[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, kind_names[f->kind]);
    list_for_each(link, &f->series) write_series(out, f->name, list_entry(link, struct metric, link));
}

void metrics_write(struct buf *out)
{
    mutex_lock(&registry.lock);
    list_for_each(link, &registry.families) write_family(out, list_entry(link, struct family, link));
    mutex_unlock(&registry.lock);
}

uint64_t metric_value_for_test(const struct metric *m)
{
    if (m->kind != METRIC_HISTOGRAM)
        return cell_sum(m, 0);
    uint64_t count = 0;
    for (size_t i = 0; i <= CELL_INF; i++)
        count += cell_sum(m, i);
    return count;
}
