#include "options.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <string.h>

#include "../store/clock.h"
#include "../store/name.h"
#include "cli.h"
#include "urls.h"

struct parse;

/* One option, of the command line (`--nats`) or inside of -o (`timeout=`). */
struct key {
	const char *name;
	bool in_o;
	/* Takes the value; NULL for what is accepted and means nothing here. Says in p->why what a good one is. */
	int (*set)(struct parse *p, const struct key *k, const char *value);
	size_t offset;    /* for set_text: of the member */
	const char *fuse; /* what libfuse is told, or NULL */
	bool has_value;
};

#define KEYS_MAX 48

struct parse {
	struct options *o;
	struct buf *why;
	struct buf fuse;
	bool node; /* of a node without a mount */
	const char *seen[KEYS_MAX]; /* by key: the value it was given, "" for one without */
};

static const char *
keep(struct parse *p, const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = arena_alloc(&p->o->texts, size);

	return copy != NULL ? memcpy(copy, text, size) : NULL;
}

static int
wants(struct parse *p, const char *what)
{
	buf_puts(p->why, what);
	return -EINVAL;
}

/* Decimal digits only, at most max. Moves *text behind them. */
static bool
digits(const char **text, uint64_t max, uint64_t *out)
{
	const char *at = *text;
	uint64_t n = 0;

	for (; *at >= '0' && *at <= '9'; at++) {
		unsigned digit = (unsigned)(*at - '0');

		if (n > (max - digit) / 10)
			return false;
		n = n * 10 + digit;
	}
	if (at == *text)
		return false;
	*text = at;
	*out = n;
	return true;
}

static int
set_text(struct parse *p, const struct key *k, const char *value)
{
	const char *copy = keep(p, value);

	if (copy == NULL)
		return -ENOMEM;
	if (value[0] == '\0')
		return wants(p, "a path");
	memcpy((char *)p->o + k->offset, &copy, sizeof(copy));
	return 0;
}

static int
set_nats(struct parse *p, const struct key *k, const char *value)
{
	/* Says what is wrong by itself. */
	return urls_check(value, p->why) != 0 ? -EINVAL : set_text(p, k, value);
}

static int
set_store(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	p->o->memory = strcmp(value, "memory") == 0;
	return p->o->memory || strcmp(value, "jetstream") == 0 ? 0 : wants(p, "jetstream or memory");
}

static int
set_replicas(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	if (strlen(value) != 1 || strchr("135", value[0]) == NULL)
		return wants(p, "1, 3 or 5");
	p->o->replicas = value[0] - '0';
	return 0;
}

static int
set_node_id(struct parse *p, const struct key *k, const char *value)
{
	/* It will be a file's name in the control tree. */
	if (name_check_actor(span_of(value)) != 0 || strlen(value) > NAME_NAMESPACE_MAX)
		return wants(p, "a file name of at most 128 bytes that does not begin with a dot");
	return set_text(p, k, value);
}

static int
set_timeout(struct parse *p, const struct key *k, const char *value)
{
	const char *at = value;
	uint64_t seconds;
	int64_t ns, unit = NS_PER_SEC / 10;
	bool ok = digits(&at, OPTIONS_TIMEOUT_MAX_NS / NS_PER_SEC, &seconds);

	(void)k;
	ns = ok ? (int64_t)seconds * NS_PER_SEC : 0;
	if (ok && *at == '.') {
		ok = at[1] != '\0';
		for (at++; *at >= '0' && *at <= '9'; at++, unit /= 10)
			ns += (*at - '0') * unit;
	}
	if (!ok || *at != '\0' || ns < OPTIONS_TIMEOUT_MIN_NS || ns > OPTIONS_TIMEOUT_MAX_NS)
		return wants(p, "seconds, from 0.01 to 3600");
	p->o->timeout_ns = ns;
	return 0;
}

static int
set_consistency(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	p->o->eventual = strcmp(value, "eventual") == 0;
	return p->o->eventual || strcmp(value, "close-to-open") == 0 ? 0 : wants(p, "close-to-open or eventual");
}

static int
set_commit(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	p->o->commit_async = strcmp(value, "async") == 0;
	return p->o->commit_async || strcmp(value, "sync") == 0 ? 0 : wants(p, "sync or async");
}

