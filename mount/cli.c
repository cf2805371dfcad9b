#include "cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../store/event.h"

int
cli_fail(const char *format, ...)
{
	va_list args;

	fputs("aether: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return CLI_FAILED;
}

int
cli_usage(const struct cli_command *command, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "aether %s: ", command->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry `aether %s --help`.\n", command->name);
	return CLI_USAGE;
}

static const struct cli_option *
find_long(const struct cli *c, const char *name, size_t len)
{
	for (const struct cli_option *o = c->options; o->name != NULL || o->letter != 0; o++)
		if (o->name != NULL && strlen(o->name) == len && memcmp(o->name, name, len) == 0)
			return o;
	return NULL;
}

static const struct cli_option *
find_short(const struct cli *c, char letter)
{
	for (const struct cli_option *o = c->options; o->name != NULL || o->letter != 0; o++)
		if (o->letter == letter)
			return o;
	return NULL;
}

int
cli_next(struct cli *c, const char **value, struct buf *why)
{
	const struct cli_option *o;
	const char *arg, *inside;
	int shown;

	if (c->next < c->argc && !c->only_arguments && strcmp(c->argv[c->next], "--") == 0) {
		c->only_arguments = true;
		c->next++;
	}
	if (c->next >= c->argc)
		return CLI_END;
	arg = *value = c->argv[c->next++];
	if (c->only_arguments || arg[0] != '-' || arg[1] == '\0')
		return CLI_ARGUMENT;

	if (arg[1] == '-') {
		shown = (int)strcspn(arg, "=");
		inside = arg[shown] == '=' ? arg + shown + 1 : NULL;
		o = find_long(c, arg + 2, (size_t)shown - 2);
	} else {
		shown = 2;
		inside = arg[2] != '\0' ? arg + 2 : NULL;
		o = find_short(c, arg[1]);
	}
	/* A value is never shown: it may be a secret. */
	if (o == NULL) {
		buf_printf(why, "unknown option '%.*s'", shown, arg);
		return CLI_BAD;
	}
	if (!o->has_value && inside != NULL) {
		buf_printf(why, "option '%.*s' takes no value", shown, arg);
		return CLI_BAD;
	}
	if (o->has_value && inside == NULL && c->next >= c->argc) {
		buf_printf(why, "option '%.*s' needs a value", shown, arg);
		return CLI_BAD;
	}
	*value = inside != NULL || !o->has_value ? inside : c->argv[c->next++];
	return o->id;
}

bool
cli_version(const char *text, uint64_t least, uint64_t *version)
{
	char *end;

	errno = 0;
	*version = strtoull(text, &end, 10);
	/* strtoull also takes white space and signs. */
	return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && *version >= least &&
	       *version <= EVENT_VERSION_MAX;
}
