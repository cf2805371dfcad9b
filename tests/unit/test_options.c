/* The command line of `aether mount`, and the URLs in it. */
#include <errno.h>
#include <stdarg.h>

#include "../../mount/options.h"
#include "../../mount/urls.h"
#include "check.h"

#define MAX_ARGS 16
#define PARSE(...) parse(&o, &why, NULL, __VA_ARGS__, NULL)
#define BAD(text, ...) check_bad(text, __LINE__, NULL, __VA_ARGS__, NULL)

static int
vparse(struct options *o, struct buf *why, const char *env, const char *first, va_list args)
{
	char *argv[MAX_ARGS] = { (char *)"mount" };
	int argc = 1;

	for (const char *arg = first; arg != NULL && argc < MAX_ARGS; arg = va_arg(args, const char *))
		argv[argc++] = (char *)arg;
	*why = (struct buf){ 0 };
	return options_parse(o, argc, argv, env, why);
}

static int
parse(struct options *o, struct buf *why, const char *env, const char *first, ...)
{
	va_list args;
	int err;

	va_start(args, first);
	err = vparse(o, why, env, first, args);
	va_end(args);
	if (err != 0)
		printf("# %s\n", buf_text(why));
	buf_free(why);
	return err;
}

/* The command line is refused with exactly this text. */
static void
check_bad(const char *text, int line, const char *env, const char *first, ...)
{
	struct options o;
	struct buf why;
	va_list args;
	int err;

	va_start(args, first);
	err = vparse(&o, &why, env, first, args);
	va_end(args);
	check_int(err, -EINVAL, "refused", __FILE__, line);
	check_str(err != 0 ? buf_text(&why) : "", text, "reason", __FILE__, line);
	buf_free(&why);
	options_free(&o);
}

TEST(defaults)
{
	struct options o;
	struct buf why;

	REQUIRE(PARSE("/mnt/aether") == 0);
	CHECK_EQ_STR(o.mountpoint, "/mnt/aether");
	CHECK_EQ_STR(o.nats, NULL);
	CHECK(!o.memory && !o.eventual && !o.foreground && !o.read_only && !o.allow_delete && !o.set_uid && !o.set_gid && !o.set_umask);
	CHECK_EQ_INT(o.replicas, 1);
	CHECK_EQ_INT(o.timeout_ns, INT64_C(5000000000));
	CHECK_EQ_STR(o.prefix, "aether");
	CHECK_EQ_UINT(o.cache_bytes, UINT64_C(268435456));
	CHECK_EQ_STR(o.fuse_opts, NULL);
	options_free(&o);
}

TEST(every_option)
{
	struct options o;
	struct buf why;

	REQUIRE(PARSE("--nats", "nats://u:p@h1:4222,h2", "--replicas=3", "/m", "--node-id", "n1", "--state-dir=/s",
		    "-f", "-o", "timeout=0.25,consistency=eventual,prefix=Xy9,uid=7,gid=8,umask=027,allow_other",
		    "-oro,delete,commit=async,creds=/c,tlsca=ca,tlscert=crt,tlskey=key,log=/l,cache_size=64M") == 0);
	CHECK_EQ_STR(o.nats, "nats://u:p@h1:4222,h2");
	CHECK_EQ_INT(o.replicas, 3);
	CHECK_EQ_STR(o.mountpoint, "/m");
	CHECK_EQ_STR(o.node_id, "n1");
	CHECK_EQ_STR(o.state_dir, "/s");
	CHECK(o.foreground && o.eventual && o.commit_async && o.read_only && o.allow_delete && o.set_uid && o.set_gid && o.set_umask);
	CHECK_EQ_INT(o.timeout_ns, 250000000);
	CHECK_EQ_STR(o.prefix, "Xy9");
	CHECK_EQ_UINT(o.uid, 7);
	CHECK_EQ_UINT(o.gid, 8);
	CHECK_EQ_UINT(o.umask, 027);
	CHECK_EQ_STR(o.creds, "/c");
	CHECK_EQ_STR(o.tls_ca, "ca");
	CHECK_EQ_STR(o.tls_cert, "crt");
	CHECK_EQ_STR(o.tls_key, "key");
	CHECK_EQ_STR(o.log, "/l");
	CHECK_EQ_UINT(o.cache_bytes, UINT64_C(64) << 20);
	CHECK_EQ_STR(o.fuse_opts, "allow_other,ro");
	options_free(&o);
}