static int
set_prefix(struct parse *p, const struct key *k, const char *value)
{
	size_t len = strspn(value, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");

	if (len == 0 || value[len] != '\0' || len > OPTIONS_PREFIX_MAX)
		return wants(p, "1 to 32 letters and digits");
	return set_text(p, k, value);
}

static int
set_uid(struct parse *p, const struct key *k, const char *value)
{
	uint64_t n;

	(void)k;
	/* The highest number is the kernel's "no such user". */
	if (!digits(&value, UINT32_MAX - 1, &n) || *value != '\0')
		return wants(p, "a number");
	p->o->uid = (uid_t)n;
	p->o->set_uid = true;
	return 0;
}

static int
set_gid(struct parse *p, const struct key *k, const char *value)
{
	uint64_t n;

	(void)k;
	if (!digits(&value, UINT32_MAX - 1, &n) || *value != '\0')
		return wants(p, "a number");
	p->o->gid = (gid_t)n;
	p->o->set_gid = true;
	return 0;
}

static int
set_umask(struct parse *p, const struct key *k, const char *value)
{
	size_t len = strlen(value);
	mode_t mask = 0;

	(void)k;
	if (len == 0 || len > 4 || value[strspn(value, "01234567")] != '\0')
		return wants(p, "an octal number up to 0777");
	for (; *value != '\0'; value++)
		mask = mask * 8 + (mode_t)(*value - '0');
	if (mask > 0777)
		return wants(p, "an octal number up to 0777");
	p->o->umask = mask;
	p->o->set_umask = true;
	return 0;
}

static int
set_snapshot_every(struct parse *p, const struct key *k, const char *value)
{
	uint64_t n;

	(void)k;
	if (!digits(&value, OPTIONS_SNAPSHOT_MAX, &n) || *value != '\0' || n > OPTIONS_SNAPSHOT_MAX)
		return wants(p, "a number of events up to 1000000000, or 0 for none");
	p->o->snapshot_every = n;
	return 0;
}

static int
set_cache_size(struct parse *p, const struct key *k, const char *value)
{
	static const char units[] = "KMG";
	const char *unit;
	uint64_t n;
	unsigned shift = 0;

	(void)k;
	if (!digits(&value, OPTIONS_CACHE_MAX, &n))
		return wants(p, "bytes from 4K to 16384G, with K, M or G for the unit");
	if (*value != '\0' && (unit = strchr(units, *value & ~0x20)) != NULL) {
		shift = 10 * (unsigned)(unit - units + 1);
		value++;
	}
	if (*value != '\0' || n > OPTIONS_CACHE_MAX >> shift || n << shift < OPTIONS_CACHE_MIN)
		return wants(p, "bytes from 4K to 16384G, with K, M or G for the unit");
	p->o->cache_bytes = n << shift;
	return 0;
}

static int
set_read_only(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	(void)value;
	p->o->read_only = true;
	return 0;
}

static int
set_delete(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	(void)value;
	p->o->allow_delete = true;
	return 0;
}

static int
set_foreground(struct parse *p, const struct key *k, const char *value)
{
	(void)k;
	(void)value;
	p->o->foreground = true;
	return 0;
}

/* clang-format off */
#define TEXT(member) set_text, offsetof(struct options, member), NULL, true

enum { KEY_NATS, KEY_STORE, KEY_REPLICAS, KEY_NODE_ID, KEY_STATE_DIR, KEY_FOREGROUND, KEY_O, KEY_RO, KEY_RW };

static const struct key keys[] = {
	[KEY_NATS] = { "--nats", false, set_nats, offsetof(struct options, nats), NULL, true },
	[KEY_STORE] = { "--store", false, set_store, 0, NULL, true },
	[KEY_REPLICAS] = { "--replicas", false, set_replicas, 0, NULL, true },
	[KEY_NODE_ID] = { "--node-id", false, set_node_id, offsetof(struct options, node_id), NULL, true },
	[KEY_STATE_DIR] = { "--state-dir", false, TEXT(state_dir) },
	[KEY_FOREGROUND] = { "-f", false, set_foreground, 0, NULL, false },
	[KEY_O] = { "-o", false, NULL, 0, NULL, true },
	[KEY_RO] = { "ro", true, set_read_only, 0, "ro", false },
	[KEY_RW] = { "rw", true, NULL, 0, NULL, false },
	{ "timeout", true, set_timeout, 0, NULL, true },
	{ "consistency", true, set_consistency, 0, NULL, true },
	{ "commit", true, set_commit, 0, NULL, true },
	{ "delete", true, set_delete, 0, NULL, false },
	{ "prefix", true, set_prefix, offsetof(struct options, prefix), NULL, true },
	{ "uid", true, set_uid, 0, NULL, true },
	{ "gid", true, set_gid, 0, NULL, true },
	{ "umask", true, set_umask, 0, NULL, true },
	{ "cache_size", true, set_cache_size, 0, NULL, true },
	{ "snapshot_every", true, set_snapshot_every, 0, NULL, true },
	{ "creds", true, TEXT(creds) },
	{ "nkey", true, TEXT(nkey) },
	{ "tlsca", true, TEXT(tls_ca) },
	{ "tlscert", true, TEXT(tls_cert) },
	{ "tlskey", true, TEXT(tls_key) },
	{ "log", true, TEXT(log) },
	{ "allow_other", true, NULL, 0, "allow_other", false },
	{ "nosuid", true, NULL, 0, "nosuid", false },
	{ "nodev", true, NULL, 0, "nodev", false },
	{ "noexec", true, NULL, 0, "noexec", false },
	/* For mount(8) and fstab(5); they have done their work when the option gets here. */
	{ "defaults", true, NULL, 0, NULL, false },
	{ "auto", true, NULL, 0, NULL, false },
	{ "noauto", true, NULL, 0, NULL, false },
	{ "user", true, NULL, 0, NULL, false },
	{ "nouser", true, NULL, 0, NULL, false },
	{ "_netdev", true, NULL, 0, NULL, false },
	{ "nofail", true, NULL, 0, NULL, false },
};
/* clang-format on */

#define KEYS (sizeof(keys) / sizeof(keys[0]))
_Static_assert(KEYS <= KEYS_MAX, "seen has a place for every key");

static const struct cli_option command_line[] = {
	{ "nats", 0, true, KEY_NATS },
	{ "store", 0, true, KEY_STORE },
	{ "replicas", 0, true, KEY_REPLICAS },
	{ "node-id", 0, true, KEY_NODE_ID },
	{ "state-dir", 0, true, KEY_STATE_DIR },
	{ NULL, 'f', false, KEY_FOREGROUND },
	{ NULL, 'o', true, KEY_O },
	{ NULL, 0, false, 0 },
};

static int
apply(struct parse *p, size_t index, const char *value)
{
	const struct key *k = &keys[index];
	struct buf good = { 0 }, *why = p->why;
	int err = 0;

	value = value != NULL ? value : "";
	if (p->seen[index] != NULL) {
		if (strcmp(p->seen[index], value) == 0)
			return 0;
		buf_printf(why, "option '%s' is given twice with different values", k->name);
		return -EINVAL;
	}
	p->seen[index] = keep(p, value);
	if (p->seen[index] == NULL)
		return -ENOMEM;
	if (k->fuse != NULL)
		buf_printf(&p->fuse, "%s%s", p->fuse.len > 0 ? "," : "", k->fuse);
	if (k->set == NULL)
		return 0;

	p->why = &good;
	err = k->set(p, k, value);
	p->why = why;
	if (err == -EINVAL && index == KEY_NATS)
		buf_printf(why, "option '%s': %s", k->name, buf_text(&good));
	else if (err == -EINVAL)
		buf_printf(why, "bad value '%s' of option '%s': it must be %s", value, k->name, buf_text(&good));
	buf_free(&good);
	return err;
}

/* Has the option, of those of -o, a meaning without a mount? */
static bool
suits_node(const struct key *k)
{
	static const char *const names[] = { "timeout", "cache_size", "snapshot_every", "prefix", "creds", "nkey", "tlsca", "tlscert", "tlskey", "log" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], k->name) == 0)
			return true;
	return false;
}

