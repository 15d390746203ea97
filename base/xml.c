#include "base/xml.h"

#include <limits.h>
#include <pthread.h>

#include <libxml/parser.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"

struct open_element {
    struct xml_node *node;
    struct xml_node *last_child;
    struct buf text;
};

struct reader {
    struct arena *arena;
    xmlParserCtxtPtr parser;
    struct xml_node *root;
    struct open_element stack[LIMIT_XML_DEPTH];
    size_t depth;
    size_t element_count;
    bool failed;
};

static void fail(struct reader *r)
{
    r->failed = true;
    xmlStopParser(r->parser);
}

static struct str name_of(const xmlChar *z)
{
    return str_z((const char *)z);
}

/* Attributes come as five pointers each: local name, prefix, URI, value, end of the value. */
static struct str type_attribute(struct arena *arena, int count, const xmlChar **attributes)
{
    for (int i = 0; i < count; i++) {
        const xmlChar **a = attributes + 5 * i;
        if (str_is(name_of(a[0]), "type"))
            return arena_dup(arena, str_of((const char *)a[3], (size_t)(a[4] - a[3])));
    }
    return STR_EMPTY;
}

static void on_start(void *context, const xmlChar *name, const xmlChar *prefix UNUSED, const xmlChar *uri UNUSED,
                     int namespace_count UNUSED, const xmlChar **namespaces UNUSED, int attribute_count,
                     int defaulted_count UNUSED, const xmlChar **attributes)
{
    struct reader *r = context;
    if (r->depth == LIMIT_XML_DEPTH || r->element_count == LIMIT_XML_ELEMENTS) {
        fail(r);
        return;
    }
    r->element_count++;
    struct xml_node *node = arena_new_of(r->arena, struct xml_node);
    node->name = arena_dup(r->arena, name_of(name));
    node->type_attribute = type_attribute(r->arena, attribute_count, attributes);
    if (r->depth == 0) {
        r->root = node;
    } else {
        struct open_element *parent = &r->stack[r->depth - 1];
        if (parent->last_child)
            parent->last_child->next = node;
        else
            parent->node->first_child = node;
        parent->last_child = node;
    }
    struct open_element *top = &r->stack[r->depth++];
    top->node = node;
    top->last_child = NULL;
    buf_reset(&top->text);
}

static void on_end(void *context, const xmlChar *name UNUSED, const xmlChar *prefix UNUSED, const xmlChar *uri UNUSED)
{
    struct reader *r = context;
    if (r->failed)
        return;
    CHECK(r->depth > 0);
    struct open_element *top = &r->stack[--r->depth];
    top->node->text = arena_dup(r->arena, buf_str(&top->text));
}

static void on_text(void *context, const xmlChar *text, int len)
{
    struct reader *r = context;
    if (r->depth > 0)
        buf_add(&r->stack[r->depth - 1].text, str_of((const char *)text, (size_t)len));
}

/* A document type would bring entities, defaults and files: none is ever needed. */
static void on_doctype(void *context, const xmlChar *name UNUSED, const xmlChar *external_id UNUSED,
                       const xmlChar *system_id UNUSED)
{
    fail(context);
}

static void init_library(void)
{
    xmlInitParser();
}

/* The encoding is UTF-8 whatever the declaration says, so that nothing hides from the checks in another one. */
static bool parse(struct reader *r, struct str bytes)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    xmlSAXHandler handlers = {
        .initialized = XML_SAX2_MAGIC,
        .startElementNs = on_start,
        .endElementNs = on_end,
        .characters = on_text,
        .ignorableWhitespace = on_text,
        .cdataBlock = on_text,
        .internalSubset = on_doctype,
    };
    CHECK(pthread_once(&once, init_library) == 0);
    r->parser = xmlCreatePushParserCtxt(&handlers, r, NULL, 0, NULL);
    CHECK(r->parser != NULL); /* out of memory */
    xmlCtxtUseOptions(r->parser, XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING | XML_PARSE_IGNORE_ENC |
                                     XML_PARSE_NOCDATA);
    int error = xmlParseChunk(r->parser, bytes.ptr, (int)bytes.len, 1);
    bool ok = error == XML_ERR_OK && r->parser->wellFormed && !r->failed && r->root && r->depth == 0;
    xmlFreeParserCtxt(r->parser);
    return ok;
}

struct xml_node *xml_parse(struct str bytes, struct arena *arena)
{
    if (bytes.len == 0 || bytes.len > INT_MAX || !str_is_utf8(bytes) || str_find_char(bytes, '\0') >= 0)
        return NULL;
    struct reader *r = arena_new_of(arena, struct reader);
    r->arena = arena;
    for (size_t i = 0; i < LIMIT_XML_DEPTH; i++)
        r->stack[i].text = buf_make(bytes.len);
    bool ok = parse(r, bytes);
    for (size_t i = 0; i < LIMIT_XML_DEPTH; i++)
        buf_done(&r->stack[i].text);
    return ok ? r->root : NULL;
}

const struct xml_node *xml_child(const struct xml_node *n, const char *name)
{
    for (const struct xml_node *child = n ? n->first_child : NULL; child; child = child->next)
        if (str_is(child->name, name))
            return child;
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str xml_child_text(const struct xml_node *n, const char *name)
{
    const struct xml_node *child = xml_child(n, name);
    if (!child)
        return STR_EMPTY;
    struct str text = child->text;
    while (text.len > 0 && is_blank(text.ptr[0]))
        text = str_from(text, 1);
    while (text.len > 0 && is_blank(text.ptr[text.len - 1]))
        text.len--;
    return text;
}

size_t xml_child_count(const struct xml_node *n, const char *name)
{
    size_t count = 0;
    for (const struct xml_node *child = n ? n->first_child : NULL; child; child = child->next)
        count += str_is(child->name, name);
    return count;
}
