#include "s3api/form.h"

#include "base/check.h"

/*   IN_PREAMBLE ─boundary─▶ IN_DELIMITER_END ─CR LF─▶ IN_HEADERS ─empty line─▶ IN_VALUE, IN_FILE ─boundary─▶ IN_DELIMITER_END
 *                              └──────"--"──────▶ IN_EPILOGUE ◀── (behind the file)            anything else ─▶ IN_ERROR
 */

/* Parameters of a header: name=token or name="quoted" */

/* Takes ";name=value" off *rest; false at the end, or at what is none. */
static bool next_parameter(struct str *rest, struct str *out_name, struct str *out_value)
{
    struct str s = str_trim(*rest);
    ptrdiff_t equals = str_find_char(s, '=');
    if (!str_starts(s, STR(";")) || equals < 0)
        return false;
    *out_name = str_trim(str_from(str_first(s, (size_t)equals), 1));
    s = str_trim(str_from(s, (size_t)equals + 1));
    if (!str_starts(s, STR("\""))) {
        ptrdiff_t end = str_find_char(s, ';');
        *out_value = str_trim(end < 0 ? s : str_first(s, (size_t)end));
        *rest = end < 0 ? STR_EMPTY : str_from(s, (size_t)end);
        return true;
    }
    size_t end = 1;
    while (end < s.len && s.ptr[end] != '"')
        end += s.ptr[end] == '\\' && end + 1 < s.len && s.ptr[end + 1] == '"' ? 2 : 1;
    if (end >= s.len)
        return false;
    *out_value = str_of(s.ptr + 1, end - 1);
    *rest = str_from(s, end + 1);
    return true;
}

static bool is_boundary(struct str s)
{
    if (s.len == 0 || s.len > S3_FORM_BOUNDARY_MAX)
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] < ' ' || s.ptr[i] > '~')
            return false;
    return true;
}

bool s3_form_boundary(struct str content_type, struct str *out)
{
    ptrdiff_t semicolon = str_find_char(content_type, ';');
    if (semicolon < 0 || !str_eq_nocase(str_trim(str_first(content_type, (size_t)semicolon)), STR("multipart/form-data")))
        return false;
    struct str rest = str_from(content_type, (size_t)semicolon), name, value;
    while (next_parameter(&rest, &name, &value)) {
        if (!str_eq_nocase(name, STR("boundary")))
            continue;
        *out = value;
        return is_boundary(value);
    }
    return false;
}

/* Life */

void s3_form_init(struct s3_form *f, struct str boundary)
{
    CHECK(is_boundary(boundary));
    *f = (struct s3_form){
        .state = S3_FORM_IN_PREAMBLE,
        .matched = 2, /* the first boundary has no line before it */
        .line = buf_make(LIMIT_FORM_BYTES),
        .name = buf_make(LIMIT_FORM_BYTES),
        .value = buf_make(LIMIT_FORM_BYTES),
    };
    memcpy(f->delimiter, "\r\n--", 4);
    memcpy(f->delimiter + 4, boundary.ptr, boundary.len);
    f->delimiter_len = 4 + boundary.len;
}

void s3_form_done(struct s3_form *f)
{
    buf_done(&f->line);
    buf_done(&f->name);
    buf_done(&f->value);
}

static enum s3_form_kind fail(struct s3_form *f, enum s3_form_kind kind)
{
    f->state = S3_FORM_IN_ERROR;
    return kind;
}

/* Up to a boundary */

/* The next piece that is no boundary, into *out; false at the boundary, or with *out empty when the input is used up. A CR stands
 * at the boundary's beginning only, so that after a false start the search begins anew at the byte that did not fit. */
static bool next_piece(struct s3_form *f, struct str *input, struct str *out)
{
    *out = STR_EMPTY;
    while (input->len > 0) {
        if (f->matched == 0) {
            ptrdiff_t cr = str_find_char(*input, '\r');
            size_t plain = cr < 0 ? input->len : (size_t)cr;
            if (plain > 0) {
                *out = str_first(*input, plain);
                *input = str_from(*input, plain);
                return true;
            }
        }
        if (input->ptr[0] != f->delimiter[f->matched]) {
            *out = str_of(f->delimiter, f->matched);
            f->matched = 0;
            return true;
        }
        *input = str_from(*input, 1);
        if (++f->matched == f->delimiter_len) {
            f->matched = 0;
            f->state = S3_FORM_IN_DELIMITER_END;
            return false;
        }
    }
    return true;
}

static enum s3_form_kind next_preamble(struct s3_form *f, struct str *input)
{
    struct str piece;
    while (next_piece(f, input, &piece))
        if (piece.len == 0 && input->len == 0)
            break;
    return S3_FORM_MORE;
}

static enum s3_form_kind next_value(struct s3_form *f, struct str *input, struct s3_form_event *out)
{
    struct str piece;
    while (next_piece(f, input, &piece)) {
        buf_add(&f->value, piece);
        if (piece.len == 0 && input->len == 0)
            return S3_FORM_MORE;
    }
    *out = (struct s3_form_event){.name = f->field, .value = buf_str(&f->value)};
    return S3_FORM_FIELD;
}

static enum s3_form_kind next_file(struct s3_form *f, struct str *input, struct s3_form_event *out)
{
    if (!next_piece(f, input, &out->bytes)) {
        f->state = S3_FORM_IN_EPILOGUE;
        return S3_FORM_FILE_END;
    }
    return out->bytes.len > 0 ? S3_FORM_FILE_DATA : S3_FORM_MORE;
}

