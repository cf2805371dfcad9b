/*
 * The lines of one append: parsed once, then encoded against a head as often as a race demands.
 *
 * Ids and times are filled in when the lines are parsed, so that every attempt offers the same events; versions are
 * given anew by each encoding. Owns its memory. One thread at a time.
 */
#ifndef AETHER_STORE_BATCH_H
#define AETHER_STORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "clock.h"
#include "event.h"
#include "record.h"
#include "store.h"

struct batch_line {
	struct event event; /* as the user wrote it */
	struct span id;     /* the user's, or the text of one made here, which is absent until it is asked for */
	size_t number;      /* of the input line, from 1 */
	size_t end;         /* bytes of the input up to and with this line */
	uint64_t stored;    /* the version under which the event is stored already; 0: it is not, as far as is known */
	bool repeat;        /* says the same under the same id as an earlier line of this batch */
};

struct batch {
	struct arena arena;
	struct batch_line *lines;
	size_t count;
	size_t cap;
	bool user_ids;   /* does any line bring its own id? */
	uint32_t *index; /* open hash of ids: line number + 1, 0 is free; NULL until needed */
	size_t index_mask;
	size_t size;       /* bytes of the input */
	struct span actor; /* borrowed */
	int64_t now_us;
	struct event_frame frame; /* with the timestamp of events without one */
	uint64_t *tails;          /* of the ids made here, one a line */
	char made_id[UUID_LEN + 1];  /* one of those; its tail changes */
	char first_id[UUID_LEN + 1]; /* of the record that was encoded last */
	size_t encoded_max;          /* no encoding of all lines is longer, in bytes */
	size_t failed_line;          /* after an error: the number of the input line, from 1 */
	const char *why;    /* after an error: static text */
};

/*
 * Parse all lines. data is not needed afterwards, actor's text is. line_max is the longest line that may be stored, in
 * bytes. Returns 0, or -EINVAL, -EILSEQ, -EMSGSIZE, -ENOMEM, -EEXIST (two lines with one id but other content);
 * batch_free either way.
 */
int batch_parse(struct batch *b, struct span data, struct span actor, size_t line_max, const struct clock *clock);
void batch_free(struct batch *b);

/* Is any line not stored yet? */
bool batch_left(const struct batch *b);

/* Is any line stored already, as far as is known? */
bool batch_any_stored(const struct batch *b);

/* Nothing of it is stored any more, for the actor was erased. */
void batch_forget_stored(struct batch *b);

/* What batch_encode made. */
struct batch_record {
	size_t consumed;      /* bytes of the input that are stored once this record is */
	uint64_t version;     /* of the last of these events */
	struct span first_id; /* of the record's first event; valid until the next encoding */
	size_t lines;         /* how many of the batch's lines consumed covers */
};

/*
 * Write the lines that are not stored yet as the record that continues head: as many from the start as payload_max
 * holds. payload is cleared first; r->payload points into it. Returns 0; -EMSGSIZE (a single event does not fit);
 * -ENOMEM; or -ESTALE with *refused the index of the line whose version is not above what precedes it, and *current
 * what that is.
 */
int batch_encode(struct batch *b, const struct head *head, size_t payload_max, struct buf *payload, struct record *r,
    struct batch_record *made, size_t *refused, uint64_t *current);

/*
 * Compare with a stored record of the same actor: lines whose id it holds are marked as stored. Returns 0, or -EEXIST
 * if one has other content (failed_line is then set), -EIO if the record is not one of ours, or -ENOMEM.
 */
int batch_match(struct batch *b, struct span payload);

#endif
