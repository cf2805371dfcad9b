#include <errno.h>
#include <stdlib.h>

#include "../../store/model.h"
#include "check.h"
#include "model_text.h"

/*
 * Behind the HTML-like label whose text begins at p, or NULL if Graphviz could not read it: elements that do not nest,
 * a < > & or " that is no part of an element or entity, an element for fonts with nothing in it.
 */
static const char *
label_end(const char *p)
{
	const char *open[64];
	size_t depth = 0;

	for (; *p != '\0'; p++) {
		if (*p == '>')
			return depth == 0 ? p + 1 : NULL;
		if (*p == '"' || (*p == '&' && p[1 + strspn(p + 1, "#abcdefghijklmnopqrstuvwxyz0123456789")] != ';'))
			return NULL;
		if (*p != '<')
			continue;
		const char *tag = p + 1, *end = strchr(p, '>');
		if (end == NULL)
			return NULL;
		if (*tag == '/') {
			size_t len = (size_t)(end - tag - 1);
			if (depth == 0 || strncmp(tag + 1, open[--depth], len) != 0 || p[-1] == '"')
				return NULL;
			if ((*open[depth] == 'F' || *open[depth] == 'B') && strchr(open[depth], '>') + 1 == p)
				return NULL;
		} else if (end[-1] != '/') {
			if (depth == 64)
				return NULL;
			open[depth++] = tag;
		}
		p = end;
	}
	return NULL;
}

/* Every label can be read, and there is one statement on every line. */
static bool
can_be_read(const char *dot)
{
	size_t labels = 0;

	for (const char *p = dot; (p = strstr(p, "label=<")) != NULL; labels++) {
		p = label_end(p + strlen("label=<"));
		if (p == NULL || (*p != ']' && *p != ','))
			return false;
	}
	return labels > 0 && strncmp(dot, "digraph model {\n", 16) == 0 && strcmp(dot + strlen(dot) - 2, "}\n") == 0;
}

/* The drawing of a model; the caller frees it. */
static char *
draw(const char *text, const char *title)
{
	struct model *m = text != NULL ? model_text_parse(text) : NULL;
	struct buf out = { 0 };

	CHECK_EQ_INT(model_dot(m, title, &out), 0);
	char *dot = buf_text(&out);
	CHECK(can_be_read(dot));
	model_free(m);
	return dot;
}

static size_t
count(const char *text, const char *what)
{
	size_t n = 0;

	for (const char *p = text; (p = strstr(p, what)) != NULL; p += strlen(what))
		n++;
	return n;
}

/* The edges, each on a line. */
static char *
edges_of(const char *text)
{
	char *dot = draw(text, "t");
	struct buf edges = { 0 };

	for (char *line = strtok(dot, "\n"); line != NULL; line = strtok(NULL, "\n"))
		if (strstr(line, "->") != NULL || strstr(line, "rank=same") != NULL)
			buf_printf(&edges, "%s\n", line + 1);
	free(dot);
	return buf_text(&edges);
}

static void
check_edges(const char *text, const char *expected)
{
	char *edges = edges_of(text);

	CHECK_EQ_STR(edges, expected);
	free(edges);
}

static void
check_has(const char *text, const char *what)
{
	char *dot = draw(text, "t");

	if (strstr(dot, what) == NULL)
		printf("# %s\n", dot);
	CHECK(strstr(dot, what) != NULL);
	free(dot);
}

TEST(draws_what_is_empty)
{
	static const char *const models[] = { NULL, "{}", "{'enforce':true,'events':[]}" };

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		char *dot = draw(models[i], "orders");
		CHECK_EQ_UINT(count(dot, "The model is empty."), 1);
		CHECK_EQ_UINT(count(dot, ">orders<"), 1);
		free(dot);
	}
}

TEST(draws_the_flow)
{
	check_edges(
	    "{'aggregates':[{'name':'A','commands':['C','D'],'events':['E','F']}],"
	    "'commands':[{'name':'C','emits':['E']},{'name':'D','emits':['F']}],'events':[{'name':'E'},{'name':'F'}],"
	    "'policies':[{'name':'P','on':['E'],'issues':['D']}],'readModels':[{'name':'R','from':['F','E']}],"
	    "'externalSystems':[{'name':'X','receives':['F']}]}",
	    "a0_0:e0:e -> p0;\np0 -> a0_1:c1:w;\na0_1:e1:e -> r0;\na0_0:e0:e -> r0;\na0_1:e1:e -> x0;\n");
}

