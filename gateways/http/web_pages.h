/* The table that cmake/embed.cmake writes. */
#ifndef SHOAL_WEB_PAGES_H
#define SHOAL_WEB_PAGES_H
struct web_page_bytes {
    const char *name;
    const unsigned char *begin, *end;
};
extern const struct web_page_bytes web_pages[]; /* ends with name NULL */
#endif
