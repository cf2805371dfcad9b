#include "view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "../store/json.h"
#include "../store/name.h"
#include "election.h"

static const char *const state_names[] = { [NODE_ACTIVE] = "active", [NODE_DRAINING] = "draining", [NODE_FAILED] = "failed" };
#define STATES (sizeof(state_names) / sizeof(state_names[0]))

const char *
view_state_name(enum node_state state)
{
	return state_names[state];
}

struct view *
view_new(size_t count, size_t shards)
{
	struct view *v = calloc(1, sizeof(*v));

	if (v == NULL)
		return NULL;
	atomic_init(&v->refs, 1);
	v->count = count;
	v->shards = shards;
	v->nodes = calloc(count > 0 ? count : 1, sizeof(*v->nodes));
	v->owner = malloc((shards > 0 ? shards : 1) * sizeof(*v->owner));
	v->next = malloc((shards > 0 ? shards : 1) * sizeof(*v->next));
	if (v->nodes == NULL || v->owner == NULL || v->next == NULL) {
		view_put(v);
		return NULL;
	}
	for (size_t s = 0; s < shards; s++)
		v->owner[s] = v->next[s] = RING_NONE;
	return v;
}

struct view *
view_get(struct view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}

void
view_put(struct view *v)
{
	if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; v->nodes != NULL && i < v->count; i++)
		free(v->nodes[i].id);
	free(v->nodes);
	free(v->owner);
	free(v->next);
	free(v);
}

uint32_t
view_find(const struct view *v, const char *id)
{
	size_t low = 0, high = v->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = strcmp(v->nodes[middle].id, id);
		if (order == 0)
			return (uint32_t)middle;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return RING_NONE;
}

void
view_put_node(const struct view_node *n, struct buf *out)
{
	buf_puts(out, "{\"id\":");
	json_put_string(out, span_of(n->id));
	buf_printf(out, ",\"boot\":\"%016" PRIx64 "\",\"state\":\"%s\",\"capacity\":%u,\"since_us\":%" PRId64 ",\"host\":", n->boot,
	    state_names[n->state], n->capacity, n->since_us);
	json_put_string(out, span_of(n->about.host));
	buf_printf(out, ",\"pid\":%" PRId64 ",\"started_us\":%" PRId64 ",\"version\":", n->about.pid, n->about.started_us);
	json_put_string(out, span_of(n->about.version));
	buf_putc(out, '}');
}

static void
put_index(uint32_t index, struct buf *out)
{
	if (index == RING_NONE)
		buf_putc(out, '-');
	else
		buf_printf(out, "%" PRIu32, index);
}

void
view_encode(const struct view *v, struct buf *out)
{
	buf_printf(out, "{\"format\":%d,\"term\":%" PRIu64 ",\"number\":%" PRIu64 ",\"shards\":%zu,\"nodes\":[", VIEW_FORMAT, v->term,
	    v->number, v->shards);
	for (size_t i = 0; i < v->count; i++) {
		if (i > 0)
			buf_putc(out, ',');
		view_put_node(&v->nodes[i], out);
	}
	buf_puts(out, "],\"owners\":\"");
	for (size_t s = 0; s < v->shards; s++) {
		if (s > 0)
			buf_putc(out, ' ');
		put_index(v->owner[s], out);
		if (v->next[s] != RING_NONE) {
			buf_putc(out, '>');
			put_index(v->next[s], out);
		}
	}
	buf_puts(out, "\"}");
}

static bool
read_number(const cJSON *json, const char *key, double max, int64_t *out)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(json, key);

	if (!cJSON_IsNumber(item) || item->valuedouble < 0 || item->valuedouble > max)
		return false;
	*out = (int64_t)item->valuedouble;
	return true;
}

static const char *
read_text(const cJSON *json, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, key));

	return text != NULL ? text : "";
}

static void
copy_text(char *out, size_t size, const char *text)
{
	size_t len = strlen(text);

	if (len >= size)
		len = size - 1;
	memcpy(out, text, len);
	out[len] = '\0';
}

