#include "message.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../store/json.h"
#include "../store/name.h"

static const char *const standing_names[] = {
	[STANDING_OUTSIDE] = "outside", [STANDING_MEMBER] = "member", [STANDING_TAKEN] = "taken"
};
#define STANDINGS (sizeof(standing_names) / sizeof(standing_names[0]))

static cJSON *
parse(struct span text)
{
	return cJSON_ParseWithLength(text.p, text.len);
}

static uint64_t
number_of(const cJSON *json, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	return cJSON_IsNumber(item) && item->valuedouble > 0 && item->valuedouble < 9e15 ? (uint64_t)item->valuedouble : 0;
}

static const char *
text_of(const cJSON *json, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));

	return text != NULL ? text : "";
}

void
beat_encode(const struct beat *b, struct buf *out)
{
	buf_puts(out, "{\"node\":");
	view_put_node(&b->node, out);
	buf_printf(out, ",\"applied\":%" PRIu64 ",\"leaves\":%s}", b->applied, b->leaves ? "true" : "false");
}

int
beat_decode(struct span text, struct beat *b)
{
	cJSON *json = parse(text);

	*b = (struct beat){ .applied = number_of(json, "applied") };
	b->leaves = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(json, "leaves"));
	int err = view_read_node(cJSON_GetObjectItemCaseSensitive(json, "node"), &b->node);
	cJSON_Delete(json);
	return err;
}

void
beat_free(struct beat *b)
{
	free(b->node.id);
	b->node.id = NULL;
}

void
beat_answer_encode(const struct beat_answer *a, struct buf *out)
{
	buf_printf(out, "{\"term\":%" PRIu64 ",\"revision\":%" PRIu64 ",\"number\":%" PRIu64 ",\"standing\":\"%s\"", a->term, a->revision,
	    a->number, standing_names[a->standing]);
	if (a->standing == STANDING_TAKEN) {
		buf_printf(out, ",\"heard_ms\":%" PRId64 ",\"host\":", a->heard_ms);
		json_put_string(out, span_of(a->other.host));
		buf_printf(out, ",\"pid\":%" PRId64, a->other.pid);
	}
	buf_putc(out, '}');
}

int
beat_answer_decode(struct span text, struct beat_answer *a)
{
	cJSON *json = parse(text);
	const char *standing = text_of(json, "standing");
	size_t at = 0;

	while (at < STANDINGS && strcmp(standing, standing_names[at]) != 0)
		at++;
	*a = (struct beat_answer){ .term = number_of(json, "term"),
		.revision = number_of(json, "revision"),
		.number = number_of(json, "number"),
		.heard_ms = (int64_t)number_of(json, "heard_ms"),
		.standing = at < STANDINGS ? (enum standing)at : STANDING_OUTSIDE };
	a->other.pid = (int64_t)number_of(json, "pid");
	snprintf(a->other.host, sizeof(a->other.host), "%s", text_of(json, "host"));
	cJSON_Delete(json);
	return at < STANDINGS && a->term != 0 ? 0 : -EINVAL;
}

static void
put_lease(const struct lease *l, struct buf *out)
{
	buf_puts(out, "\"node\":");
	json_put_string(out, span_of(l->node));
	buf_printf(out, ",\"boot\":\"%016" PRIx64 "\",\"term\":%" PRIu64, l->boot, l->term);
}

static int
read_lease(const cJSON *json, struct lease *l)
{
	const char *node = text_of(json, "node");

	*l = (struct lease){ .boot = strtoull(text_of(json, "boot"), NULL, 16), .term = number_of(json, "term") };
	if (!cJSON_IsObject(json) || strlen(node) > ELECTION_NODE_MAX || (node[0] != '\0' && name_check_actor(span_of(node)) != 0))
		return -EINVAL;
	strcpy(l->node, node);
	return 0;
}

void
lease_encode(const struct lease *l, struct buf *out)
{
	buf_putc(out, '{');
	put_lease(l, out);
	buf_putc(out, '}');
}

int
lease_decode(struct span text, struct lease *l)
{
	cJSON *json = parse(text);
	int err = read_lease(json, l);

	cJSON_Delete(json);
	return err;
}

void
news_encode(const struct news *n, struct buf *out)
{
	buf_putc(out, '{');
	put_lease(&n->lease, out);
	buf_printf(out, ",\"revision\":%" PRIu64 ",\"number\":%" PRIu64 "}", n->revision, n->number);
}

int
news_decode(struct span text, struct news *n)
{
	cJSON *json = parse(text);
	int err = read_lease(json, &n->lease);

	n->revision = number_of(json, "revision");
	n->number = number_of(json, "number");
	cJSON_Delete(json);
	return err == 0 && n->revision != 0 ? 0 : -EINVAL;
}

void
handed_encode(const struct handed *h, struct buf *out)
{
	if (h->err == 0)
		buf_printf(out, "stored %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIx64 " %" PRId64 " %" PRIu64, h->version,
		    h->head.seq, h->head.version, h->head.count, h->head.size, h->head.sum, h->head.time_us, h->head.life);
	else
		buf_puts(out, h->err == -ETIMEDOUT ? "unknown" : "refused");
}

int
handed_decode(struct span text, struct handed *h)
{
	char copy[256];
	struct head *at = &h->head;

	*h = (struct handed){ .err = -EHOSTUNREACH };
	if (text.len == 0 || text.len >= sizeof(copy))
		return -EINVAL;
	memcpy(copy, text.p, text.len);
	copy[text.len] = '\0';
	if (strcmp(copy, "refused") == 0)
		return 0;
	h->err = strcmp(copy, "unknown") == 0 ? -ETIMEDOUT : 0;
	if (h->err != 0)
		return 0;
	int n = sscanf(copy, "stored %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNx64 " %" SCNd64 " %" SCNu64, &h->version,
	    &at->seq, &at->version, &at->count, &at->size, &at->sum, &at->time_us, &at->life);
	return n == 8 ? 0 : -EINVAL;
}

int
message_names(const char *subject, struct buf *ns, struct buf *actor)
{
	const char *last = strrchr(subject, '.'), *before = last;

	while (before != NULL && before > subject && before[-1] != '.')
		before--;
	if (last == NULL || before == subject)
		return -EINVAL;
	if (name_decode(ns, (struct span){ before, (size_t)(last - before) }) != 0 || name_decode(actor, span_of(last + 1)) != 0)
		return -EINVAL;
	return buf_text(ns) == NULL || buf_text(actor) == NULL ? -ENOMEM : 0;
}
