/* Token buckets, mean rates for people, and the delivery rate that sizes request windows. */
#ifndef SHOAL_TRANSFER_RATE_H
#define SHOAL_TRANSFER_RATE_H
#include "node/base/time.h"
#include <stdbool.h>

/* A cap on a rate. May go below zero by one unit of work, so that the mean is exact whatever the unit. */
struct bucket {
    uint64_t rate; /* [bytes/s], 0 = no cap */
    int64_t tokens;
    core_time at;
};
void bucket_set(struct bucket *b, core_time now, uint64_t rate);
bool bucket_open(struct bucket *b, core_time now);            /* may something be sent now? */
void bucket_spend(struct bucket *b, int64_t bytes);           /* negative gives back */
core_time bucket_next(const struct bucket *b, core_time now); /* when it opens again; now when it is open */

/* Mean over about 3 s. */
struct meter {
    uint64_t rate;  /* [bytes/s] */
    uint64_t bytes; /* since `at` */
    core_time at;
};
void meter_add(struct meter *m, core_time now, uint64_t bytes);
uint64_t meter_rate(const struct meter *m, core_time now);

/* Delivery rate of a busy session: quick up, slow down; 0 = not known. */
struct flow {
    uint64_t rate; /* [bytes/s] */
    uint64_t bytes;
    core_time at;
};
void flow_start(struct flow *f, core_time now); /* the session had nothing outstanding until now */
bool flow_add(struct flow *f, core_time now, uint64_t bytes,
              core_time round); /* true: the rate was updated */
#endif
