/* Names as text: what a petname or nickname may be, when two are the same, and when two look the same.
 *
 * A name is 1 to 40 characters of UTF-8: letters and digits of any script, '-' and '_' inside, no white space, no control or formatting
 * character; so that it is one segment of a path and, when ASCII, one DNS label. It never has an id's shape (52 or more characters do not fit),
 * is not one of the words kept ("self", "node", "localhost") and does not begin with "xn--". */
#ifndef SHOAL_NAMES_NAME_TEXT_H
#define SHOAL_NAMES_NAME_TEXT_H
#include "node/base/bytes.h"
#include "node/base/err.h"

#define NAME_CHARACTERS_MAX 40
#define NAME_SIZE           (4 * NAME_CHARACTERS_MAX + 1) /* [bytes with the NUL] */

/* 0 or ERR_MALFORMED, and then one sentence without a full stop in *why (may be NULL). */
int name_check(const char *text, const char **why);
/* Folds case (ASCII, Latin, Greek, Cyrillic, Armenian; other scripts have none that matters) into `out`, NAME_SIZE bytes. Input: name_check held. */
void name_fold(char *out, const char *name);
bool name_equal(const char *a, const char *b); /* after folding */

enum name_look { NAME_LOOK_MIXED = 1, NAME_LOOK_CONFUSABLE = 2 };
/* NAME_LOOK_MIXED: letters of more than one of Latin, Greek and Cyrillic in one name, as honest names never have. */
unsigned name_look(const char *name);
/* Different names that people would take for one another: their skeletons are equal (0 and o, 1 l and i, rn and m, Cyrillic and Greek letters of
 * Latin shape; after Unicode TR 39, a small part of its table). */
bool name_looks_like(const char *a, const char *b);

/* Words of a title or a query, for search: runs of letters and digits of any script, folded, 2 to 40 characters, each once, at most `max`. */
#define WORD_SIZE NAME_SIZE
uint32_t words_split(char (*out)[WORD_SIZE], uint32_t max, const char *text);
#endif
