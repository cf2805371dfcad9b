#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "bounded.h"
#include "cli.h"
#include "mountinfo.h"

#define COLUMNS 8

/* The mount's control directory of the cluster. 0 or -errno. */
static int
find_cluster(const char *path, struct buf *dir)
{
	struct buf self = { 0 }, text = { 0 };

	buf_printf(dir, "%s/.aether/cluster", path);
	buf_printf(&self, "%s/self", dir->p);
	/* The first that asks the daemon, which may hang. */
	int err = buf_text(dir) != NULL && buf_text(&self) != NULL ? bounded_read(self.p, BOUNDED_MS, &text) : -ENOMEM;
	buf_free(&self);
	buf_free(&text);
	return err;
}

/* That of any mount that answers. */
static int
find_any(struct buf *dir)
{
	struct mountinfo *list;
	int n = mountinfo_read(&list), err = n < 0 ? n : -ENOENT;

	for (int i = n; i-- > 0 && err != 0;) {
		if (strcmp(list[i].type, MOUNTINFO_TYPE) != 0)
			continue;
		buf_clear(dir);
		err = find_cluster(list[i].target, dir);
	}
	if (n >= 0)
		mountinfo_free(list, n);
	return err;
}

static int
read_file(const char *dir, const char *name, struct buf *out)
{
	struct buf path = { 0 };
	ssize_t got = 1;

	buf_printf(&path, "%s/%s", dir, name);
	int fd = buf_text(&path) != NULL ? open(path.p, O_RDONLY | O_CLOEXEC) : -1;
	int err = fd < 0 ? -errno : 0;
	while (err == 0 && got > 0) {
		char *to = buf_reserve(out, 65536);
		got = to != NULL ? read(fd, to, 65536) : -1;
		if (got < 0)
			err = to != NULL ? -errno : -ENOMEM;
		else
			out->len += (size_t)got;
	}
	if (fd >= 0)
		close(fd);
	buf_free(&path);
	return err == 0 && buf_text(out) == NULL ? -ENOMEM : err;
}

/* A table */

/* How wide it is: each character one column. */
static int
width_of(const char *text)
{
	int width = 0;

	for (; *text != '\0'; text++)
		width += ((unsigned char)*text & 0xC0) != 0x80;
	return width;
}

/* rows of columns texts each, the first of which is the head. */
static void
print_table(char *const *texts, size_t rows, size_t columns)
{
	int width[COLUMNS] = { 0 };

	for (size_t i = 0; i < rows * columns; i++) {
		int w = width_of(texts[i]);
		width[i % columns] = w > width[i % columns] ? w : width[i % columns];
	}
	for (size_t i = 0; i < rows * columns; i++) {
		bool last = i % columns == columns - 1;
		printf("%s%*s", texts[i], last ? 0 : width[i % columns] - width_of(texts[i]) + 2, "");
		if (last)
			putchar('\n');
	}
}

struct table_text {
	char **texts;
	size_t count, cap;
	bool failed;
};

static void
put_cell(struct table_text *t, const char *text)
{
	if (t->count == t->cap) {
		size_t cap = t->cap > 0 ? 2 * t->cap : 64;
		char **more = realloc(t->texts, cap * sizeof(*more));
		if (more == NULL) {
			t->failed = true;
			return;
		}
		t->texts = more;
		t->cap = cap;
	}
	t->texts[t->count] = strdup(text);
	if (t->texts[t->count] == NULL)
		t->failed = true;
	else
		t->count++;
}

static int
end_table(struct table_text *t, size_t columns)
{
	bool failed = t->failed;

	if (!failed)
		print_table(t->texts, t->count / columns, columns);
	for (size_t i = 0; i < t->count; i++)
		free(t->texts[i]);
	free(t->texts);
	return failed ? cli_fail("%s", strerror(ENOMEM)) : CLI_DONE;
}

static int
print_json(cJSON *json)
{
	char *text = cJSON_Print(json);

	cJSON_Delete(json);
	if (text == NULL)
		return cli_fail("%s", strerror(ENOMEM));
	puts(text);
	cJSON_free(text);
	return CLI_DONE;
}

