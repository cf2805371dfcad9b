#include "rpc_lane.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "clock.h"
#include "lock.h"

/* Requests under way at most. */
#define WAYS 192

/* After so many bytes of payload what has been put together is sent, however much more there is. */
#define PUSH_BYTES (256 * 1024)
/* One try to connect, and the pause after one that failed. */
#define CONNECT_MS 2000
#define RETRY_MS 100
/* How often a sender whose server takes nothing looks whether the connection still is. */
#define FULL_MS 100

/*
 * Newer versions of nats.c want to be told when the event loop has let go of the socket and of the connection; older
 * ones do without, and have no such functions.
 */
extern void natsConnection_ProcessCloseEvent(natsSock *socket) __attribute__((weak));
extern void natsConnection_ProcessDetachedEvent(natsConnection *nc) __attribute__((weak));

enum way_state { WAY_FREE, WAY_TAKEN, WAY_LATE };

struct way {
	natsSubscription *sub;
	enum way_state state;
	uint64_t tag;
};

struct item {
	natsMsg *msg;
	uint64_t tag;
};

struct items {
	struct item *list;
	size_t count;
	size_t cap;
};

struct lane {
	struct lane_events events;
	struct rpc_spent *spent;
	natsOptions *options;
	char *inbox;
	pthread_t thread;
	int wake_fd;

	/* The connection. Set and cleared by the lane's thread while nobody sends; senders use it while `sending`. */
	natsConnection *nc;
	natsSock socket; /* nats.c's */
	int fd;          /* a copy of it, which does not become something else when nats.c closes its own */

	/* nats.c has written to its buffer and nobody has sent that yet. */
	atomic_bool unwritten;
	/* Threads that will look at unwritten before they do anything else that takes time. */
	atomic_int looking;
	/* The connection is not to be used any more. */
	atomic_bool gone;
	atomic_bool up;
	atomic_bool stopping;

	struct lock lock;
	/* Guarded by lock. */
	pthread_t self; /* the lane's thread, once it runs */
	struct way ways[WAYS]; /* sub is only used by the lane's thread */
	uint32_t free[WAYS];
	uint32_t free_count;
	uint32_t late_count;
	uint32_t life; /* counts the connections, from 1 */
	bool sending; /* some thread sends what is queued; the others leave theirs to it */
	struct items queue;
	struct items spare; /* an empty list, for its memory */
	bool attached; /* nats.c may still call the functions of the event loop */
	bool open;     /* nats.c has not yet told that the connection is closed */
	pthread_cond_t changed;
};

