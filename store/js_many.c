#include "js_many.h"

void
js_many_init(struct js_many *m)
{
	*m = (struct js_many){ .err = 0 };
	lock_init(&m->lock, LOCK_MANY);
	lock_cond_init(&m->wake);
}

int
js_many_begin(struct js_many *m, unsigned max)
{
	lock_take(&m->lock);
	while (m->under_way >= max && m->err == 0)
		lock_wait(&m->lock, &m->wake);
	int err = m->err;
	m->under_way += err == 0;
	lock_give(&m->lock);
	return err;
}

void
js_many_end(struct js_many *m, int err)
{
	/* Signalled under the lock: it goes away with the last one. */
	lock_take(&m->lock);
	m->under_way--;
	if (m->err == 0)
		m->err = err;
	pthread_cond_signal(&m->wake);
	lock_give(&m->lock);
}

int
js_many_finish(struct js_many *m)
{
	lock_take(&m->lock);
	while (m->under_way > 0)
		lock_wait(&m->lock, &m->wake);
	int err = m->err;
	lock_give(&m->lock);
	pthread_cond_destroy(&m->wake);
	lock_destroy(&m->lock);
	return err;
}