TEST(fstab_words_are_accepted)
{
	struct options o;
	struct buf why;

	REQUIRE(PARSE("/m", "-o",
		    "rw,defaults,nosuid,nodev,noexec,auto,noauto,user,nouser,_netdev,nofail,x-systemd.automount", "-o",
		    ",x-a=b,,") == 0);
	CHECK_EQ_STR(o.fuse_opts, "nosuid,nodev,noexec");
	options_free(&o);
}

TEST(escaped_commas)
{
	struct options o;
	struct buf why;

	REQUIRE(PARSE("/m", "-o", "log=/a\\,b\\\\c,ro") == 0);
	CHECK_EQ_STR(o.log, "/a,b\\c");
	CHECK(o.read_only);
	options_free(&o);
}

TEST(timeouts)
{
	static const struct {
		const char *text;
		int64_t ns; /* 0: refused */
	} cases[] = { { "5", 5000000000 }, { "0.01", 10000000 }, { "3600", 3600000000000 }, { "1.5", 1500000000 },
		{ "2.000000001", 2000000001 }, { "0", 0 }, { "0.0", 0 }, { "0.009", 0 }, { "3600.1", 0 }, { "-1", 0 },
		{ "1e3", 0 }, { "1.", 0 }, { ".5", 0 }, { "", 0 }, { "5s", 0 }, { " 5", 0 }, { "inf", 0 },
		{ "99999999999999999999", 0 }, { "1,5", 0 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct options o;
		struct buf why = { 0 };
		char item[64];
		char *argv[] = { (char *)"mount", (char *)"/m", (char *)"-o", item };

		snprintf(item, sizeof(item), "timeout=%s", cases[i].text);
		CHECK_EQ_INT(options_parse(&o, 4, argv, NULL, &why), cases[i].ns != 0 ? 0 : -EINVAL);
		if (cases[i].ns != 0)
			CHECK_EQ_INT(o.timeout_ns, cases[i].ns);
		options_free(&o);
		buf_free(&why);
	}
}

TEST(sizes)
{
	struct options o;
	struct buf why;

	REQUIRE(PARSE("/m", "-o", "cache_size=4096") == 0);
	CHECK_EQ_UINT(o.cache_bytes, 4096);
	options_free(&o);
	REQUIRE(PARSE("/m", "-o", "cache_size=2g") == 0);
	CHECK_EQ_UINT(o.cache_bytes, UINT64_C(2) << 30);
	options_free(&o);
#define SIZE_WANTED "it must be bytes from 4K to 16384G, with K, M or G for the unit"
	BAD("bad value '4095' of option 'cache_size': " SIZE_WANTED, "/m", "-o", "cache_size=4095");
	BAD("bad value '16385G' of option 'cache_size': " SIZE_WANTED, "/m", "-o", "cache_size=16385G");
	BAD("bad value '18014398509481984K' of option 'cache_size': " SIZE_WANTED, "/m", "-o",
	    "cache_size=18014398509481984K");
	BAD("bad value '1MB' of option 'cache_size': " SIZE_WANTED, "/m", "-o", "cache_size=1MB");
	BAD("bad value 'M' of option 'cache_size': " SIZE_WANTED, "/m", "-o", "cache_size=M");
}

TEST(refused)
{
	BAD("MOUNTPOINT is missing", "-f");
	BAD("MOUNTPOINT is empty", "");
	BAD("unexpected argument '/n'", "/m", "/n");
	BAD("unknown option '--bogus'", "/m", "--bogus=secret");
	BAD("unknown option '-x'", "/m", "-xyz");
	BAD("unknown option 'tmeout' of -o", "/m", "-o", "ro,tmeout=5");
	BAD("option '--nats' needs a value", "/m", "--nats");
	BAD("option '-f' takes no value", "/m", "-fo");
	BAD("option 'timeout' of -o needs a value", "/m", "-o", "timeout");
	BAD("option 'ro' of -o takes no value", "/m", "-o", "ro=1");
	BAD("bad value '2' of option '--replicas': it must be 1, 3 or 5", "/m", "--replicas", "2");
	BAD("bad value 'disk' of option '--store': it must be jetstream or memory", "/m", "--store", "disk");
	BAD("bad value 'later' of option 'commit': it must be sync or async", "/m", "-o", "commit=later");
	BAD("option 'commit' of -o needs a value", "/m", "-o", "commit");
	BAD("bad value 'strict' of option 'consistency': it must be close-to-open or eventual", "/m", "-o",
	    "consistency=strict");
	BAD("bad value 'a-b' of option 'prefix': it must be 1 to 32 letters and digits", "/m", "-o", "prefix=a-b");
	BAD("bad value 'root' of option 'uid': it must be a number", "/m", "-o", "uid=root");
	BAD("bad value '4294967295' of option 'gid': it must be a number", "/m", "-o", "gid=4294967295");
	BAD("bad value '1777' of option 'umask': it must be an octal number up to 0777", "/m", "-o", "umask=1777");
	BAD("bad value '' of option 'log': it must be a path", "/m", "-o", "log=");
	BAD("bad value 'a/b' of option '--node-id': it must be a file name of at most 128 bytes that does not begin "
	    "with a dot",
	    "/m", "--node-id", "a/b");
}

TEST(contradictions)
{
	struct options o;
	struct buf why;

	REQUIRE(PARSE("/m", "-o", "timeout=5,ro", "-o", "ro,timeout=5", "-f", "-f") == 0);
	CHECK_EQ_STR(o.fuse_opts, "ro");
	options_free(&o);
	BAD("option 'timeout' is given twice with different values", "/m", "-o", "timeout=5,timeout=6");
	BAD("option '--nats' is given twice with different values", "/m", "--nats", "a", "--nats", "b");
	BAD("options 'ro' and 'rw' contradict each other", "/m", "-o", "ro,rw");
	BAD("option '--nats' has no meaning with '--store memory'", "/m", "--nats", "a", "--store", "memory");
	BAD("option '--replicas' needs '--nats': the private server is a single one", "/m", "--replicas", "3");
	BAD("option 'creds' needs '--nats'", "/m", "-o", "creds=/c");
	BAD("options 'creds' and 'nkey' contradict each other", "/m", "--nats", "a", "-o", "creds=/c,nkey=/k");
	BAD("options 'tlscert' and 'tlskey' need each other", "/m", "--nats", "a", "-o", "tlscert=/c");
}

TEST(environment)
{
	struct options o;
	struct buf why;

	REQUIRE(parse(&o, &why, "nats://e", "/m", "--replicas", "3", NULL) == 0);
	CHECK_EQ_STR(o.nats, "nats://e");
	options_free(&o);
	REQUIRE(parse(&o, &why, "nats://e", "/m", "--nats", "a", NULL) == 0);
	CHECK_EQ_STR(o.nats, "a");
	options_free(&o);
	REQUIRE(parse(&o, &why, "nats://e", "/m", "--store", "memory", NULL) == 0);
	CHECK_EQ_STR(o.nats, NULL);
	options_free(&o);
	REQUIRE(parse(&o, &why, "", "/m", NULL) == 0);
	CHECK_EQ_STR(o.nats, NULL);
	options_free(&o);
	check_bad("AETHER_NATS: URL 2 has no host", __LINE__, "a,", "/m", NULL);
}

TEST(urls)
{
	struct buf out = { 0 };

	BAD("option '--nats': URL 1 has a scheme other than nats:// and tls://", "/m", "--nats", "http://u:secret@h");
	BAD("option '--nats': URL 1 has no valid port (1 to 65535)", "/m", "--nats", "nats://u:sec,ret@h");
	BAD("option '--nats': URL 2 has no host", "/m", "--nats", "h,nats://u:secret@");
	BAD("option '--nats': URL 1 has no valid port (1 to 65535)", "/m", "--nats", "h:65536");
	BAD("option '--nats': URL 1 has a character that no host name has", "/m", "--nats", "h/x");
	BAD("option '--nats': URL 1 has no valid port (1 to 65535)", "/m", "--nats", "[::1]4222");
	BAD("option '--nats': URL 1 has no host", "/m", "--nats", "");

	CHECK_EQ_INT(urls_check("tls://tok@[::1]:4222,h.example:1,nats://a_b-c", &out), 0);
	urls_redact(&out, "nats://u:p@ss@h1:4222,tok@h2,tls://[::1]:1");
	CHECK_EQ_STR(buf_text(&out), "nats://h1:4222,h2,tls://[::1]:1");
	buf_free(&out);
}

TEST(masking)
{
	char url[] = "--nats=nats://u:p@h1,nats://v:q@h2";
	char bare[] = "u:p@h1";
	char other[] = "/mnt/aether";

	urls_mask(url);
	CHECK_EQ_STR(url, "--nats=nats://*****************@h2");
	urls_mask(bare);
	CHECK_EQ_STR(bare, "***@h1");
	urls_mask(other);
	CHECK_EQ_STR(other, "/mnt/aether");
}

TESTS(T(defaults), T(every_option), T(fstab_words_are_accepted), T(escaped_commas), T(timeouts), T(sizes), T(refused),
    T(contradictions), T(environment), T(urls), T(masking))
