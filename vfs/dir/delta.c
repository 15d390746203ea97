#include "vfs/dir/delta.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/check.h"
#include "vfs/dir/view_internal.h"

struct change {
    const char *record; /* as in a view */
    bool is_there;
};

struct delta {
    atomic_uint refs;
    size_t count;
    struct change *by_name; /* plain names, in order */
    size_t there_count;
    const char **there; /* records of what is there, in the order of scans */
    char *records;      /* what the above point into */
    size_t records_size;
};

/* Names */

void names_add(struct names *n, struct str name)
{
    CHECK(name.len <= UINT8_MAX);
    if (n->size + 1 + name.len > n->capacity) {
        n->capacity = n->capacity ? n->capacity * 2 : 1024;
        n->bytes = realloc(n->bytes, n->capacity);
        CHECK(n->bytes != NULL);
    }
    n->bytes[n->size] = (char)name.len;
    memcpy(n->bytes + n->size + 1, name.ptr, name.len);
    n->size += 1 + name.len;
    n->count++;
}

void names_done(struct names *n)
{
    free(n->bytes);
    *n = (struct names){0};
}

static struct str names_next(const struct names *n, size_t *at)
{
    struct str name = str_of(n->bytes + *at + 1, (unsigned char)n->bytes[*at]);
    *at += 1 + name.len;
    return name;
}

/* Making */

static int compare_records(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    int order = str_cmp(record_name(x->record), record_name(y->record));
    if (order != 0)
        return order;
    /* The same name twice: what was added later lies behind, and comes first here, to be the one that counts. */
    return x->record > y->record ? -1 : x->record < y->record;
}

static int compare_extended(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return str_cmp(record_extended(*x), record_extended(*y));
}

static void add_change(struct delta *d, const char *head, struct str name, bool is_there)
{
    char *record = d->records + d->records_size;
    memcpy(record, head, RECORD_HEAD);
    memcpy(record + RECORD_HEAD, name.ptr, name.len);
    if (record[0] == ENTRY_DIRECTORY)
        record[RECORD_HEAD + name.len] = '/';
    d->records_size += record_size(record);
    d->by_name[d->count++] = (struct change){record, is_there};
}

static void add_current(struct delta *d, int dir_fd, struct str name)
{
    enum entry_kind kind = ENTRY_FILE;
    bool is_there = view_kind_now(dir_fd, name, &kind);
    const char head[RECORD_HEAD] = {(char)kind, (char)name.len};
    add_change(d, head, name, is_there);
}

static bool has_name(const struct delta *d, struct str name)
{
    size_t low = 0, high = d ? d->count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(record_name(d->by_name[middle].record), name);
        if (order == 0)
            return true;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return false;
}

/* The view's record of that extended name. */
static const char *find_record(const struct view *view, struct str extended)
{
    size_t index = view_find(view, extended);
    const char *record = index < view_count(view) ? view_record(view, index) : NULL;
    return record && str_eq(record_extended(record), extended) ? record : NULL;
}

/* Most changes of a busy directory make no difference: files are replaced by files, temporary names come and go. */
static bool is_as_in_view(const struct view *view, const struct change *c)
{
    char text[NAME_MAX + 1];
    struct str name = record_name(c->record);
    memcpy(text, name.ptr, name.len);
    text[name.len] = '/';
    const char *plain = find_record(view, name), *dir = find_record(view, str_of(text, name.len + 1));
    if (!c->is_there)
        return !plain && !dir;
    if (c->record[0] == ENTRY_DIRECTORY)
        return dir && !plain;
    return plain && !dir && plain[0] == c->record[0];
}

/* One change a name, the latest; and of those only what differs from the view. */
static void make_unique(struct delta *d, const struct view *view)
{
    qsort(d->by_name, d->count, sizeof(*d->by_name), compare_records);
    size_t count = 0;
    const char *last = NULL;
    for (size_t i = 0; i < d->count; i++) {
        const struct change *c = &d->by_name[i];
        if (last && str_eq(record_name(last), record_name(c->record)))
            continue;
        last = c->record;
        if (is_as_in_view(view, c))
            continue;
        d->by_name[count++] = *c;
        if (c->is_there)
            d->there[d->there_count++] = c->record;
    }
    d->count = count;
    qsort(d->there, d->there_count, sizeof(*d->there), compare_extended);
}

struct delta *delta_new(const struct delta *old, const struct view *view, int dir_fd, const struct names *changed)
{
    struct delta *d = calloc(1, sizeof(*d));
    CHECK(d != NULL);
    atomic_init(&d->refs, 1);
    size_t count_max = delta_count(old) + changed->count;
    /* A name becomes a record of at most RECORD_HEAD and one byte more, of which one was its length. */
    d->records = malloc((old ? old->records_size : 0) + changed->size + changed->count * RECORD_HEAD + 1);
    d->by_name = calloc(count_max + 1, sizeof(*d->by_name));
    d->there = calloc(count_max + 1, sizeof(*d->there));
    CHECK(d->records != NULL && d->by_name != NULL && d->there != NULL);
    for (size_t i = 0; i < delta_count(old); i++) {
        const struct change *c = &old->by_name[i];
        add_change(d, c->record, record_name(c->record), c->is_there);
    }
    for (size_t at = 0; at < changed->size;)
        add_current(d, dir_fd, names_next(changed, &at));
    make_unique(d, view);
    return d;
}

struct delta *delta_ref(struct delta *d)
{
    if (d)
        atomic_fetch_add(&d->refs, 1);
    return d;
}

void delta_unref(struct delta *d)
{
    if (!d || atomic_fetch_sub(&d->refs, 1) > 1)
        return;
    free(d->by_name);
    free(d->there);
    free(d->records);
    free(d);
}

size_t delta_count(const struct delta *d)
{
    return d ? d->count : 0;
}

size_t delta_bytes(const struct delta *d)
{
    return d ? sizeof(*d) + d->records_size + d->count * (sizeof(*d->by_name) + sizeof(*d->there)) : 0;
}

/* Walking */

static size_t find_there(const struct delta *d, struct str from)
{
    size_t low = 0, high = d ? d->there_count : 0;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (str_cmp(record_extended(d->there[middle]), from) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct cursor cursor_start(const struct view *view, const struct delta *delta, struct str from)
{
    return (struct cursor){view, delta, view_find(view, from), find_there(delta, from)};
}

bool cursor_next(struct cursor *c, struct str *out_name, enum entry_kind *out_kind)
{
    const char *of_view = NULL, *of_delta = NULL;
    while (c->at < view_count(c->view)) {
        of_view = view_record(c->view, c->at);
        if (!has_name(c->delta, record_name(of_view)))
            break;
        of_view = NULL;
        c->at++;
    }
    if (c->delta && c->delta_at < c->delta->there_count)
        of_delta = c->delta->there[c->delta_at];
    if (!of_view && !of_delta)
        return false;
    bool takes_delta = !of_view || (of_delta && str_cmp(record_extended(of_delta), record_extended(of_view)) < 0);
    const char *record = takes_delta ? of_delta : of_view;
    if (takes_delta)
        c->delta_at++;
    else
        c->at++;
    *out_name = record_name(record);
    *out_kind = (enum entry_kind)record[0];
    return true;
}
