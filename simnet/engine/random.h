/* Draws that do not depend on each other's order: a draw is a hash of (seed, node, stream, counter). One more
 * draw from one stream leaves every other stream as it was. Distributions use our own log and pow: basic IEEE
 * operations in a fixed order, so that no library's last bit decides anything. */
#ifndef SIMNET_ENGINE_RANDOM_H
#define SIMNET_ENGINE_RANDOM_H
#include <stddef.h>
#include <stdint.h>

enum sim_stream { /* what a draw is for; append, never reorder: golden hashes depend on the numbers */
                  SIM_DRAW_IDENTITY = 1,
                  SIM_DRAW_PLACE,
                  SIM_DRAW_JITTER,
                  SIM_DRAW_LOSS,
                  SIM_DRAW_PAIR,
                  SIM_DRAW_CHURN,
                  SIM_DRAW_LOAD,
                  SIM_DRAW_SEED,
                  SIM_DRAW_NAT,
                  SIM_DRAW_FILL,
                  SIM_DRAW_FAULT,
                  SIM_DRAW_HOSTILE,
                  SIM_DRAW_CONFIG,
                  SIM_DRAW_FLOW,
                  SIM_DRAW_SWARM,
                  SIM_DRAW_LINK
};

struct sim_random {
    uint64_t key, counter;
};

uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c); /* three words to one */
void sim_random_init(struct sim_random *r, uint64_t seed, uint32_t node, uint32_t stream);
uint64_t sim_random_u64(struct sim_random *r);
uint64_t sim_random_below(struct sim_random *r, uint64_t bound); /* [0, bound); bound > 0 */
double sim_random_unit(struct sim_random *r);                    /* (0, 1], steps of 2^-53 */

double sim_log(double x);           /* x > 0 and normal */
double sim_exp(double x);           /* |x| < 700 */
double sim_pow(double x, double y); /* x > 0 */
double sim_sqrt(double x);          /* x >= 0 */
double sim_draw_weibull(struct sim_random *r, double shape, double scale);
double sim_draw_normal(struct sim_random *r); /* mean 0, deviation 1; 12 uniforms, so never beyond 6 */

/* FNV-1a over 8-byte words with a final mix: the trace. */
struct sim_trace {
    uint64_t hash;
};
void sim_trace_init(struct sim_trace *t);
void sim_trace_word(struct sim_trace *t, uint64_t word);
void sim_trace_bytes(struct sim_trace *t, const void *data, size_t size);

/* Replaces libsodium's system randomness by a function that aborts with a message: a simulation that asks the
 * system is not repeatable. */
void sim_random_trap(void);
#endif