/* One item of -o, its commas no longer escaped. */
static int
apply_item(struct parse *p, const char *item)
{
	size_t len = strcspn(item, "=");
	const char *value = item[len] == '=' ? item + len + 1 : NULL;

	/* Empty items come from "defaults,,ro" and the like; x-* are other programs' (systemd's, for one). */
	if (item[0] == '\0' || strncmp(item, "x-", 2) == 0)
		return 0;
	for (size_t i = 0; i < KEYS; i++) {
		const struct key *k = &keys[i];

		if (p->node && !suits_node(k))
			continue;
		if (!k->in_o || strlen(k->name) != len || strncmp(k->name, item, len) != 0)
			continue;
		if (k->has_value == (value != NULL))
			return apply(p, i, value);
		buf_printf(p->why, "option '%s' of -o %s", k->name, k->has_value ? "needs a value" : "takes no value");
		return -EINVAL;
	}
	buf_printf(p->why, "unknown option '%.*s' of -o", (int)len, item);
	return -EINVAL;
}

static int
apply_list(struct parse *p, const char *list)
{
	struct buf item = { 0 };
	int err = 0;

	for (;; list++) {
		if (*list == '\\' && list[1] != '\0') {
			buf_putc(&item, *++list);
			continue;
		}
		if (*list != ',' && *list != '\0') {
			buf_putc(&item, *list);
			continue;
		}
		err = buf_text(&item) != NULL ? apply_item(p, item.p) : -ENOMEM;
		buf_clear(&item);
		if (err != 0 || *list == '\0')
			break;
	}
	buf_free(&item);
	return err;
}

