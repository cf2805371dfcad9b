#include <errno.h>
#include <stdlib.h>

#include "../../store/json.h"
#include "../../store/model.h"
#include "check.h"
#include "model_text.h"

static void
check_fault(const char *text, const char *expected)
{
	struct span copy = model_text(text);
	struct buf fault = { 0 };
	struct model *m = NULL;

	CHECK_EQ_INT(model_parse(copy, &m, &fault), expected[0] == '\0' ? 0 : -EINVAL);
	CHECK((m != NULL) == (expected[0] == '\0'));
	if (strcmp(buf_text(&fault), expected) != 0)
		printf("# of: %s\n", text);
	CHECK_EQ_STR(buf_text(&fault), expected);
	free((char *)copy.p);
	buf_free(&fault);
	model_free(m);
}

TEST(reads_what_is_empty)
{
	check_fault("{}", "");
	check_fault(" { } ", "");
	check_fault("{'enforce':false,'aggregates':[],'commands':[],'events':[],'policies':[],'readModels':[],"
		    "'externalSystems':[],'hotspots':[]}",
	    "");
	check_fault("{'events':[{'name':'E'}]}", "");
	check_fault("{'aggregates':[{'name':'A','commands':[],'events':[]}]}", "");
}

TEST(says_whether_it_enforces)
{
	static const struct {
		const char *text;
		bool enforces;
	} models[] = { { "{}", false }, { "{'enforce':false}", false }, { "{ 'enforce' : true }", true },
		{ "{'\\u0065nforce':true}", true } };

	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		struct model *m = model_text_parse(models[i].text);
		REQUIRE(m != NULL);
		CHECK_EQ_INT(model_enforces(m), models[i].enforces);
		model_free(m);
	}
}

TEST(reads_no_more_than_rfc_8259)
{
	check_fault("", "$: not JSON: not an object");
	check_fault("[]", "$: not JSON: not an object");
	check_fault("{", "$: not JSON: a string in quotes is missing");
	check_fault("{} x", "$: not JSON: something follows the object");
	check_fault("{'events':[],}", "$: not JSON: a string in quotes is missing");
	check_fault("{'enforce':01}", "$: not JSON: a ',' or '}' is missing in an object");
	check_fault("// {}", "$: not JSON: not an object");
	check_fault("\xef\xbb\xbf{}", "$: not JSON: not an object");
	check_fault("{'events':[{'name':'\xff'}]}", "$: not UTF-8");
}

TEST(names_the_place_of_a_wrong_value)
{
	check_fault("{'enforce':1}", "$.enforce: must be true or false");
	check_fault("{'enforce':'true'}", "$.enforce: must be true or false");
	check_fault("{'enforce':[true,{}]}", "$.enforce: must be true or false");
	check_fault("{'events':{}}", "$.events: must be an array");
	check_fault("{'events':null}", "$.events: must be an array");
	check_fault("{'events':['E']}", "$.events[0]: must be an object");
	check_fault("{'events':[{'name':'E'},[]]}", "$.events[1]: must be an object");
	check_fault("{'aggregates':[{'name':'A','events':'E'}]}", "$.aggregates[0].events: must be an array");
	check_fault("{'policies':[{'name':'P','on':[{}]}]}",
	    "$.policies[0].on[0]: must be a string of 1 to 255 bytes without control characters");
	check_fault("{'hotspots':[{'text':'H','about':['H']}]}",
	    "$.hotspots[0].about: must be a string of 1 to 255 bytes without control characters");
}

TEST(names_the_place_of_a_key_that_should_not_be_there)
{
	check_fault("{'eventz':[]}",
	    "$.eventz: unknown key: a model has enforce, aggregates, commands, events, policies, "
	    "readModels, externalSystems, hotspots");
	check_fault("{'aggregates':[{'name':'A','actor':'a'}]}",
	    "$.aggregates[0].actor: unknown key: an aggregate has name, actors, commands, events");
	check_fault("{'commands':[{'nam e':'A'}]}",
	    "$.commands[0][\"nam e\"]: unknown key: a command has name, issuedBy, emits");
	check_fault("{'events':[{'':1}]}", "$.events[0][\"\"]: unknown key: an event has name, fields");
	check_fault("{'policies':[{'1a':1}]}", "$.policies[0][\"1a\"]: unknown key: a policy has name, on, issues");
	check_fault("{'policies':[{'fields':{}}]}", "$.policies[0].fields: unknown key: a policy has name, on, issues");
	check_fault("{'readModels':[{'a-1':1}]}", "$.readModels[0].a-1: unknown key: a read model has name, from");
	check_fault("{'externalSystems':[{'gr\xc3\xbc\xc3\x9f':1}]}",
	    "$.externalSystems[0].gr\xc3\xbc\xc3\x9f: unknown key: an external system has name, receives, emits");
	check_fault("{'hotspots':[{'na\\'me\\\\':'H'}]}",
	    "$.hotspots[0][\"na\\\"me\\\\\"]: unknown key: a hotspot has text, about");
	check_fault("{'hotspots':[{'name\\u0000':'H'}]}",
	    "$.hotspots[0][\"name\\u0000\"]: unknown key: a hotspot has text, about");
}

