#include "feed_store.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

struct feed_store fake;

static struct fake_ns *
fake_find_locked(const char *ns)
{
	for (size_t i = 0; i < NAMESPACES; i++)
		if (fake.namespaces[i].is_there && strcmp(fake.namespaces[i].name, ns) == 0)
			return &fake.namespaces[i];
	return NULL;
}

static int
fake_info(void *source, const char *ns, struct ns_info *info)
{
	(void)source;
	pthread_mutex_lock(&fake.lock);
	const struct fake_ns *n = fake_find_locked(ns);
	int err = fake.info_err != 0 ? fake.info_err : n == NULL ? -ENOENT : 0;
	if (err == 0)
		*info = (struct ns_info){ .epoch = n->epoch, .last_seq = n->last_seq };
	fake.asked++;
	fake.absent += err == -ENOENT;
	void (*in_info)(const char *) = fake.in_info;
	fake.in_info = NULL;
	pthread_mutex_unlock(&fake.lock);
	/* After the answer was made, before it has come. */
	if (in_info != NULL)
		in_info(ns);
	return err;
}

static int
fake_list(void *source, backend_name_fn fn, void *arg)
{
	char names[NAMESPACES][16];
	size_t count = 0;
	int err = 0;

	(void)source;
	pthread_mutex_lock(&fake.lock);
	for (size_t i = 0; i < NAMESPACES; i++)
		if (fake.namespaces[i].is_there)
			strcpy(names[count++], fake.namespaces[i].name);
	pthread_mutex_unlock(&fake.lock);
	if (fake.in_list != NULL)
		fake.in_list();
	for (size_t i = 0; i < count && err == 0; i++)
		err = fn(arg, names[i]);
	return err;
}

static int
fake_follow(void *source, const char *ns, uint64_t after_seq, uint64_t epoch, const struct follow_fns *fns, void *arg,
    struct follow **out)
{
	struct follow *f = calloc(1, sizeof(*f));

	(void)source;
	strcpy(f->ns, ns);
	f->after_seq = after_seq;
	f->epoch = epoch;
	f->fns = fns;
	f->arg = arg;
	pthread_mutex_init(&f->calling, NULL);
	pthread_mutex_lock(&fake.lock);
	f->next = fake.follows;
	f->link = &fake.follows;
	if (f->next != NULL)
		f->next->link = &f->next;
	fake.follows = f;
	fake.follow_count++;
	fake.follows_now++;
	void (*in_follow)(struct follow *) = fake.in_follow;
	fake.in_follow = NULL;
	pthread_mutex_unlock(&fake.lock);
	if (in_follow != NULL)
		in_follow(f);
	*out = f;
	return 0;
}

static void
fake_unfollow(struct follow *f)
{
	pthread_mutex_lock(&fake.lock);
	*f->link = f->next;
	if (f->next != NULL)
		f->next->link = f->link;
	fake.follows_now--;
	pthread_mutex_unlock(&fake.lock);
	pthread_mutex_destroy(&f->calling);
	free(f);
}

static int
fake_listen(void *source, names_fn fn, void *arg, struct names_listener **out)
{
	(void)source;
	fake.names = fn;
	fake.names_arg = arg;
	*out = (struct names_listener *)(void *)&fake;
	return 0;
}

static void
fake_ignore(void *source, struct names_listener *l)
{
	(void)source;
	(void)l;
	fake.names = NULL;
}

const struct feed_source fake_ops = { fake_info, fake_list, fake_follow, fake_unfollow, fake_listen, fake_ignore };

void
make(const char *ns)
{
	pthread_mutex_lock(&fake.lock);
	for (size_t i = 0; i < NAMESPACES; i++) {
		struct fake_ns *n = &fake.namespaces[i];
		if (n->is_there)
			continue;
		*n = (struct fake_ns){ .is_there = true, .epoch = ++fake.epochs };
		strcpy(n->name, ns);
		break;
	}
	pthread_mutex_unlock(&fake.lock);
}

/* Call all that follow that namespace as it is now. Under the lock, so that none is freed meanwhile. */
static void
tell(const char *ns, const struct record *r)
{
	pthread_mutex_lock(&fake.lock);
	const struct fake_ns *n = fake_find_locked(ns);
	for (struct follow *f = fake.follows; f != NULL; f = f->next)
		if (n != NULL && strcmp(f->ns, ns) == 0 && f->epoch == n->epoch && r->seq > f->after_seq && !f->told_end)
			f->fns->record(f->arg, "a", r);
	pthread_mutex_unlock(&fake.lock);
}

void
store_record(const char *ns, struct record r)
{
	pthread_mutex_lock(&fake.lock);
	r.seq = ++fake_find_locked(ns)->last_seq;
	bool deliver = fake.deliver;
	pthread_mutex_unlock(&fake.lock);
	if (deliver)
		tell(ns, &r);
}

void
put(const char *ns, const char *text)
{
	store_record(ns, (struct record){ .payload = span_of(text) });
}

void
deliver_late(const char *ns, uint64_t seq, const char *text)
{
	tell(ns, &(struct record){ .seq = seq, .payload = span_of(text) });
}

void
unmake(const char *ns, bool anew, bool told)
{
	pthread_mutex_lock(&fake.lock);
	fake_find_locked(ns)->is_there = false;
	pthread_mutex_unlock(&fake.lock);
	if (anew)
		make(ns);
	pthread_mutex_lock(&fake.lock);
	for (struct follow *f = fake.follows; told && f != NULL; f = f->next) {
		if (strcmp(f->ns, ns) != 0 || f->told_end)
			continue;
		f->told_end = true;
		(anew ? f->fns->anew : f->fns->gone)(f->arg);
	}
	pthread_mutex_unlock(&fake.lock);
}

void
wait_until(const unsigned *counter, unsigned count)
{
	for (;;) {
		pthread_mutex_lock(&fake.lock);
		bool there = *counter == count;
		pthread_mutex_unlock(&fake.lock);
		if (there)
			return;
		sched_yield();
	}
}

void
fake_begin(void)
{
	memset(&fake, 0, sizeof(fake));
	pthread_mutex_init(&fake.lock, NULL);
	fake.deliver = true;
}
