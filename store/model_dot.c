#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "model.h"
#include "model_groups.h"
#include "model_state.h"
#include "name.h"

/*
 * The drawing tells a story from left to right. What an aggregate does stands in one note of its colour: its commands
 * on the left, the events that they emit on the right; an aggregate has as many notes as it has such steps. That keeps
 * time running to the right, where one note for each aggregate would draw nearly every edge back to it.
 */

#define FIELD_LINES_MAX 24 /* of one event */
#define NAME_WIDTH 22      /* characters; a line is broken behind the word that gets there */
#define TEXT_WIDTH 28
#define FILLER_ROWS 8

/* Of a command or event that several aggregates declare, the notes to which edges go. Keeps large models drawable. */
#define SPOTS_MAX 4

struct spots {
	size_t count;
	struct spot {
		size_t aggregate, group;
		bool both; /* do commands stand on the left there and events on the right? */
	} at[SPOTS_MAX];
};

struct drawing {
	const struct model *m;
	struct buf *out;
	struct model_groups groups;
	struct spots *spots[MODEL_KINDS]; /* of commands and events by index; of aggregates, their first note */
};

struct colors {
	const char *fill, *line, *text, *word;
};

static const struct colors colors[MODEL_KINDS] = {
	[MODEL_AGGREGATE] = { "#FFF6C2", "#D9CB7A", "#3C3A2E", "aggregate" },
	[MODEL_COMMAND] = { "#97CCF6", "#5E9DCC", "#10283B", "command" },
	[MODEL_EVENT] = { "#FFB454", "#D98B22", "#33200A", "event" },
	[MODEL_POLICY] = { "#D9BFF0", "#A98BC7", "#2C1A3D", "policy" },
	[MODEL_READ_MODEL] = { "#B0DE98", "#7DB35F", "#17300A", "read model" },
	[MODEL_EXTERNAL] = { "#F9BBD4", "#D585A5", "#3D1022", "external system" },
	[MODEL_HOTSPOT] = { "#E4404A", "#A8232C", "#FFFFFF", "hotspot" },
};
static const struct colors person_colors = { "#FFE04A", "#CFAE12", "#332B00", "person" };

static const char *const ids[MODEL_KINDS] = { [MODEL_AGGREGATE] = "a",
	[MODEL_COMMAND] = "c",
	[MODEL_EVENT] = "e",
	[MODEL_POLICY] = "p",
	[MODEL_READ_MODEL] = "r",
	[MODEL_EXTERNAL] = "x",
	[MODEL_HOTSPOT] = "h" };

#define FIELD_TYPE_COLOR "#855000"
#define PATTERN_COLOR "#857A35"

#define TABLE "<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"0\" CELLPADDING=\"0\">"

/* What HTML-like labels take for other than text, a backslash included, and what XML cannot hold. */
static size_t
put_char(struct buf *out, const char *p, size_t left)
{
	unsigned char c = (unsigned char)*p;

	switch (c) {
	case '&':
		buf_puts(out, "&amp;");
		return 1;
	case '<':
		buf_puts(out, "&lt;");
		return 1;
	case '>':
		buf_puts(out, "&gt;");
		return 1;
	case '"':
		buf_puts(out, "&quot;");
		return 1;
	case '\\':
		buf_puts(out, "&#92;&#92;"); /* one alone and a letter would stand for something */
		return 1;
	default:
		break;
	}
	if (c < ' ' || c == 0x7f) {
		buf_puts(out, "\xef\xbf\xbd");
		return 1;
	}
	size_t n = 1;
	while (n < left && ((unsigned char)p[n] & 0xc0) == 0x80)
		n++;
	/* U+FFFE and U+FFFF */
	if (n == 3 && memcmp(p, "\xef\xbf", 2) == 0 && (unsigned char)p[2] >= 0xbe)
		buf_puts(out, "\xef\xbf\xbd");
	else
		buf_put(out, p, n);
	return n;
}

static void
put_text(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.len;)
		i += put_char(out, text.p + i, text.len - i);
}

/* In lines of about that many characters. */
static void
put_wrapped(struct buf *out, struct span text, size_t width)
{
	size_t column = 0;

	for (size_t i = 0; i < text.len;) {
		size_t word = i + 1;
		while (text.p[i] == ' ' && word < text.len && text.p[word] != ' ')
			word++;
		if (text.p[i] == ' ' && column > 0 && column + (word - i) > width) {
			buf_puts(out, "<BR/>");
			column = 0;
			i++;
			continue;
		}
		/* What is not ASCII may be twice as wide. */
		column += (unsigned char)text.p[i] < 0x80 ? 1 : 2;
		i += put_char(out, text.p + i, text.len - i);
	}
}

