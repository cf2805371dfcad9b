/*
 * What has to be told to the kernel of changes that came from elsewhere, name by name: which names wait, in which order they are told,
 * and what several changes of one name amount to.
 *
 * Owns the names that wait, are being told, or were told a moment ago. Pure: time comes in as a parameter, and the caller locks.
 *
 * A name goes through these states:
 *
 *   HATCHING  made, and perhaps about to be appended to: `echo >>` makes an actor and appends to it, and shall look like that.
 *             Waits POKES_HATCH_NS for the append.
 *   READY     waits for its turn, first come first served
 *   TELLING   taken by pokes_take. What happens to it meanwhile is noted, and told afterwards
 *   RESTING   was told less than POKES_REST_NS ago: what happens to it meanwhile is told together
 *   KEPT      nothing is to be told, but something is remembered of it for POKES_KEEP_NS
 *
 * So a name that changes all the time is told of a hundred times a second at the most. Those that come from a rest queue apart, behind all that
 * do not, and are told of POKES_RATE_AGAIN times a second all together: loud names cannot hold up a quiet one, and cost only so much. The
 * others are told of POKES_RATE times a second, but for a burst of POKES_BURST.
 *
 * What is noted is never dropped, only merged with what is noted of the same name already. The caller stops bringing more when
 * pokes_waiting exceeds what it wants to keep in memory.
 */
#ifndef AETHER_FS_POKES_H
#define AETHER_FS_POKES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "../store/clock.h"
#include "../store/record.h"
#include "../store/table.h"

#define POKES_HATCH_NS (5 * NS_PER_MS)
#define POKES_REST_NS (10 * NS_PER_MS)
#define POKES_KEEP_NS (120 * NS_PER_SEC)
#define POKES_RATE 2000
#define POKES_RATE_AGAIN 500
#define POKES_BURST 1024

/* One thing to do on the mount. POKE_NONE: nothing. */
enum poke_step { POKE_NONE, POKE_GONE, POKE_MADE, POKE_CHANGED };

/* What is to be told of a name, in this order. What came and went untold in between is left out, but no name that changed is. */
struct poke_marks {
	bool gone_first : 1;
	bool made : 1;
	bool changed : 1;
	bool gone_last : 1;
};

enum poke_state { POKE_HATCHING, POKE_READY, POKE_TELLING, POKE_RESTING, POKE_KEPT };

/* A name. */
struct poke {
	struct table_link link;
	TAILQ_ENTRY(poke) queue;
	enum poke_state state;
	struct poke_marks marks;  /* noted and not taken */
	struct poke_marks left;   /* while TELLING: what is left to do */
	enum poke_step step;      /* while TELLING: what is being done */
	bool with_change;         /* of POKE_MADE: it is appended to as well */
	bool doubtful;            /* KEPT or not: see pokes_doubt */
	bool made_here;           /* likewise pokes_made_here */
	int64_t due_ns;           /* HATCHING, RESTING, KEPT: until then */
	bool again;               /* it comes from a rest */
	struct head head;         /* of the newest record that was noted of it; zeros if none was */
	const char *actor;        /* NULL: the namespace itself */
	char ns[];
};

TAILQ_HEAD(poke_queue, poke);

struct pokes {
	struct table names;
	struct poke_queue hatching, ready, again, resting, kept; /* each in the order of its due times; again: READY, from a rest */
	size_t waiting;  /* HATCHING and READY, and RESTING with marks */
	int64_t paced_ns; /* when the next one of ready would be due if there were no bursts, */
	int64_t paced_again_ns; /* and of again */
};

void pokes_init(struct pokes *p);

/* Frees all names. */
void pokes_free(struct pokes *p);

/* What a record says of its actor. */
struct poke_news {
	bool own;     /* this node appended it: the kernel knows already */
	bool made;    /* the first of a life */
	bool changed; /* it has events */
	bool gone;    /* the actor was erased by it */
	struct head head;
};

/* Note a record. 0, or -ENOMEM: nothing was noted. */
int pokes_record(struct pokes *p, const char *ns, const char *actor, const struct poke_news *news, int64_t now_ns);

/* Note that a namespace has come (made) or gone. 0 or -ENOMEM. */
int pokes_namespace(struct pokes *p, const char *ns, bool made, int64_t now_ns);

/*
 * An append of this node has failed in a way that leaves open whether it was stored, so the kernel was told nothing: it is told now, for it
 * may have been stored, and once more if a record of ours still comes.
 */
void pokes_doubt(struct pokes *p, const char *ns, const char *actor, int64_t now_ns);

/*
 * The kernel is just making that name itself (actor NULL: a namespace), for a user: it must not be made once more, nor removed for what was
 * there before. existed: another node has made the actor, and what tells of that may be still to come. To be called before
 * the kernel gets its answer.
 */
void pokes_made_here(struct pokes *p, const char *ns, const char *actor, bool existed, int64_t now_ns);

/* The kernel is just removing that name itself, likewise: what was to be told of it is over. */
void pokes_gone_here(struct pokes *p, const char *ns, const char *actor, int64_t now_ns);

/* The next name to tell, which is TELLING then, with its first step; NULL: none is due. */
struct poke *pokes_take(struct pokes *p, int64_t now_ns);

/* A step was done, or was no use. True: there is another step. False: it rests, and is the caller's no more. */
bool pokes_next_step(struct pokes *p, struct poke *k, int64_t now_ns);

/* Who was to tell it has died: the step that was being done, and those left, are to be told again. */
void pokes_put_back(struct pokes *p, struct poke *k, int64_t now_ns);

/* When pokes_take will have something, or something can be forgotten; INT64_MAX: when something is noted. */
int64_t pokes_due(struct pokes *p, int64_t now_ns);

size_t pokes_waiting(const struct pokes *p);

/* The name if anything is known of it. */
struct poke *pokes_find(struct pokes *p, const char *ns, const char *actor);

/* Forget what waits of a namespace's actors, which nobody can see any more. What is being told goes on. */
void pokes_forget(struct pokes *p, const char *ns);

#endif