TEST(draws_what_stands_in_no_aggregate)
{
	check_edges(
	    "{'commands':[{'name':'C','emits':['E']}],'events':[{'name':'E'}],'policies':[{'name':'P','on':['E'],"
	    "'issues':['C']}],'readModels':[{'name':'R','from':['E']}]}",
	    "c0 -> e0;\ne0 -> p0;\np0 -> c0;\ne0 -> r0;\n");
}

TEST(leads_no_edge_over_the_other_side_of_a_note)
{
	check_edges("{'aggregates':[{'name':'A','commands':['C'],'events':['E']},{'name':'B','events':['F']}],"
		    "'commands':[{'name':'C','emits':['E','F','G']},{'name':'D','emits':['E']}],"
		    "'events':[{'name':'E'},{'name':'F'},{'name':'G'}],"
		    "'externalSystems':[{'name':'X','receives':['C'],'emits':['E','F']}]}",
	    "a0_0:c0:s -> a1_0:e1:w;\na0_0:c0:s -> e2;\nc1 -> a0_0:e0:n;\na0_0:c0:s -> x0;\nx0 -> a0_0:e0:n;\nx0 -> "
	    "a1_0:e1:w;\n");
}

TEST(shows_together_what_hangs_together)
{
	char *dot =
	    draw("{'aggregates':[{'name':'Agg','commands':['C','D','G','L','M'],'events':['E','F','H','S','T']}],"
		 "'commands':[{'name':'C','emits':['E']},{'name':'D','emits':['H']},{'name':'G','emits':['F','E']},"
		 "{'name':'L'},{'name':'M'}],"
		 "'events':[{'name':'E'},{'name':'F'},{'name':'H'},{'name':'S'},{'name':'T'}]}",
		"t");

	/* C and G emit E; D alone; L and M emit nothing, and nothing emits S and T. */
	CHECK_EQ_UINT(count(dot, "<B>Agg</B>"), 3);
	const char *first = strstr(dot, "\ta0_0 ["), *second = strstr(dot, "\ta0_1 ["),
		   *third = strstr(dot, "\ta0_5 [");
	REQUIRE(first != NULL && second != NULL && third != NULL && first < second && second < third);
	static const struct {
		const char *name;
		int group;
	} members[] = { { "<B>C</B>", 0 }, { "<B>G</B>", 0 }, { "<B>E</B>", 0 }, { "<B>F</B>", 0 }, { "<B>D</B>", 1 },
		{ "<B>H</B>", 1 }, { "<B>L</B>", 2 }, { "<B>M</B>", 2 }, { "<B>S</B>", 2 }, { "<B>T</B>", 2 } };
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		const char *at = strstr(dot, members[i].name);
		CHECK_EQ_UINT(count(dot, members[i].name), 1);
		REQUIRE(at != NULL);
		CHECK_EQ_INT(at < second ? 0 : at < third ? 1 : 2, members[i].group);
	}
	free(dot);
}

TEST(keeps_aggregates_apart)
{
	check_edges("{'aggregates':[{'name':'A','commands':['C'],'events':['E']},{'name':'B','commands':['D'],"
		    "'events':['F']}],'commands':[{'name':'C','emits':['E']},{'name':'D','emits':['E']}],"
		    "'events':[{'name':'E'},{'name':'F'}]}",
	    "a1_1:c1:s -> a0_0:e0:n;\n");
}

TEST(draws_an_aggregate_of_nothing)
{
	check_edges("{'aggregates':[{'name':'A'}],'hotspots':[{'text':'H','about':'A'}]}",
	    "h0 -> a0_0 [arrowhead=none, style=dashed, weight=4, color=\"#E4404A\"];\n{ rank=same; h0; a0_0; }\n");
	check_has("{'aggregates':[{'name':'Nothing','actors':'no-*'}]}", "no-*");
}

TEST(puts_a_hotspot_beside_what_it_is_about)
{
	check_edges("{'aggregates':[{'name':'A','events':['E']}],'events':[{'name':'E'}],'readModels':[{'name':'E'}],"
		    "'hotspots':[{'text':'1'},{'text':'2','about':'E'}]}",
	    "h1 -> a0_0:e0:w [arrowhead=none, style=dashed, weight=4, color=\"#E4404A\"];\n"
	    "h1 -> r0 [arrowhead=none, style=dashed, weight=4, color=\"#E4404A\"];\n{ rank=same; h1; r0; }\n");
}