/* The lines of an event's fields; the rest is counted. */
struct lines {
	struct buf *out;
	size_t written, left_out;
};

static void
put_field(struct lines *l, const struct model_field *field, size_t indent, size_t arrays, const char *type)
{
	bool nested = type[0] == '\0';

	if (l->written == FIELD_LINES_MAX) {
		l->left_out++;
		return;
	}
	l->written++;
	buf_printf(l->out, "<TR><TD ALIGN=\"LEFT\"%s><FONT POINT-SIZE=\"10\">", nested ? " COLSPAN=\"2\"" : "");
	for (size_t i = 0; i < indent * 3; i++)
		buf_puts(l->out, "&#160;");
	put_text(l->out, field->name);
	buf_puts(l->out, field->optional ? "?" : "");
	if (!nested)
		buf_printf(l->out,
		    "&#160;&#160;</FONT></TD><TD ALIGN=\"LEFT\"><FONT POINT-SIZE=\"10\" COLOR=\"" FIELD_TYPE_COLOR
		    "\">%s",
		    type);
	for (size_t i = 0; i < arrays; i++)
		buf_puts(l->out, "[]");
	buf_puts(l->out, "</FONT></TD></TR>");
}

static void
put_fields(struct lines *l, const struct model_type *type, size_t indent)
{
	for (size_t i = 0; i < type->count; i++) {
		const struct model_type *of = &type->fields[i].type;
		size_t arrays = 0;
		for (; of->is == MODEL_ARRAY && of->of != NULL; of = of->of)
			arrays++;
		put_field(l, &type->fields[i], indent, arrays, model_type_names[of->is]);
		if (of->is == MODEL_FIELDS)
			put_fields(l, of, indent + 1);
	}
}

static void
put_event(struct buf *out, const struct model_item *event)
{
	struct lines lines = { .out = out };

	buf_puts(out, TABLE "<TR><TD COLSPAN=\"2\"><B>");
	put_wrapped(out, event->name, NAME_WIDTH);
	buf_puts(out, "</B></TD></TR>");
	if (event->fields != NULL && event->fields->count > 0) {
		buf_puts(out, "<TR><TD COLSPAN=\"2\" HEIGHT=\"5\"></TD></TR>");
		put_fields(&lines, event->fields, 0);
	}
	if (lines.left_out > 0)
		buf_printf(out,
		    "<TR><TD ALIGN=\"LEFT\" COLSPAN=\"2\"><FONT POINT-SIZE=\"10\">… %zu more</FONT></TD></TR>",
		    lines.left_out);
	buf_puts(out, "</TABLE>");
}

static void
put_person(struct buf *out, struct span person)
{
	buf_printf(out,
	    "<TR><TD HEIGHT=\"20\"><TABLE BORDER=\"1\" COLOR=\"%s\" BGCOLOR=\"%s\" CELLBORDER=\"0\" CELLSPACING=\"0\" "
	    "CELLPADDING=\"2\"><TR><TD><FONT POINT-SIZE=\"10\" COLOR=\"%s\">&#160;",
	    person_colors.line, person_colors.fill, person_colors.text);
	put_text(out, person);
	buf_puts(out, "&#160;</FONT></TD></TR></TABLE></TD></TR>");
}

/* A table that holds a note. */
static void
put_note_begin(struct buf *out, const struct model_item *item)
{
	const struct colors *c = &colors[item->kind];

	buf_printf(out,
	    "<TABLE PORT=\"%s%zu\" BORDER=\"1\" COLOR=\"%s\" BGCOLOR=\"%s\" CELLBORDER=\"0\" CELLSPACING=\"0\" "
	    "CELLPADDING=\"9\"><TR><TD WIDTH=\"110\"><FONT COLOR=\"%s\">",
	    ids[item->kind], item->index, c->line, c->fill, c->text);
}

static void
put_command_in_step(struct buf *out, const struct model_item *command)
{
	buf_puts(out, TABLE);
	if (command->about.p != NULL)
		put_person(out, command->about);
	buf_puts(out, "<TR><TD>");
	put_note_begin(out, command);
	buf_puts(out, "<B>");
	put_wrapped(out, command->name, NAME_WIDTH);
	buf_puts(out, "</B></FONT></TD></TR></TABLE></TD></TR></TABLE>");
}

static void
put_event_in_step(struct buf *out, const struct model_item *event)
{
	put_note_begin(out, event);
	put_event(out, event);
	buf_puts(out, "</FONT></TD></TR></TABLE>");
}

