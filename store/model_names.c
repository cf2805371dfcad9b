#include <errno.h>
#include <stdlib.h>

#include "json.h"
#include "model_state.h"

#define QUOTED_MAX 100 /* bytes of a text that a message repeats */

static bool
is_plain_key(struct span key)
{
	for (size_t i = 0; i < key.len; i++) {
		unsigned char c = (unsigned char)key.p[i];
		bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c >= 0x80;
		if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return key.len > 0;
}

/* What of a long text is shown: whole characters. */
static struct span
cut(struct span text)
{
	if (text.len <= QUOTED_MAX)
		return text;
	text.len = QUOTED_MAX;
	while (text.len > 0 && ((unsigned char)text.p[text.len] & 0xc0) == 0x80)
		text.len--;
	return text;
}

static void
put_key(struct buf *out, struct span key)
{
	struct span shown = cut(key);

	if (is_plain_key(key)) {
		buf_putc(out, '.');
		buf_put_span(out, shown);
	} else {
		buf_puts(out, "[\"");
		buf_put_span(out, shown);
	}
	if (shown.len < key.len)
		buf_puts(out, "…");
	if (!is_plain_key(key))
		buf_puts(out, "\"]");
}

void
model_put_place(struct buf *out, const struct model_place *at)
{
	if (at->up == NULL) {
		buf_putc(out, '$');
		return;
	}
	model_put_place(out, at->up);
	if (at->key.p != NULL)
		put_key(out, at->key);
	else
		buf_printf(out, "[%zu]", at->index);
}

void
model_put_quoted(struct buf *out, struct span text)
{
	struct span shown = cut(text);

	json_put_string(out, shown);
	if (shown.len == text.len || out->failed)
		return;
	out->len--;
	buf_puts(out, "…\"");
}

int
model_compare(struct span a, struct span b)
{
	int order = memcmp(a.p, b.p, a.len < b.len ? a.len : b.len);

	return order != 0 ? order : a.len < b.len ? -1 : a.len > b.len;
}

static int
compare_items(const void *a, const void *b)
{
	const struct model_item *x = *(const struct model_item *const *)a, *y = *(const struct model_item *const *)b;
	int order = model_compare(x->name, y->name);

	return order != 0 ? order : x < y ? -1 : x > y;
}

const struct model_item *
model_find(const struct model *m, enum model_kind kind, struct span name)
{
	const struct model_section *s = &m->sections[kind];
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = model_compare(name, s->sorted[middle]->name);
		if (order == 0)
			return s->sorted[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return NULL;
}

/* The places of an item and what is in it. */
struct item_places {
	struct model_place top, section, item, key, element;
};

static const struct model_place *
place_of(struct item_places *places, const struct model_item *item)
{
	places->top = (struct model_place){ .up = NULL };
	places->section = (struct model_place){ .up = &places->top, .key = span_of(model_rules[item->kind].section) };
	places->item = (struct model_place){ .up = &places->section, .index = item->index };
	return &places->item;
}

static const struct model_place *
place_in(struct item_places *places, const struct model_item *item, const char *key)
{
	places->key = (struct model_place){ .up = place_of(places, item), .key = span_of(key) };
	return &places->key;
}

static const struct model_place *
place_of_name(struct item_places *places, const struct model_item *item, size_t list, size_t index)
{
	const struct model_list_rule *rule = &model_rules[item->kind].lists[list];
	const struct model_place *key = place_in(places, item, rule->key);

	if (rule->single)
		return key;
	places->element = (struct model_place){ .up = key, .index = index };
	return &places->element;
}

/* Sort a section by name. A name may be there once, except for the texts of hotspots. */
static int
sort_section(struct model *m, enum model_kind kind, struct buf *fault)
{
	struct model_section *s = &m->sections[kind];
	const struct model_item *first = NULL, *second = NULL;
	struct item_places places;

	s->sorted = arena_alloc(&m->arena, s->count * sizeof(const struct model_item *));
	if (s->sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < s->count; i++)
		s->sorted[i] = &s->items[i];
	qsort(s->sorted, s->count, sizeof(const struct model_item *), compare_items);
	for (size_t i = 1; i < s->count && kind != MODEL_HOTSPOT; i++)
		if (span_eq(s->sorted[i]->name, s->sorted[i - 1]->name) && (second == NULL || s->sorted[i] < second)) {
			first = s->sorted[i - 1];
			second = s->sorted[i];
		}
	if (second == NULL)
		return 0;
	model_put_place(fault, place_in(&places, second, model_rules[kind].name_key));
	buf_puts(fault, ": ");
	model_put_place(fault, place_of(&places, first));
	buf_puts(fault, " is called ");
	model_put_quoted(fault, second->name);
	buf_puts(fault, " already");
	return -EINVAL;
}

/* Everything of these kinds that has the name; found has room for one of each. */
static size_t
find_all(const struct model *m, unsigned kinds, struct span name, const struct model_item **found)
{
	size_t n = 0;

	for (enum model_kind k = 0; k < MODEL_KINDS; k++) {
		const struct model_item *item = (kinds >> k & 1) != 0 ? model_find(m, k, name) : NULL;
		if (item != NULL)
			found[n++] = item;
	}
	return n;
}

static int
compare_names(const void *a, const void *b)
{
	const struct span *x = *(const struct span *const *)a, *y = *(const struct span *const *)b;
	int order = model_compare(*x, *y);

	return order != 0 ? order : x < y ? -1 : x > y;
}

/* The place in the list of the first name that has been there before, or how many there are. */
static int
find_repeated(const struct model_item *item, size_t list, size_t *repeated)
{
	size_t n = item->names_count[list];
	const struct span *names = item->names[list], **sorted = malloc((n + 1) * sizeof(*sorted));

	*repeated = n;
	if (sorted == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &names[i];
	qsort(sorted, n, sizeof(*sorted), compare_names);
	for (size_t i = 1; i < n; i++)
		if (span_eq(*sorted[i], *sorted[i - 1]) && (size_t)(sorted[i] - names) < *repeated)
			*repeated = (size_t)(sorted[i] - names);
	free(sorted);
	return 0;
}

static int
link_list(struct model *m, struct model_item *item, size_t list, struct buf *fault)
{
	const struct model_list_rule *rule = &model_rules[item->kind].lists[list];
	struct model_refs *refs = &item->refs[list];
	size_t n = item->names_count[list], repeated;
	struct item_places places;

	refs->items =
	    arena_alloc(&m->arena, n * (size_t)__builtin_popcount(rule->kinds) * sizeof(const struct model_item *));
	if (refs->items == NULL || find_repeated(item, list, &repeated) != 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct span name = item->names[list][i];
		size_t found = find_all(m, rule->kinds, name, refs->items + refs->count);
		if (found == 0 || i == repeated) {
			model_put_place(fault, place_of_name(&places, item, list, i));
			buf_printf(fault, found == 0 ? ": %s is called " : ": ", rule->no);
			model_put_quoted(fault, name);
			buf_puts(fault, found == 0 ? "" : " is in this list already");
			return -EINVAL;
		}
		refs->count += found;
	}
	return 0;
}

/* For every event, the aggregates that declare it. */
static int
link_events(struct model *m)
{
	struct model_section *events = &m->sections[MODEL_EVENT], *aggregates = &m->sections[MODEL_AGGREGATE];

	for (size_t i = 0; i < aggregates->count; i++)
		for (size_t j = 0; j < aggregates->items[i].refs[1].count; j++)
			events->items[aggregates->items[i].refs[1].items[j]->index].declared_by.count++;
	for (size_t i = 0; i < events->count; i++) {
		struct model_refs *by = &events->items[i].declared_by;
		by->items = arena_alloc(&m->arena, by->count * sizeof(const struct model_item *));
		if (by->items == NULL)
			return -ENOMEM;
		by->count = 0;
	}
	for (size_t i = 0; i < aggregates->count; i++)
		for (size_t j = 0; j < aggregates->items[i].refs[1].count; j++) {
			struct model_refs *by =
			    &events->items[aggregates->items[i].refs[1].items[j]->index].declared_by;
			by->items[by->count++] = &aggregates->items[i];
		}
	return 0;
}

int
model_link(struct model *m, struct buf *fault)
{
	int err = 0;

	for (enum model_kind k = 0; err == 0 && k < MODEL_KINDS; k++)
		err = sort_section(m, k, fault);
	for (enum model_kind k = 0; err == 0 && k < MODEL_KINDS; k++)
		for (size_t i = 0; err == 0 && i < m->sections[k].count; i++)
			for (size_t list = 0; err == 0 && list < MODEL_LISTS; list++)
				if (m->sections[k].items[i].names[list] != NULL)
					err = link_list(m, &m->sections[k].items[i], list, fault);
	return err != 0 ? err : link_events(m);
}
