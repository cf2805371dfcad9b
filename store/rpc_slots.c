#include "rpc_slots.h"

#include <errno.h>
#include <stdlib.h>

void
slots_init(struct slots *t)
{
	*t = (struct slots){ .sweep_ns = INT64_MAX };
	lock_init(&t->lock, LOCK_SLOTS);
}

void
slots_free(struct slots *t)
{
	lock_destroy(&t->lock);
	free(t->list);
}

void
slots_close(struct slots *t)
{
	lock_take(&t->lock);
	t->closed = true;
	lock_give(&t->lock);
}

static int
grow_locked(struct slots *t)
{
	uint32_t count = t->count == 0 ? 64 : t->count * 2;
	struct slot *list = realloc(t->list, count * sizeof(*list));

	if (list == NULL)
		return -ENOMEM;
	for (uint32_t i = t->count; i < count; i++)
		list[i] = (struct slot){ .next_free = i + 1 < count ? i + 2 : 0 };
	t->first_free = t->count + 1;
	t->list = list;
	t->count = count;
	return 0;
}

int
slots_take(struct slots *t, uint32_t *index, uint32_t *generation)
{
	int err = 0;

	lock_take(&t->lock);
	if (t->closed)
		err = -ENOTCONN;
	else if (t->first_free == 0)
		err = grow_locked(t);
	if (err == 0) {
		*index = t->first_free - 1;
		t->first_free = t->list[*index].next_free;
		*generation = t->list[*index].generation;
	}
	lock_give(&t->lock);
	return err;
}

void
slots_return(struct slots *t, uint32_t index)
{
	lock_take(&t->lock);
	t->list[index].next_free = t->first_free;
	t->first_free = index + 1;
	lock_give(&t->lock);
}

bool
slots_fill(struct slots *t, uint32_t index, const struct slot *request)
{
	lock_take(&t->lock);
	struct slot *s = &t->list[index];
	uint32_t generation = s->generation;
	*s = *request;
	s->generation = generation;
	bool arm = request->deadline_ns < t->sweep_ns;
	if (arm)
		t->sweep_ns = request->deadline_ns;
	lock_give(&t->lock);
	return arm;
}

static bool
release_locked(struct slots *t, uint32_t index, uint32_t generation, struct slot *held)
{
	if (index >= t->count || t->list[index].fn == NULL || t->list[index].generation != generation)
		return false;
	struct slot *s = &t->list[index];
	*held = *s;
	*s = (struct slot){ .generation = generation + 1, .next_free = t->first_free };
	t->first_free = index + 1;
	return true;
}

bool
slots_release(struct slots *t, uint32_t index, uint32_t generation, struct slot *held)
{
	lock_take(&t->lock);
	bool held_it = release_locked(t, index, generation, held);
	lock_give(&t->lock);
	return held_it;
}

bool
slots_take_any(struct slots *t, uint32_t *from, slot_predicate holds, const void *arg, struct slot *held)
{
	bool found = false;

	lock_take(&t->lock);
	for (; *from < t->count && !found; ++*from)
		if (t->list[*from].fn != NULL && holds(&t->list[*from], arg))
			found = release_locked(t, *from, t->list[*from].generation, held);
	lock_give(&t->lock);
	return found;
}

bool
slots_sweep_is_due(struct slots *t, int64_t now_ns)
{
	lock_take(&t->lock);
	bool is_due = now_ns >= t->sweep_ns;
	lock_give(&t->lock);
	return is_due;
}

int64_t
slots_next_sweep(struct slots *t)
{
	int64_t next = INT64_MAX;

	lock_take(&t->lock);
	for (uint32_t i = 0; i < t->count; i++)
		if (t->list[i].fn != NULL && t->list[i].deadline_ns < next)
			next = t->list[i].deadline_ns;
	t->sweep_ns = t->closed ? INT64_MAX : next;
	next = t->sweep_ns;
	lock_give(&t->lock);
	return next;
}
