/* Sorting by the eight bytes behind what all names have in common, as one number; names are looked at only when those are
 * equal. */
#include <stdlib.h>

#include "base/check.h"
#include "vfs/dir/view_internal.h"

struct sort_item {
    uint64_t key;
    uint32_t offset;
};

static struct str name_at(const struct view *w, uint32_t offset)
{
    return record_extended(w->records + offset);
}

static size_t common_prefix(const struct view *w)
{
    struct str first = name_at(w, w->offsets[0]);
    size_t common = first.len;
    for (size_t i = 1; i < w->count && common > 0; i++) {
        struct str name = name_at(w, w->offsets[i]);
        size_t same = 0;
        while (same < common && same < name.len && name.ptr[same] == first.ptr[same])
            same++;
        common = same;
    }
    return common;
}

static uint64_t key_of(struct str name)
{
    uint64_t key = 0;
    for (size_t i = 0; i < sizeof(key); i++)
        key = key << 8 | (i < name.len ? (unsigned char)name.ptr[i] : 0);
    return key;
}

static int compare_items(const void *a, const void *b, void *view)
{
    const struct sort_item *x = a, *y = b;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return str_cmp(name_at(view, x->offset), name_at(view, y->offset));
}

void view_sort(struct view *w)
{
    if (w->count < 2)
        return;
    struct sort_item *items = reallocarray(NULL, w->count, sizeof(*items));
    CHECK(items != NULL);
    size_t common = common_prefix(w);
    for (size_t i = 0; i < w->count; i++)
        items[i] = (struct sort_item){key_of(str_from(name_at(w, w->offsets[i]), common)), w->offsets[i]};
    qsort_r(items, w->count, sizeof(*items), compare_items, w);
    size_t unique = 0;
    for (size_t i = 0; i < w->count; i++) {
        if (i == 0 || compare_items(&items[i - 1], &items[i], w) != 0)
            w->offsets[unique++] = items[i].offset;
    }
    w->count = unique;
    free(items);
}