/* Behind a boundary, and the headers of a part */

static enum s3_form_kind next_delimiter_end(struct s3_form *f, struct str *input)
{
    while (input->len > 0) {
        char c = input->ptr[0];
        *input = str_from(*input, 1);
        if (c == '-' && f->dashes) {
            f->state = S3_FORM_IN_EPILOGUE;
            return S3_FORM_MORE;
        }
        bool is_blank = c == ' ' || c == '\t' || c == '\r';
        if (f->dashes || (c != '-' && c != '\n' && !is_blank))
            return fail(f, S3_FORM_BAD);
        f->dashes = c == '-';
        if (c == '\n') {
            f->state = S3_FORM_IN_HEADERS;
            f->field = f->file_name = STR_EMPTY;
            buf_reset(&f->line);
            buf_reset(&f->name);
            buf_reset(&f->value);
            return S3_FORM_MORE;
        }
    }
    return S3_FORM_MORE;
}

/* Quotation marks inside come as \" from curl and as %22 from browsers, which nobody decodes. */
static void add_unquoted(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] != '\\' || i + 1 == s.len || s.ptr[i + 1] != '"')
            buf_addc(out, s.ptr[i]);
}

static void take_disposition(struct s3_form *f, struct str rest)
{
    struct str name, value, field = STR_EMPTY, file = STR_EMPTY;
    while (next_parameter(&rest, &name, &value)) {
        if (str_eq_nocase(name, STR("name")))
            field = value;
        else if (str_eq_nocase(name, STR("filename")))
            file = value;
    }
    buf_reset(&f->name);
    add_unquoted(field, &f->name);
    size_t field_len = f->name.len;
    add_unquoted(file, &f->name);
    f->field = str_first(buf_str(&f->name), field_len);
    f->file_name = str_from(buf_str(&f->name), field_len);
}

static bool take_header(struct s3_form *f, struct str line)
{
    ptrdiff_t colon = str_find_char(line, ':');
    if (colon < 0)
        return false;
    if (!str_eq_nocase(str_trim(str_first(line, (size_t)colon)), STR("content-disposition")))
        return true;
    struct str value = str_trim(str_from(line, (size_t)colon + 1));
    ptrdiff_t semicolon = str_find_char(value, ';');
    if (semicolon < 0 || !str_eq_nocase(str_trim(str_first(value, (size_t)semicolon)), STR("form-data")))
        return false;
    take_disposition(f, str_from(value, (size_t)semicolon));
    return true;
}

static enum s3_form_kind end_headers(struct s3_form *f, struct s3_form_event *out)
{
    if (f->field.len == 0)
        return fail(f, S3_FORM_BAD);
    if (!str_eq_nocase(f->field, STR("file"))) {
        f->state = S3_FORM_IN_VALUE;
        return S3_FORM_MORE;
    }
    f->state = S3_FORM_IN_FILE;
    f->has_file = true;
    *out = (struct s3_form_event){.name = f->field, .value = f->file_name};
    return S3_FORM_FILE_BEGIN;
}

static enum s3_form_kind next_header(struct s3_form *f, struct str *input, struct s3_form_event *out)
{
    ptrdiff_t feed = str_find_char(*input, '\n');
    struct str part = feed < 0 ? *input : str_first(*input, (size_t)feed);
    buf_add(&f->line, part);
    *input = str_from(*input, feed < 0 ? part.len : part.len + 1);
    if (feed < 0)
        return S3_FORM_MORE;
    struct str line = buf_str(&f->line);
    if (str_ends(line, STR("\r")))
        line.len--;
    if (line.len == 0)
        return end_headers(f, out);
    bool ok = take_header(f, line);
    buf_reset(&f->line);
    return ok ? S3_FORM_MORE : fail(f, S3_FORM_BAD);
}

static enum s3_form_kind step(struct s3_form *f, struct str *input, struct s3_form_event *out)
{
    switch (f->state) {
    case S3_FORM_IN_PREAMBLE:
        return next_preamble(f, input);
    case S3_FORM_IN_DELIMITER_END:
        return next_delimiter_end(f, input);
    case S3_FORM_IN_HEADERS:
        return next_header(f, input, out);
    case S3_FORM_IN_VALUE:
        return next_value(f, input, out);
    case S3_FORM_IN_FILE:
        return next_file(f, input, out);
    case S3_FORM_IN_EPILOGUE:
        *input = STR_EMPTY;
        return S3_FORM_MORE;
    case S3_FORM_IN_ERROR:
        break;
    }
    return S3_FORM_BAD;
}

enum s3_form_kind s3_form_next(struct s3_form *f, struct str *input, struct s3_form_event *out)
{
    enum s3_form_kind kind = S3_FORM_MORE;
    *out = (struct s3_form_event){0};
    while (input->len > 0 && kind == S3_FORM_MORE) {
        /* Without a file no more is looked at than could still be fields. */
        size_t room = f->has_file ? input->len : LIMIT_FORM_BYTES - f->size;
        struct str window = str_first(*input, room);
        size_t offered = window.len;
        if (offered == 0)
            return fail(f, S3_FORM_TOO_LARGE);
        kind = step(f, &window, out);
        size_t used = offered - window.len;
        *input = str_from(*input, used);
        f->size += f->has_file ? 0 : used;
    }
    return kind;
}