TEST(has_the_colors_of_the_notes)
{
	static const char *const notes[] = { "\tc0 [fillcolor=\"#97CCF6\"", "\te0 [fillcolor=\"#FFB454\"",
		"\ta0_0 [fillcolor=\"#FFF6C2\"", "\tp0 [fillcolor=\"#D9BFF0\"", "\tr0 [fillcolor=\"#B0DE98\"",
		"\tx0 [fillcolor=\"#F9BBD4\"", "\th0 [fillcolor=\"#E4404A\"" };

	for (size_t i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		check_has("{'aggregates':[{'name':'A'}],'commands':[{'name':'C'}],'events':[{'name':'E'}],'policies':[{"
			  "'name':'P'}],"
			  "'readModels':[{'name':'R'}],'externalSystems':[{'name':'X'}],'hotspots':[{'text':'H'}]}",
		    notes[i]);
	check_has("{'commands':[{'name':'C','issuedBy':'Customer'}]}", "BGCOLOR=\"#FFE04A\"");
	check_has("{'commands':[{'name':'C','issuedBy':'Customer'}]}", "&#160;Customer&#160;");
}

#define EVIL "<b> &amp; \\\"q\\\" {x|y} \\\\N </TABLE> gr\xc3\xbc\xc3\x9f"
#define EVIL_SHOWN(space)                                                                                              \
	"&lt;b&gt; &amp;amp; &quot;q&quot; {x|y} &#92;&#92;N" space "&lt;/TABLE&gt; gr\xc3\xbc\xc3\x9f"

TEST(escapes_every_name)
{
	static const char model[] =
	    "{'aggregates':[{'name':'" EVIL "','actors':'" EVIL "','commands':['" EVIL "'],'events':['" EVIL
	    "']}],'commands':[{'name':'" EVIL "','issuedBy':'" EVIL "'},{'name':'C','issuedBy':'" EVIL
	    "'}],'events':[{'name':'" EVIL "','fields':{'" EVIL "':'any'}},{'name':'E','fields':{'" EVIL "?':[{'" EVIL
	    "':'any'}]}}],'policies':[{'name':'" EVIL "'}],'readModels':[{'name':'" EVIL
	    "'}],'externalSystems':[{'name':'" EVIL "'}],'hotspots':[{'text':'" EVIL "'}]}";
	char *dot = draw(model, "<t> & \"u\" \\N");

	CHECK_EQ_UINT(count(dot, EVIL_SHOWN("<BR/>")), 7);
	CHECK_EQ_UINT(count(dot, EVIL_SHOWN(" ")), 6);
	CHECK_EQ_UINT(count(dot, ">&lt;t&gt; &amp; &quot;u&quot; &#92;&#92;N<"), 1);
	CHECK_EQ_UINT(count(dot, "\\"), 0);
	free(dot);
}

TEST(draws_what_xml_cannot_hold)
{
	char *dot = draw("{'policies':[{'name':'a\\uffffb\\ufffec\xef\xbf\xbc'}]}", "new\nline\x01");

	CHECK_EQ_UINT(count(dot, "a\xef\xbf\xbd"
				 "b\xef\xbf\xbd"
				 "c\xef\xbf\xbc"),
	    1);
	CHECK_EQ_UINT(count(dot, "new\xef\xbf\xbdline\xef\xbf\xbd"), 1);
	free(dot);
	dot = draw(NULL, "\xff\xfe");
	CHECK_EQ_UINT(count(dot, "\xff"), 0);
	free(dot);
	free(draw(NULL, ""));
}

TEST(breaks_long_lines)
{
	check_has("{'policies':[{'name':'Whenever an order is placed, collect the payment'}]}",
	    "label=<Whenever an order is<BR/>placed, collect the<BR/>payment>");
	check_has("{'policies':[{'name':' AVeryLongNameWithoutAnySpace and'}]}",
	    "label=< AVeryLongNameWithoutAnySpace<BR/>and>");
	check_has("{'policies':[{'name':'      '}]}", "label=<      >");
}

TEST(lists_the_fields_of_an_event)
{
	char *dot = draw(
	    "{'events':[{'name':'E','fields':{'a':'string','b?':'integer[]','c':[[{'d':'any','e?':{'f':['boolean']}}]],"
	    "'g':'array','h':'object','i':'array[]','j':{}}}]}",
	    "t");
	static const char *const lines[] = { ">a&#160;&#160;<", ">string<", ">b?&#160;&#160;<", ">integer[]<",
		">c[][]<", ">&#160;&#160;&#160;d&#160;&#160;<", ">any<", ">&#160;&#160;&#160;e?<",
		">&#160;&#160;&#160;&#160;&#160;&#160;f&#160;&#160;<", ">boolean[]<", ">g&#160;&#160;<", ">array<",
		">h&#160;&#160;<", ">object<", ">i&#160;&#160;<", ">array[]<", ">j<" };
	const char *at = dot;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		const char *next = strstr(at, lines[i]);
		CHECK(next != NULL);
		if (next == NULL)
			printf("# %s\n", lines[i]);
		else
			at = next + 1;
	}
	free(dot);
}

