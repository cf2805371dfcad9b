#include "listener.h"

void
listener_init(struct listener *l)
{
	*l = (struct listener){ .telling = 0 };
	lock_init(&l->lock, LOCK_HINTS);
	lock_cond_init(&l->told);
}

void
listener_destroy(struct listener *l)
{
	pthread_cond_destroy(&l->told);
	lock_destroy(&l->lock);
}

void
listener_set(struct listener *l, void (*fn)(void *arg, const char *name), void *arg)
{
	lock_take(&l->lock);
	l->fn = fn;
	l->arg = arg;
	while (fn == NULL && l->telling > 0)
		lock_wait(&l->lock, &l->told);
	lock_give(&l->lock);
}

void
listener_tell(struct listener *l, const char *name)
{
	lock_take(&l->lock);
	void (*fn)(void *, const char *) = l->fn;
	void *arg = l->arg;
	l->telling += fn != NULL;
	lock_give(&l->lock);
	if (fn == NULL)
		return;
	fn(arg, name);
	lock_take(&l->lock);
	l->telling--;
	pthread_cond_broadcast(&l->told);
	lock_give(&l->lock);
}