/* Nodes */

static const char *
text_of(const cJSON *o, const char *key)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));

	return text != NULL ? text : "";
}

static bool
is_true(const cJSON *o, const char *key)
{
	return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(o, key));
}

static void
put_node(struct table_text *t, const cJSON *n)
{
	char number[32];
	const char *since = text_of(n, "since");

	put_cell(t, text_of(n, "id"));
	put_cell(t, text_of(n, "state"));
	put_cell(t, is_true(n, "leader") ? is_true(n, "self") ? "leader, this node" : "leader" : is_true(n, "self") ? "this node" : "-");
	snprintf(number, sizeof(number), "%.0f", cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(n, "shards")));
	put_cell(t, number);
	snprintf(number, sizeof(number), "%.19s%s", since, strlen(since) > 19 ? "Z" : "");
	put_cell(t, number);
	put_cell(t, text_of(n, "host"));
	snprintf(number, sizeof(number), "%.0f", cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(n, "pid")));
	put_cell(t, number);
	put_cell(t, text_of(n, "version"));
}

static int
compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* An array of all nodes. NULL after a message. */
static cJSON *
read_nodes(const char *dir)
{
	cJSON *all = cJSON_CreateArray();
	struct dirent **names = NULL;
	struct buf path = { 0 };

	buf_printf(&path, "%s/nodes", dir);
	int n = buf_text(&path) != NULL ? scandir(path.p, &names, NULL, compare_names) : -1;
	if (n < 0)
		cli_fail("%s/nodes: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		struct buf text = { 0 };
		/* One that has gone meanwhile is none any more. */
		cJSON *node = names[i]->d_name[0] != '.' && read_file(path.p, names[i]->d_name, &text) == 0 ? cJSON_Parse(text.p) : NULL;
		if (node != NULL)
			cJSON_AddItemToArray(all, node);
		buf_free(&text);
		free(names[i]);
	}
	free(names);
	buf_free(&path);
	if (n >= 0)
		return all;
	cJSON_Delete(all);
	return NULL;
}

static int
show_nodes(const char *dir, bool json)
{
	static const char *const head[COLUMNS] = { "NODE", "STATE", "ROLE", "SHARDS", "SINCE", "HOST", "PID", "VERSION" };
	struct table_text t = { .count = 0 };
	cJSON *all = read_nodes(dir);
	const cJSON *n;

	if (all == NULL)
		return CLI_FAILED;
	if (json)
		return print_json(all);
	for (size_t i = 0; i < COLUMNS; i++)
		put_cell(&t, head[i]);
	for (n = all->child; n != NULL; n = n->next)
		put_node(&t, n);
	cJSON_Delete(all);
	return end_table(&t, COLUMNS);
}

static int
show_leader(const char *dir, bool json)
{
	struct buf text = { 0 };
	int err = read_file(dir, "leader", &text), code = CLI_DONE;

	if (err != 0) {
		code = cli_fail("%s/leader: %s", dir, strerror(-err));
	} else if (json) {
		cJSON *o = cJSON_CreateObject();
		text.p[strcspn(text.p, "\n")] = '\0';
		if (text.p[0] != '\0')
			cJSON_AddStringToObject(o, "leader", text.p);
		else
			cJSON_AddNullToObject(o, "leader");
		code = print_json(o);
	} else if (text.len == 0) {
		code = cli_fail("there is no leader just now");
	} else {
		fputs(text.p, stdout);
	}
	buf_free(&text);
	return code;
}

