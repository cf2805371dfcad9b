#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "bounded.h"
#include "cli.h"
#include "mountinfo.h"

static const char *
explain(int err)
{
	switch (err) {
	case 0:
		return "the status is not readable";
	case -ENOTCONN:
		return "the daemon has ended; `aether umount` removes the mount";
	case -ETIMEDOUT:
		return "the daemon does not answer";
	case -EACCES:
		return "the mount is another user's";
	default:
		return strerror(-err);
	}
}

/* The status of a mount, or an object that says why there is none. NULL for want of memory. */
static cJSON *
read_status(const char *target)
{
	struct buf path = { 0 }, text = { 0 };
	cJSON *status = NULL;
	int err;

	buf_printf(&path, "%s/.aether/status", target);
	err = buf_text(&path) != NULL ? bounded_read(path.p, BOUNDED_MS, &text) : -ENOMEM;
	if (err == 0)
		status = cJSON_Parse(text.p);
	buf_free(&path);
	buf_free(&text);
	if (cJSON_IsObject(status))
		return status;
	cJSON_Delete(status);
	status = cJSON_CreateObject();
	cJSON_AddStringToObject(status, "mountpoint", target);
	cJSON_AddStringToObject(status, "error", explain(err));
	return status;
}

static const char *
text_of(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text != NULL ? text : "";
}

static double
number_of(const cJSON *o, const char *key)
{
	const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);

	return cJSON_IsNumber(item) ? item->valuedouble : 0;
}

static void
print_bytes(double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	size_t unit = 0;

	for (; bytes >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]); unit++)
		bytes /= 1024;
	printf(unit > 0 ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void
print_uptime(double seconds)
{
	long s = (long)seconds;

	printf("  uptime       ");
	if (s >= 86400)
		printf("%ld d ", s / 86400);
	if (s >= 3600)
		printf("%ld h ", s / 3600 % 24);
	if (s >= 60)
		printf("%ld min ", s / 60 % 60);
	printf("%ld s\n", s % 60);
}

static void
print_nats(const cJSON *nats)
{
	const bool connected = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(nats, "connected"));
	const bool silent = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(nats, "silent"));
	const char *url = text_of(nats, "url");

	/* The memory store has no URL; JetStream has none while it is away. */
	if (url[0] == '\0' && connected)
		return;
	printf("  nats         %s%s%s", url, url[0] != '\0' ? ", " : "", !connected ? "NOT CONNECTED" : silent ? "connected, DOES NOT ANSWER" : "connected");
	if (number_of(nats, "reconnects") > 0)
		printf(", %.0f reconnects", number_of(nats, "reconnects"));
	putchar('\n');
}

static void
print_status(const cJSON *s)
{
	const cJSON *storage = cJSON_GetObjectItemCaseSensitive(s, "storage");

	printf("%s\n", text_of(s, "mountpoint"));
	if (text_of(s, "error")[0] != '\0') {
		printf("  error        %s\n", text_of(s, "error"));
		return;
	}
	printf("  node         %s\n", text_of(s, "nodeId"));
	printf("  pid          %.0f\n", number_of(s, "pid"));
	printf("  version      %s\n", text_of(s, "version"));
	printf("  store        %s\n", text_of(s, "store"));
	print_nats(cJSON_GetObjectItemCaseSensitive(s, "nats"));
	printf("  consistency  %s\n", text_of(s, "consistency"));
	printf("  commit       %s\n", text_of(s, "commit"));
	printf("  timeout      %g s\n", number_of(s, "timeoutSeconds"));
	print_uptime(number_of(s, "uptimeSeconds"));
	if (storage != NULL) {
		printf("  stored       ");
		print_bytes(number_of(storage, "usedBytes"));
		if (cJSON_IsNumber(cJSON_GetObjectItemCaseSensitive(storage, "maxBytes"))) {
			printf(" of ");
			print_bytes(number_of(storage, "maxBytes"));
		}
		putchar('\n');
	}
}

