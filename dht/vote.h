/* What peers tell about ourselves, believed only when several distinct ones agree: our address, the time, the size of the network. */
#ifndef SHOAL_DHT_VOTE_H
#define SHOAL_DHT_VOTE_H
#include "node/base/addr.h"
#include "node/base/time.h"

#define DHT_VOTERS      8
#define DHT_MAJORITY    3 /* least number of distinct peers */
#define DHT_CLOCK_WRONG_MS 600000 /* ten minutes (DESIGN.md, "Time") */

struct dht_votes {
    struct {
        uint32_t voter; /* short hash; 0 = empty */
        struct net_addr addr;
    } observed[DHT_VOTERS];
    struct {
        uint32_t voter;
        int64_t offset_ms; /* peer's Unix time minus our monotonic time */
    } clock[DHT_VOTERS];
    uint32_t sizes[DHT_VOTERS];
    uint8_t observed_next, clock_next, size_next;
    bool clock_wrong;
    struct net_addr address; /* agreed; port 0 = none */
    int64_t host_offset_ms;  /* the host's belief */
    bool host_known;
};

/* True when the agreed address changed. */
bool dht_vote_observed(struct dht_votes *v, uint32_t voter, const struct net_addr *addr);
/* True when it has just become known that our clock is wrong (or unknown ones are never wrong); *median_ms: Unix ms now. */
bool dht_vote_clock(struct dht_votes *v, uint32_t voter, core_time now, uint64_t unix_s, uint64_t *median_ms);
void dht_vote_clock_host(struct dht_votes *v, core_time now, uint64_t unix_ms);
/* Best belief [ms]; 0 = unknown. */
uint64_t dht_vote_unix_ms(const struct dht_votes *v, core_time now);
void dht_vote_size(struct dht_votes *v, uint32_t size);
uint32_t dht_vote_size_median(const struct dht_votes *v); /* 0 = no votes */
#endif
