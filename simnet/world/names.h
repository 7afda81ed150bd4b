/* The loads of names, sites and search (world/names.c). */
#ifndef SIMNET_WORLD_NAMES_H
#define SIMNET_WORLD_NAMES_H
#include "simnet/world/world.h"

#define SIM_NAMES_LOADS 1000 /* load numbers from here on are these */

void sim_names_new(struct sim_world *w);
void sim_names_free(struct sim_world *w);
void sim_names_started(struct sim_world *w, uint32_t i);
void sim_names_event(struct sim_world *w, const struct sim_event *e);
/* bytes: the notice's, borrowed. true: was one of naming's. */
bool sim_names_notice(struct sim_world *w, uint32_t i, const struct effect *x, struct bytes bytes);
#endif