TEST(refuses_repeated_keys)
{
	check_fault("{'enforce':true,'enforce':true}", "$.enforce: repeated key");
	check_fault("{'events':[],'\\u0065vents':[]}", "$[\"\\u0065vents\"]: repeated key");
	check_fault("{'events':[{'name':'E','name':'E'}]}", "$.events[0].name: repeated key");
	check_fault("{'events':[{'name':'E','fields':{},'fields':{}}]}", "$.events[0].fields: repeated key");
	check_fault("{'aggregates':[{'name':'A','events':[],'events':[]}]}", "$.aggregates[0].events: repeated key");
	check_fault("{'aggregates':[{'name':'A','actors':'a','actors':'a'}]}", "$.aggregates[0].actors: repeated key");
}

TEST(refuses_what_is_no_name)
{
	static const char why[] = "must be a string of 1 to 255 bytes without control characters";
	static const char *const bad[] = { "''", "1", "null", "['a']", "'\\u0000'", "'a\\nb'", "'\\u007f'" };
	struct buf text = { 0 }, expected = { 0 };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		buf_clear(&text);
		buf_clear(&expected);
		buf_printf(&text, "{'events':[{'name':%s}]}", bad[i]);
		buf_printf(&expected, "$.events[0].name: %s", why);
		check_fault(buf_text(&text), buf_text(&expected));
	}
	for (int len = 254; len <= 256; len++) {
		buf_clear(&text);
		buf_printf(&text, "{'events':[{'name':'%0*d\\u0041'}]}", len - 1, 0);
		check_fault(buf_text(&text), len <= MODEL_NAME_MAX ? "" : buf_text(&expected));
	}
	buf_free(&text);
	buf_free(&expected);
	check_fault("{'events':[{'fields':{}}]}", "$.events[0].name: is missing");
	check_fault("{'hotspots':[{}]}", "$.hotspots[0].text: is missing");
	check_fault("{'hotspots':[{'text':''}]}",
	    "$.hotspots[0].text: must be a string of 1 to 1024 bytes without control characters");
}

TEST(refuses_names_that_two_have)
{
	check_fault("{'events':[{'name':'B'},{'name':'A'},{'name':'A'},{'name':'B'}]}",
	    "$.events[2].name: $.events[1] is called \"A\" already");
	check_fault("{'commands':[{'name':'A'},{'name':'\\u0041'}]}",
	    "$.commands[1].name: $.commands[0] is called \"A\" already");
	check_fault("{'events':[{'name':'A'},{'name':'A'},{'name':'A'}]}",
	    "$.events[1].name: $.events[0] is called \"A\" already");
	check_fault("{'events':[{'name':'A'},{'name':'a'}],'commands':[{'name':'A'}],'policies':[{'name':'A'}]}", "");
	check_fault("{'hotspots':[{'text':'A'},{'text':'A'}]}", "");
}

TEST(refuses_names_that_nothing_has)
{
	check_fault(
	    "{'events':[{'name':'OrderPlaced'}],'aggregates':[{'name':'A'},{'name':'B','events':['OrderPlacd']}]}",
	    "$.aggregates[1].events[0]: no event is called \"OrderPlacd\"");
	check_fault("{'aggregates':[{'name':'A','commands':['C']}],'events':[{'name':'C'}]}",
	    "$.aggregates[0].commands[0]: no command is called \"C\"");
	check_fault("{'commands':[{'name':'C','emits':['C']}]}", "$.commands[0].emits[0]: no event is called \"C\"");
	check_fault("{'events':[{'name':'E'}],'policies':[{'name':'P','on':['E','F']}]}",
	    "$.policies[0].on[1]: no event is called \"F\"");
	check_fault(
	    "{'policies':[{'name':'P','issues':['C']}]}", "$.policies[0].issues[0]: no command is called \"C\"");
	check_fault("{'readModels':[{'name':'R','from':['R']}]}", "$.readModels[0].from[0]: no event is called \"R\"");
	check_fault("{'externalSystems':[{'name':'X','receives':['X']}]}",
	    "$.externalSystems[0].receives[0]: no command or event is called \"X\"");
	check_fault("{'externalSystems':[{'name':'X','emits':['C']}],'commands':[{'name':'C'}]}",
	    "$.externalSystems[0].emits[0]: no event is called \"C\"");
	check_fault("{'externalSystems':[{'name':'X','emits':['A']}],'aggregates':[{'name':'A'}]}",
	    "$.externalSystems[0].emits[0]: no event is called \"A\"");
	check_fault("{'hotspots':[{'text':'H','about':'H'}]}", "$.hotspots[0].about: nothing is called \"H\"");
	check_fault("{'events':[{'name':'E'}],'readModels':[{'name':'R','from':['e\\n\\'']}]}",
	    "$.readModels[0].from[0]: must be a string of 1 to 255 bytes without control characters");
	check_fault("{'readModels':[{'name':'R','from':['\xc3\xbc\\'\\\\']}]}",
	    "$.readModels[0].from[0]: no event is called \"\xc3\xbc\\\"\\\\\"");
}

