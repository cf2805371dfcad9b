#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "../../store/json.h"
#include "../../store/model.h"
#include "check.h"
#include "model_text.h"

/* "": allowed. */
static void
check_event(const struct model *m, const char *actor, const char *type, const char *data, const char *expected)
{
	struct arena arena = { 0 };
	struct buf line = { 0 }, why = { 0 };
	struct span copy = model_text(data);
	const char *refusal;
	struct event ev;

	if (m == NULL)
		return;
	buf_puts(&line, "{\"eventType\":");
	json_put_string(&line, span_of(type));
	buf_puts(&line, ",\"data\":");
	buf_put_span(&line, copy);
	buf_putc(&line, '}');
	CHECK_EQ_INT(event_parse((struct span){ line.p, line.len }, &arena, &ev, &refusal), 0);
	CHECK_EQ_INT(model_check(m, span_of(actor), &ev, &why), expected[0] == '\0' ? 0 : -EINVAL);
	if (strcmp(buf_text(&why), expected) != 0)
		printf("# of: %s %s %s\n", actor, type, data);
	CHECK_EQ_STR(buf_text(&why), expected);
	free((char *)copy.p);
	buf_free(&line);
	buf_free(&why);
	arena_free(&arena);
}

/* One event E with these fields, which every actor takes. */
static void
check_data(const char *fields, const char *data, const char *expected)
{
	struct buf text = { 0 };

	buf_printf(&text,
	    "{'enforce':true,'aggregates':[{'name':'A','actors':'*','events':['E']}],"
	    "'events':[{'name':'E','fields':%s}]}",
	    fields);
	struct model *m = model_text_parse(buf_text(&text));
	check_event(m, "a", "E", data, expected);
	model_free(m);
	buf_free(&text);
}

#define SHOP                                                                                                           \
	"{'events':[{'name':'OrderPlaced','fields':{'total':'number'}},{'name':'OrderPaid'},{'name':'Drawn'},"         \
	"{'name':'Sent','fields':{}}],'aggregates':[{'events':['OrderPlaced'],'name':'Order','actors':'order-*'},"     \
	"{'name':'Payment','actors':'pay-[0-9]?','events':['OrderPaid']},"                                             \
	"{'name':'Vip','actors':'order-vip-*','events':['OrderPaid']},"                                                \
	"{'name':'Odd','actors':'\\\\*\xc3\xbc','events':['Sent']}],'enforce':true}"

TEST(allows_what_an_aggregate_declares)
{
	struct model *m = model_text_parse(SHOP);

	check_event(m, "order-1", "OrderPlaced", "{'total':1}", "");
	check_event(m, "order-", "OrderPlaced", "{'total':1}", "");
	check_event(m, "pay-77", "OrderPaid", "{'any':['thing']}", "");
	check_event(m, "order-vip-1", "OrderPaid", "{}", "");
	check_event(m, "order-vip-1", "OrderPlaced", "{'total':1}", "");
	check_event(m, "*\xc3\xbc", "Sent", "{}", "");
	model_free(m);
}

TEST(refuses_types_that_no_aggregate_declares)
{
	struct model *m = model_text_parse(SHOP);

	check_event(
	    m, "order-1", "OrderPaid", "{}", "aggregate Order (order-*) does not declare event type \"OrderPaid\"");
	check_event(m, "order-1", "Drawn", "{}", "aggregate Order (order-*) does not declare event type \"Drawn\"");
	check_event(m, "order-1", "Text", "{}", "aggregate Order (order-*) does not declare event type \"Text\"");
	check_event(m, "order-1", "a\"\n", "{}", "aggregate Order (order-*) does not declare event type \"a\\\"\\n\"");
	check_event(m, "order-vip-1", "orderPaid", "{}",
	    "aggregate Order (order-*) and 1 more do not declare event type \"orderPaid\"");
	model_free(m);
}

