/* Between world/names.c (what honest nodes do with names) and world/names_hostile.c. */
#ifndef SIMNET_WORLD_NAMES_STATE_H
#define SIMNET_WORLD_NAMES_STATE_H
#include "simnet/world/names.h"

#define WORDS_A_FILE 3
#define OPS_A_NODE   8
#define NOBODY       UINT32_MAX
#define SQUATTED     4 /* nodes 1 to 4: their nicknames are what squatters claim */

enum { NAMES_SETUP = SIM_NAMES_LOADS, NAMES_LOOK, NAMES_SITE, NAMES_SEARCH, NAMES_NICK, NAMES_WATCH, NAMES_HOSTILE };

struct name_op {
    uint32_t kind, target, op, found; /* op 0: free */
    bool asleep;                      /* look: at a node that is not there */
    uint32_t claimants;               /* nick; search: things that hostile nodes showed */
    uint16_t words[2];                /* search */
    uint16_t *hits;                   /* search: by node */
    core_time began, first, last;     /* first, last: search, when something was found */
};

struct name_node {
    uint32_t version;        /* of its site; 0 = none yet */
    uint32_t stored;         /* the version that others hold for it */
    core_time published;
    uint32_t watches, seen;  /* a node whose site it looks at; the version seen last */
    uint32_t life, last_op;  /* life: in which it published what it lists */
    struct name_op ops[OPS_A_NODE];
    uint32_t victim, acts;   /* hostile: whose name or record it has; how often it did something */
    uint8_t *replayed;       /* hostile: an old profile record of the victim */
    uint32_t replayed_size;
};

struct sim_names {
    struct name_node *nodes;
    uint16_t (*words)[WORDS_A_FILE]; /* of each file of each node */
    uint32_t look_time, look_success, look_fresh, update_time, update_seen, search_time, search_recall, search_answered, search_first, search_last, search_false, listed;
    uint32_t asleep_time, asleep_success, asleep_fresh;
    uint32_t nick_time, nick_success, nick_claimants;
};

void sim_names_at(struct sim_world *w, uint32_t i, core_time when, uint32_t kind);
/* Words as titles have them: a few in very many, most in few. */
uint16_t sim_names_word(struct sim_random *r);
void sim_names_nickname(char out[NAME_SIZE], uint32_t i); /* that honest node i gives itself */

/* names_hostile.c */
void sim_names_hostile_started(struct sim_world *w, uint32_t i);
void sim_names_hostile_event(struct sim_world *w, uint32_t i);
void sim_names_hostile_profile(struct sim_world *w, uint32_t i, const uint8_t key[NODE_KEY_SIZE], struct bytes record);
bool sim_names_squatted(const struct sim_world *w, uint32_t i); /* is node i's nickname claimed by squatters? */
#endif