TEST(lets_what_has_the_name_be_of_any_kind)
{
	check_fault("{'externalSystems':[{'name':'X','receives':['C','E','B']}],'commands':[{'name':'C'},{'name':'B'}],"
		    "'events':[{'name':'E'},{'name':'B'}]}",
	    "");
	check_fault(
	    "{'hotspots':[{'text':'1','about':'A'},{'text':'2','about':'C'},{'text':'3','about':'E'},"
	    "{'text':'4','about':'P'},{'text':'5','about':'R'},{'text':'6','about':'X'}],'aggregates':[{'name':'A'}],"
	    "'commands':[{'name':'C'}],'events':[{'name':'E'}],'policies':[{'name':'P'}],'readModels':[{'name':'R'}],"
	    "'externalSystems':[{'name':'X'}]}",
	    "");
}

TEST(refuses_names_that_a_list_repeats)
{
	check_fault("{'events':[{'name':'E'},{'name':'F'}],'policies':[{'name':'P','on':['F','E','\\u0046','E']}]}",
	    "$.policies[0].on[2]: \"F\" is in this list already");
}

TEST(cuts_long_names_in_messages)
{
	struct buf text = { 0 }, expected = { 0 };

	/* The hundredth byte is in the midst of a character. */
	buf_puts(&text, "{'readModels':[{'name':'R','from':['y");
	buf_puts(&expected, "$.readModels[0].from[0]: no event is called \"y");
	for (int i = 0; i < 63; i++) {
		buf_puts(&text, "x\xe2\x82\xac");
		buf_puts(&expected, i < 24 ? "x\xe2\x82\xac" : "");
	}
	buf_puts(&text, "']}]}");
	buf_puts(&expected, "x…\"");
	check_fault(buf_text(&text), buf_text(&expected));
	buf_free(&text);
	buf_free(&expected);
}

TEST(wants_actors_to_enforce)
{
	check_fault("{'aggregates':[{'name':'A','actors':'a'},{'name':'B'}],'enforce':true}",
	    "$.aggregates[1].actors: is missing, and \"enforce\" is true");
	check_fault("{'aggregates':[{'name':'B'}],'enforce':false}", "");
}

#define TYPES                                                                                                          \
	": there are string, number, integer, boolean, object, array, any, each with [] behind it for an array of "    \
	"them; "                                                                                                       \
	"an optional field has ? behind its name"

TEST(names_the_place_of_a_wrong_type)
{
	check_fault("{'events':[{'name':'E','fields':[]}]}", "$.events[0].fields: must be an object");
	check_fault("{'events':[{'name':'E','fields':{'a':'String'}}]}",
	    "$.events[0].fields.a: no type is called \"String\"" TYPES);
	check_fault("{'events':[{'name':'E','fields':{'a':'string?'}}]}",
	    "$.events[0].fields.a: no type is called \"string?\"" TYPES);
	check_fault(
	    "{'events':[{'name':'E','fields':{'a':'[]'}}]}", "$.events[0].fields.a: no type is called \"[]\"" TYPES);
	check_fault(
	    "{'events':[{'name':'E','fields':{'a':''}}]}", "$.events[0].fields.a: no type is called \"\"" TYPES);
	check_fault("{'events':[{'name':'E','fields':{'a':{'b c':[{'d':'x\\'y'}]}}}]}",
	    "$.events[0].fields.a[\"b c\"][0].d: no type is called \"x\\\"y\"" TYPES);
	check_fault("{'events':[{'name':'E','fields':{'a':1}}]}",
	    "$.events[0].fields.a: must be a type: a string, an object of fields, or an array of one type");
	check_fault("{'events':[{'name':'E','fields':{'a':[null]}}]}",
	    "$.events[0].fields.a[0]: must be a type: a string, an object of fields, or an array of one type");
	check_fault("{'events':[{'name':'E','fields':{'a':[]}}]}",
	    "$.events[0].fields.a: must have one type in it, that of every element");
	check_fault("{'events':[{'name':'E','fields':{'a':['string','any']}}]}",
	    "$.events[0].fields.a: must have one type in it, that of every element");
}