/* Appends the status of target. 0, 1 if the mount is not well, or -ENOMEM. */
static int
add_mount(cJSON *all, const char *target)
{
	cJSON *status = read_status(target);
	int bad = cJSON_HasObjectItem(status, "error");

	if (status == NULL || !cJSON_AddItemToArray(all, status))
		return -ENOMEM;
	return bad;
}

static int
add_every_mount(cJSON *all)
{
	struct mountinfo *list;
	int n = mountinfo_read(&list);
	int bad = 0;

	if (n < 0)
		return n;
	/* Of several at one place only the last is seen there. */
	for (int i = 0; i < n && bad >= 0; i++) {
		bool hidden = false;
		int got;

		for (int j = i + 1; j < n && !hidden; j++)
			hidden = strcmp(list[i].target, list[j].target) == 0;
		if (hidden || strcmp(list[i].type, MOUNTINFO_TYPE) != 0)
			continue;
		got = add_mount(all, list[i].target);
		bad = got < 0 ? got : bad | got;
	}
	mountinfo_free(list, n);
	return bad;
}

static int
add_named(cJSON *all, const char *path)
{
	char real[PATH_MAX];

	if (mountinfo_aether_at(path))
		return add_mount(all, path);
	if (realpath(path, real) != NULL && mountinfo_aether_at(real))
		return add_mount(all, real);
	cli_fail("%s is not a mount of Aether", path);
	return 1;
}

static int
print_all(const cJSON *all, bool json)
{
	const cJSON *one;
	char *text;

	if (json) {
		text = cJSON_Print(all);
		if (text == NULL)
			return cli_fail("%s", strerror(ENOMEM));
		puts(text);
		cJSON_free(text);
	} else {
		cJSON_ArrayForEach(one, all)
		{
			if (one != all->child)
				putchar('\n');
			print_status(one);
		}
	}
	return fflush(stdout) == 0 ? CLI_DONE : cli_fail("standard output: %s", strerror(errno));
}

static int
status_main(int argc, char **argv)
{
	enum { JSON };
	static const struct cli_option options[] = { { "json", 0, false, JSON }, { NULL, 0, false, 0 } };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = options };
	cJSON *all = cJSON_CreateArray();
	struct buf why = { 0 };
	bool json = false, named = false;
	const char *value;
	int id, bad = 0, code = CLI_DONE;

	while (bad >= 0 && (id = cli_next(&c, &value, &why)) != CLI_END) {
		if (id == CLI_BAD) {
			code = cli_usage(&command_status, "%s", buf_text(&why));
			goto out;
		}
		if (id == JSON) {
			json = true;
		} else {
			int got = add_named(all, value);

			named = true;
			bad = got < 0 ? got : bad | got;
		}
	}
	if (!named)
		bad = add_every_mount(all);
	if (bad < 0)
		code = cli_fail("%s", strerror(-bad));
	else
		code = print_all(all, json);
	if (!named && bad == 0 && cJSON_GetArraySize(all) == 0)
		cli_fail("nothing is mounted");
	if (bad > 0 || cJSON_GetArraySize(all) == 0)
		code = code == CLI_DONE ? CLI_FAILED : code;
out:
	buf_free(&why);
	cJSON_Delete(all);
	return code;
}

const struct cli_command command_status = {
	.name = "status",
	.summary = "show the mounts of this machine and how they are",
	.usage = "Usage: aether status [--json] [MOUNTPOINT…]\n"
		 "\n"
		 "Shows every mount of Aether, or the ones named: its node, its store, its connection to NATS, what is "
		 "stored.\n"
		 "\n"
		 "  --json   an array of the mounts' .aether/status\n"
		 "\n"
		 "Exit codes: 0 all are well, 1 none is mounted, or one does not answer, 2 usage.\n",
	.run = status_main,
};
