/* Intrusive circular lists: the node lives in the object, so linking allocates nothing and unlinking is O(1).
 * A zeroed node is unlinked. */
#ifndef SHOAL_TRANSFER_LIST_H
#define SHOAL_TRANSFER_LIST_H
#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *prev, *next;
};

#define list_object(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

static inline void list_init(struct list *head)
{
    head->prev = head->next = head;
}
static inline bool list_empty(const struct list *head)
{
    return head->next == head;
}
static inline bool list_linked(const struct list *node)
{
    return node->next != NULL;
}
static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}
static inline void list_prepend(struct list *head, struct list *node)
{
    list_append(head->next, node);
}
static inline void list_remove(struct list *node)
{
    if (!list_linked(node))
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->prev = node->next = NULL;
}
static inline void list_append_once(struct list *head, struct list *node)
{
    if (!list_linked(node))
        list_append(head, node);
}
#define list_each(node, head) for (struct list *node = (head)->next; node != (head); node = node->next)
/* Safe against removal of the current node only. */
#define list_each_safe(node, head)                                                                           \
    for (struct list *node = (head)->next, *node##_next = node->next; node != (head);                        \
         node = node##_next, node##_next = node->next)
#endif