TEST(names_the_place_of_a_wrong_field)
{
	static const char why[] = ": a field's name must have 1 to 255 bytes and no control characters";
	struct buf text = { 0 };

	buf_printf(&text, "$.events[0].fields[\"\"]%s", why);
	check_fault("{'events':[{'name':'E','fields':{'':'any'}}]}", buf_text(&text));
	buf_clear(&text);
	buf_printf(&text, "$.events[0].fields[\"a\\u0000\"]%s", why);
	check_fault("{'events':[{'name':'E','fields':{'a\\u0000':'any'}}]}", buf_text(&text));
	check_fault("{'events':[{'name':'E','fields':{'a':'any','b':'any','\\u0062':'any','a':'any'}}]}",
	    "$.events[0].fields[\"\\u0062\"]: repeated field");
	check_fault("{'events':[{'name':'E','fields':{'b':'any','a':'any','a':'any','b':'any'}}]}",
	    "$.events[0].fields.a: repeated field");
	check_fault("{'events':[{'name':'E','fields':{'a':'any','b':'any','b':'any','a':'any'}}]}",
	    "$.events[0].fields.b: repeated field");
	check_fault(
	    "{'events':[{'name':'E','fields':{'a':'any','a?':'any'}}]}", "$.events[0].fields.a: repeated field");
	check_fault(
	    "{'events':[{'name':'E','fields':{'a':{'b':'any','b':'any'}}}]}", "$.events[0].fields.a.b: repeated field");
	for (int n = MODEL_FIELDS_MAX; n <= MODEL_FIELDS_MAX + 1; n++) {
		buf_clear(&text);
		buf_puts(&text, "{'events':[{'name':'E','fields':{");
		for (int i = 0; i < n; i++)
			buf_printf(&text, "%s'f%d':'any'", i > 0 ? "," : "", i);
		buf_puts(&text, "}}]}");
		check_fault(buf_text(&text), n <= MODEL_FIELDS_MAX ? "" : "$.events[0].fields: more than 1024 fields");
	}
	buf_free(&text);
}

TEST(takes_the_first_fault)
{
	check_fault("{'policies':[{'name':'P','on':['X']}],'aggregates':[{'name':'A'},{'name':'A'}],'events':[{'name':"
		    "1}],'x':1}",
	    "$.events[0].name: must be a string of 1 to 255 bytes without control characters");
	check_fault("{'policies':[{'name':'P','on':['X']}],'aggregates':[{'name':'A'},{'name':'A'}]}",
	    "$.aggregates[1].name: $.aggregates[0] is called \"A\" already");
}

/* Text of depth objects or arrays inside each other; with a model's own it must not be deeper than JSON may be. */
TEST(reads_deep_types)
{
	struct buf text = { 0 };

	for (int depth = JSON_DEPTH_MAX - 4; depth <= JSON_DEPTH_MAX - 3; depth++) {
		buf_clear(&text);
		buf_puts(&text, "{'events':[{'name':'E','fields':{'a':");
		for (int i = 0; i < depth; i++)
			buf_puts(&text, "[");
		buf_puts(&text, "'any'");
		for (int i = 0; i < depth; i++)
			buf_puts(&text, "]");
		buf_puts(&text, "}}]}");
		check_fault(buf_text(&text), depth + 4 <= JSON_DEPTH_MAX ? "" : "$: not JSON: nested too deeply");
	}
	for (int n = JSON_DEPTH_MAX; n <= JSON_DEPTH_MAX + 1; n++) {
		struct span copy;
		struct buf fault = { 0 };
		struct model *m;
		buf_clear(&text);
		buf_puts(&text, "{'events':[{'name':'E','fields':{'a':'any");
		for (int i = 0; i < n; i++)
			buf_puts(&text, "[]");
		buf_puts(&text, "'}}]}");
		copy = model_text(buf_text(&text));
		CHECK_EQ_INT(model_parse(copy, &m, &fault), n <= JSON_DEPTH_MAX ? 0 : -EINVAL);
		model_free(m);
		free((char *)copy.p);
		buf_free(&fault);
	}
	buf_free(&text);
}

TESTS(T(reads_what_is_empty), T(says_whether_it_enforces), T(reads_no_more_than_rfc_8259),
    T(names_the_place_of_a_wrong_value), T(names_the_place_of_a_key_that_should_not_be_there), T(refuses_repeated_keys),
    T(refuses_what_is_no_name), T(refuses_names_that_two_have), T(refuses_names_that_nothing_has),
    T(lets_what_has_the_name_be_of_any_kind), T(refuses_names_that_a_list_repeats), T(cuts_long_names_in_messages),
    T(wants_actors_to_enforce), T(names_the_place_of_a_wrong_type), T(names_the_place_of_a_wrong_field),
    T(takes_the_first_fault), T(reads_deep_types))