int
view_read_node(const cJSON *json, struct view_node *n)
{
	const char *id = read_text(json, "id"), *state = read_text(json, "state");
	int64_t capacity = 0;
	size_t at = 0;

	*n = (struct view_node){ 0 };
	while (at < STATES && strcmp(state, state_names[at]) != 0)
		at++;
	if (name_check_actor(span_of(id)) != 0 || strlen(id) > ELECTION_NODE_MAX || at == STATES || !read_number(json, "capacity", RING_CAPACITY_MAX, &capacity) || capacity == 0)
		return -EINVAL;
	n->state = (enum node_state)at;
	n->capacity = (unsigned)capacity;
	n->boot = strtoull(read_text(json, "boot"), NULL, 16);
	(void)read_number(json, "since_us", 9e18, &n->since_us);
	(void)read_number(json, "pid", 9e18, &n->about.pid);
	(void)read_number(json, "started_us", 9e18, &n->about.started_us);
	copy_text(n->about.host, sizeof(n->about.host), read_text(json, "host"));
	copy_text(n->about.version, sizeof(n->about.version), read_text(json, "version"));
	n->id = strdup(id);
	return n->id != NULL ? 0 : -ENOMEM;
}

/* An index, or '-'; true if there was one and it is in range. */
static bool
take_index(const char **at, size_t count, uint32_t *out)
{
	const char *digit = *at;
	uint64_t index = 0;

	*out = RING_NONE;
	if (*digit == '-') {
		++*at;
		return true;
	}
	/* strtoul takes blanks and signs too, and a third of all the time. */
	for (; *digit >= '0' && *digit <= '9' && index < count; digit++)
		index = 10 * index + (uint64_t)(*digit - '0');
	if (digit == *at || index >= count)
		return false;
	*at = digit;
	*out = (uint32_t)index;
	return true;
}

static int
decode_owners(const char *at, struct view *v)
{
	for (size_t s = 0; s < v->shards; s++) {
		if (s > 0 && *at++ != ' ')
			return -EINVAL;
		if (!take_index(&at, v->count, &v->owner[s]))
			return -EINVAL;
		if (*at != '>')
			continue;
		at++;
		if (!take_index(&at, v->count, &v->next[s]) || v->owner[s] == RING_NONE || v->next[s] == RING_NONE)
			return -EINVAL;
	}
	return *at == '\0' ? 0 : -EINVAL;
}

static int
decode(const cJSON *json, struct view **out)
{
	const cJSON *nodes = cJSON_GetObjectItemCaseSensitive(json, "nodes"), *item;
	int64_t format, term, number, shards;
	size_t at = 0;
	int err = 0;

	if (!read_number(json, "format", 1e9, &format) || format != VIEW_FORMAT || !read_number(json, "term", 9e15, &term) ||
	    !read_number(json, "number", 9e15, &number) || !read_number(json, "shards", 1 << 24, &shards) || !cJSON_IsArray(nodes))
		return -EINVAL;
	struct view *v = view_new((size_t)cJSON_GetArraySize(nodes), (size_t)shards);
	if (v == NULL)
		return -ENOMEM;
	v->term = (uint64_t)term;
	v->number = (uint64_t)number;
	for (item = nodes->child; item != NULL; item = item->next) {
		if (err == 0)
			err = view_read_node(item, &v->nodes[at]);
		if (err == 0 && at > 0 && strcmp(v->nodes[at - 1].id, v->nodes[at].id) >= 0)
			err = -EINVAL;
		at++;
	}
	if (err == 0)
		err = decode_owners(read_text(json, "owners"), v);
	if (err == 0)
		*out = v;
	else
		view_put(v);
	return err;
}

int
view_decode(struct span text, struct view **out)
{
	cJSON *json = cJSON_ParseWithLength(text.p, text.len);
	int err = json != NULL ? decode(json, out) : -EINVAL;

	cJSON_Delete(json);
	return err;
}
