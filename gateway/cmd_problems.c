#include "gateway/problems.h"

#include "base/encode.h"
#include "base/limits.h"
#include "vfs/jfs/admin.h"

#define LINE_MAX (LIMIT_META_PATH_BYTES * 8)

static void print(struct gw_problems *p, struct buf *text)
{
    gw_progress_print(p->view, buf_str(text));
    buf_done(text);
}

void gw_problems_begin(struct gw_problems *p)
{
    if (p->json)
        gw_progress_print(p->view, STR("{\"problems\": ["));
}

static void add_number(struct buf *out, const char *name, uint64_t value)
{
    if (value > 0)
        buf_addf(out, ", \"%s\": %llu", name, (unsigned long long)value);
}

static void add_text(struct buf *out, const char *name, struct str value)
{
    if (value.len == 0)
        return;
    buf_addf(out, ", \"%s\": ", name);
    buf_add_json(out, value);
}

static void add_json(struct buf *out, const struct jfs_problem *x)
{
    buf_addf(out, "{\"kind\": \"%s\"", x->kind);
    add_text(out, "path", x->path);
    add_number(out, "inode", x->inode);
    add_number(out, "slice", x->slice);
    add_text(out, "object", x->block);
    if (x->numbers)
        buf_addf(out, ", \"found\": %lld, \"expected\": %lld", (long long)x->found, (long long)x->expected);
    if (x->advice && !x->repaired)
        add_text(out, "advice", str_z(x->advice));
    buf_addf(out, ", \"repaired\": %s}", x->repaired ? "true" : "false");
}

/* Names of files may hold anything: what would move a terminal's cursor is shown as '?'. */
static void add_shown(struct buf *out, struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        buf_addc(out, c < 0x20 || c == 0x7f ? '?' : text.ptr[i]);
    }
}

static void add_line(struct buf *out, const struct gw_problems *p, const struct jfs_problem *x)
{
    if (x->path.len > 0) {
        add_shown(out, x->path);
        buf_addz(out, ": ");
    }
    buf_addz(out, x->text);
    if (x->block.len > 0) {
        buf_addc(out, ' ');
        add_shown(out, x->block);
    } else if (x->slice > 0) {
        buf_addf(out, ", slice %llu", (unsigned long long)x->slice);
    }
    if (x->numbers)
        buf_addf(out, ": %lld, should be %lld", (long long)x->found, (long long)x->expected);
    if (x->repaired)
        buf_addf(out, " (%s)", p->done);
    else if (x->advice)
        buf_addf(out, " (%s)", x->advice);
    buf_addc(out, '\n');
}

int gw_problems_tell(void *arg, const struct jfs_problem *x)
{
    struct gw_problems *p = arg;
    struct buf out = buf_make(LINE_MAX);
    if (p->json) {
        buf_addz(&out, p->told > 0 ? ",\n  " : "\n  ");
        add_json(&out, x);
    } else {
        add_line(&out, p, x);
    }
    p->told++;
    print(p, &out);
    return 0;
}

void gw_problems_end(struct gw_problems *p, const struct gw_summary_row *rows, size_t count, bool complete)
{
    struct buf out = buf_make(LINE_MAX);
    if (!p->json)
        return;
    buf_addf(&out, "%s],\n\"summary\": {", p->told > 0 ? "\n" : "");
    for (size_t i = 0; i < count; i++)
        buf_addf(&out, "\"%s\": %llu, ", rows[i].name, (unsigned long long)rows[i].value);
    buf_addf(&out, "\"complete\": %s}}\n", complete ? "true" : "false");
    print(p, &out);
}