TEST(refuses_actors_that_no_pattern_matches)
{
	static const char *const names[] = { "orders-1", "xorder-1", "Order-1", "pay-a1", "pay-1", "pay-123",
		"a\xc3\xbc" };
	struct model *m = model_text_parse(SHOP);
	struct buf why = { 0 };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		buf_clear(&why);
		buf_printf(&why, "no aggregate's actors match \"%s\"", names[i]);
		check_event(m, names[i], "OrderPlaced", "{'total':1}", buf_text(&why));
	}
	check_event(m, "a\"\\", "OrderPlaced", "{}", "no aggregate's actors match \"a\\\"\\\\\"");
	model_free(m);
	m = model_text_parse("{'enforce':true}");
	check_event(m, "a", "Event", "{}", "no aggregate's actors match \"a\"");
	model_free(m);
	m = model_text_parse("{'aggregates':[{'name':'A','events':['E']}],'events':[{'name':'E'}]}");
	check_event(m, "a", "E", "{}", "no aggregate's actors match \"a\"");
	model_free(m);
	buf_free(&why);
}

TEST(matches_the_longest_names)
{
	struct model *m =
	    model_text_parse("{'aggregates':[{'name':'A','actors':'0*z','events':['E']}],'events':[{'name':'E'}]}");
	char name[256];

	memset(name, '0', sizeof(name));
	name[254] = 'z';
	name[255] = '\0';
	check_event(m, name, "E", "{}", "");
	model_free(m);
}

TEST(refuses_names_that_are_too_long)
{
	struct model *m = model_text_parse(SHOP);
	struct buf actor = { 0 }, data = { 0 }, why = { 0 };

	buf_puts(&actor, "x");
	buf_puts(&data, "{'\\u0061");
	for (int i = 0; i < 300; i++) {
		buf_puts(&actor, "y");
		buf_puts(&data, "yyyyyy");
	}
	buf_puts(&data, "':1}");
	buf_printf(&why, "no aggregate's actors match \"%.100s…\"", buf_text(&actor));
	check_event(m, buf_text(&actor), "Sent", "{}", buf_text(&why));
	buf_clear(&why);
	buf_printf(&why, "Sent: $[\"%.100s…\"] is not declared", buf_text(&data) + 2);
	check_event(m, "*\xc3\xbc", "Sent", buf_text(&data), buf_text(&why));
	model_free(m);
	buf_free(&actor);
	buf_free(&data);
	buf_free(&why);
}

