#include "s3api/upload_page.h"

#include <stdlib.h>

#include "base/check.h"

void s3_upload_page_init(struct s3_upload_page *p, size_t max)
{
    *p = (struct s3_upload_page){.max = max};
    p->rows = calloc(max + 1, sizeof(*p->rows));
    CHECK(p->rows != NULL); /* out of memory */
}

static struct str row_id(const struct s3_upload_row *row)
{
    return row->is_prefix ? STR_EMPTY : str_of(row->id, sizeof(row->id));
}

/* The first row that does not come before (key, id). */
static size_t find(const struct s3_upload_page *p, struct str key, struct str id)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_cmp(p->rows[middle]->key, key);
        if (order == 0)
            order = str_cmp(row_id(p->rows[middle]), id);
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct s3_upload_row *row_new(struct str key, struct str id)
{
    struct s3_upload_row *row = malloc(sizeof(*row) + key.len);
    CHECK(row != NULL); /* out of memory */
    char *text = (char *)(row + 1);
    memcpy(text, key.ptr, key.len);
    row->key = str_of(text, key.len);
    row->is_prefix = id.len == 0;
    if (!row->is_prefix)
        memcpy(row->id, id.ptr, sizeof(row->id));
    return row;
}

void s3_upload_page_add(struct s3_upload_page *p, struct str key, struct str id)
{
    CHECK(id.len == 0 || id.len == S3_UPLOAD_ID_LEN);
    size_t at = find(p, key, id);
    if (at < p->count && str_eq(p->rows[at]->key, key) && str_eq(row_id(p->rows[at]), id))
        return;
    if (at == p->max) {
        p->is_truncated = true;
        return;
    }
    if (p->count == p->max) {
        p->is_truncated = true;
        free(p->rows[--p->count]);
    }
    memmove(p->rows + at + 1, p->rows + at, (p->count - at) * sizeof(p->rows[0]));
    p->rows[at] = row_new(key, id);
    p->count++;
}

void s3_upload_page_done(struct s3_upload_page *p)
{
    while (p->count > 0)
        free(p->rows[--p->count]);
    free(p->rows);
    p->rows = NULL;
}