/* Graphviz deals out what a column is too high to all of its rows: to so many empty ones that no note grows by it. */
static void
put_filler(struct buf *out)
{
	for (int i = 0; i < FILLER_ROWS; i++)
		buf_puts(out, "<TR><TD></TD></TR>");
}

static void
put_members(struct buf *out, const struct model_member *members, size_t n, enum model_kind kind)
{
	buf_puts(out, "<TD>" TABLE);
	put_filler(out);
	for (size_t i = 0; i < n; i++) {
		if (members[i].item->kind != kind)
			continue;
		buf_puts(out, "<TR><TD CELLPADDING=\"5\">");
		if (kind == MODEL_COMMAND)
			put_command_in_step(out, members[i].item);
		else
			put_event_in_step(out, members[i].item);
		buf_puts(out, "</TD></TR>");
	}
	put_filler(out);
	buf_puts(out, "</TABLE></TD>");
}

static bool
have_both(const struct model_member *members, size_t n)
{
	return n > 0 && members[0].item->kind == MODEL_COMMAND && members[n - 1].item->kind == MODEL_EVENT;
}

/* Where edges will find them. */
static void
keep_spots(struct drawing *d, const struct model_item *aggregate, const struct model_member *members, size_t n)
{
	const struct spot spot = { aggregate->index, n > 0 ? members[0].group : 0, have_both(members, n) };
	struct spots *own = &d->spots[MODEL_AGGREGATE][aggregate->index];

	if (own->count == 0)
		own->at[own->count++] = spot;
	for (size_t i = 0; i < n; i++) {
		struct spots *s = &d->spots[members[i].item->kind][members[i].item->index];
		if (s->count < SPOTS_MAX)
			s->at[s->count++] = spot;
	}
}

/* The members of one group, n of them, or none at all. */
static void
put_step(struct drawing *d, const struct model_item *aggregate, const struct model_member *members, size_t n)
{
	struct buf *out = d->out;

	buf_printf(out,
	    "\ta%zu_%zu [fillcolor=\"%s\", color=\"%s\", fontcolor=\"%s\", margin=\"0.06,0.05\", label=<" TABLE
	    "<TR><TD%s CELLPADDING=\"5\">&#160;<FONT POINT-SIZE=\"15\"><B>",
	    aggregate->index, n > 0 ? members[0].group : 0, colors[MODEL_AGGREGATE].fill, colors[MODEL_AGGREGATE].line,
	    colors[MODEL_AGGREGATE].text, have_both(members, n) ? " COLSPAN=\"2\"" : "");
	put_wrapped(out, aggregate->name, NAME_WIDTH);
	buf_puts(out, "</B></FONT>&#160;");
	if (aggregate->about.p != NULL) {
		buf_puts(out, "&#160;<FONT POINT-SIZE=\"11\" COLOR=\"" PATTERN_COLOR "\">");
		put_text(out, aggregate->about);
		buf_puts(out, "</FONT>&#160;&#160;");
	}
	buf_puts(out, "</TD></TR>");
	if (n > 0) {
		buf_puts(out, "<TR>");
		if (members[0].item->kind == MODEL_COMMAND)
			put_members(out, members, n, MODEL_COMMAND);
		if (members[n - 1].item->kind == MODEL_EVENT)
			put_members(out, members, n, MODEL_EVENT);
		buf_puts(out, "</TR>");
	}
	buf_puts(out, "</TABLE>>];\n");
	keep_spots(d, aggregate, members, n);
}

static void
put_aggregate(struct drawing *d, const struct model_item *aggregate)
{
	struct model_groups *g = &d->groups;
	size_t from = 0;

	model_groups_find(g, aggregate);
	do {
		size_t to = from;
		while (to < g->count && g->members[to].group == g->members[from].group)
			to++;
		put_step(d, aggregate, g->members + from, to - from);
		from = to;
	} while (from < g->count);
}

/* A note outside of every aggregate. */
static void
put_note(struct drawing *d, const struct model_item *item)
{
	const struct colors *c = &colors[item->kind];
	struct buf *out = d->out;

	buf_printf(out, "\t%s%zu [fillcolor=\"%s\", color=\"%s\", fontcolor=\"%s\", label=<", ids[item->kind],
	    item->index, c->fill, c->line, c->text);
	if (item->kind == MODEL_EVENT) {
		put_event(out, item);
	} else if (item->kind == MODEL_COMMAND) {
		buf_puts(out, TABLE);
		if (item->about.p != NULL)
			put_person(out, item->about);
		buf_puts(out, "<TR><TD CELLPADDING=\"4\"><B>");
		put_wrapped(out, item->name, NAME_WIDTH);
		buf_puts(out, "</B></TD></TR></TABLE>");
	} else {
		put_wrapped(out, item->name, item->kind == MODEL_HOTSPOT ? TEXT_WIDTH : NAME_WIDTH);
	}
	buf_puts(out, ">];\n");
}