TEST(leaves_out_fields_of_long_lists)
{
	struct buf text = { 0 };

	buf_puts(&text, "{'events':[{'name':'E','fields':{'n':{'m':'any'}");
	for (int i = 2; i < 100; i++)
		buf_printf(&text, ",'f%d':'number'", i);
	buf_puts(&text, "}}]}");
	char *dot = draw(buf_text(&text), "t");
	CHECK_EQ_UINT(count(dot, ">number<"), 22);
	CHECK_EQ_UINT(count(dot, "… 76 more"), 1);
	free(dot);
	buf_free(&text);
}

/* An event in n aggregates that n policies wait for has n * n edges, were there no limit. */
TEST(stays_small)
{
	struct buf text = { 0 };

	buf_puts(&text, "{'events':[{'name':'E'}],'aggregates':[{'name':'A','events':['E']}");
	for (int i = 0; i < 500; i++)
		buf_printf(&text, ",{'name':'A%d','events':['E']}", i);
	buf_puts(&text, "],'policies':[{'name':'P','on':['E']}");
	for (int i = 0; i < 500; i++)
		buf_printf(&text, ",{'name':'P%d','on':['E']}", i);
	buf_puts(&text, "]}");
	char *dot = draw(buf_text(&text), "t");
	CHECK_EQ_UINT(count(dot, " -> "), 4 * 501);
	CHECK_EQ_UINT(count(dot, "<B>E</B>"), 501);
	free(dot);
	buf_free(&text);
}

TEST(says_that_memory_ran_out)
{
	struct buf out = { .failed = true };

	CHECK_EQ_INT(model_dot(NULL, "t", &out), -ENOMEM);
	buf_free(&out);
}

static struct model *
read_shop(void)
{
	FILE *f = fopen("tests/models/order-shop.json", "r");
	struct buf fault = { 0 };
	static char text[1 << 16];
	struct model *m = NULL;

	if (f == NULL)
		return NULL;
	size_t len = fread(text, 1, sizeof(text), f);
	fclose(f);
	CHECK_EQ_INT(model_parse((struct span){ text, len }, &m, &fault), 0);
	CHECK_EQ_STR(buf_text(&fault), "");
	buf_free(&fault);
	return m;
}

static int
check_line(const struct model *m, const char *actor, const char *line)
{
	struct arena arena = { 0 };
	struct buf why = { 0 };
	struct event ev;
	const char *refusal;

	CHECK_EQ_INT(event_parse(span_of(line), &arena, &ev, &refusal), 0);
	int err = model_check(m, span_of(actor), &ev, &why);
	buf_free(&why);
	arena_free(&arena);
	return err;
}

TEST(the_example_is_a_model)
{
	struct model *m = read_shop();
	struct buf out = { 0 };

	REQUIRE(m != NULL);
	CHECK(model_enforces(m));
	CHECK_EQ_INT(model_dot(m, "orders", &out), 0);
	CHECK(can_be_read(buf_text(&out)));
	buf_free(&out);
	CHECK_EQ_INT(
	    check_line(m, "order-123",
		"{\"eventType\":\"OrderPlaced\",\"data\":{\"customer\":\"c-1\",\"items\":[{\"sku\":\"A\",\"quantity\":"
		"2,"
		"\"price\":50.00}],\"total\":100.00,\"address\":{\"street\":\"s\",\"city\":\"c\",\"zip\":\"z\"}}}"),
	    0);
	CHECK_EQ_INT(
	    check_line(m, "order-123", "{\"eventType\":\"OrderPlaced\",\"data\":{\"total\":100.00}}"), -EINVAL);
	CHECK_EQ_INT(check_line(m, "payment-1", "{\"eventType\":\"PaymentFailed\",\"data\":{\"code\":51}}"), 0);
	CHECK_EQ_INT(check_line(m, "order-1", "{\"eventType\":\"PaymentFailed\",\"data\":{\"code\":51}}"), -EINVAL);
	CHECK_EQ_INT(check_line(m, "order-1", "a text"), -EINVAL);
	model_free(m);
}

TESTS(T(draws_what_is_empty), T(draws_the_flow), T(draws_what_stands_in_no_aggregate),
    T(leads_no_edge_over_the_other_side_of_a_note), T(shows_together_what_hangs_together), T(keeps_aggregates_apart),
    T(draws_an_aggregate_of_nothing), T(puts_a_hotspot_beside_what_it_is_about), T(has_the_colors_of_the_notes),
    T(escapes_every_name), T(draws_what_xml_cannot_hold), T(breaks_long_lines), T(lists_the_fields_of_an_event),
    T(leaves_out_fields_of_long_lists), T(stays_small), T(says_that_memory_ran_out), T(the_example_is_a_model))