static void
wake(const struct lane *l)
{
	uint64_t one = 1;

	/* It only fails if the thread has been woken already. */
	if (write(l->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* nats.c's event loop. All but detach are called with its lock held. */

static natsStatus
on_attach(void **user, void *loop, natsConnection *nc, natsSock socket)
{
	struct lane *l = loop;

	(void)nc;
	*user = l;
	l->socket = socket;
	l->fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
	if (l->fd < 0)
		return NATS_ERR;
	lock_take(&l->lock);
	l->attached = true;
	lock_give(&l->lock);
	return NATS_OK;
}

static natsStatus
on_read_wanted(void *user, bool wanted)
{
	struct lane *l = user;

	if (!wanted) {
		atomic_store(&l->gone, true);
		wake(l);
	}
	return NATS_OK;
}

static natsStatus
on_write_wanted(void *user, bool wanted)
{
	struct lane *l = user;

	atomic_store(&l->unwritten, wanted);
	if (wanted && atomic_load(&l->looking) == 0)
		wake(l);
	return NATS_OK;
}

static natsStatus
on_detach(void *user)
{
	struct lane *l = user;

	lock_take(&l->lock);
	l->attached = false;
	pthread_cond_broadcast(&l->changed);
	lock_give(&l->lock);
	return NATS_OK;
}

static void
on_closed(natsConnection *nc, void *closure)
{
	struct lane *l = closure;

	(void)nc;
	lock_take(&l->lock);
	l->open = false;
	pthread_cond_broadcast(&l->changed);
	lock_give(&l->lock);
}

/* Sending */

/* Write what nats.c has put together, if that is anything: to write nothing would look to it like a lost connection.
 * patient: wait for room in the socket. */
static void
push(struct lane *l, bool patient)
{
	struct pollfd room = { .fd = l->fd, .events = POLLOUT };

	if (atomic_load(&l->unwritten))
		natsConnection_ProcessWriteEvent(l->nc);
	while (patient && atomic_load(&l->unwritten) && !atomic_load(&l->gone)) {
		poll(&room, 1, FULL_MS);
		if (atomic_load(&l->unwritten))
			natsConnection_ProcessWriteEvent(l->nc);
	}
}

static void
send_items(struct lane *l, const struct items *items, bool patient)
{
	int bytes = 0;

	for (size_t i = 0; i < items->count; i++) {
		natsMsg *msg = items->list[i].msg;
		natsStatus s = natsConnection_PublishMsg(l->nc, msg);
		bytes += natsMsg_GetDataLength(msg);
		rpc_spent_add(l->spent, msg);
		if (s != NATS_OK)
			l->events.failed(l->events.arg, items->list[i].tag, s);
		if (bytes >= PUSH_BYTES) {
			push(l, patient);
			bytes = 0;
		}
	}
	push(l, patient);
}

/* Send what is queued; the lane's thread does not go on with what comes meanwhile, since there are replies to read. */
static void
send_queued_locked(struct lane *l, bool patient)
{
	l->sending = true;
	do {
		struct items items = l->queue;
		l->queue = l->spare;
		l->spare = (struct items){ 0 };
		lock_give(&l->lock);
		atomic_fetch_add(&l->looking, 1);
		send_items(l, &items, patient);
		atomic_fetch_sub(&l->looking, 1);
		lock_take(&l->lock);
		items.count = 0;
		free(l->spare.list);
		l->spare = items;
	} while (patient && l->queue.count > 0 && atomic_load(&l->up));
	l->sending = false;
	if (!atomic_load(&l->up))
		pthread_cond_broadcast(&l->changed);
	else if (l->queue.count > 0 || atomic_load(&l->unwritten))
		wake(l);
}

static bool
enqueue_locked(struct lane *l, natsMsg *msg, uint64_t tag)
{
	struct items *q = &l->queue;

	if (q->count == q->cap) {
		size_t cap = q->cap == 0 ? 64 : q->cap * 2;
		struct item *list = realloc(q->list, cap * sizeof(*list));
		if (list == NULL)
			return false;
		q->list = list;
		q->cap = cap;
	}
	q->list[q->count++] = (struct item){ msg, tag };
	return true;
}

bool
lane_send(struct lane *l, struct lane_way way, natsMsg *msg, uint64_t tag)
{
	lock_take(&l->lock);
	bool taken = atomic_load(&l->up) && way.life == l->life && enqueue_locked(l, msg, tag);
	if (taken)
		l->ways[way.index].tag = tag;
	if (taken && !l->sending && !pthread_equal(pthread_self(), l->self))
		send_queued_locked(l, true);
	lock_give(&l->lock);
	return taken;
}

/* Ways */

struct lane_way
lane_take(struct lane *l)
{
	struct lane_way way = { 0 };

	if (!atomic_load(&l->up))
		return way;
	lock_take(&l->lock);
	bool used_up = l->late_count == WAYS;
	if (l->free_count > 0 && atomic_load(&l->up)) {
		way = (struct lane_way){ l->free[--l->free_count], l->life };
		l->ways[way.index].state = WAY_TAKEN;
	}
	lock_give(&l->lock);
	if (used_up)
		lane_renew(l);
	return way;
}

static void
free_way_locked(struct lane *l, uint32_t index)
{
	l->ways[index].state = WAY_FREE;
	l->free[l->free_count++] = index;
}

void
lane_give_back(struct lane *l, struct lane_way way, bool answered)
{
	lock_take(&l->lock);
	if (way.life == l->life && l->ways[way.index].state == WAY_TAKEN) {
		if (answered) {
			free_way_locked(l, way.index);
		} else {
			l->ways[way.index].state = WAY_LATE;
			l->late_count++;
		}
	}
	lock_give(&l->lock);
}

/* The lane's thread */

static natsStatus
subscribe(struct lane *l)
{
	natsStatus s = NATS_OK;
	char subject[256];

	lock_take(&l->lock);
	l->life = l->life == UINT32_MAX ? 1 : l->life + 1;
	l->free_count = l->late_count = 0;
	for (uint32_t i = WAYS; i-- > 0;)
		free_way_locked(l, i);
	lock_give(&l->lock);
	for (uint32_t i = 0; s == NATS_OK && i < WAYS; i++) {
		snprintf(subject, sizeof(subject), "%s.%" PRIu32 ".>", l->inbox, i);
		s = natsConnection_SubscribeSync(&l->ways[i].sub, l->nc, subject);
	}
	return s;
}

static bool
connect_lane(struct lane *l)
{
	char url[1024];
	const char *urls[] = { url };

	atomic_store(&l->gone, false);
	atomic_store(&l->unwritten, false);
	if (!l->events.url(l->events.arg, url, sizeof(url)) ||
	    natsOptions_SetServers(l->options, urls, 1) != NATS_OK)
		return false;
	atomic_fetch_add(&l->looking, 1);
	bool connected = natsConnection_Connect(&l->nc, l->options) == NATS_OK;
	lock_take(&l->lock);
	l->open = connected;
	lock_give(&l->lock);
	if (connected && subscribe(l) == NATS_OK)
		push(l, false);
	else
		atomic_store(&l->gone, true);
	atomic_fetch_sub(&l->looking, 1);
	atomic_store(&l->up, connected && !atomic_load(&l->gone));
	return connected;
}

/* A reply has come on the way, or word that there is none: msg, or why there is not. */
static void
hand_on(struct lane *l, struct way *w, natsStatus s, natsMsg *msg)
{
	lock_take(&l->lock);
	bool late = w->state == WAY_LATE;
	uint64_t tag = w->tag;
	if (late) {
		free_way_locked(l, (uint32_t)(w - l->ways));
		l->late_count--;
	}
	lock_give(&l->lock);
	if (s == NATS_OK)
		l->events.reply(l->events.arg, msg);
	else if (!late)
		l->events.failed(l->events.arg, tag, s);
	rpc_spent_add(l->spent, msg);
}

static void
hand_on_replies(struct lane *l)
{
	uint32_t waiting[WAYS], count = 0;

	lock_take(&l->lock);
	for (uint32_t i = 0; i < WAYS; i++)
		if (l->ways[i].state != WAY_FREE)
			waiting[count++] = i;
	lock_give(&l->lock);
	for (uint32_t i = 0; i < count; i++) {
		struct way *w = &l->ways[waiting[i]];
		natsMsg *msg = NULL;
		uint64_t pending = 0;
		if (natsSubscription_QueuedMsgs(w->sub, &pending) != NATS_OK || pending == 0)
			continue;
		natsStatus s = natsSubscription_NextMsg(&msg, w->sub, 0);
		if (s == NATS_OK || s == NATS_NO_RESPONDERS)
			hand_on(l, w, s, msg);
	}
}

/* Send what the replies led to, and what nats.c wrote of itself. */
static void
send_own(struct lane *l)
{
	lock_take(&l->lock);
	if (!l->sending && (l->queue.count > 0 || atomic_load(&l->unwritten)))
		send_queued_locked(l, false);
	lock_give(&l->lock);
}

/* Read until the connection is gone. */
static void
serve(struct lane *l)
{
	struct pollfd fds[] = { { .fd = l->fd }, { .fd = l->wake_fd, .events = POLLIN } };
	uint64_t count;

	while (!atomic_load(&l->gone) && !atomic_load(&l->stopping)) {
		/* Where something is left unwritten the socket was full; if it is someone else who writes, he waits
		 * himself. */
		fds[0].events = atomic_load(&l->unwritten) ? POLLIN | POLLOUT : POLLIN;
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents != 0 && read(l->wake_fd, &count, sizeof(count)) < 0)
			continue;
		atomic_fetch_add(&l->looking, 1);
		if (fds[0].revents & ~POLLOUT) {
			natsConnection_ProcessReadEvent(l->nc);
			hand_on_replies(l);
		}
		send_own(l);
		atomic_fetch_sub(&l->looking, 1);
	}
}

static void
drop_queued(struct lane *l)
{
	lock_take(&l->lock);
	atomic_store(&l->up, false);
	while (l->sending)
		lock_wait(&l->lock, &l->changed);
	struct items items = l->queue;
	l->queue = (struct items){ 0 };
	lock_give(&l->lock);
	for (size_t i = 0; i < items.count; i++)
		natsMsg_Destroy(items.list[i].msg);
	free(items.list);
}

static void
disconnect(struct lane *l)
{
	drop_queued(l);
	l->events.down(l->events.arg);
	natsConnection_Close(l->nc);
	lock_take(&l->lock);
	while (l->attached || l->open)
		lock_wait(&l->lock, &l->changed);
	lock_give(&l->lock);
	if (natsConnection_ProcessCloseEvent != NULL)
		natsConnection_ProcessCloseEvent(&l->socket);
	if (natsConnection_ProcessDetachedEvent != NULL)
		natsConnection_ProcessDetachedEvent(l->nc);
	for (int i = 0; i < WAYS; i++) {
		natsSubscription_Destroy(l->ways[i].sub);
		l->ways[i].sub = NULL;
	}
	natsConnection_Destroy(l->nc);
	close(l->fd);
	l->nc = NULL;
}

/* Returns false once it is time to stop. */
static bool
pause_unless_stopping(struct lane *l, int64_t ms)
{
	int64_t until_ns = clock_mono(clock_system()) + ms * NS_PER_MS;

	lock_take(&l->lock);
	if (!atomic_load(&l->stopping) && ms > 0)
		(void)lock_wait_until(&l->lock, &l->changed, until_ns);
	lock_give(&l->lock);
	return !atomic_load(&l->stopping);
}

static void *
run(void *arg)
{
	struct lane *l = arg;
	bool connected = true;

	lock_take(&l->lock);
	l->self = pthread_self();
	lock_give(&l->lock);
	while (pause_unless_stopping(l, connected ? 0 : RETRY_MS)) {
		connected = connect_lane(l);
		if (!connected)
			continue;
		serve(l);
		disconnect(l);
	}
	return NULL;
}

/* Its life */

static natsStatus
set_options(struct lane *l)
{
	natsOptions *o = l->options;
	natsStatus s = natsOptions_SetEventLoop(o, l, on_attach, on_read_wanted, on_write_wanted, on_detach);

	if (s == NATS_OK)
		s = natsOptions_SetAllowReconnect(o, false);
	if (s == NATS_OK)
		s = natsOptions_SetTimeout(o, CONNECT_MS);
	if (s == NATS_OK)
		s = natsOptions_SetClosedCB(o, on_closed, l);
	if (s == NATS_OK)
		s = natsOptions_SetDisconnectedCB(o, NULL, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetReconnectedCB(o, NULL, NULL);
	if (s == NATS_OK)
		s = natsOptions_SetErrorHandler(o, l->events.error, l->events.arg);
	return s;
}

static void
free_lane(struct lane *l)
{
	if (l->wake_fd >= 0)
		close(l->wake_fd);
	pthread_cond_destroy(&l->changed);
	lock_destroy(&l->lock);
	free(l->queue.list);
	free(l->spare.list);
	free(l->inbox);
	free(l);
}

int
lane_new(struct lane **out, natsOptions *options, const char *inbox, struct rpc_spent *spent,
    const struct lane_events *events)
{
	struct lane *l = calloc(1, sizeof(*l));
	int err = 0;

	if (l == NULL)
		return -ENOMEM;
	l->events = *events;
	l->spent = spent;
	l->options = options;
	lock_init(&l->lock, LOCK_LANE);
	lock_cond_init(&l->changed);
	l->inbox = strdup(inbox);
	l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (l->inbox == NULL || l->wake_fd < 0 || set_options(l) != NATS_OK)
		err = -ENOMEM;
	if (err == 0)
		err = -pthread_create(&l->thread, NULL, run, l);
	if (err != 0) {
		free_lane(l);
		return err;
	}
	*out = l;
	return 0;
}

void
lane_renew(struct lane *l)
{
	atomic_store(&l->gone, true);
	wake(l);
	lock_take(&l->lock);
	pthread_cond_broadcast(&l->changed);
	lock_give(&l->lock);
}

void
lane_stop(struct lane *l)
{
	atomic_store(&l->stopping, true);
	lane_renew(l);
	pthread_join(l->thread, NULL);
}

void
lane_free(struct lane *l)
{
	if (l == NULL)
		return;
	natsOptions_Destroy(l->options);
	free_lane(l);
}