static void
put_notes(struct drawing *d)
{
	const struct model_section *aggregates = &d->m->sections[MODEL_AGGREGATE];

	for (size_t i = 0; i < aggregates->count; i++)
		put_aggregate(d, &aggregates->items[i]);
	for (enum model_kind k = MODEL_COMMAND; k < MODEL_KINDS; k++)
		for (size_t i = 0; i < d->m->sections[k].count; i++)
			if (d->spots[k] == NULL || d->spots[k][i].count == 0)
				put_note(d, &d->m->sections[k].items[i]);
}

/* Where the item stands in the notes of aggregates; none: it has a note of its own. */
static const struct spots *
spots_of(const struct drawing *d, const struct model_item *item)
{
	static const struct spots none = { .count = 0 };

	return d->spots[item->kind] != NULL ? &d->spots[item->kind][item->index] : &none;
}

static size_t
count_ends(const struct drawing *d, const struct model_item *item)
{
	size_t n = spots_of(d, item)->count;

	return n > 0 ? n : 1;
}

static void
put_id(struct drawing *d, const struct model_item *item, size_t spot)
{
	const struct spots *s = spots_of(d, item);

	if (s->count > 0)
		buf_printf(d->out, "a%zu_%zu", s->at[spot].aggregate, s->at[spot].group);
	else
		buf_printf(d->out, "%s%zu", ids[item->kind], item->index);
}

static void
put_port(struct drawing *d, const struct model_item *item, const char *side)
{
	if (spots_of(d, item)->count > 0 && item->kind != MODEL_AGGREGATE)
		buf_printf(d->out, ":%s%zu%s", ids[item->kind], item->index, side);
}

/* Edges go from left to right, except that none runs over what stands on the other side of its note. */
static const char *
side_out(const struct drawing *d, const struct model_item *item, size_t spot)
{
	const struct spots *s = spots_of(d, item);

	return item->kind == MODEL_COMMAND && s->count > 0 && s->at[spot].both ? ":s" : ":e";
}

static const char *
side_in(const struct drawing *d, const struct model_item *item, size_t spot)
{
	const struct spots *s = spots_of(d, item);

	return item->kind == MODEL_EVENT && s->count > 0 && s->at[spot].both ? ":n" : ":w";
}

static void
put_edge(struct drawing *d, const struct model_item *from, const struct model_item *to)
{
	for (size_t i = 0; i < count_ends(d, from); i++)
		for (size_t j = 0; j < count_ends(d, to); j++) {
			buf_putc(d->out, '\t');
			put_id(d, from, i);
			put_port(d, from, side_out(d, from, i));
			buf_puts(d->out, " -> ");
			put_id(d, to, j);
			put_port(d, to, side_in(d, to, j));
			buf_puts(d->out, ";\n");
		}
}

/* Do they stand in one note, so that what a command emits is seen without an edge? */
static bool
are_together(const struct drawing *d, const struct model_item *a, const struct model_item *b)
{
	const struct spots *x = spots_of(d, a), *y = spots_of(d, b);

	for (size_t i = 0; i < x->count; i++)
		for (size_t j = 0; j < y->count; j++)
			if (x->at[i].aggregate == y->at[j].aggregate)
				return true;
	return false;
}

static void
put_edges_of(struct drawing *d, const struct model_item *item)
{
	/* Of what its first list names, an item that is not a command is made; the second it makes. */
	bool makes = item->kind == MODEL_COMMAND;

	for (size_t list = 0; list < MODEL_LISTS; list++)
		for (size_t i = 0; i < item->refs[list].count; i++) {
			const struct model_item *other = item->refs[list].items[i];
			if (list == 0 && !makes)
				put_edge(d, other, item);
			else if (!makes || !are_together(d, item, other))
				put_edge(d, item, other);
		}
}

/*
 * A hotspot stands above or below the note that it is about; on the left of one that lies in an aggregate's, since
 * Graphviz mixes up the attributes of an edge between a port and a node of one rank.
 */