TEST(checks_types)
{
	static const struct {
		const char *type, *must, *good, *bad;
	} types[] = {
		{ "'string'", "a string", "'' 'a\\'b' '1'", "1 true null {} []" },
		{ "'number'", "a number", "0 -1 1.10 1e400 -0.5E-3 9007199254740993", "'1' true null {} [1]" },
		{ "'integer'", "an integer, written in digits alone",
		    "0 -0 -17 9007199254740993 123456789012345678901234567890",
		    "1.0 1e2 1E2 -1.5 0.0 '1' null true [1]" },
		{ "'boolean'", "true or false", "true false", "0 'true' null {} []" },
		{ "'object'", "an object", "{} {'a':[{}]}", "[] null 'a' 1" },
		{ "'array'", "an array", "[] [1,'a',[null]]", "{} null 'a' 1" },
		{ "'any'", "", "1 'a' null true {} [] {'a':[1,{'b':'}]'}]} 1e5", "" },
		{ "'any[]'", "an array", "[] [1,null,[]]", "null {}" },
		{ "{}", "an object", "{}", "[] null 1" },
		{ "{'x?':'any'}", "an object", "{} {'x':1}", "[] null" },
		{ "['string']", "an array", "[] ['a']", "'a' {}" },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		for (int good = 0; good <= 1; good++) {
			struct buf fields = { 0 }, data = { 0 }, why = { 0 };
			char values[128], *rest = NULL;
			buf_printf(&fields, "{'f':%s,'z':'string'}", types[i].type);
			buf_printf(&why, "E: $.f must be %s", types[i].must);
			snprintf(values, sizeof(values), "%s", good ? types[i].good : types[i].bad);
			for (char *v = strtok_r(values, " ", &rest); v != NULL; v = strtok_r(NULL, " ", &rest)) {
				buf_clear(&data);
				buf_printf(&data, "{'f':%s,'z':'}'}", v);
				check_data(buf_text(&fields), buf_text(&data), good ? "" : buf_text(&why));
			}
			buf_free(&fields);
			buf_free(&data);
			buf_free(&why);
		}
}

TEST(checks_nested_types)
{
	static const char fields[] =
	    "{'items':[{'sku':'string','n?':'integer[]'}],'m':'number[][]','at':{'x':{'y':'boolean'}}}";

	check_data(fields, "{'items':[],'m':[],'at':{'x':{'y':true}}}", "");
	check_data(
	    fields, "{'items':[{'sku':'a','n':[1,2]},{'sku':'b'}],'m':[[1],[],[2,3.5]],'at':{'x':{'y':false}}}", "");
	check_data(
	    fields, "{'items':[{'sku':'a'},{'n':[]}],'m':[],'at':{'x':{'y':true}}}", "E: $.items[1].sku is missing");
	check_data(fields, "{'items':[{'sku':'a','n':[1,2.5]}]}",
	    "E: $.items[0].n[1] must be an integer, written in digits alone");
	check_data(fields, "{'items':[1]}", "E: $.items[0] must be an object");
	check_data(fields, "{'items':[[]]}", "E: $.items[0] must be an object");
	check_data(fields, "{'m':[[1],2]}", "E: $.m[1] must be an array");
	check_data(fields, "{'m':[[1],[[]]]}", "E: $.m[1][0] must be a number");
	check_data(fields, "{'at':{'x':{'y':true,'z':1}}}", "E: $.at.x.z is not declared");
	check_data(fields, "{'at':{'x':{}}}", "E: $.at.x.y is missing");
	check_data(fields, "{'at':{}}", "E: $.at.x is missing");
}

TEST(checks_which_fields_are_there)
{
	check_data("{'a':'any','b?':'string','c':'any'}", "{'c':1,'a':1}", "");
	check_data("{'a':'any','b?':'string','c':'any'}", "{'b':null,'c':1,'a':1}", "");
	check_data("{'a':'any','b?':'string','c':'any'}", "{'b':1,'c':1,'a':1}", "E: $.b must be a string");
	check_data("{'a':'any','b?':'string','c':'any'}", "{'b':'x'}", "E: $.a is missing");
	check_data("{'a':'any','b?':'string','c':'any'}", "{'a':null}", "E: $.c is missing");
	check_data("{'a':'any'}", "{'a':1,'foo':1}", "E: $.foo is not declared");
	check_data("{'a':'any'}", "{'A':1}", "E: $.A is not declared");
	check_data("{'a':'any'}", "{'a':1,'a':2}", "E: $.a is repeated");
	check_data("{'a?':'any'}", "{'a':null,'\\u0061':null}", "E: $[\"\\u0061\"] is repeated");
	check_data("{}", "{'':1}", "E: $[\"\"] is not declared");
	check_data("{}", "{}", "");
	check_data("{'a?\?':'any'}", "{'a?':1}", "");
	check_data("{'a?\?':'any'}", "{}", "");
	check_data("{'?':'any'}", "{'?':1}", "");
	check_data("{'a\\u003f':'any'}", "{}", "");
}

TEST(compares_the_names_of_fields_decoded)
{
	check_data("{'gr\xc3\xbc\xc3\x9f':'any'}", "{'gr\\u00fc\\u00DF':1}", "");
	check_data("{'\\u0061\\'b':'any'}", "{'a\\u0022b':1}", "");
	check_data("{'a\\'b':'any'}", "{}", "E: $[\"a\\\"b\"] is missing");
	/* Declared with a backslash and an n; the data has a newline there. */
	check_data("{'\\\\n':'any'}", "{'\\n':1}", "E: $[\"\\n\"] is not declared");
	check_data("{'\\\\n':'any'}", "{'\\\\n':1}", "");
	check_data("{'a':'any'}", "{'a\\u0000':1}", "E: $[\"a\\u0000\"] is not declared");
}

/* The order of keys says nothing, neither in the model nor in the data. */
TEST(does_not_mind_the_order_of_keys)
{
	struct model *m =
	    model_text_parse("{'hotspots':[{'about':'R','text':'H'}],'readModels':[{'from':['E'],'name':'R'}],"
			     "'aggregates':[{'events':['E'],'actors':'a','name':'A'}],'enforce':true,"
			     "'events':[{'fields':{'c':'number','b':'string','a?':'any'},'name':'E'}]}");

	check_event(m, "a", "E", "{'a':1,'b':'','c':1}", "");
	check_event(m, "a", "E", "{'c':1,'b':'','a':1}", "");
	check_event(m, "a", "E", "{'b':'','c':1}", "");
	model_free(m);
}

/* A model of n events of one aggregate each, and of a field each that has its own name. */
static void
put_many(struct buf *text, int n)
{
	buf_puts(text, "{'enforce':true,'aggregates':[");
	for (int i = 0; i < n; i++)
		buf_printf(text, "%s{'name':'A%d','actors':'a%d-*','events':['E%d']}", i > 0 ? "," : "", i, i, i);
	buf_puts(text, "],'events':[");
	for (int i = n - 1; i >= 0; i--)
		buf_printf(text, "{'name':'E%d','fields':{'f%d':'integer'}}%s", i, i, i > 0 ? "," : "");
	buf_puts(text, "]}");
}

TEST(reads_a_model_of_many_events)
{
	struct buf text = { 0 }, actor = { 0 }, type = { 0 }, data = { 0 };

	put_many(&text, 1000);
	struct model *m = model_text_parse(buf_text(&text));
	for (int i = 0; i < 1000; i++) {
		buf_clear(&actor);
		buf_clear(&type);
		buf_clear(&data);
		buf_printf(&actor, "a%d-1", i);
		buf_printf(&type, "E%d", i);
		buf_printf(&data, "{'f%d':%d}", i, i);
		check_event(m, buf_text(&actor), buf_text(&type), buf_text(&data), "");
	}
	check_event(m, "a999-1", "E998", "{}", "aggregate A999 (a999-*) does not declare event type \"E998\"");
	check_event(m, "a999-1", "E999", "{}", "E999: $.f999 is missing");
	model_free(m);
	buf_free(&text);
	buf_free(&actor);
	buf_free(&type);
	buf_free(&data);
}

TEST(checks_many_fields)
{
	struct buf fields = { 0 }, data = { 0 };

	for (int i = 0; i < MODEL_FIELDS_MAX; i++) {
		buf_printf(&fields, "%s'f%d':'integer'", i > 0 ? "," : "{", i);
		buf_printf(&data, "%s'f%d':%d", i > 0 ? "," : "{", MODEL_FIELDS_MAX - 1 - i, i);
	}
	buf_putc(&fields, '}');
	buf_putc(&data, '}');
	check_data(buf_text(&fields), buf_text(&data), "");
	data.len -= strlen(",'f0':1023}");
	buf_putc(&data, '}');
	check_data(buf_text(&fields), buf_text(&data), "E: $.f0 is missing");
	buf_free(&fields);
	buf_free(&data);
}

static void *
check_often(void *m)
{
	for (int i = 0; i < 500; i++) {
		check_event(m, "order-1", "OrderPlaced", "{'total':1}", "");
		check_event(m, "order-1", "OrderPlaced", "{'total':'1'}", "OrderPlaced: $.total must be a number");
	}
	return NULL;
}

TEST(checks_on_many_threads)
{
	struct model *m = model_text_parse(SHOP);
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		REQUIRE(pthread_create(&threads[i], NULL, check_often, m) == 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	model_free(m);
}

TESTS(T(allows_what_an_aggregate_declares), T(refuses_types_that_no_aggregate_declares),
    T(refuses_actors_that_no_pattern_matches), T(matches_the_longest_names), T(refuses_names_that_are_too_long),
    T(checks_types), T(checks_nested_types), T(checks_which_fields_are_there), T(compares_the_names_of_fields_decoded),
    T(does_not_mind_the_order_of_keys), T(reads_a_model_of_many_events), T(checks_many_fields),
    T(checks_on_many_threads))