/* What no single option can know. */
static int
check_together(struct parse *p)
{
	const struct options *o = p->o;
	const struct {
		const char *name, *value;
	} need_nats[] = { { "creds", o->creds }, { "nkey", o->nkey }, { "tlsca", o->tls_ca },
		{ "tlscert", o->tls_cert }, { "tlskey", o->tls_key } };

	if (o->mountpoint == NULL && !p->node)
		return wants(p, "MOUNTPOINT is missing");
	if (o->memory && p->node)
		return wants(p, "a node needs JetStream: events in memory live with a mount");
	if (p->seen[KEY_RO] != NULL && p->seen[KEY_RW] != NULL)
		return wants(p, "options 'ro' and 'rw' contradict each other");
	if (o->memory && o->nats != NULL)
		return wants(p, "option '--nats' has no meaning with '--store memory'");
	if (o->replicas > 1 && o->nats == NULL)
		return wants(p, "option '--replicas' needs '--nats': the private server is a single one");
	for (size_t i = 0; i < sizeof(need_nats) / sizeof(need_nats[0]); i++) {
		if (need_nats[i].value != NULL && o->nats == NULL) {
			buf_printf(p->why, "option '%s' needs '--nats'", need_nats[i].name);
			return -EINVAL;
		}
	}
	if ((o->tls_cert != NULL) != (o->tls_key != NULL))
		return wants(p, "options 'tlscert' and 'tlskey' need each other");
	if (o->creds != NULL && o->nkey != NULL)
		return wants(p, "options 'creds' and 'nkey' contradict each other");
	return 0;
}

static int
set_mountpoint(struct parse *p, const char *value)
{
	if (p->o->mountpoint != NULL || p->node) {
		buf_printf(p->why, "unexpected argument '%s'", value);
		return -EINVAL;
	}
	if (value[0] == '\0')
		return wants(p, "MOUNTPOINT is empty");
	p->o->mountpoint = keep(p, value);
	return p->o->mountpoint != NULL ? 0 : -ENOMEM;
}

static int
read_command_line(struct parse *p, int argc, char *const argv[])
{
	struct cli c = { .argc = argc, .argv = argv, .next = 1, .options = command_line };
	const char *value;
	int err = 0;

	while (err == 0) {
		int id = cli_next(&c, &value, p->why);

		if (id == CLI_END)
			break;
		if (id == CLI_BAD)
			err = -EINVAL;
		else if (id == CLI_ARGUMENT)
			err = set_mountpoint(p, value);
		else if (id == KEY_O)
			err = apply_list(p, value);
		else
			err = apply(p, (size_t)id, value);
	}
	return err;
}

static int
parse(struct options *o, bool node, int argc, char *const argv[], const char *env_nats, struct buf *why)
{
	struct parse p = { .o = o, .why = why, .node = node };
	struct buf reason = { 0 };
	int err;

	memset(o, 0, sizeof(*o));
	o->replicas = 1;
	o->timeout_ns = 5 * NS_PER_SEC;
	o->prefix = "aether";
	o->cache_bytes = UINT64_C(256) << 20;
	o->snapshot_every = 1000;

	err = read_command_line(&p, argc, argv);
	if (err == 0 && env_nats != NULL && env_nats[0] != '\0' && o->nats == NULL && !o->memory) {
		p.why = &reason;
		err = set_nats(&p, &keys[KEY_NATS], env_nats);
		p.why = why;
		if (err == -EINVAL)
			buf_printf(why, "AETHER_NATS: %s", buf_text(&reason));
		buf_free(&reason);
	}
	if (err == 0)
		err = check_together(&p);
	if (err == 0 && p.fuse.len > 0) {
		const char *text = buf_text(&p.fuse);

		o->fuse_opts = text != NULL ? keep(&p, text) : NULL;
		if (o->fuse_opts == NULL)
			err = -ENOMEM;
	}
	buf_free(&p.fuse);
	return err;
}

int
options_parse(struct options *o, int argc, char *const argv[], const char *env_nats, struct buf *why)
{
	return parse(o, false, argc, argv, env_nats, why);
}

int
options_parse_node(struct options *o, int argc, char *const argv[], const char *env_nats, struct buf *why)
{
	return parse(o, true, argc, argv, env_nats, why);
}

void
options_free(struct options *o)
{
	arena_free(&o->texts);
}