static void
put_hotspot_edges(struct drawing *d, const struct model_item *hotspot)
{
	bool placed = false;

	for (size_t i = 0; i < hotspot->refs[0].count; i++) {
		const struct model_item *about = hotspot->refs[0].items[i];
		bool whole = about->kind == MODEL_AGGREGATE || spots_of(d, about)->count == 0;
		buf_printf(d->out, "\th%zu -> ", hotspot->index);
		put_id(d, about, 0);
		put_port(d, about, side_in(d, about, 0));
		buf_printf(
		    d->out, " [arrowhead=none, style=dashed, weight=4, color=\"%s\"];\n", colors[MODEL_HOTSPOT].fill);
		if (!whole || placed)
			continue;
		placed = true;
		buf_printf(d->out, "\t{ rank=same; h%zu; ", hotspot->index);
		put_id(d, about, 0);
		buf_puts(d->out, "; }\n");
	}
}

static void
put_edges(struct drawing *d)
{
	for (enum model_kind k = MODEL_COMMAND; k < MODEL_HOTSPOT; k++)
		for (size_t i = 0; i < d->m->sections[k].count; i++)
			put_edges_of(d, &d->m->sections[k].items[i]);
	for (size_t i = 0; i < d->m->sections[MODEL_HOTSPOT].count; i++)
		put_hotspot_edges(d, &d->m->sections[MODEL_HOTSPOT].items[i]);
}

static void
put_legend_of(struct buf *out, const struct colors *c)
{
	buf_printf(out,
	    "<TD BORDER=\"1\" COLOR=\"%s\" BGCOLOR=\"%s\" CELLPADDING=\"4\"><FONT POINT-SIZE=\"10\" "
	    "COLOR=\"%s\">&#160;%s&#160;</FONT></TD>",
	    c->line, c->fill, c->text, c->word);
}

static void
put_head(struct buf *out, const char *title)
{
	buf_puts(out,
	    "digraph model {\n"
	    "\tgraph [rankdir=LR, charset=\"UTF-8\", fontname=\"Helvetica,Arial,sans-serif\", pad=0.3, nodesep=0.35,\n"
	    "\t\tranksep=0.6, newrank=true, labelloc=t, labeljust=l, label=<" TABLE "<TR><TD ALIGN=\"LEFT\">"
	    "<FONT POINT-SIZE=\"24\" COLOR=\"#202124\">");
	if (name_utf8(title, strlen(title)) && title[0] != '\0')
		put_text(out, span_of(title));
	else
		buf_puts(out, "&#160;");
	buf_puts(out, "</FONT></TD></TR><TR><TD HEIGHT=\"6\"></TD></TR><TR><TD ALIGN=\"LEFT\">"
		      "<TABLE BORDER=\"0\" CELLBORDER=\"0\" CELLSPACING=\"4\" CELLPADDING=\"0\"><TR>");
	put_legend_of(out, &person_colors);
	put_legend_of(out, &colors[MODEL_COMMAND]);
	put_legend_of(out, &colors[MODEL_AGGREGATE]);
	for (enum model_kind k = MODEL_EVENT; k < MODEL_KINDS; k++)
		put_legend_of(out, &colors[k]);
	buf_puts(out, "</TR></TABLE></TD></TR><TR><TD HEIGHT=\"12\"></TD></TR></TABLE>>];\n"
		      "\tnode [shape=note, style=filled, fontname=\"Helvetica,Arial,sans-serif\", fontsize=12, "
		      "margin=\"0.15,0.1\",\n"
		      "\t\twidth=1.5, height=0.75];\n"
		      "\tedge [color=\"#8A8F94\", arrowsize=0.7, penwidth=1.2];\n");
}

static int
put_model(struct drawing *d)
{
	int err = model_groups_init(&d->groups, d->m);

	for (enum model_kind k = MODEL_AGGREGATE; k <= MODEL_EVENT; k++) {
		d->spots[k] = calloc(d->m->sections[k].count + 1, sizeof(struct spots));
		if (d->spots[k] == NULL)
			err = -ENOMEM;
	}
	if (err == 0) {
		put_notes(d);
		put_edges(d);
	}
	for (enum model_kind k = MODEL_AGGREGATE; k <= MODEL_EVENT; k++)
		free(d->spots[k]);
	model_groups_free(&d->groups);
	return err;
}

static bool
is_empty(const struct model *m)
{
	for (enum model_kind k = 0; m != NULL && k < MODEL_KINDS; k++)
		if (m->sections[k].count > 0)
			return false;
	return true;
}

int
model_dot(const struct model *m, const char *title, struct buf *out)
{
	struct drawing d = { .m = m, .out = out };
	int err = 0;

	put_head(out, title);
	if (is_empty(m))
		buf_puts(out,
		    "\tempty [shape=plaintext, style=\"\", fontcolor=\"#5F6368\", label=\"The model is empty.\"];\n");
	else
		err = put_model(&d);
	buf_puts(out, "}\n");
	return out->failed ? -ENOMEM : err;
}