/* "<shard> <owner>[ <from> <to>]", as .aether/cluster/shards has it. */
static void
put_shard(struct table_text *t, cJSON *all, char *line)
{
	char *rest = NULL, *shard = strtok_r(line, " ", &rest), *owner = strtok_r(NULL, " ", &rest);
	char *from = strtok_r(NULL, " ", &rest), *to = strtok_r(NULL, " ", &rest);

	if (shard == NULL || owner == NULL)
		return;
	if (all == NULL) {
		put_cell(t, shard);
		put_cell(t, owner);
		put_cell(t, from != NULL ? from : "-");
		put_cell(t, to != NULL ? to : "-");
		return;
	}
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "shard", (double)strtoul(shard, NULL, 10));
	if (strcmp(owner, "-") != 0)
		cJSON_AddStringToObject(o, "owner", owner);
	else
		cJSON_AddNullToObject(o, "owner");
	if (from != NULL && to != NULL) {
		cJSON_AddStringToObject(o, "from", from);
		cJSON_AddStringToObject(o, "to", to);
	}
	cJSON_AddItemToArray(all, o);
}

static int
show_shards(const char *dir, bool json)
{
	static const char *const head[] = { "SHARD", "OWNER", "FROM", "TO" };
	cJSON *all = json ? cJSON_CreateArray() : NULL;
	struct table_text t = { .count = 0 };
	struct buf text = { 0 };
	int err = read_file(dir, "shards", &text);
	char *rest = NULL;

	for (size_t i = 0; i < 4 && !json; i++)
		put_cell(&t, head[i]);
	for (char *line = err == 0 ? strtok_r(text.p, "\n", &rest) : NULL; line != NULL; line = strtok_r(NULL, "\n", &rest))
		put_shard(&t, all, line);
	buf_free(&text);
	if (err != 0) {
		cJSON_Delete(all);
		(void)cli_fail("%s/shards: %s", dir, strerror(-err));
		t.count = 0;
		free(t.texts);
		return CLI_FAILED;
	}
	return json ? print_json(all) : end_table(&t, 4);
}

static int
cluster_main(int argc, char **argv)
{
	static const struct cli_option options[] = { { "json", 0, false, 1 }, { NULL, 0, false, 0 } };
	static int (*const shows[])(const char *, bool) = { show_nodes, show_leader, show_shards };
	static const char *const names[] = { "nodes", "leader", "shards" };
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = options };
	const char *value, *what = NULL, *path = NULL;
	struct buf why = { 0 }, dir = { 0 };
	bool json = false;
	size_t at = 0;
	int id, code;

	while ((id = cli_next(&c, &value, &why)) == 1 || id == CLI_ARGUMENT) {
		if (id == 1)
			json = true;
		else if (what == NULL)
			what = value;
		else if (path == NULL)
			path = value;
		else
			buf_printf(&why, "unexpected argument '%s'", value);
	}
	while (what != NULL && at < 3 && strcmp(what, names[at]) != 0)
		at++;
	if (why.len == 0 && (what == NULL || at == 3))
		buf_puts(&why, "say what to show: nodes, leader or shards");
	if (why.len > 0) {
		code = cli_usage(&command_cluster, "%s", buf_text(&why));
	} else {
		int err = path != NULL ? find_cluster(path, &dir) : find_any(&dir);
		if (err == -ENOENT && path == NULL)
			code = cli_fail("nothing is mounted");
		else if (err == -ENOENT)
			code = cli_fail("%s is not a mount of Aether", path);
		else
			code = err != 0 ? cli_fail("%s: %s", path != NULL ? path : buf_text(&dir), strerror(-err)) : shows[at](dir.p, json);
	}
	buf_free(&why);
	buf_free(&dir);
	return code;
}

const struct cli_command command_cluster = {
	.name = "cluster",
	.summary = "show the nodes of the cluster, its leader, who owns which shard",
	.usage = "Usage: aether cluster nodes|leader|shards [--json] [MOUNTPOINT]\n"
		 "\n"
		 "Shows what a mount knows of its cluster: the one named, or any that is there. The same is in its\n"
		 ".aether/cluster.\n"
		 "\n"
		 "  nodes    each node with its state, how many shards it owns, where it runs\n"
		 "  leader   the id of the leader\n"
		 "  shards   each shard with its owner; FROM and TO while it changes hands\n"
		 "  --json   the same for programs\n"
		 "\n"
		 "Exit codes: 0 done, 1 failed, or there is no leader, 2 usage.\n",
	.run = cluster_main,
};
