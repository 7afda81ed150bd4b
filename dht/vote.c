#include "dht/vote.h"
#include <string.h>

bool dht_vote_observed(struct dht_votes *v, uint32_t voter, const struct net_addr *addr)
{
    int slot = -1;
    for (int i = 0; i < DHT_VOTERS; i++)
        if (v->observed[i].voter == voter)
            slot = i;
    if (slot < 0) {
        slot = v->observed_next;
        v->observed_next = (uint8_t)((slot + 1) % DHT_VOTERS);
    }
    v->observed[slot].voter = voter;
    v->observed[slot].addr = *addr;
    int agree = 0, votes = 0;
    for (int i = 0; i < DHT_VOTERS; i++) {
        if (!v->observed[i].voter || net_addr_is_v4(&v->observed[i].addr) != net_addr_is_v4(addr))
            continue;
        votes++;
        agree += net_addr_equal(&v->observed[i].addr, addr);
    }
    if (agree < DHT_MAJORITY || 2 * agree <= votes || net_addr_equal(&v->address, addr))
        return false;
    /* One agreed address is kept; an IPv6 one does not replace IPv4 back and forth. */
    if (v->address.port && net_addr_is_v4(&v->address) && !net_addr_is_v4(addr))
        return false;
    v->address = *addr;
    return true;
}

static bool clock_median(const struct dht_votes *v, int64_t *median)
{
    int64_t sorted[DHT_VOTERS];
    int n = 0;
    for (int i = 0; i < DHT_VOTERS; i++) {
        if (!v->clock[i].voter)
            continue;
        int at = n++;
        while (at > 0 && sorted[at - 1] > v->clock[i].offset_ms) {
            sorted[at] = sorted[at - 1];
            at--;
        }
        sorted[at] = v->clock[i].offset_ms;
    }
    if (n < DHT_MAJORITY)
        return false;
    *median = sorted[n / 2];
    return true;
}

static int64_t apart(int64_t a, int64_t b)
{
    return a > b ? a - b : b - a;
}

bool dht_vote_clock(struct dht_votes *v, uint32_t voter, core_time now, uint64_t unix_s, uint64_t *median_ms)
{
    int slot = -1;
    for (int i = 0; i < DHT_VOTERS; i++)
        if (v->clock[i].voter == voter)
            slot = i;
    if (slot < 0) {
        slot = v->clock_next;
        v->clock_next = (uint8_t)((slot + 1) % DHT_VOTERS);
    }
    v->clock[slot].voter = voter;
    v->clock[slot].offset_ms = (int64_t)(unix_s * 1000) - (int64_t)(now / 1000);
    int64_t median;
    bool was = v->clock_wrong;
    if (!clock_median(v, &median))
        return false;
    v->clock_wrong = v->host_known && apart(median, v->host_offset_ms) > DHT_CLOCK_WRONG_MS;
    *median_ms = (uint64_t)(median + (int64_t)(now / 1000));
    return v->clock_wrong && !was;
}

void dht_vote_clock_host(struct dht_votes *v, core_time now, uint64_t unix_ms)
{
    v->host_known = unix_ms != 0;
    v->host_offset_ms = (int64_t)unix_ms - (int64_t)(now / 1000);
    int64_t median;
    v->clock_wrong = v->host_known && clock_median(v, &median) && apart(median, v->host_offset_ms) > DHT_CLOCK_WRONG_MS;
}

uint64_t dht_vote_unix_ms(const struct dht_votes *v, core_time now)
{
    int64_t median, ms = (int64_t)(now / 1000);
    if (v->host_known && !v->clock_wrong)
        return (uint64_t)(v->host_offset_ms + ms);
    return clock_median(v, &median) && median + ms > 0 ? (uint64_t)(median + ms) : 0;
}

void dht_vote_size(struct dht_votes *v, uint32_t size)
{
    if (!size)
        return;
    v->sizes[v->size_next] = size;
    v->size_next = (uint8_t)((v->size_next + 1) % DHT_VOTERS);
}

uint32_t dht_vote_size_median(const struct dht_votes *v)
{
    uint32_t sorted[DHT_VOTERS];
    int n = 0;
    for (int i = 0; i < DHT_VOTERS; i++) {
        if (!v->sizes[i])
            continue;
        int at = n++;
        for (; at > 0 && sorted[at - 1] > v->sizes[i]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = v->sizes[i];
    }
    return n ? sorted[n / 2] : 0;
}
