/* Reading XML, bounded: the only file that knows libxml2. No DTD, no entities beyond the five, no network; depth, element
 * count and size limited; elements by local name in any namespace. Writing is s3api/xml.h. Thread: any, one document at a
 * time. */
#ifndef BASE_XML_H
#define BASE_XML_H

#include "base/arena.h"
#include "base/str.h"

struct xml_node {
    struct str name; /* local name */
    struct str text; /* character data directly inside, entities resolved, concatenated */
    struct xml_node *first_child, *next;
    struct str type_attribute; /* xsi:type, for grantees; empty otherwise */
};

/* The root element; NULL when the bytes are not well-formed, or past a limit. */
struct xml_node *xml_parse(struct str bytes, struct arena *arena);
/* First child of that name, or NULL (also for NULL n). */
const struct xml_node *xml_child(const struct xml_node *n, const char *name);
/* Its text trimmed of white space; ptr NULL when absent. */
struct str xml_child_text(const struct xml_node *n, const char *name);
size_t xml_child_count(const struct xml_node *n, const char *name);

#endif
