/*
 * Which commands and events of an aggregate a drawing shows together: those that hang together by what the commands
 * emit. Commands that emit none of the aggregate's events, and events that none of its commands emits, are together.
 *
 * Owns the scratch memory of one drawing; one thread at a time.
 */
#ifndef AETHER_STORE_MODEL_GROUPS_H
#define AETHER_STORE_MODEL_GROUPS_H

#include <stddef.h>

#include "model_state.h"

struct model_groups {
	size_t *place;  /* by event: 1 + where it stands in the list of the aggregate that is looked at, 0 nowhere */
	size_t *parent; /* by member: towards the first of its group */
	struct model_member {
		size_t group; /* its number; the last for those that nothing joins */
		const struct model_item *item;
	} * members; /* commands and events of the aggregate, by group, in the order of the lists within it */
	size_t count;
};

/* Room for every aggregate of the model. 0 or -ENOMEM. */
int model_groups_init(struct model_groups *g, const struct model *m);
void model_groups_free(struct model_groups *g);

/* Fill members and count for this aggregate. */
void model_groups_find(struct model_groups *g, const struct model_item *aggregate);

#endif
